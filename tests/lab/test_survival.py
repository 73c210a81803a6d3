"""Work outlives its manager: whatever of ours dies in mid-run, the task goes on and its outcome and log arrive once."""

import pytest

from lab.shell import wait_until

LINES = 60
TASK = f"i=0; while [ $i -lt {LINES} ]; do echo \"line $i\"; i=$((i+1)); sleep 0.1; done; exit 7"


def restart_agentd(fleet, agent):
    agent.node.run("systemctl restart agentd", check=True)


def kill_agentd(fleet, agent):
    agent.node.run("systemctl kill --signal=KILL agentd", check=True)


def kill_agentd_exec(fleet, agent):
    agent.node.run("systemctl kill --signal=KILL agentd-exec")


def kill_both_halves(fleet, agent):
    agent.node.run("systemctl kill --signal=KILL agentd agentd-exec")


def crash_controld(fleet, agent):
    fleet.control.kill()
    fleet.control.start()


def restart_controld(fleet, agent):
    fleet.control.stop()
    fleet.control.start()


def kill_a_worker(fleet, agent):
    fleet.control.kill_worker()


FAULTS = [restart_agentd, kill_agentd, kill_agentd_exec, kill_both_halves, crash_controld, restart_controld, kill_a_worker]


def assert_arrived_once(agent, run):
    """The outcome, and each line of the log once and in order, as the node's journal has them."""
    run.wait_ended().wait_log_complete()
    attempts = run.attempts()
    assert len(attempts) == 1
    assert (attempts[0]["outcome"], attempts[0]["exit_status"]) == ("exit-code", 7)
    wanted = [f"line {i}" for i in range(LINES)]
    journal = [line for line in agent.node.journal(f"-o cat _SYSTEMD_UNIT={attempts[0]['unit']}").splitlines() if line.startswith("line ")]
    shown = run.lines()
    lines = [line for line in shown if line.startswith("line ")]
    assert (journal, lines) == (wanted, wanted), f"the host has {journal}, the control plane {shown}"


@pytest.fixture
def volatile_journal(agent):
    """A host that keeps its journal in memory, as one without /var/log/journal does. It has it again in the end."""
    agent.node.run("mv /var/log/journal /var/log/journal.kept && systemctl restart systemd-journald agentd", check=True)
    yield agent
    agent.node.run("rm -f /run/enough; cp -a /var/log/journal/. /var/log/journal.kept; rm -rf /var/log/journal; mv /var/log/journal.kept /var/log/journal; "
                   "systemctl restart systemd-journald agentd", check=True)


def test_a_journal_that_becomes_persistent_is_read_on(volatile_journal):
    agent = volatile_journal.wait_status("Running")
    run = agent.shell("i=0; while [ ! -e /run/enough ] && [ $i -lt 600 ]; do echo \"line $i\"; i=$((i+1)); sleep 0.1; done").wait_running()
    wait_until("lines from memory", run.lines, 30)
    agent.node.run("mkdir /var/log/journal && systemd-tmpfiles --create --prefix /var/log/journal && journalctl --flush", check=True)
    there = len(run.lines())
    wait_until("lines from the disk while the task runs", lambda: len(run.lines()) > there + 20, 30)
    agent.node.run("touch /run/enough", check=True)
    lines = run.wait_succeeded().wait_log_complete().lines()
    assert lines == [f"line {i}" for i in range(len(lines))]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
def test_a_task_survives(fleet, agent, fault):
    run = agent.shell(TASK).wait_running()
    unit = run.attempt()["unit"]
    process = agent.node.property(unit, "MainPID")
    assert process != "0"
    fault(fleet, agent)
    assert agent.node.property(unit, "MainPID") in (process, "0")  # 0 when it has ended meanwhile, by itself
    assert_arrived_once(agent, run)


def test_what_ended_while_agentd_was_away_is_reported(agent):
    run = agent.shell(TASK).wait_running()
    agent.node.run("systemctl stop agentd", check=True)
    agent.node.run(f"for i in $(seq 300); do systemctl is-active -q {run.attempt()['unit']} || break; "
                   f"case $(systemctl show --value -p SubState {run.attempt()['unit']}) in start|running) sleep 0.2 ;; *) break ;; esac; done")
    agent.node.run("systemctl start agentd", check=True)
    assert_arrived_once(agent, run)


def test_what_ended_while_controld_was_away_is_reported(fleet, agent):
    run = agent.shell(TASK).wait_running()
    unit = run.attempt()["unit"]
    fleet.control.stop()
    agent.node.run(f"for i in $(seq 300); do case $(systemctl show --value -p SubState {unit}) in start|running) sleep 0.2 ;; *) break ;; esac; done")
    fleet.control.start()
    assert_arrived_once(agent, run)


def test_an_upgrade_of_the_package_touches_no_task(agent, lab):
    deb = next(d for d in lab.debs if d.name.startswith("sluice-agentd_"))
    run = agent.shell(TASK.replace("0.1", "0.3")).wait_running()
    process = agent.node.property(run.attempt()["unit"], "MainPID")
    agent.node.put("/srv/agentd.deb", deb.read_bytes())
    agent.node.run("busctl introspect io.sluice.Exec1 /io/sluice/Exec1", check=True)
    root_half = agent.node.property("agentd-exec.service", "MainPID")
    agent.node.run("dpkg -i /srv/agentd.deb", check=True)
    assert agent.node.property("agentd-exec.service", "MainPID") != root_half != "0", "both halves are of one version"
    assert agent.node.property(run.attempt()["unit"], "MainPID") in (process, "0")
    assert_arrived_once(agent, run)


def test_a_package_that_is_removed_takes_its_agent_along(agent, lab):
    """And nothing else: the task runs on, and is told of by the agent that is installed next."""
    deb = next(d for d in lab.debs if d.name.startswith("sluice-agentd_"))
    run = agent.shell(TASK.replace("0.1", "0.3"), ["OnAgentLoss=wait"]).wait_running()
    process = agent.node.property(run.attempt()["unit"], "MainPID")
    agent.node.put("/srv/agentd.deb", deb.read_bytes())
    agent.node.run("dpkg -r sluice-agentd", check=True)
    try:
        agent.wait_status("Stopped", timeout=10)
        assert agent.node.run("pgrep -x agentd; pgrep -x agentd-exec").text == ""
        assert agent.node.property(run.attempt()["unit"], "MainPID") == process
    finally:
        agent.node.run("dpkg -i /srv/agentd.deb && systemctl start agentd", check=True)
    assert_arrived_once(agent, run)
