"""An agent is emptied before somebody works on its host."""

from lab.shell import wait_until


def test_a_drained_agent_finishes_and_takes_nothing(fleet, agent):
    run = agent.shell("echo on; sleep 5; exit 7").wait_running()
    fleet.ctl("agent", "drain", agent.name, "--reason=new kernel")
    try:
        wait_until("the agent to have heard it", lambda: agent.facts()["instances"][0]["draining"], 30)
        later = agent.run(["/bin/true"])
        assert run.wait_ended().attempt()["outcome"] == "exit-code"
        assert later.show()["state"] == "queued"
        assert "new kernel" in fleet.ctl("explain", later.id).text
        agent.node.run("systemctl restart agentd", check=True)
        agent.wait_status("Running")
        assert later.show()["state"] == "queued", "a drain outlives the agent's restart"
    finally:
        fleet.ctl("agent", "resume", agent.name)
    later.wait_succeeded()


def test_a_deadline_stops_what_still_runs(fleet, agent):
    run = agent.shell("echo on; exec sleep 600", ["Delivery=at-most-once"], TimeoutStopSec="2s").wait_running()
    fleet.ctl("agent", "drain", agent.name, "--deadline=1s")
    try:
        assert run.wait_failed(timeout=90).attempt()["outcome"] == "interrupted"
        assert agent.node.property(run.attempt()["unit"], "MainPID") in ("0", "")
    finally:
        fleet.ctl("agent", "resume", agent.name)


def test_an_agent_may_wait_for_its_tasks_when_it_is_stopped(agent):
    agent.node.put("/etc/sluice/agentd.conf.d/drain.conf", "[Agent]\nDrainOnStopSec=1min\n")
    try:
        agent.node.run("systemctl restart agentd", check=True)
        agent.wait_status("Running")
        run = agent.shell("echo on; sleep 20; exit 7").wait_running()
        agent.node.run("systemctl stop agentd", check=True)
        assert run.show()["outcome"] == "exit-code", "its end was told before agentd ended"
    finally:
        agent.node.run("rm /etc/sluice/agentd.conf.d/drain.conf; systemctl restart agentd", check=True)
        agent.wait_status("Running")


def test_a_deleted_agent_cannot_come_back(fleet, agent):
    other = fleet.boot_together("gone")[0]
    run = other.shell("echo on; exec sleep 600", ["OnAgentLoss=wait"]).wait_running()
    refused = fleet.ctl("agent", "delete", other.name, check=False)
    assert refused.rc != 0 and "has tasks" in refused.stderr
    fleet.ctl("agent", "delete", other.name, "--force")
    assert run.wait_failed().attempt()["outcome"] == "abandoned"
    wait_until("the agent to be refused", lambda: "refuses this agent" in other.node.journal("-u agentd"), 60)
    fleet.agents.pop("gone")
    other.node.shut_down()
