"""A copied machine has the credential of the original: nothing begins twice, and a restart is not taken for a copy."""

import time

from lab.shell import wait_until

STATE = "/var/lib/sluice-agentd"
CONFIG = ("/etc/sluice/ca.pem", "/etc/sluice/agentd.conf", "/etc/sluice/enrolment-key")
RESUMED = 20  # seconds: ten until the new session counts, and what a node takes to start a task


def flags(agent):
    return {f["flag"]: f for f in agent.facts()["flags"]}


def copy_identity(original, copy, lines=""):
    for path in CONFIG:
        copy.put(path, original.get(path), owner="root:sluice-agent", mode=0o640)
    copy.run(f"echo '{lines}' >>/etc/sluice/agentd.conf", check=True)
    for name in ("identity", "credential"):
        copy.put(f"{STATE}/{name}", original.get(f"{STATE}/{name}"), owner="sluice-agent:sluice-agent", mode=0o600)


def resumes(agent, began):
    agent.run(["/bin/true"]).wait_succeeded(timeout=RESUMED * 3)
    took = time.monotonic() - began
    print(f"given work again after {took:.1f} s")
    assert flags(agent) == {}
    return took


def test_a_start_of_the_same_machine_is_no_copy(agent):
    run = agent.shell("sleep 15").wait_running()
    agent.node.run("systemctl kill -s KILL agentd", check=True)
    assert resumes(agent, time.monotonic()) < RESUMED
    with agent.node.partitioned():  # nobody hears that it is gone
        agent.node.run("systemctl kill -s KILL agentd", check=True)
        time.sleep(3)
    resumes(agent, time.monotonic())
    run.wait_succeeded()
    assert len(run.attempts()) == 1


def test_the_memory_of_a_snapshot_begins_a_new_session(agent):
    """Such a machine has the time of then until somebody sets it; PID 1 and agentd go on as if nothing had been."""
    run = agent.shell("sleep 20").wait_running()
    agent.node.set_clock("+1 hour")
    try:
        resumes(agent, time.monotonic())
        wait_until("agentd to notice", lambda: "beginning a new session" in agent.node.journal("-u agentd -b"), 60)
        resumes(agent, time.monotonic())
        run.wait_succeeded()
        assert len(run.attempts()) == 1
    finally:
        agent.node.set_clock("-1 hour")


def test_a_copy_beside_the_original_is_quarantined(fleet, agent):
    copy = fleet.lab.node("copy")
    copy.boot()
    run = agent.shell("while ! test -e /run/lab-go; do sleep 0.2; done; echo done").wait_running()
    copy_identity(agent.node, copy)
    copy.run("systemctl start agentd", check=True)
    wait_until("both to be quarantined", lambda: "quarantined" in flags(agent), 30)
    assert "two running agents present its identity" in flags(agent)["quarantined"]["reason"]
    assert "quarantined" in fleet.ctl("explain", agent.name).text
    waits = agent.run(["/bin/true"])
    for node in (agent.node, copy):
        wait_until(f"{node.name} to say so", lambda n=node: "neither is given work" in n.journal("-u agentd -b"), 30)
    assert not waits.attempts()[0].get("agent"), "nothing is placed"

    agent.node.run("touch /run/lab-go", check=True)
    run.wait_succeeded(timeout=30)
    assert len(run.attempts()) == 1 and run.wait_log_complete().lines() == ["done"], "what the original did counts, once"
    agent.node.run("rm /run/lab-go", check=True)

    copy.run(f"systemctl stop agentd && rm {STATE}/*", check=True)
    fleet.ctl("agent", "resume", agent.name)
    waits.wait_succeeded(timeout=60)
    assert flags(agent) == {}

    copy_identity(agent.node, copy, lines="OnClone=enrol\nName=copy")
    copy.run("systemctl start agentd", check=True)
    wait_until("the copy to enrol anew", lambda: "copy" in [a["name"] for a in fleet.ctl_json("agents")["items"]], 60)
    assert flags(agent) == {} and agent.status() == "Running"
    copy.shut_down()
    fleet.ctl("agent", "delete", "copy", "--force")  # it has the labels of the original
