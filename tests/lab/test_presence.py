"""Who is there and who is not: a host that vanishes is Unknown within seconds, and nobody is who only had to reconnect."""

import time

from lab.shell import wait_until

VANISHED = 15


def watch(agent, seconds):
    """The statuses that the agent is seen to have meanwhile."""
    seen, end = set(), time.monotonic() + seconds
    while time.monotonic() < end:
        seen.add(agent.status())
        time.sleep(0.3)
    return seen


def test_a_host_without_power_is_unknown_within_seconds(agent):
    wait_until("a poll to be held", lambda: watch(agent, 2) == {"Running"}, 30)
    agent.node.run("sync", check=True)
    agent.node.power_cut()
    began = time.monotonic()
    try:
        agent.wait_status("Unknown", timeout=VANISHED)
        print(f"Unknown after {time.monotonic() - began:.1f} s")
        facts = agent.facts()
        assert "contact with it broke at " in facts["reason"]
        assert facts["since"] == facts["instances"][0]["since"]
        assert "contact with it broke at " in agent.fleet.ctl("agent", "show", agent.name).text
        run = agent.run(["/bin/true"])
        assert not run.attempts()[0].get("agent"), "it is given to nobody who is not there"
    finally:
        agent.node.boot()
    agent.wait_status("Running")
    assert agent.facts()["reason"] == "it is connected"
    run.wait_succeeded()


def test_a_cut_cable_too_and_who_is_back_is_running(agent):
    with agent.node.partitioned():
        agent.wait_status("Unknown", timeout=VANISHED)
    agent.wait_status("Running", timeout=90)


def test_what_is_sent_to_a_host_that_vanished_gives_it_no_more_time(agent):
    """Given work some seconds after its cable was cut, when its connection still counts as one."""
    with agent.node.partitioned():
        began = time.monotonic()
        time.sleep(6)
        run = agent.run(["/bin/true"])
        wait_until("it to be given to the agent", run.attempts, 2)
        agent.wait_status("Unknown", timeout=began + VANISHED - time.monotonic())
    agent.wait_status("Running", timeout=90)
    run.wait_succeeded()


def test_nobody_is_unknown_because_controld_restarts(agent):
    control = agent.fleet.control
    control.kill_worker()
    assert watch(agent, 12) == {"Running"}
    control.stop()
    control.start()
    assert watch(agent, 12) == {"Running"}
    control.kill()
    control.start()
    assert watch(agent, 12) == {"Running"}


def test_a_restart_of_agentd_is_no_loss(agent):
    agent.node.run("systemctl restart agentd", check=True)
    agent.wait_status("Running")
    assert watch(agent, 5) == {"Running"}


def test_a_host_is_as_it_is_now(agent):
    """Not as it was when it was enrolled."""
    before = agent.facts()["instances"][0]["hostname"]
    for name in ("renamed", before):
        agent.node.run(f"hostname {name}; systemctl restart agentd", check=True)
        wait_until("the name to be known", lambda name=name: agent.facts()["instances"][0]["hostname"] == name, 30)
