"""A host that is cut off stops what another may be given, before the other is given it."""

import time

import pytest
from lab.fleet import command, pipe_text
from lab.shell import wait_until

FENCE_SEC = 15
GRACE_SEC = FENCE_SEC + 2 + 30  # and TimeoutStopSec=, and the control plane's margin


@pytest.fixture(scope="module")
def pair(the_fleet):
    """Two agents with short fences; the second is off afterwards."""
    agents = the_fleet.boot_together("a", "b")
    for agent in agents:
        agent.node.put("/etc/sluice/agentd.conf.d/fence.conf", f"[Agent]\nSelfFenceSec={FENCE_SEC}s\n")
        agent.node.run("systemctl restart agentd", check=True)
        agent.wait_status("Running")
    yield agents
    for agent in agents:
        agent.node.run("rm -f /etc/sluice/agentd.conf.d/fence.conf; systemctl restart agentd")
    agents[1].node.shut_down()


def start(fleet, pipe_lines=()):
    task = {"ExecStart": command(["/bin/sh", "-c", "echo on; exec sleep 25"]), "TimeoutStopSec": "2s"}
    return fleet.start_run(fleet.deploy("moving", pipe_text({"task": task}, "lab", pipe_lines)))


def is_alive(agent, unit):
    return agent.node.run(f"systemctl show --value -p MainPID {unit}").text not in ("0", "")


@pytest.mark.parametrize("agentd", ["alive", "dead"])
def test_a_run_moves_and_never_runs_twice_at_a_time(fleet, pair, agentd):
    run = start(fleet).wait_running()
    first = run.attempt()
    home, other = pair if first["agent"] == "a" else reversed(pair)
    home.node.cut()
    begun = time.monotonic()
    try:
        if agentd == "dead":
            home.node.run("systemctl kill --signal=KILL agentd; systemctl stop agentd", check=True)

        def moved():
            there = len(run.attempts()) > 1 and run.attempt()["agent"] == other.name and is_alive(other, run.attempt()["unit"])
            assert not (there and is_alive(home, first["unit"])), "it runs in two places"
            return there
        wait_until("the run to go on elsewhere", moved, 3 * GRACE_SEC, interval=0.2)
        assert time.monotonic() - begun >= FENCE_SEC
    finally:
        home.node.mend()
        home.node.run("systemctl start agentd")
    run.wait_succeeded(timeout=120)
    assert [(a["agent"], a["outcome"]) for a in run.attempts()] == [(home.name, "lost"), (other.name, "success")]
    home.wait_status("Running")
    wait_until("the first unit to be gone", lambda: first["unit"] not in home.node.run("systemctl list-units --all").text, 30)


@pytest.mark.parametrize("agentd", ["alive", "killed"])
def test_what_the_fence_stops_is_fenced(fleet, pair, agentd):
    """However it ends, and also where this start of agentd has heard of nobody when the fence falls."""
    loop = "echo on; for i in $(seq 200); do sleep 0.1; done"
    scripts = {"obeys": loop, "fails": f"trap 'exit 3' TERM; {loop}", "refuses": f"trap '' TERM; {loop}"}
    tasks = {name: {"ExecStart": command(["/bin/sh", "-c", script]), "TimeoutStopSec": "2s"} for name, script in scripts.items()}
    tasks["prepares"] = {"ExecStartPre": tasks["fails"]["ExecStart"], "ExecStart": "/bin/true", "TimeoutStopSec": "2s"}
    run = fleet.start_run(fleet.deploy("fenced", pipe_text(tasks, "lab", [])))
    wait_until("four tasks to listen", lambda: run.lines() == ["on"] * 4, 60)
    first = run.attempts()
    home = next(a for a in pair if a.name == first[0]["agent"])
    with home.node.partitioned():
        if agentd == "killed":
            home.node.run("systemctl kill --signal=KILL agentd", check=True)
            wait_until("agentd to have found them again", lambda: "Found 4 tasks" in home.node.journal("-u agentd -b -n 5"), 30)
        wait_until("the fence to stop them", lambda: not any(is_alive(home, a["unit"]) for a in first), 2 * FENCE_SEC)
    run.wait_succeeded(timeout=180)
    # Where the news came too late they are lost for the control plane; the host knows.
    assert {a["outcome"] for a in run.attempts() if a["attempt"] in [f["attempt"] for f in first]} <= {"fenced", "lost"}, run.attempts()
    for attempt in first:
        assert ": fenced" in home.node.journal(f"-b SLUICE_UNIT={attempt['unit']}"), run.attempts()


def test_a_short_cut_moves_nothing(fleet, pair):
    run = start(fleet).wait_running()
    home = next(a for a in pair if a.name == run.attempt()["agent"])
    with home.node.partitioned():
        home.node.run("sleep 5")
    run.wait_succeeded(timeout=120)
    assert len(run.attempts()) == 1


def test_who_shall_wait_runs_on(fleet, pair):
    run = start(fleet, ["OnAgentLoss=wait"]).wait_running()
    home = next(a for a in pair if a.name == run.attempt()["agent"])
    with home.node.partitioned():
        wait_until("the task to end by itself", lambda: not is_alive(home, run.attempt()["unit"]), 60)
        assert home.node.property(run.attempt()["unit"], "SubState") == "exited"
        home.node.run(f"sleep {FENCE_SEC}")
    run.wait_succeeded(timeout=120)
    assert len(run.attempts()) == 1


def test_an_agent_that_was_stopped_is_waited_for(fleet, pair):
    run = start(fleet).wait_running()
    home = next(a for a in pair if a.name == run.attempt()["agent"])
    home.node.run("systemctl stop agentd", check=True)
    home.wait_status("Stopped")
    home.node.run(f"sleep {FENCE_SEC + 5}")
    assert is_alive(home, run.attempt()["unit"]) or home.node.property(run.attempt()["unit"], "SubState") == "exited"
    home.node.run("systemctl start agentd", check=True)
    run.wait_succeeded(timeout=120)
    assert len(run.attempts()) == 1


TIMERS = "systemctl list-units --all --plain --no-legend 'sluice-fence@*.timer'"


def test_a_renewal_that_was_cut_short_is_made_up_for(fleet, pair):
    """Then both timers are there, and one has to go before the next deadline can stand."""
    run = start(fleet).wait_running()
    home = next(a for a in pair if a.name == run.attempt()["agent"])
    since = home.node.run("date +%s", check=True).text
    other = "b" if "@a.timer" in wait_until("a deadline", lambda: home.node.run(TIMERS).text, 30) else "a"
    home.node.run(f"systemd-run --unit=sluice-fence@{other}.service --on-boot=1d", check=True)
    wait_until("the next deadline alone", lambda: len(home.node.run(TIMERS).text.splitlines()) == 1, 60)
    run.wait_succeeded(timeout=60)
    assert "was already loaded" not in home.node.journal(f"-u agentd --since=@{since}")
