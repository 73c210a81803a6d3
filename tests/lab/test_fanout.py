"""Tasks of one run on several hosts."""

import pytest

from lab.fleet import Run, command
from lab.shell import wait_until


OURS = "lab, node in (a, b, c)"  # the fleet has hosts of other tests, which are off


def shell(script):
    return command(["/bin/sh", "-c", script])


@pytest.fixture
def three(fleet):
    agents = fleet.boot_together("a", "b", "c")
    yield agents
    for agent in agents[1:]:
        agent.node.shut_down()


def wait_clean(*agents):
    for agent in agents:
        wait_until(f"{agent.name} to have no workspace", lambda: not agent.node.run("ls /var/lib/sluice/runs || true").text.split(), 60)


def test_a_task_goes_to_a_host_of_its_own(fleet, three):
    """The output of one reaches the other; files do not; both hosts are clean afterwards. agentd is killed meanwhile."""
    a, b, _ = three
    run = fleet.start_tasks({
        "make": {"ExecStart": shell("echo IMAGE=v7 > $SLUICE_OUTPUT; echo file > $SLUICE_WORKSPACE/file")},
        "check": {"After": "make", "AgentSelector": "node=b",
                  "ExecStart": command(["/bin/sh", "-c", "env | grep -c ^SLUICE_WORK; pwd; echo got $1; sleep 5; echo SEEN=$1 on b > $SLUICE_OUTPUT",
                                        "sh"]) + " ${make.IMAGE}"},
        "use": {"After": "check", "ExecStart": command(["/bin/sh", "-c", "echo $1; cat $SLUICE_WORKSPACE/file", "sh"]) + " ${check.SEEN}"},
    }, "lab, node in (a, b)")
    run.wait_running("check")
    b.node.run("systemctl kill -s KILL agentd", check=True)
    run.wait_succeeded().wait_log_complete()
    places = {t["task"]: t["attempts"][-1]["agent"] for t in run.show()["tasks"]}
    assert places["check"] == "b" and places["make"] == places["use"]
    assert all(len(t["attempts"]) == 1 for t in run.show()["tasks"])
    assert run.lines("check") == ["0", "/", "got v7"]
    assert run.lines("use") == ["v7 on b", "file"]
    wait_clean(a, b)


def test_a_task_is_done_on_all_hosts(fleet, three):
    """One after the other; one host fails, and half is enough. agentd is killed while its child runs."""
    a, b, c = three
    b.node.run("touch /srv/broken", check=True)
    script = "echo begin $SLUICE_TASK $SLUICE_FANOUT_INDEX/$SLUICE_FANOUT_COUNT; sleep 4; test ! -e /srv/broken && echo done"
    tasks = {
        "deploy": {"RunOnAll": "node", "RunOnAllBatch": "1", "RunOnAllSuccess": "50%", "ExecStart": shell(script)},
        "tell": {"After": "deploy", "ExecStart": shell("echo all")},
    }
    run = fleet.start_tasks(tasks, OURS)
    for agent in three:
        run.wait_running(f"deploy@{agent.name}")
        agent.node.run("systemctl kill -s KILL agentd", check=True)
        states = {t["task"]: t["state"] for t in run.show()["tasks"]}
        assert sum(state == "running" for task, state in states.items() if "@" in task) <= 1
    run.wait_succeeded().wait_log_complete()
    shown = {t["task"]: t for t in run.show()["tasks"]}
    assert {task: t["state"] for task, t in shown.items()} == {
        "deploy": "succeeded", "deploy@a": "succeeded", "deploy@b": "failed", "deploy@c": "succeeded", "tell": "succeeded"}
    assert all(len(t["attempts"]) == (task != "deploy") for task, t in shown.items())
    assert all(shown[f"deploy@{n}"]["attempts"][0]["agent"] == n for n in "abc")
    assert run.lines("deploy") == ["begin deploy@a 1/3", "done", "begin deploy@b 2/3", "begin deploy@c 3/3", "done"]
    wait_clean(*three)

    # Strictly: nothing begins after the failure; done again when it is mended, only what has not succeeded is.
    tasks["deploy"].pop("RunOnAllSuccess")
    failed = fleet.start_tasks(tasks, OURS).wait_failed()
    states = {t["task"]: (t["state"], t["reason"]) for t in failed.show()["tasks"]}
    assert states["deploy@c"] == ("skipped", "1 of 3 can still succeed, and 3 have to")
    assert "deploy@c: is skipped: 1 of 3 can still succeed" in fleet.ctl("explain", failed.id).stdout
    b.node.run("rm /srv/broken", check=True)
    c.node.run("systemctl stop agentd", check=True)
    c.wait_status("Stopped")
    half = Run(fleet, fleet.ctl_json("rerun", failed.id)["run"]).wait_failed()
    states = {t["task"]: (t["state"], t["reason"] or t["passed_over"]) for t in half.show()["tasks"]}
    assert states["deploy@a"] == ("skipped", f"succeeded in run {failed.id}")
    assert states["deploy@c"][0] == "skipped" and "is Stopped" in states["deploy@c"][1]
    assert half.show()["outcome"] == "no-agent"
    c.node.run("systemctl start agentd", check=True)
    c.wait_status("Running")
    again = Run(fleet, fleet.ctl_json("rerun", half.id)["run"]).wait_succeeded().wait_log_complete()
    assert [t["task"] for t in again.show()["tasks"] if t["attempts"]] == ["deploy@b", "deploy@c", "tell"]
