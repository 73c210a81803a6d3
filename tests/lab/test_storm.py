"""Five minutes of everything at once. tests/lab/storm.py is the same by hand, for longer and with other seeds."""

import os
import subprocess
import time

from conftest import RESULTS, packages
from lab import schedule
from lab.lab import Lab
from lab.registry import descendants, kill_tree, start_time
from storm import NODES, Storm

SECONDS = 300


def test_a_seed_is_a_storm():
    assert schedule.draw_faults(7, SECONDS, NODES) == schedule.draw_faults(7, SECONDS, NODES)
    assert schedule.draw_load(7, SECONDS) == schedule.draw_load(7, SECONDS)
    assert {f.kind for f in schedule.draw_faults(7, SECONDS, NODES)} == set(schedule.KINDS)


def test_nobody_survives_because_he_was_just_born(monkeypatch):
    """As when a node is switched off: it may fork between the look and the kill, and what is left keeps its disk locked."""
    kill = os.kill
    monkeypatch.setattr(os, "kill", lambda *what: time.sleep(0.1) or kill(*what))
    with subprocess.Popen(["/bin/bash", "-c", "while :; do sleep 20 & sleep 0.05; done"], start_new_session=True) as process:
        kill_tree(process.pid)
        assert [p for p in descendants(process.pid) if start_time(p)] == []


def test_a_storm_breaks_no_promise():
    lab = Lab(f"sluice-storm-{os.getpid()}", packages())
    try:
        judge = Storm(lab, int(os.environ.get("SLUICE_STORM_SEED", "1")), SECONDS).run(RESULTS / "storm")
    finally:
        lab.close()
    assert judge.violations == []
