"""Five minutes of everything at once. tests/lab/storm.py is the same by hand, for longer and with other seeds."""

import os

from conftest import RESULTS, packages
from lab import schedule
from lab.lab import Lab
from storm import NODES, Storm

SECONDS = 300


def test_a_seed_is_a_storm():
    assert schedule.draw_faults(7, SECONDS, NODES) == schedule.draw_faults(7, SECONDS, NODES)
    assert schedule.draw_load(7, SECONDS) == schedule.draw_load(7, SECONDS)
    assert {f.kind for f in schedule.draw_faults(7, SECONDS, NODES)} == set(schedule.KINDS)


def test_a_storm_breaks_no_promise():
    lab = Lab(f"sluice-storm-{os.getpid()}", packages())
    try:
        judge = Storm(lab, int(os.environ.get("SLUICE_STORM_SEED", "1")), SECONDS).run(RESULTS / "storm")
    finally:
        lab.close()
    assert judge.violations == []
