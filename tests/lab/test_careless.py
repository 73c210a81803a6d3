"""What people do on a host with their hands, meaning well: nothing hangs, nothing lies, and the next task runs."""

import pytest
from lab.fleet import command
from lab.postgres import program
from lab.shell import LabError, run, wait_until

LASTING = "echo on; exec sleep 600"
# Without the deadlines of agents, which stay loaded.
OURS = ("systemctl list-units --all --plain --no-legend 'sluice-*.service' 'sluice-?-*.slice' | grep -v ^sluice-fence;"
        "ls -d /run/systemd/transient/sluice-*.d /run/systemd/units/*:sluice-* | grep -v sluice-fence")


def begun(agent, script=LASTING, pipe_lines=("OnAgentLoss=fail",), **directives):
    run = agent.shell(script, list(pipe_lines), **directives).wait_running()
    wait_until("the task to have begun", lambda: run.lines()[:1] == ["on"], 30)
    return run


def all_is_well(agent):
    agent.wait_status("Running")
    agent.run(["/bin/true"]).wait_succeeded()
    try:
        wait_until("units to be gone", lambda: not agent.node.run(OURS).text, 60)
    except LabError as error:
        raise AssertionError(f"{error}\n{agent.node.run(OURS).text}") from None


def test_nothing_is_left_of_tasks_however_they_end(agent):
    agent.shell("exit 0").wait_succeeded()
    agent.shell("exit 3").wait_failed()
    begun(agent).cancel().wait_ended()
    all_is_well(agent)


def test_all_units_of_ours_are_stopped_by_a_pattern(agent):
    runs = [begun(agent), begun(agent, pipe_lines=())]
    agent.node.run("systemctl stop 'sluice-*'")  # it may say that a slice went before its turn came
    for run in runs:
        attempt = run.wait_failed().attempt()
        assert attempt["outcome"] in ("stopped", "fenced"), attempt
    # The deadline of fenced tasks was stopped with them: the next one has one again.
    run = begun(agent, pipe_lines=())
    assert agent.node.run("systemctl list-units --plain --no-legend 'sluice-fence@*.timer'").text
    run.cancel().wait_ended()
    all_is_well(agent)


def test_a_second_agentd_is_started_by_hand(agent):
    run = begun(agent)
    for user in ("root", "sluice-agent"):
        answer = agent.node.run(f"timeout 20 setpriv --reuid={user} --regid=sluice-agent --clear-groups "
                                "/usr/sbin/agentd 2>&1; echo ended with $?").text
        assert "Another agentd is running with /var/lib/sluice-agentd" in answer and "ended with 78" in answer
    agent.wait_status("Running")
    assert run.show()["state"] == "running"
    run.cancel().wait_ended()
    all_is_well(agent)


def explain(agent, what):
    return agent.fleet.ctl("explain", what).stdout


def kill(agent, run, signal):
    agent.node.run(f"kill -{signal} $(systemctl show --value -p MainPID {run.attempt()['unit']})", check=True)


def test_agentd_exec_is_masked(agent):
    """Nothing can be started, or be known not to have been: that is what explain says, until it can."""
    agent.node.run("systemctl mask --now agentd-exec", check=True)
    try:
        run = agent.shell("echo on", ["OnAgentLoss=wait"])
        why = "agentd-exec did not start it: Unit agentd-exec.service is masked."
        wait_until("explain to say why", lambda: f'is stuck on agent "{agent.name}" since' in explain(agent, run.id) and why in explain(agent, run.id), 60)
        assert why in explain(agent, agent.name) and "degraded by the agent" in explain(agent, agent.name)
    finally:
        agent.node.run("systemctl unmask agentd-exec", check=True)
    assert run.wait_succeeded(timeout=120).wait_log_complete().lines() == ["on"]
    assert "degraded" not in explain(agent, agent.name)
    all_is_well(agent)


def test_what_runs_before_a_task_fails(agent):
    run = agent.run_tasks({"task": {"ExecStart": "/bin/true", "ExecStartPre": "/bin/false"}}).wait_failed()
    attempt = run.attempt()
    assert (attempt["outcome"], attempt["exit_status"], attempt["reason"]) == ("exit-code", None, "What runs before its command failed, ExecStartPre= for one.")
    assert "ExecStartPre= for one.\n" in explain(agent, run.id)
    all_is_well(agent)


