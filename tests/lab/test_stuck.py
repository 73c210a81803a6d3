"""A host that cannot do what it should: outcomes, not hangs."""

import pytest
from lab.shell import wait_until

FROZEN = "/srv/frozen"
POLICY = "/etc/sluice/policy.conf.d/stuck.conf"


@pytest.fixture
def frozen(agent):
    """A file system on the host to which nothing can be written, and a policy that lets a task try."""
    node = agent.node
    node.run(f"effects module /usr/local/lib/loop.ko; truncate -s 16M {FROZEN}.img && mke2fs -q -t ext4 {FROZEN}.img && "
             f"mkdir -p {FROZEN} && mount -o loop {FROZEN}.img {FROZEN} && fsfreeze -f {FROZEN}", check=True)
    node.put(POLICY, "[Policy]\nAllowUsers=root\nAllowSandboxNone=yes\n")
    yield node
    node.run(f"fsfreeze -u {FROZEN}; umount {FROZEN}; rm -rf {FROZEN}* {POLICY}")


def flags(agent):
    return {flag["flag"]: flag["reason"] for flag in agent.facts()["flags"]}


def test_what_cannot_be_killed_is_not_said_to_be_over(fleet, agent, frozen):
    run = agent.shell(f"echo on >{FROZEN}/file", User="root", SandboxProfile="none", TimeoutStopSec="1s").wait_running()
    unit = run.attempt()["unit"]
    state = f"ps -o stat= -p $(systemctl show --value -p MainPID {unit})"
    wait_until("the task to hang", lambda: frozen.run(state).text.startswith("D"), 30)
    run.cancel()
    wait_until("systemd to give up", lambda: frozen.property(unit, "ActiveState") == "failed", 60)
    wait_until("the agent to be degraded", lambda: "degraded" in flags(agent), 30)
    assert run.id in flags(agent)["degraded"]
    assert "is stuck on agent" in fleet.ctl("explain", run.id).text
    frozen.run("systemctl restart agentd", check=True)
    agent.wait_status("Running")
    assert not run.show()["ended_at"], "a restart of agentd does not make it end"
    frozen.run(f"fsfreeze -u {FROZEN}", check=True)
    assert run.wait_ended(30).show()["outcome"] == "cancelled"
    wait_until("the agent to be well again", lambda: flags(agent) == {}, 10)


def test_without_a_process_to_spare_there_is_an_outcome(agent):
    """For some seconds nobody on the host can fork, PID 1 neither."""
    agent.run(["/bin/true"]).wait_succeeded()
    pid_max = agent.node.get("/proc/sys/kernel/pid_max").strip()
    agent.node.run(f"setsid sh -c 'sleep 8; echo {pid_max} >/proc/sys/kernel/pid_max' >/dev/null 2>&1 & sleep 1; "
                   "echo 301 >/proc/sys/kernel/pid_max", check=True)
    run = agent.run(["/bin/true"]).wait_ended()
    assert run.show()["outcome"] in ("resources", "success"), "it could not begin, or began when it could"
    wait_until("processes to spare", lambda: agent.node.run("cat /proc/sys/kernel/pid_max").text == pid_max, 30)
    agent.run(["/bin/true"]).wait_succeeded()


def test_a_bus_that_takes_few_questions_costs_time_only(fleet):
    """Of a hundred tasks that end at one time, the system bus refused the questions about those beyond its limit."""
    agent = fleet.agent("limited", slots=16)
    agent.node.put("/etc/dbus-1/system.d/lab.conf", '<busconfig><limit name="max_replies_per_connection">6</limit></busconfig>\n')
    agent.node.run("systemctl reload dbus", check=True)
    try:
        runs = [agent.shell("while ! test -e /run/lab-go; do sleep 0.5; done; exit 3") for _ in range(16)]
        for run in runs:
            run.wait_running(timeout=180)
        agent.node.run("touch /run/lab-go", check=True)
        for run in runs:
            assert [a["exit_status"] for a in run.wait_failed(timeout=180).attempts()] == [3]
    finally:
        fleet.agents.pop("limited").node.shut_down()


def test_what_finds_no_place_in_run_waits_for_one(agent):
    """PID 1 has the files of transient units there."""
    node = agent.node
    lasts = agent.shell("exec sleep 600").wait_running()
    node.run("cat /dev/zero >/run/full; dd if=/dev/zero of=/run/full2 bs=1 count=8192 status=none")
    try:
        run = agent.shell("echo on", ["OnAgentLoss=wait"])
        wait_until("explain to say why", lambda: "Is /run full?" in agent.fleet.ctl("explain", run.id).stdout, 60)
        assert run.show()["outcome"] is None
    finally:
        node.run("rm -f /run/full /run/full2", check=True)
    assert run.wait_succeeded().wait_log_complete().lines() == ["on"]
    assert lasts.show()["state"] == "running"
    lasts.cancel().wait_ended()


def test_on_a_read_only_disk_there_is_an_outcome(agent):
    """What runs goes on, and what was left behind is removed when that works again."""
    node = agent.node
    run = agent.shell("echo on; while ! test -e /run/lab-go; do sleep 0.2; done; echo off").wait_running()
    node.run("sync; echo u >/proc/sysrq-trigger", check=True)  # as ext4 does with errors=remount-ro
    try:
        wait_until("the disk to be read-only", lambda: node.run("touch /var/written").rc, 30)
        assert agent.shell("echo on").wait_failed().show()["outcome"] in ("exit-code", "resources")
        node.run("systemctl restart agentd; touch /run/lab-go", check=True)
        assert run.wait_succeeded().wait_log_complete().lines() == ["on", "off"]
    finally:
        node.run("mount -o remount,rw /; rm /run/lab-go", check=True)
    agent.run(["/bin/true"]).wait_succeeded()
    wait_until("workspaces to be removed", lambda: not node.run("ls /var/lib/sluice/runs || true").text, 90)


def test_with_a_full_disk_there_is_an_outcome(agent):
    node = agent.node
    node.run("systemctl stop agentd-exec", check=True)  # as half a minute after its last call
    node.run("dd if=/dev/zero of=/var/full bs=1M status=none; dd if=/dev/zero of=/var/full2 bs=1k status=none; sync")
    try:
        run = agent.shell("echo on; exec sleep 1").wait_ended()
        node.run("systemctl restart agentd", check=True)
        agent.wait_status("Running")
    finally:
        node.run("rm -f /var/full /var/full2; sync", check=True)
    assert run.show()["outcome"] in ("success", "exit-code", "resources")
    agent.run(["/bin/true"]).wait_succeeded()
