"""Fixtures of the lab tests. One control plane serves a whole session; nodes boot when a test first names them.

SLUICE_PACKAGES is the directory of the .debs under test, SLUICE_RESULTS where evidence of failures goes. Several sessions that are
given the same files and the same empty directory in SLUICE_CLAIMS share them: who comes to a file first runs it.
"""

import functools
import os
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from lab.fleet import Fleet  # noqa: E402
from lab.lab import Lab  # noqa: E402

TOP = Path(__file__).resolve().parents[2]
PACKAGES = Path(os.environ.get("SLUICE_PACKAGES", TOP / "build/packages/dist"))
RESULTS = Path(os.environ.get("SLUICE_RESULTS", TOP / "build/results/lab"))


CLAIMS = os.environ.get("SLUICE_CLAIMS")


@functools.lru_cache(maxsize=None)
def is_ours(file):
    """Whether this session runs the tests of this file."""
    try:
        (Path(CLAIMS) / file).mkdir()
    except FileExistsError:
        return False
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    return True if CLAIMS and not is_ours(item.path.name) else None


def packages():
    found = [p for p in sorted(PACKAGES.glob("sluice-*_*.deb")) if "-dbgsym_" not in p.name]
    if len(found) != 3:
        pytest.exit(f"{PACKAGES} has not the three packages; run make deb", returncode=2)
    return found


@pytest.fixture(scope="session")
def lab():
    lab = Lab(f"sluice-lab-{os.getpid()}", packages())
    yield lab
    lab.close()


@pytest.fixture(scope="session")
def the_fleet(lab):
    return Fleet(lab).start()


@pytest.fixture
def fleet(the_fleet, request):
    """The fleet; when the test fails, controld's log and all nodes' journals are kept."""
    yield the_fleet
    if getattr(request.node, "failed", False):
        the_fleet.keep_evidence(RESULTS / re.sub(r"[^\w.-]+", "-", request.node.name))


@pytest.fixture
def agent(fleet):
    """An enrolled agent on a booted host, the same in all tests."""
    return fleet.agent("a")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    if outcome.get_result().failed:
        item.failed = True
