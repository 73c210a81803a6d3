"""Streaming pipes: supervised by PID 1, one on an agent, replaced by their next version, and left alone when the control plane is away."""

import json
from pathlib import Path

import pytest
from lab.fleet import command
from lab.shell import wait_until

FENCE_SEC = 15  # the shortest SelfFenceSec= there is
SERVICE = {"Type": "notify", "NotifyAccess": "all", "Restart": "always", "RestartSec": "500ms", "TimeoutStopSec": "5s",
           "WatchdogSec": "1h", "TimeoutStartSec": "50s"}


def serve(word):
    """A service that says so when it is ready, and takes a moment to begin and to stop."""
    return command(["/bin/sh", "-c", f'trap "echo {word} ends; exit 0" TERM; echo {word} begins; sleep 1; '
                    f'systemd-notify --ready STATUS="{word} serves"; while :; do sleep 0.2; done'])


@pytest.fixture
def streamer(fleet):
    """A streaming agent with one slot, and a fence as short as can be."""
    agent = fleet.agent("s", slots=1, lines=["Type=streaming", f"SelfFenceSec={FENCE_SEC}s"])
    yield agent
    for pipe in ("feed", "other"):
        if fleet.ctl("stop", pipe, check=False).rc == 0:
            wait_until(f"{pipe} to stop", lambda p=pipe: stream(fleet, p)["state"] == "stopped", 30, interval=0.3)


def deploy(fleet, pipe, start, pipe_lines=(), **directives):
    lines = ["[Pipe]", "Type=streaming", *pipe_lines, "[Task serve]", f"ExecStart={start}"]
    lines += [f"{key}={value}" for key, value in {**SERVICE, **directives}.items()]
    fleet.deploy(pipe, "\n".join(lines) + "\n")


def stream(fleet, pipe):
    return fleet.ctl_json("pipe", "show", pipe)["stream"]


def wait_stream(fleet, pipe, wanted, timeout=60):
    """Until all of these members are as wanted; answers the stream."""
    def is_so():
        now = stream(fleet, pipe)
        return now if all(now[key] == value for key, value in wanted.items()) else None
    return wait_until(f"{pipe} to be {wanted}, not {json.dumps(stream(fleet, pipe))}", is_so, timeout, interval=0.3)


def unit_of(fleet, run):
    return fleet.ctl_json("run", "show", run)["tasks"][0]["attempts"][-1]["unit"]


def test_pid_1_supervises_and_an_outage_of_any_length_changes_nothing(fleet, streamer):
    deploy(fleet, "feed", serve("one"))
    deploy(fleet, "other", serve("other"))
    fleet.ctl("start", "feed")
    first = wait_stream(fleet, "feed", {"state": "running", "status_text": "one serves", "restarts": 0})
    unit = unit_of(fleet, first["run"])
    assert streamer.node.property(unit, "WatchdogUSec") == "1h" and streamer.node.property(unit, "TimeoutStartUSec") == "50s"

    # Another has no place on this agent.
    fleet.ctl("start", "other")
    explained = fleet.ctl("explain", stream(fleet, "other")["run"]).stdout
    assert f"has the streaming run {first['run']}" in explained

    # What is killed, and what ends well, is started again by PID 1: it is the same run.
    streamer.node.run(f"systemctl kill --signal=KILL {unit}", check=True)
    wait_stream(fleet, "feed", {"run": first["run"], "restarts": 1, "status_text": "one serves"})
    streamer.node.run(f"systemctl kill --signal=TERM {unit}", check=True)
    wait_stream(fleet, "feed", {"run": first["run"], "restarts": 2, "status_text": "one serves"})
    shown = fleet.ctl("run", "show", first["run"]).stdout
    assert "Restarts: 2" in shown and "Status: one serves" in shown

    # The control plane is away for longer than any fence, and agentd dies meanwhile.
    process = streamer.node.property(unit, "MainPID")
    fleet.control.kill()
    streamer.node.run("systemctl kill --signal=KILL agentd agentd-exec", check=True)
    streamer.node.run(f"sleep {FENCE_SEC + 3}")
    fleet.control.start()
    streamer.wait_status("Running")
    assert streamer.node.property(unit, "MainPID") == process
    streamer.node.run(f"kill -KILL {process}", check=True)
    wait_stream(fleet, "feed", {"run": first["run"], "restarts": 3, "state": "running"})
    assert streamer.node.property(unit, "NRestarts") == "3"
    assert len(fleet.ctl_json("run", "show", first["run"])["tasks"][0]["attempts"]) == 1

    # Its place is free when it is stopped.
    fleet.ctl("stop", "feed")
    wait_stream(fleet, "feed", {"desired": "stopped", "state": "stopped", "run": None})
    wait_stream(fleet, "other", {"state": "running", "agent": "s"})