@pytest.fixture
def broken(agent):
    """A directory that is not there until somebody repairs its mount."""
    agent.node.put("/etc/systemd/system/srv-broken.mount", "[Mount]\nWhat=/nonexistent.img\nWhere=/srv/broken\nOptions=loop\n")
    agent.node.run("systemctl daemon-reload", check=True)
    yield "/srv/broken"
    agent.node.run("rmdir /srv/broken")


def test_what_a_task_needs_cannot_be_mounted(agent, broken):
    run = agent.shell("pwd", WorkingDirectory=broken)
    wait_until("explain to say why", lambda: "systemd did not begin it" in explain(agent, run.id), 60)
    agent.node.run("rm /etc/systemd/system/srv-broken.mount; mkdir -p /srv/broken; systemctl daemon-reload", check=True)
    assert run.wait_succeeded().wait_log_complete().lines() == [broken]
    assert len(run.attempts()) == 1
    all_is_well(agent)


def test_what_a_task_needs_fails_while_agentd_is_away(agent):
    """The journal says that it did not begin: it is not lost."""
    agent.node.put("/etc/systemd/system/srv-broken.mount", "[Mount]\nWhat=/dev/none\nWhere=/srv/broken\n")
    agent.node.put("/etc/systemd/system/dev-none.device.d/timeout.conf", "[Unit]\nJobRunningTimeoutSec=10s\n")
    agent.node.run("systemctl daemon-reload", check=True)
    try:
        run = agent.shell("pwd", ["OnAgentLoss=fail"], WorkingDirectory="/srv/broken")
        wait_until("its job to wait", lambda: "sluice-" in agent.node.run("systemctl list-jobs --no-legend").text, 30)
        agent.node.run("systemctl stop agentd", check=True)
        wait_until("its job to fail", lambda: not agent.node.run("systemctl list-jobs --no-legend").text, 30)
        agent.node.run("systemctl start agentd", check=True)
        wait_until("explain to say why", lambda: "something that it needs failed" in explain(agent, run.id), 60)
    finally:
        agent.node.run("rm -r /etc/systemd/system/srv-broken.mount /etc/systemd/system/dev-none.device.d; mkdir -p /srv/broken; systemctl daemon-reload; systemctl start agentd", check=True)
    assert run.wait_succeeded(timeout=120).wait_log_complete().lines() == ["/srv/broken"]
    assert len(run.attempts()) == 1
    agent.node.run("rmdir /srv/broken", check=True)
    all_is_well(agent)


def test_the_deadline_of_fenced_tasks_cannot_be_set(agent):
    """Then nothing begins that another agent may be given."""
    agent.node.run("systemctl stop 'sluice-fence@*.timer' sluice-lease.target; systemctl mask --runtime sluice-fence@a.timer sluice-fence@b.timer", check=True)
    try:
        agent.node.run("systemctl restart agentd", check=True)
        run = agent.shell("echo on", [])
        wait_until("explain to say why", lambda: "The deadline of SelfFenceSec= cannot be set" in explain(agent, run.id), 60)
        agent.shell("echo on", ["OnAgentLoss=wait"]).wait_succeeded()
        assert not run.lines()
    finally:
        agent.node.run("systemctl unmask --runtime sluice-fence@a.timer sluice-fence@b.timer", check=True)
    assert run.wait_succeeded(timeout=120).wait_log_complete().lines() == ["on"]
    assert len(run.attempts()) == 1
    all_is_well(agent)


def test_the_certificate_of_the_authority_is_emptied(agent):
    kept = agent.node.run("cat /etc/sluice/ca.pem", check=True).stdout
    try:
        for change in (": >/etc/sluice/ca.pem", "rm /etc/sluice/ca.pem"):
            since = agent.node.run("date +%s", check=True).text
            agent.node.run(f"{change}; systemctl restart agentd", check=True)
            wait_until("agentd to name the file", lambda: "CAFile=/etc/sluice/ca.pem" in agent.node.journal(f"-u agentd --since=@{since}"), 60)
    finally:
        agent.node.put("/etc/sluice/ca.pem", kept)
        agent.node.run("systemctl restart agentd", check=True)
    all_is_well(agent)


def test_a_process_is_killed_by_hand(agent):
    run = begun(agent)
    kill(agent, run, 9)
    attempt = run.wait_failed().attempt()
    assert (attempt["outcome"], attempt["exit_code"], attempt["exit_status"]) == ("signal", "killed", 9)
    all_is_well(agent)


