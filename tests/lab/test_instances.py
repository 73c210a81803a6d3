"""Two agents on one host: whatever becomes of one of them, the other's tasks do not notice."""

from lab.fleet import Agent
from lab.shell import wait_until


class Instance(Agent):
    """agentd@NAME on the node of another agent."""

    def __init__(self, host, name):
        self.fleet, self.name, self.node = host.fleet, name, host.node
        self.unit = f"agentd@{name}"

    def bring_up(self):
        node = self.node
        lines = [line for line in node.get("/etc/sluice/agentd.conf").splitlines()
                 if not line.startswith(("Name=", "Labels=", "EnrolmentKeyFile="))]
        node.put(f"/etc/sluice/{self.name}-key", self.fleet.key("--type=enrolment") + "\n", mode=0o640, owner="root:sluice-agent")
        node.put(f"/etc/sluice/agentd@{self.name}.conf", "\n".join((
            *lines, f"Name={self.name}", f"Labels=node={self.name}", f"EnrolmentKeyFile=/etc/sluice/{self.name}-key", "")))
        node.run(f"systemctl start {self.unit}", check=True)
        return self.wait_status("Running")


def units(agent):
    """Names and main processes of the services of attempts on the host."""
    lines = agent.node.run("systemctl list-units --plain --no-legend --all 'sluice-*.service' | awk '{print $1}' | grep -E '[0-9a-f]{32}' | grep -v clean",
                           ).text.split()
    return {u: agent.node.property(u, "ExecMainPID") for u in lines}


def start_both(agent, blue):
    """A running task of each: {agent: run}, and the names of their services."""
    runs = {a: a.shell(f"while ! test -e /run/lab-both-go; do sleep 0.2; done; echo {a.name}") for a in (agent, blue)}
    for run in runs.values():
        run.wait_running()
    names = [run.attempt()["unit"] for run in runs.values()]
    assert sorted(units(agent)) == sorted(names)
    return runs, names


def test_one_instance_leaves_the_other_alone(agent):
    blue = Instance(agent, "blue").bring_up()
    node = agent.node
    runs, (of_agent, of_blue) = start_both(agent, blue)
    before = units(agent)
    assert of_blue.startswith("sluice-blue-") and runs[blue].attempt()["slice"].startswith("sluice-blue-")
    assert node.property(of_blue, "PartOf") == "sluice-lease@blue.target"
    for timers in ("sluice-fence@*.timer", "sluice-fence-*@blue.timer"):
        wait_until(f"a deadline: {timers}", lambda t=timers: node.run(f"systemctl list-units --no-legend '{t}'").text, 30)

    node.run("systemctl restart agentd", check=True)
    node.run("systemctl kill -s KILL agentd@blue", check=True)
    for unit in ("agentd", "agentd@blue"):
        wait_until(f"{unit} to find its own", lambda u=unit: "Found 1 tasks" in node.journal(f"-u {u} -b"), 30)
    assert units(agent) == before, "both tasks run on"

    node.run("touch /run/lab-both-go", check=True)
    for a, run in runs.items():
        run.wait_succeeded(60).wait_log_complete()
        assert run.lines() == [a.name] and len(run.attempts()) == 1
    wait_until("nothing to be left behind", lambda: units(agent) == {}, 60)

    node.run("rm /run/lab-both-go", check=True)
    runs, (of_agent, of_blue) = start_both(agent, blue)
    before = units(agent)
    node.run("systemctl start sluice-fence-a@blue.service", check=True)  # what its deadline does
    runs[blue].wait_failed(60)
    assert units(agent)[of_agent] == before[of_agent] and node.property(of_agent, "SubState") == "running"
    node.run("touch /run/lab-both-go", check=True)
    runs[agent].wait_succeeded(60)
    node.run("systemctl stop agentd@blue", check=True)
