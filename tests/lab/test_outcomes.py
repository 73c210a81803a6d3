"""Every way in which a task can end, as systemd says it, and what the host's owner refused."""

import pytest

GROW = "awk 'BEGIN { for (s = \"0123456789abcdef\"; ; s = s s) ; }'"

ENDINGS = {
    # name: (argv, directives, outcome, exit_code, exit_status)
    "success": (["/bin/true"], {}, "success", "exited", 0),
    "exit code": (["/bin/sh", "-c", "exit 3"], {}, "exit-code", "exited", 3),
    "signal": (["/bin/sh", "-c", "kill -USR1 $$"], {}, "signal", "killed", 10),
    "out of memory": (["/bin/sh", "-c", GROW], {"MemoryMax": "24M"}, "oom-kill", None, None),
    "timeout": (["/bin/sleep", "60"], {"RuntimeMaxSec": "2s"}, "timeout", None, None),
    "missing executable": (["/opt/not/there"], {}, "exit-code", "exited", 203),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_outcome_is_systemds(agent, ending):
    argv, directives, outcome, exit_code, exit_status = ENDINGS[ending]
    run = agent.run(argv, **directives).wait_ended()
    attempt = run.attempt()
    assert attempt["outcome"] == attempt["result"] == outcome
    assert run.show()["outcome"] == outcome
    if exit_code:
        assert (attempt["exit_code"], attempt["exit_status"]) == (exit_code, exit_status)


def test_what_is_shown_is_what_pid_1_and_the_kernel_say(agent):
    run = agent.shell("head -c 20000000 /dev/zero | tail -c 1 >/dev/null; sleep 30",
                      MemoryMax="80M", CPUQuota="60%", TasksMax="7").wait_running()
    unit, cut = run.attempt()["unit"], agent.node.cut
    shown = dict(line.split("=", 1) for line in agent.node.run(
        f"systemctl show -p MemoryMax,CPUQuotaPerSecUSec,TasksMax,InvocationID,Slice {unit}").text.splitlines())
    assert (shown["MemoryMax"], shown["CPUQuotaPerSecUSec"], shown["TasksMax"]) == (str(80 << 20), "600ms", "7")
    attempt = run.attempt()
    assert attempt["invocation_id"].replace("-", "") == shown["InvocationID"]
    assert attempt["slice"] == shown["Slice"]

    # With the network cut nothing is acknowledged, so PID 1 and the slice still hold what will be reported.
    cut()
    try:
        agent.node.run(f"systemctl kill --signal=KILL {unit}", check=True)
        group = f"/sys/fs/cgroup/sluice.slice/*/{shown['Slice']}"
        agent.node.run(f"for i in $(seq 50); do systemctl is-active -q {unit} || break; sleep 0.1; done")
        result = agent.node.property(unit, "Result")
        peak = int(agent.node.run(f"cat {group}/memory.peak").text)
        cpu = int(agent.node.run(f"sed -n 's/^usage_usec //p' {group}/cpu.stat").text)
    finally:
        agent.node.mend()
    attempt = run.wait_ended().attempt()
    assert (attempt["result"], attempt["memory_peak_bytes"], attempt["cpu_usage_usec"]) == (result, peak, cpu)


def test_a_cancelled_run_leaves_no_process(agent):
    run = agent.shell("exec sleep 613").wait_running()
    run.cancel().wait_ended()
    assert run.show()["outcome"] == "cancelled"
    assert agent.node.run("pgrep -f 'sleep 613'").text == ""


@pytest.fixture
def strict_owner(agent):
    """The owner of the host allows little."""
    path = "/etc/sluice/policy.conf.d/test.conf"
    agent.node.put(path, "[Policy]\nAllowExecutables=/bin/true /usr/bin/true /bin/sh\nMemoryMax=64M\nAllowUsers=\n")
    yield agent
    agent.node.run(f"rm {path}")


@pytest.mark.parametrize("argv, directives, word", [
    (["/usr/bin/env"], {}, "env"),
    (["/bin/true"], {"MemoryMax": "128M"}, "MemoryMax"),
    (["/bin/true"], {"User": "root"}, "root"),
    (["/bin/true"], {"SandboxProfile": "none"}, "none"),
])
def test_the_owner_of_the_host_refuses(strict_owner, argv, directives, word):
    run = strict_owner.run(argv, **directives).wait_failed()
    attempt = run.attempt()
    assert attempt["outcome"] == run.show()["outcome"] == "refused"
    assert word in attempt["reason"]
    assert strict_owner.node.run(f"systemctl show -p LoadState --value {attempt['unit']}").text == "not-found"


# What a command leaves behind itself, and what the log has in the end.
LEFT = {
    "ends": ("sleep 0.5; echo late", ["on", "late"]),
    "obeys": ("trap 'echo late; exit 0' TERM; sleep 600 & wait", ["on", "late"]),
    "refuses": ("trap '' TERM; while :; do sleep 0.1; done", ["on"]),
}


@pytest.mark.parametrize("left", LEFT)
def test_what_outlives_its_command_is_ended(agent, left):
    script, lines = LEFT[left]
    run = agent.shell(f": lab-left; ({script}) & echo on", TimeoutStopSec="3s").wait_succeeded()
    assert agent.node.run("pgrep -f '[l]ab-left'").text == ""
    assert run.wait_log_complete().lines() == lines