@pytest.mark.parametrize("away", [False, True], ids=["agentd-there", "agentd-away"])
def test_a_process_is_asked_to_end_by_hand(agent, away):
    """PID 1 calls that a success. It is one for a pipe that says so."""
    failing = [(begun(agent), n) for n in (2, 15)]
    meant = begun(agent, SuccessExitStatus="SIGTERM")
    ignored = agent.run_tasks({"task": {"ExecStart": "-" + command(["/bin/sleep", "600"])}}).wait_running()
    if away:
        agent.node.run("systemctl stop agentd", check=True)
    for run, signal in [*failing, (meant, 15), (ignored, 15)]:
        kill(agent, run, signal)
    if away:
        agent.node.run("systemctl start agentd", check=True)
    for run, signal in failing:
        attempt = run.wait_failed().attempt()
        assert (attempt["outcome"], attempt["exit_code"], attempt["exit_status"]) == ("signal", "killed", signal)
    for run in (meant, ignored):
        assert run.wait_succeeded().attempt()["outcome"] == "success"
    all_is_well(agent)


@pytest.mark.parametrize("away", [False, True], ids=["agentd-there", "agentd-away"])
def test_units_of_ours_are_restarted_by_a_pattern(agent, away):
    """A task that has begun is begun again by the control plane or not at all."""
    runs = [begun(agent, LASTING, ["OnAgentLoss=wait"]) for _ in range(3)]
    if away:
        agent.node.run("systemctl stop agentd", check=True)
    agent.node.run("systemctl restart 'sluice-*.service'")  # it says that they are started too often
    if away:
        agent.node.run("systemctl start agentd", check=True)
    for run in runs:
        attempt = run.wait_failed().attempt()
        assert (attempt["outcome"], attempt["reason"], len(run.attempts())) == ("stopped", "It was stopped on the host.", 1)
        assert run.wait_log_complete().lines() == ["on"]
        assert agent.node.journal(f"-u {attempt['unit']} SLUICE_KIND=task -o cat").split() == ["on"]
    all_is_well(agent)


def test_tasks_are_restarted_after_a_reload(agent):
    """It makes this systemd forget that it has started them."""
    runs = [begun(agent) for _ in range(2)]
    agent.node.run("systemctl daemon-reload", check=True)
    answer = agent.node.run("systemctl restart 'sluice-*.service'")
    assert answer.stderr.count("Operation refused") == 2, answer.stderr
    for run in runs:
        assert agent.node.property(run.attempt()["unit"], "ActiveState") == "active"
        run.cancel().wait_ended()
        assert run.wait_log_complete().lines() == ["on"]
    all_is_well(agent)


def test_a_task_is_made_to_begin_again(agent):
    """Whoever takes its limit away can do it. What began again is stopped, and it is told."""
    run = begun(agent)
    unit = run.attempt()["unit"]
    process = agent.node.property("agentd.service", "MainPID")
    agent.node.run(f"kill -STOP {process}; systemctl reset-failed; systemctl restart {unit}; kill -CONT {process}", check=True)
    attempt = run.wait_failed().attempt()
    assert (attempt["outcome"], attempt["reason"], len(run.attempts())) == ("stopped", "It was restarted on the host.", 1)
    assert run.wait_log_complete().lines() in (["on"], ["on", "on"])
    all_is_well(agent)


def test_the_bus_is_stopped_for_a_while(agent):
    """agentd comes back when the bus does, however often it could not begin meanwhile."""
    lasts = begun(agent)
    ends = begun(agent, "echo on; sleep 8; echo off")
    agent.node.run("systemctl stop dbus.socket dbus.service", check=True)
    why = "Cannot start: No connection to the system bus: Connection refused."
    wait_until("agentd to have tried twice", lambda: agent.node.run("journalctl -b -u agentd -o cat").text.count(why) >= 2, 60)
    agent.node.run("systemctl start dbus.socket dbus.service", check=True)
    assert ends.wait_succeeded().wait_log_complete().lines() == ["on", "off"]
    assert lasts.show()["state"] == "running"
    lasts.cancel().wait_ended()
    all_is_well(agent)


def test_the_policy_is_mistyped(agent):
    """It has not said no: what it would judge waits, here or for another host, until it can be read."""
    path = "/etc/sluice/policy.conf.d/mistyped.conf"
    agent.node.put(path, "[Policy]\nMemoryMax=much\n")
    try:
        run = agent.shell("echo on", [])
        wait_until("explain to say why", lambda: "MemoryMax=much is not a size" in explain(agent, run.id), 60)
        assert run.show()["outcome"] is None
    finally:
        agent.node.run(f"rm {path}", check=True)
    assert run.wait_succeeded().wait_log_complete().lines() == ["on"]
    assert len(run.attempts()) == 1
    all_is_well(agent)