@pytest.mark.parametrize("overlap", ["no", "brief"])
def test_a_version_takes_the_place_of_another(fleet, streamer, overlap):
    old, new = f"old-{overlap}", f"new-{overlap}"
    deploy(fleet, "feed", serve(old), [f"Overlap={overlap}"])
    fleet.ctl("start", "feed")
    first = wait_stream(fleet, "feed", {"state": "running", "status_text": f"{old} serves"})
    deploy(fleet, "feed", serve(new), [f"Overlap={overlap}"])
    second = wait_stream(fleet, "feed", {"state": "running", "status_text": f"{new} serves"})
    assert second["run"] != first["run"] and second["agent"] == first["agent"]
    ended = fleet.ctl_json("run", "show", first["run"])
    assert ended["state"] == "cancelled" and "replaced by" in ended["reason"]
    said = [line for line in streamer.node.journal("-o cat SLUICE_KIND=task").splitlines() if line in (f"{old} ends", f"{new} begins")]
    assert said == ([f"{old} ends", f"{new} begins"] if overlap == "no" else [f"{new} begins", f"{old} ends"])


def test_what_pid_1_gives_up_is_shown_and_waits_for_somebody(fleet, streamer):
    deploy(fleet, "feed", '/bin/sh -c "exit 3"', Type="exec", Restart="on-failure", RestartSec="100ms", StartLimitBurst="3",
           StartLimitIntervalSec="1min")
    run = json.loads(fleet.ctl("start", "feed", "--output=json").stdout)["run"]
    failed = wait_stream(fleet, "feed", {"desired": "running", "state": "failed", "run": None})
    assert run in failed["reason"] and "exit-code" in failed["reason"] and "restarted it 3 times" in failed["reason"]
    attempt = fleet.ctl_json("run", "show", run)["tasks"][0]["attempts"][-1]
    assert (attempt["outcome"], attempt["exit_status"], attempt["restarts"]) == ("exit-code", 3, 3)
    again = json.loads(fleet.ctl("start", "feed", "--output=json").stdout)
    assert again["run"] not in (None, run)
    wait_stream(fleet, "feed", {"state": "failed", "run": None})


def test_one_that_hangs_is_found_by_its_watchdog(fleet, streamer):
    """It shows life for a while and then hangs; started again, it does not."""
    hangs = ('systemd-notify --ready STATUS=well; test -e hung && while :; do systemd-notify WATCHDOG=1; sleep 0.5; done; '
             'touch hung; systemd-notify WATCHDOG=1; exec sleep 1h')
    deploy(fleet, "feed", command(["/bin/sh", "-c", hangs]), Restart="on-watchdog", WatchdogSec="6s")
    fleet.ctl("start", "feed")
    first = wait_stream(fleet, "feed", {"state": "running", "restarts": 0})
    wait_stream(fleet, "feed", {"state": "running", "run": first["run"], "restarts": 1, "status_text": "well"})
    unit = unit_of(fleet, first["run"])
    streamer.node.run("sleep 8")
    assert stream(fleet, "feed")["restarts"] == 1, "one that shows life is left alone"
    assert "watchdog" in streamer.node.journal(f"-o cat UNIT={unit} + _PID=1 UNIT={unit}").lower()


def test_the_example_is_one(fleet, streamer):
    fleet.deploy("feed", (Path(__file__).resolve().parents[2] / "examples/heartbeat.pipe").read_text())
    fleet.ctl("start", "feed")
    wait_stream(fleet, "feed", {"state": "running", "restarts": 0})
    wait_until("its heart to beat", lambda: (stream(fleet, "feed")["status_text"] or "").startswith("load "), 30)


def test_after_a_power_cut_it_runs_again(fleet, streamer):
    deploy(fleet, "feed", serve("lasting"))
    fleet.ctl("start", "feed")
    first = wait_stream(fleet, "feed", {"state": "running"})
    streamer.node.power_cut()
    streamer.node.boot()
    wait_until("another run", lambda: stream(fleet, "feed")["run"] != first["run"], 60)
    second = wait_stream(fleet, "feed", {"state": "running", "status_text": "lasting serves"}, 90)
    assert "ended with lost" in second["reason"]
