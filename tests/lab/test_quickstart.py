"""./quickstart as a person meets it, at a site of its own so that a running one is left alone."""

import os
import subprocess
import time
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
NAME = f"sluice-test-{os.getpid()}"


def quickstart(*arguments, timeout=300):
    return subprocess.run([TOP / "quickstart", *arguments], env={**os.environ, "SLUICE_QUICKSTART": NAME},
                          capture_output=True, text=True, timeout=timeout, check=False)


@pytest.fixture(scope="module")
def first():
    if Path("/run/systemd/system").is_dir():
        pytest.skip("here the quickstart would install the packages on this machine")
    yield quickstart()
    quickstart("stop", "--purge")


def test_it_ends_with_outcomes_and_what_to_try(first):
    assert first.returncode == 0, first.stdout + first.stderr
    for words in ("user-mode Linux", "packages: success", "memory-hog: oom-kill", "rows kept", "32.0M", "Try next"):
        assert words in first.stdout


def test_ctl_and_status_work_after_it(first):
    assert "host1" in quickstart("ctl", "agents").stdout
    status = quickstart("status")
    assert status.returncode == 0 and "Running" in status.stdout


def test_a_repetition_is_quick(first):
    began = time.monotonic()
    again = quickstart()
    assert again.returncode == 0, again.stdout + again.stderr
    assert time.monotonic() - began < 45


def test_after_stop_it_starts_again_with_its_data(first):
    assert quickstart("stop").returncode == 0
    assert quickstart("status").returncode == 3
    assert NAME not in subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    again = quickstart()
    assert again.returncode == 0, again.stdout + again.stderr
    assert quickstart("ctl", "runs").stdout.count("packages") >= 3


def test_purge_leaves_nothing(first):
    assert quickstart("stop", "--purge").returncode == 0
    assert not (Path("/var/lib") / NAME).exists()
    assert not (Path("/run/sluice-lab") / f"{NAME}.json").exists()
    left = subprocess.run(["pgrep", "-f", f"/var/lib/{NAME}/"], capture_output=True, text=True, check=False).stdout
    assert left == ""
