"""Schedules on a real host: each due time has its run, once, while the control plane is killed; pauses and overlap hold; a task knows its time."""

from datetime import datetime, timedelta

from lab.fleet import Run, command
from lab.shell import wait_until

STEP = 2


def pipe(script, *schedule, step=STEP):
    return "\n".join(["[Schedule s]", f"OnCalendar=*:*:0/{step}", *schedule, "[Task a]",
                      "ExecStart=" + command(["/bin/sh", "-c", script]), ""])


def dues(fleet, name):
    """All due times, the oldest first."""
    return fleet.ctl_json("schedule", "history", name, "--limit=1000")["items"][::-1]


def moments(rows):
    """Each due time of these rows by itself."""
    for row in rows:
        due = datetime.fromisoformat(row["due_at"].rstrip("Z"))
        yield from (due + n * timedelta(seconds=STEP) for n in range(row["count"]))


def ended(fleet, name):
    return [row for row in dues(fleet, name) if row["run_state"] == "succeeded"]


def test_one_run_for_each_due_time_while_controld_dies(agent):
    fleet, kills = agent.fleet, 0
    fleet.deploy("often", pipe("echo due $SLUICE_SCHEDULED_AT from $SLUICE_INTERVAL_START", "MissedRuns=all"))
    wait_until("the first run", lambda: ended(fleet, "often"), 60)
    while kills < 3:
        before = len(ended(fleet, "often"))
        fleet.control.kill()
        fleet.control.start()
        kills += 1
        wait_until("more runs", lambda: len(ended(fleet, "often")) > before + 1, 120)
    fleet.ctl("schedule", "pause", "often", "--reason=enough")
    wait_until("all of them to end", lambda: all(r["run_state"] == "succeeded" for r in dues(fleet, "often") if r["run"]), 120)
    rows = dues(fleet, "often")
    times = list(moments(rows))
    assert times == [times[0] + n * timedelta(seconds=STEP) for n in range(len(times))]
    assert {row["skipped"] for row in rows} <= {None, "paused"}
    runs = [row for row in rows if row["run"]]
    assert len({row["run"] for row in runs}) == len(runs)
    assert len(fleet.ctl_json("runs", "--pipe=often", "--limit=1000")["items"]) == len(runs)
    for row in runs[1::5]:
        due = datetime.fromisoformat(row["due_at"].rstrip("Z"))
        lines = Run(fleet, row["run"]).wait_log_complete().lines()
        assert lines == [f"due {due.isoformat()}Z from {(due - timedelta(seconds=STEP)).isoformat()}Z"]


def test_a_pause_is_a_pause(agent):
    fleet = agent.fleet
    fleet.deploy("paused", pipe("true", "MissedRuns=all"))
    wait_until("the first run", lambda: ended(fleet, "paused"), 60)
    fleet.ctl("schedule", "pause", "paused", "--reason=moving house")
    wait_until("three to be skipped", lambda: sum(r["count"] for r in dues(fleet, "paused") if r["skipped"] == "paused") >= 3, 60)
    runs = len([r for r in dues(fleet, "paused") if r["run"]])
    assert dues(fleet, "paused")[-1]["reason"].endswith(": moving house")
    fleet.ctl("schedule", "resume", "paused")
    wait_until("a run after it", lambda: len([r for r in dues(fleet, "paused") if r["run"]]) > runs, 60)
    rows = dues(fleet, "paused")
    assert all(r["skipped"] == "paused" for r in rows[runs:rows.index([r for r in rows if r["run"]][runs])])
    fleet.ctl("schedule", "pause", "paused")


def test_forbid_means_one_at_a_time(agent):
    fleet = agent.fleet
    fleet.deploy("alone", pipe("sleep 5", "ConcurrencyPolicy=forbid"))
    wait_until("two runs", lambda: len(ended(fleet, "alone")) >= 2, 120)
    fleet.ctl("schedule", "pause", "alone")
    rows = dues(fleet, "alone")
    assert any(r["skipped"] == "overlap" and "was not over" in r["reason"] for r in rows)
    runs = [Run(fleet, r["run"]).wait_ended().show() for r in rows if r["run"]]
    for one, next_ in zip(runs, runs[1:]):
        assert next_["created_at"] >= one["ended_at"]
    assert all(r["scheduled"]["schedule"] == "s" for r in runs)


def chained(script, *schedule):
    return "\n".join(["[Schedule s]", *schedule, "[Task a]", "ExecStart=" + command(["/bin/sh", "-c", script]), ""])


def test_a_pipe_runs_after_another(agent):
    fleet = agent.fleet
    fleet.deploy("first", '[Parameter code]\nType=integer\n[Task a]\nExecStart=/bin/sh -c "exit $$0" ${code}\n')
    fleet.deploy("second", chained("echo $SLUICE_CAUSED_BY $SLUICE_CAUSED_BY_PIPE $SLUICE_CAUSED_BY_STATE", "AfterPipe=first"))
    fleet.deploy("alarm", chained("echo $SLUICE_CAUSED_BY_STATE", "AfterPipeFailure=first"))
    fleet.deploy("third", chained("true", "AfterPipe=second"))
    good, bad = (Run(fleet, fleet.ctl_json("run", "first", f"--param=code={code}")["run"]).wait_ended() for code in (0, 3))
    for name, cause, line in (("second", good, f"{good.id} first succeeded"), ("alarm", bad, "failed")):
        wait_until(f"the run of {name}", lambda name=name: ended(fleet, name), 60)
        assert [row["caused_by"] for row in dues(fleet, name)] == [cause.id]
        run = Run(fleet, ended(fleet, name)[0]["run"]).wait_log_complete()
        assert run.show()["scheduled"]["caused_by_pipe"] == "first"
        assert run.lines() == [line]
    wait_until("the last of the chain", lambda: ended(fleet, "third"), 60)
    assert len(dues(fleet, "third")) == 1
