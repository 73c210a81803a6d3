"""Power and network go away; no run stays running without its process, and nothing is reported twice."""

from test_survival import TASK, assert_arrived_once


def test_a_partition_delays_the_outcome_and_loses_nothing(agent):
    run = agent.shell(TASK).wait_running()
    unit = run.attempt()["unit"]
    with agent.node.partitioned():
        agent.node.run(f"for i in $(seq 300); do [ $(systemctl show --value -p SubState {unit}) = running ] || break; sleep 0.2; done")
        assert run.show()["ended_at"] is None
    assert_arrived_once(agent, run)


def test_a_power_cut_ends_what_ran_as_lost(agent):
    run = agent.shell("echo before the cut; exec sleep 600").wait_running()
    agent.node.power_cut()
    agent.node.boot()
    attempt = run.wait_failed(timeout=180).attempt()
    assert attempt["outcome"] == "lost"
    assert "boot" in attempt["reason"]
    agent.wait_status("Running")
    agent.run(["/bin/true"]).wait_succeeded()


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
