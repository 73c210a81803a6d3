"""The quickstart on a machine without systemd: controld in a network namespace, the agent on a user-mode Linux host."""

import os
import shutil
from pathlib import Path

from .fleet import Agent, Fleet
from .image import cache_directory
from .lab import Lab
from .registry import Registry
from .shell import LabError, run

# Another name is another site on the same machine; the tests use one of their own.
NAME = os.environ.get("SLUICE_QUICKSTART", "sluice-quickstart")
PLACE = Path("/var/lib") / NAME
HOST = "host1"


class LabSite:
    description = "a user-mode Linux machine, because this machine's PID 1 is not systemd"

    def __init__(self, debs):
        self.debs = debs
        self._fleet = None

    @property
    def fleet(self):
        if not self._fleet:
            if not self.debs:
                raise LabError("The packages are not built: start with ./quickstart.")
            self._fleet = Fleet(Lab(NAME, self.debs, PLACE, persistent=True))
        return self._fleet

    @property
    def agent(self):
        return Agent(self.fleet, HOST)

    @staticmethod
    def exists():
        return Registry.load(NAME) is not None

    # -- up

    def steps(self):
        return (("Make the host's disk", self._make_disk),
                ("Start controld and its PostgreSQL", self._start_control),
                ("Boot the host and enrol its agent", self._start_host))

    def _packages(self):
        return "".join(f"{d.name} {d.stat().st_size} {d.stat().st_mtime_ns}\n" for d in self.debs)

    def _make_disk(self):
        """A host that was made before keeps its disk; other packages make another host, and a fleet for it."""
        stamp = PLACE / "packages"
        if stamp.exists() and stamp.read_text() != self._packages():
            self.stop(purge=True, quiet=True)
        assert self.fleet.lab.disk.exists()
        stamp.write_text(self._packages())

    def _start_control(self):
        self.fleet.control.prepare().start()
        self.fleet.control.owner_token()

    def _start_host(self):
        agent = self.agent
        if not agent.node.pid:
            agent.node.boot()
        if agent.node.run("test -e /var/lib/sluice-agentd/credential").rc == 0:
            agent.node.run("systemctl start agentd", check=True)
            agent.wait_status("Running")
        else:
            agent.bring_up()

    # -- use

    def ctl(self, *arguments):
        return self.fleet.ctl(*arguments)

    def ctl_command(self, *arguments):
        return self.fleet.control.ctl_command(*arguments)

    def environment(self):
        return {**os.environ, **self.fleet.control.environment()}

    def logs(self):
        return f", {PLACE}/controld/controld.log and {PLACE}/nodes/{HOST}/console.log"

    def status(self):
        if not self.exists():
            print("Nothing is up. Start with ./quickstart.")
            return 3
        control, agent = self.fleet.control, self.agent
        ready = control.pid and control.lab.network.https_status(f"{control.url}/ready", control.ca_file) == 200
        print(f"Namespace  {NAME}")
        print(f"controld   {control.url}, " + (f"process {control.pid}, {'ready' if ready else 'not ready'}" if control.pid else "down"))
        print(f"host       {HOST}, user-mode Linux, " + (f"process {agent.node.pid}" if agent.node.pid else "off"))
        status = agent.status() if ready else None
        print(f"agent      {HOST}, {status or 'not known while controld is not ready'}")
        print(f"Data       {PLACE}")
        return 0 if ready and agent.node.pid and status == "Running" else 3

    def stop(self, purge=False, quiet=False):
        registry = Registry.load(NAME)
        if registry:
            if self.debs:
                self.agent.node.shut_down()
                self.fleet.control.stop()
            registry.remove()
            self._fleet = None
        if purge:
            shutil.rmtree(PLACE, ignore_errors=True)
            run("userdel", "sluice-lab", check=False)
        if not quiet:
            print("Stopped; nothing of it runs." + (" Its data is gone." if purge else f" Its data is in {PLACE}.")
                  + f" The images stay in {cache_directory()}.")
        return 0