def test_a_frozen_task_is_cancelled(agent):
    run = begun(agent)
    agent.node.run(f"systemctl freeze {run.attempt()['unit']}", check=True)
    assert run.cancel().wait_ended().attempt()["outcome"] == "cancelled"
    all_is_well(agent)


def test_a_failure_is_forgotten_before_it_was_told(agent):
    """agentd knows what PID 1 has been made to forget."""
    run = begun(agent, "echo on; while ! test -e /run/lab-go; do sleep 0.2; done; exit 3")
    unit = run.attempt()["unit"]
    with agent.node.partitioned():
        agent.node.run("touch /run/lab-go", check=True)
        wait_until("it to have failed", lambda: agent.node.property(unit, "ActiveState") == "failed", 30)
        agent.node.run("systemctl reset-failed", check=True)
    attempt = run.wait_failed().attempt()
    assert (attempt["outcome"], attempt["exit_status"]) == ("exit-code", 3)
    assert run.wait_log_complete().lines() == ["on"]
    agent.node.run("rm /run/lab-go")
    all_is_well(agent)


def test_what_was_seen_is_known_where_little_is_logged(agent):
    agent.node.put("/etc/sluice/agentd.conf.d/quiet.conf", "[Agent]\nLogLevel=err\n")
    try:
        agent.node.run("systemctl restart agentd", check=True)
        run = begun(agent, "echo on; while ! test -e /run/lab-go; do sleep 0.2; done")
        unit = run.attempt()["unit"]
        with agent.node.partitioned():
            agent.node.run("touch /run/lab-go", check=True)
            wait_until("agentd to note how it ended", lambda: "SLUICE_REPORT" in agent.node.run(f"journalctl -o export SLUICE_UNIT={unit}").text, 30)
            agent.node.run(f"systemctl stop agentd; systemctl stop {unit}; systemctl start agentd", check=True)
        attempt = run.wait_succeeded().attempt()
        assert attempt["outcome"] == "success"
    finally:
        agent.node.run("rm -f /run/lab-go /etc/sluice/agentd.conf.d/quiet.conf; systemctl restart agentd", check=True)
    all_is_well(agent)


def test_the_manager_is_reloaded_under_tasks(agent):
    """As by each package that is installed. PID 1 reads the units anew, and what it cannot read it neither ends nor starts again."""
    script = "echo on; while ! test -e /run/lab-go; do sleep 0.2; done; a=off; echo $a"
    unexpanded = ":" + command(["/bin/sh", "-c", script]).replace("$$", "$")
    runs = [begun(agent, script), agent.run_tasks({"task": {"ExecStart": unexpanded, "ExecStartPre": "-/bin/false"}}).wait_running()]
    wait_until("the second to have begun", lambda: runs[1].lines()[:1] == ["on"], 30)
    agent.node.run("systemctl daemon-reload", check=True)
    for run in runs:
        unit = run.attempt()["unit"]
        assert agent.node.property(unit, "LoadState") == "loaded", agent.node.journal("-n 20")
    assert "Unknown key" not in agent.node.journal("_PID=1 -b"), "PID 1 knows all that it has written"
    agent.node.run("touch /run/lab-go", check=True)
    for run in runs:
        assert run.wait_succeeded().wait_log_complete().lines() == ["on", "off"]
    agent.node.run("rm /run/lab-go", check=True)
    all_is_well(agent)


def test_the_manager_is_reloaded_while_tasks_start(agent):
    run = agent.run_tasks({f"task-{i}": {"ExecStart": command(["/bin/sh", "-c", f"n={i}; echo $n; sleep 0.3"])} for i in range(14)})
    agent.node.run("for i in $(seq 14); do systemctl daemon-reload; sleep 0.3; done", check=True)
    assert sorted(run.wait_succeeded().wait_log_complete().lines()) == sorted(str(i) for i in range(14))
    all_is_well(agent)


def test_units_of_others_change_while_tasks_start(agent):
    """PID 1 looks through all of its directories then, also for what is there of a unit that it is asked to start."""
    run = agent.run_tasks({f"task-{i}": {"ExecStart": command(["/bin/sh", "-c", f"echo {i}; sleep 0.2"])} for i in range(14)})
    agent.node.run("for i in $(seq 60); do touch /etc/systemd/system/lab-$i.service; sleep 0.07; done; rm /etc/systemd/system/lab-*.service", check=True)
    assert sorted(run.wait_succeeded().wait_log_complete().lines()) == sorted(str(i) for i in range(14))
    agent.node.run("systemctl daemon-reload", check=True)
    all_is_well(agent)


