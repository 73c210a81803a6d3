"""Sentences about a fleet: fleet.agent("a").run(["/bin/false"]).wait_failed()."""

import itertools
import json
import shutil
from pathlib import Path

from .controlplane import ControlPlane
from .shell import LabError, wait_until

_numbers = itertools.count(1)


def pipe_text(tasks, selector=None, pipe_lines=()):
    """The text of a pipe. tasks: {name: {"ExecStart": ..., "After": ...}}; a list as value repeats the directive."""
    lines = ["[Pipe]", "Type=batch", *pipe_lines]
    if selector:
        lines.append(f"AgentSelector={selector}")
    for name, directives in tasks.items():
        lines += ["", f"[Task {name}]"]
        for key, value in directives.items():
            lines += [f"{key}={v}" for v in (value if isinstance(value, list) else [value])]
    return "\n".join(lines) + "\n"


def _quote(argument):
    return '"' + argument.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$").replace("%", "%%") + '"'


def command(argv):
    """The value of ExecStart= that executes this."""
    return " ".join(_quote(a) for a in argv)


class Fleet:
    """One control plane and its agents, each on a node of its own."""

    def __init__(self, lab, control=None):
        self.lab = lab
        self.control = control or ControlPlane(lab)
        self.agents = {}

    def start(self):
        self.control.prepare().start()
        return self

    def ctl(self, *arguments, **options):
        return self.control.ctl(*arguments, **options)

    def ctl_json(self, *arguments):
        return json.loads(self.ctl(*arguments, "--output=json").stdout)

    def key(self, *arguments):
        """Makes a key and returns it."""
        return self.ctl("key", "create", *arguments).text.splitlines()[-1].strip()

    def agent(self, name, **options):
        """The agent with this name: booted, enrolled and Running at the first call."""
        if name not in self.agents:
            self.agents[name] = Agent(self, name).bring_up(**options)
        return self.agents[name]

    def boot_together(self, *names):
        """The agents with these names, Running; those that are off are booted at once, which is faster than one after the other."""
        new = [name for name in names if name not in self.agents]
        self.agents.update({name: Agent(self, name) for name in new})
        agents = [self.agents[name] for name in names]
        for agent in agents:
            if not agent.node.pid:
                agent.node.boot(wait=False)
        for agent in agents:
            if agent.name in new:
                agent.bring_up()
            else:
                agent.node.wait_booted()
                agent.wait_status("Running")
        return agents

    def deploy(self, name, text):
        path = self.lab.directory / f"{name}.pipe"
        path.write_text(text)
        self.ctl("pipe", "deploy", str(path))
        return name

    def start_run(self, pipe):
        """Starts a run of a deployed pipe and does not wait for it."""
        return Run(self, self.ctl_json("run", pipe)["run"])

    def start_tasks(self, tasks, selector=None, pipe_lines=()):
        return self.start_run(self.deploy(f"test-{next(_numbers)}", pipe_text(tasks, selector, pipe_lines)))

    def keep_evidence(self, directory):
        """Copies what explains a failure: controld's log, and each node's journal and console."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        if self.control.log.exists():
            shutil.copy(self.control.log, directory / "controld.log")
        for node in self.lab.nodes.values():
            try:
                (directory / f"{node.name}.journal").write_text(node.journal("-o short-precise"))
            except LabError as error:
                (directory / f"{node.name}.journal").write_text(f"The node does not answer: {error}\n")
            if node.console.exists():
                shutil.copy(node.console, directory / f"{node.name}.console")


class Agent:
    """agentd on a node. Runs that it is asked for are placed on it by its label node=NAME."""

    def __init__(self, fleet, name):
        self.fleet, self.name = fleet, name
        self.node = fleet.lab.node(name)

    def bring_up(self, **options):
        if not self.node.pid:
            self.node.boot()
        self.node.wait_booted()
        self.configure(**options)
        self.node.run("systemctl enable --quiet agentd && systemctl restart agentd", check=True)
        self.wait_status("Running")
        return self

    def configure(self, key=None, ca=None, slots=4, policy=None, lines=()):
        """Writes what an owner of the host would write into /etc/sluice."""
        control = self.fleet.control
        key = key or self.fleet.key("--type=enrolment")
        self.node.put("/etc/sluice/ca.pem", ca or control.ca_file.read_text())
        self.node.put("/etc/sluice/enrolment-key", key + "\n", mode=0o640, owner="root:sluice-agent")
        self.node.put("/etc/sluice/agentd.conf", "\n".join((
            "[Agent]", f"URL={control.url}", "CAFile=/etc/sluice/ca.pem", f"Name={self.name}", f"Slots={slots}",
            f"Labels=node={self.name}, lab", "EnrolmentKeyFile=/etc/sluice/enrolment-key", *lines, "")))
        if policy:
            self.node.put("/etc/sluice/policy.conf.d/lab.conf", policy)

    def facts(self):
        return self.fleet.ctl_json("agent", "show", self.name)

    def status(self):
        agents = self.fleet.ctl_json("agents")["items"]
        return next((a["status"] for a in agents if a["name"] == self.name), None)

    def wait_status(self, status, timeout=90):
        try:
            wait_until(f"agent {self.name} to be {status}", lambda: self.status() == status, timeout, interval=0.3)
        except LabError as error:
            said = self.node.journal("-u agentd -n 20") if self.node.pid else f"{self.name} is off"
            raise LabError(f"{error}\n{said}") from None
        return self

    def run(self, argv, pipe_lines=(), **directives):
        """Runs one command as a pipe of one task on this agent; does not wait for it."""
        return self.run_tasks({"task": {"ExecStart": command(argv), **directives}}, pipe_lines)

    def shell(self, script, pipe_lines=(), **directives):
        return self.run(["/bin/sh", "-c", script], pipe_lines, **directives)

    def run_tasks(self, tasks, pipe_lines=()):
        return self.fleet.start_tasks(tasks, f"node={self.name}", pipe_lines)


class Run:
    def __init__(self, fleet, run_id):
        self.fleet, self.id = fleet, run_id

    def show(self):
        return self.fleet.ctl_json("run", "show", self.id)

    def attempts(self, task=None):
        """All attempts in the order of tasks, or those of one task."""
        return [a for t in self.show()["tasks"] for a in t["attempts"] if task in (None, t["task"])]

    def attempt(self, task=None):
        """The last attempt of the task, or of the only task."""
        return self.attempts(task)[-1]

    def wait_running(self, task=None, timeout=60):
        """Until its process is there, and the control plane knows; PID 1 may still be setting up its sandbox."""
        wait_until(f"run {self.id} to be running",
                   lambda: any(a["state"] == "running" for a in self.attempts(task)), timeout)
        return self

    def wait_ended(self, timeout=120):
        try:
            wait_until(f"run {self.id} to end", lambda: self.show()["ended_at"], timeout, interval=0.2)
        except LabError as error:
            raise LabError(f"{error}\n{json.dumps(self.show(), indent=1)}") from None
        return self

    def _wait_outcome(self, good, timeout):
        self.wait_ended(timeout)
        outcome = self.show()["outcome"]
        if (outcome == "success") != good:
            raise AssertionError(f"The run ended {outcome}: {json.dumps(self.show(), indent=1)}")
        return self

    def wait_succeeded(self, timeout=120):
        return self._wait_outcome(True, timeout)

    def wait_failed(self, timeout=120):
        return self._wait_outcome(False, timeout)

    def wait_log_complete(self, timeout=60):
        wait_until(f"the whole log of run {self.id}", lambda: self.show()["log_complete"], timeout, interval=0.2)
        return self

    def lines(self, task=None):
        """The log's messages as the control plane has them, in order."""
        arguments = ["logs", self.id, "--output=cat"] + ([f"--task={task}"] if task else [])
        return self.fleet.ctl(*arguments).stdout.splitlines()

    def cancel(self):
        self.fleet.ctl("cancel", self.id)
        return self
