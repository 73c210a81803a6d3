"""The quickstart's story on one node: the example pipes, and whether what is shown is true."""

import json
from pathlib import Path

import pytest

from lab.shell import run as run_here, wait_until

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MIB = 1 << 20


@pytest.fixture(scope="module")
def packages_run(the_fleet):
    the_fleet.agent("a")
    the_fleet.ctl("pipe", "deploy", str(EXAMPLES / "packages.pipe"))
    return the_fleet.start_run("packages").wait_ended().wait_log_complete()


def test_the_report_of_the_packages_is_right(fleet, agent, packages_run):
    run = packages_run.show()
    assert run["outcome"] == "success"
    assert [t["task"] for t in run["tasks"]] == ["extract", "clean", "report"]

    installed = int(agent.node.run("dpkg-query -W -f '${db:Status-Abbrev}\\n' | grep -c ^ii").text)
    assert any(f"{installed} rows kept" in line for line in packages_run.lines())
    assert any("libs" in line for line in packages_run.lines())


def test_tasks_run_one_after_the_other(fleet, packages_run):
    extract, clean, report = packages_run.attempts()
    assert extract["ended_at"] <= clean["started_at"] and clean["ended_at"] <= report["started_at"]


@pytest.mark.parametrize("task, memory, quota, tasks", [
    ("extract", 64 * MIB, 800_000, 16), ("clean", 32 * MIB, 500_000, 4), ("report", 64 * MIB, 800_000, 4)])
def test_each_task_has_its_limits_and_accounting(fleet, packages_run, task, memory, quota, tasks):
    attempt = packages_run.attempt(task)
    assert attempt["memory_max_bytes"] == memory
    assert attempt["cpu_quota_per_sec_usec"] == quota
    assert attempt["tasks_max"] == tasks
    assert 0 < attempt["memory_peak_bytes"] <= memory
    assert attempt["cpu_usage_usec"] > 0


def test_the_workspace_is_gone_after_the_run(fleet, agent, packages_run):
    wait_until("the workspace to be removed",
               lambda: agent.node.run("find /var/lib /var/lib/private -name packages.tsv").text == "", 30)


def test_units_are_released_after_the_run(fleet, agent, packages_run):
    assert agent.node.run("systemctl list-units --all --no-legend 'sluice-*.service' 'sluice-*.slice'").text.count(
        packages_run.attempt("extract")["unit"]) == 0


def test_the_memory_hog_is_killed_at_its_limit(fleet, agent):
    fleet.ctl("pipe", "deploy", str(EXAMPLES / "memory-hog.pipe"))
    run = fleet.start_run("memory-hog").wait_failed()
    attempt = run.attempt()
    assert run.show()["outcome"] == attempt["outcome"] == attempt["result"] == "oom-kill"
    assert attempt["oom_kills"] >= 1
    assert attempt["memory_max_bytes"] == 32 * MIB
    # The slice that is read holds a few pages besides the service's, which the limit is about.
    assert 24 * MIB <= attempt["memory_peak_bytes"] <= 33 * MIB
    run.wait_log_complete()
    assert any("holding 1024 KiB" in line for line in run.lines())


def test_wait_ends_with_the_tasks_exit_status(fleet, agent):
    run = agent.shell("exit 42").wait_failed()
    pipe = run.show()["pipe"]
    assert fleet.ctl("run", pipe, "--wait", check=False).rc == 42


def test_follow_shows_lines_while_the_task_runs(fleet, agent):
    run = agent.shell("echo first; sleep 4; echo last").wait_succeeded()
    done = fleet.ctl("run", run.show()["pipe"], "--wait", "--follow")
    assert "first" in done.stdout and "last" in done.stdout


def test_samples_come_while_a_task_runs(fleet, agent):
    """Every ten seconds one, and only of what the kernel accounts for."""
    run = agent.shell("head -c 20000000 /dev/zero | tail -c 1 >/dev/null; sleep 23", MemoryMax="64M").wait_succeeded()
    control = fleet.control
    answer = run_here(*control.lab.network.inside(
        "curl", "--silent", "--fail", "--cacert", str(control.ca_file), "-H", f"Authorization: Bearer {control.owner_token()}",
        f"{control.url}/api/v1/attempts/{run.attempt()['attempt']}/metrics"))
    samples = json.loads(answer.stdout)["items"]
    assert len(samples) in (2, 3)
    assert 9_000_000 < samples[1]["realtime_usec"] - samples[0]["realtime_usec"] < 13_000_000
    for sample in samples:
        assert 0 < sample["memory_current_bytes"] <= sample["memory_peak_bytes"] <= 65 * MIB
        assert 0 < sample["cpu_usage_usec"] <= run.attempt()["cpu_usage_usec"]
        assert sample["tasks_current"] >= 1


def test_the_log_of_many_tasks_is_whole(agent):
    """Where a reader is in each of so many logs makes a long link to the next page."""
    run = agent.run_tasks({f"task-{i}": {"ExecStart": f"/bin/echo line {i}"} for i in range(60)})
    run.wait_succeeded(timeout=240).wait_log_complete()
    lost = sorted({f"line {i}" for i in range(60)} - set(run.lines()))
    assert not lost, "\n".join([agent.node.journal("-n 300"), *(
        agent.node.run(f"journalctl -o verbose --no-pager | grep -B45 -A25 'MESSAGE={line}$' | tail -50").text for line in lost),
        f"{lost} of {run.id} are not there; a second time there are {len(run.lines())}"])
    assert len(run.lines()) == 60


def test_lines_are_shipped_that_journald_reads_after_the_end(agent):
    agent.node.run("systemctl kill --signal=STOP systemd-journald", check=True)
    try:
        run = agent.shell("echo said; exit 1")
        wait_until("the unit to fail", lambda: agent.node.run(
            "systemctl list-units --plain --no-legend --all 'sluice-*.service' | grep failed").text, 60)
    finally:
        agent.node.run("systemctl kill --signal=CONT systemd-journald", check=True)
    assert run.wait_failed().wait_log_complete().lines() == ["said"]