def test_a_workspace_is_removed_under_a_task(agent):
    run = begun(agent, "echo on; while ! test -e /run/lab-go; do sleep 0.2; done; echo x >file")
    agent.node.run("rm -rf /var/lib/private/sluice/runs/*; touch /run/lab-go", check=True)
    assert run.wait_failed().attempt()["outcome"] == "exit-code"
    agent.node.run("rm /run/lab-go")
    all_is_well(agent)


def unsettled(fleet, runs):
    """Those of the runs whose workspaces are not told to be removed."""
    rows = run(*program("psql"), "-X", "-A", "-t", "-h", fleet.control.runtime / "postgresql", "-U", "sluice", "-d", "sluice",
               "-c", "SELECT run FROM sluice.cleanup").text.split()
    return [r for r in runs if r.id in rows]


def test_a_workspace_that_cannot_be_removed_holds_up_no_other(fleet, agent):
    """It is removed, too, when that is possible again, and PID 1 keeps no unit that failed."""
    runs = [begun(agent, "echo on; while ! test -e /run/lab-go; do sleep 0.2; done") for _ in range(3)]
    places = [f"/var/lib/private/sluice/runs/{r.id.replace('-', '')}" for r in runs]
    agent.node.run(f"touch {places[1]}/kept && chattr +i {places[1]}/kept && touch /run/lab-go", check=True)
    try:
        for r in runs:
            r.wait_succeeded()
        wait_until("the others to be told as removed", lambda: unsettled(fleet, runs) == [runs[1]], 60)
        assert agent.node.run(f"ls -d {' '.join(places)}").text == places[1]
    finally:
        agent.node.run(f"chattr -i {places[1]}/kept; rm /run/lab-go")
    wait_until("the last to be told as removed", lambda: not unsettled(fleet, runs), 120)
    assert not agent.node.run(f"ls -d {' '.join(places)}").text
    assert not agent.node.run("systemctl list-units --all --plain --no-legend 'sluice-clean.*'").text


def test_agentd_stands_still_until_its_watchdog_ends_it(agent):
    run = begun(agent, "echo on; sleep 100; exit 5")
    process = agent.node.property("agentd.service", "MainPID")
    agent.node.run(f"kill -STOP {process}", check=True)
    wait_until("PID 1 to start it again", lambda: agent.node.property("agentd.service", "MainPID") not in ("0", "", process), 200)
    attempt = run.wait_failed(timeout=200).attempt()
    assert (attempt["outcome"], attempt["exit_status"], len(run.attempts())) == ("exit-code", 5, 1)
    all_is_well(agent)


@pytest.fixture
def forgetful(fleet):
    agent = fleet.agent("forgetful", lines=["SelfFenceSec=15s"])
    yield agent
    fleet.agents.pop("forgetful").node.shut_down()


def test_the_state_of_an_agent_is_removed(fleet, forgetful):
    """With its enrolment key it may not take the name again. Then it has an API key, joins as another instance, and has what it had."""
    agent = forgetful
    run = begun(agent, "echo on; while ! test -e /run/lab-go; do sleep 0.2; done; echo off", ["OnAgentLoss=wait"])
    agent.node.run("systemctl stop agentd; rm -rf /var/lib/sluice-agentd/*; systemctl start agentd")
    wait_until("agentd to say why it cannot join", lambda: 'There is an agent "forgetful" already' in agent.node.journal("-u agentd -b"), 60)
    assert "use an API key of that agent" in agent.node.journal("-u agentd -b")

    agent.node.put("/etc/sluice/api-key", fleet.key("--type=api", "--agent=forgetful") + "\n", mode=0o640, owner="root:sluice-agent")
    agent.node.put("/etc/sluice/agentd.conf.d/again.conf", f"[Agent]\nAgentID={agent.facts()['agent']}\nAPIKeyFile=/etc/sluice/api-key\n")
    agent.node.run("systemctl restart agentd", check=True)
    agent.wait_status("Running")
    assert len(agent.facts()["instances"]) == 2
    agent.node.run("touch /run/lab-go", check=True)
    assert run.wait_succeeded().wait_log_complete().lines() == ["on", "off"]
    assert len(run.attempts()) == 1
    all_is_well(agent)
