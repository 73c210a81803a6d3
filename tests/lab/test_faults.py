"""Power and network go away; no run stays running without its process, and nothing is reported twice."""

import pytest
from lab.shell import wait_until
from test_survival import TASK, assert_arrived_once


def test_a_partition_delays_the_outcome_and_loses_nothing(agent):
    run = agent.shell(TASK).wait_running()
    unit = run.attempt()["unit"]
    with agent.node.partitioned():
        agent.node.run(f"for i in $(seq 300); do case $(systemctl show --value -p SubState {unit}) in start|running) sleep 0.2 ;; *) break ;; esac; done")
        assert run.show()["ended_at"] is None
    assert_arrived_once(agent, run)


def test_a_power_cut_ends_what_ran_as_lost(agent):
    run = agent.shell("echo before the cut; exec sleep 600", ["OnAgentLoss=fail"]).wait_running()
    wait_until("its line to be in the journal", lambda: "before the cut" in agent.node.journal("-o cat SLUICE_KIND=task"), 30)
    agent.node.run("journalctl --sync && sync", check=True)
    agent.node.power_cut()
    agent.node.boot()
    attempt = run.wait_failed(timeout=180).attempt()
    assert attempt["outcome"] == "lost"
    assert "rebooted" in attempt["reason"]
    assert run.wait_log_complete().lines() == ["before the cut"]
    agent.wait_status("Running")
    agent.run(["/bin/true"]).wait_succeeded()


def test_what_a_power_cut_took_is_done_again(agent):
    run = agent.shell("[ -e /srv/cut ] && exit 0; echo on; exec sleep 600").wait_running()
    wait_until("the task to have looked", lambda: run.lines() == ["on"], 30)
    agent.node.run("touch /srv/cut; sync", check=True)
    agent.node.power_cut()
    agent.node.boot()
    run.wait_succeeded(timeout=180)
    assert [a["outcome"] for a in run.attempts()] == ["lost", "success"]


@pytest.mark.parametrize("seen_by", ["agentd", "systemd"])
def test_what_ended_before_a_power_cut_is_known_after_it(agent, seen_by):
    """Nobody heard of the end, and its unit went with the boot: the journal knows, from agentd, or from PID 1 of a failure."""
    run = agent.shell(TASK).wait_running()
    unit = run.attempt()["unit"]
    agent.node.cut()
    try:
        if seen_by == "systemd":
            agent.node.run("systemctl kill --signal=KILL agentd; systemctl stop agentd", check=True)
        agent.node.run(f"for i in $(seq 300); do case $(systemctl show --value -p SubState {unit}) in start|running) sleep 0.2 ;; *) break ;; esac; done; "
                       "sleep 1; journalctl --sync; sync", check=True)
        assert run.show()["ended_at"] is None
    finally:
        agent.node.power_cut()
        agent.node.boot()
    assert_arrived_once(agent, run)


def test_a_unit_that_somebody_stopped_is_no_success(agent):
    run = agent.shell("trap 'exit 0' TERM; echo on; while :; do sleep 0.1; done").wait_running()
    wait_until("the task to listen", lambda: run.lines() == ["on"], 30)
    agent.node.run(f"systemctl stop {run.attempt()['unit']}", check=True)
    attempt = run.wait_failed().attempt()
    assert (attempt["outcome"], attempt["reason"]) == ("stopped", "It was stopped on the host.")


def test_a_unit_that_went_while_agentd_was_away_is_lost(agent):
    run = agent.shell("echo on; exec sleep 600", ["OnAgentLoss=fail"]).wait_running()
    wait_until("the task to have begun", lambda: run.lines() == ["on"], 30)
    unit = run.attempt()["unit"]
    agent.node.run(f"systemctl stop agentd && systemctl stop {unit} && systemctl start agentd", check=True)
    attempt = run.wait_failed().attempt()
    assert (attempt["outcome"], run.wait_log_complete().lines()) == ("lost", ["on"])
    assert "stopped" in attempt["reason"]
    wait_until("its slice to be gone", lambda: unit[7:39] not in agent.node.run("systemctl list-units --all 'sluice-*.slice'").text, 30)


def test_an_end_that_nobody_heard_of_is_not_done_again(agent):
    """The agent was not heard, its unit was stopped after its end (as the fence does), and then agentd died: the journal knows."""
    agent.node.silence()
    try:
        run = agent.shell("echo once")
        started = "journalctl -o cat --no-pager | grep -c '^Started sluice-.*service - Sluice default/" + run.show()["pipe"] + ": ' || true"
        wait_until("it to have begun", lambda: agent.node.run(started).text == "1", 60)
        unit = run.attempt()["unit"]
        wait_until("it to have ended", lambda: agent.node.property(unit, "SubState") == "exited", 60)
        agent.node.run(f"sleep 1; systemctl kill --signal=KILL agentd; systemctl stop {unit}", check=True)
    finally:
        agent.node.silence(False)
    run.wait_succeeded().wait_log_complete()
    assert run.lines() == ["once"]
    assert agent.node.run(started).text == "1"


def test_a_workspace_that_is_back_after_a_power_cut_is_removed(agent):
    """Its removal had been reported, and was not on disk yet."""
    run = agent.run(["/bin/true"]).wait_succeeded()
    place = "sluice/runs/" + run.id.replace("-", "")
    wait_until("the workspace to be removed", lambda: not agent.node.run(f"ls -d /var/lib/{place}").text, 30)
    agent.node.run(f"mkdir -m 700 /var/lib/private/{place} && ln -s ../../private/{place} /var/lib/{place} && systemctl restart agentd", check=True)
    wait_until("the workspace to be removed again", lambda: not agent.node.run(f"ls -d /var/lib/{place} /var/lib/private/{place}").text, 60)


def test_a_workspace_that_is_back_without_its_link_is_removed(agent):
    """systemd removes the link first; only root sees what is there without it. The removal of the first was told before that of the second."""
    places = []
    for _ in range(2):
        places.append("sluice/runs/" + agent.run(["/bin/true"]).wait_succeeded().id.replace("-", ""))
        wait_until("the workspace to be removed",
                   lambda: not agent.node.run(f"ls -d /var/lib/{places[-1]} /var/lib/private/{places[-1]}").text, 30)
    agent.node.run(f"mkdir -m 700 /var/lib/private/{places[0]} && systemctl restart agentd", check=True)
    wait_until("the workspace to be removed again", lambda: not agent.node.run(f"ls -d /var/lib/private/{places[0]}").text, 60)


def test_an_orderly_reboot_is_told_from_a_lost_host(agent):
    agent.node.reboot()
    agent.wait_status("Running")
    agent.run(["/bin/true"]).wait_succeeded()


def test_a_clock_that_jumps_changes_nothing(agent):
    run = agent.shell(TASK).wait_running()
    agent.node.set_clock("+2 hours")
    try:
        assert_arrived_once(agent, run)
    finally:
        agent.node.set_clock("-2 hours")
