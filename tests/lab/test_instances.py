"""Two agents on one host: whatever becomes of one of them, the other's tasks do not notice."""

from lab.fleet import Agent
from lab.shell import wait_until

TASK = "while ! test -e /run/lab-{0}; do sleep 0.2; done; echo {0}"


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


def test_one_instance_leaves_the_other_alone(agent):
    blue = Instance(agent, "blue").bring_up()
    node = agent.node
    runs = {a: a.shell(TASK.format(a.name)) for a in (agent, blue)}
    for run in runs.values():
        run.wait_running()
    before = units(agent)
    attempt = runs[blue].attempt()
    name = "sluice-blue-" + attempt["attempt"].replace("-", "") + ".service"
    assert name in before and len(before) == 2
    assert attempt["slice"].startswith("sluice-blue-")
    assert node.property(name, "PartOf") == "sluice-lease@blue.target"
    assert node.property("sluice-blue.slice", "ActiveState") == "active"
    for timers in ("sluice-fence@*.timer", "sluice-fence-*@blue.timer"):
        wait_until(f"a deadline: {timers}", lambda t=timers: node.run(f"systemctl list-units --no-legend '{t}'").text, 30)

    node.run("systemctl restart agentd", check=True)
    node.run("systemctl kill -s KILL agentd@blue", check=True)
    for a in (agent, blue):
        a.wait_status("Running")
    node.run("systemctl stop agentd@blue && systemctl start agentd@blue", check=True)
    assert "Found 1 tasks" in node.journal("-u agentd -b") and "Found 1 tasks" in node.journal("-u agentd@blue -b")
    assert units(agent) == before, "both tasks run on"

    node.run("systemctl start sluice-fence-a@blue.service", check=True)  # what blue's deadline does
    wait_until("blue's task to be fenced", lambda: name not in units(agent) or units(agent)[name] != before[name]
               or node.property(name, "SubState") in ("dead", "failed"), 30)
    other = next(u for u in before if u != name)
    assert units(agent)[other] == before[other] and node.property(other, "SubState") == "running", "and no other"

    node.run("touch /run/lab-a /run/lab-blue", check=True)
    for a, run in runs.items():
        run.wait_ended(60)
        assert run.lines()[-1] == a.name
    runs[agent].wait_succeeded()
    assert len(runs[agent].attempts()) == 1
    node.run("systemctl stop agentd@blue", check=True)
    wait_until("nothing to be left behind", lambda: units(agent) == {}, 60)
