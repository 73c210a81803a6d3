"""Tasks of one run on several hosts."""

import pytest

from lab.fleet import command
from lab.shell import wait_until


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
