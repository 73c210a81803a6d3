"""The quickstart on a machine whose PID 1 is systemd: the packages are installed on it, and its systemd runs them."""

import contextlib
import json
import os
import platform
from pathlib import Path

from .shell import LabError, run, wait_until

ETC = Path("/etc/sluice")
STATE = Path("/var/lib/sluice-controld")
PLACE = Path("/var/lib/sluice-quickstart")
URL = "https://127.0.0.1:8443"
UNITS = ("agentd.service", "controld.service")
PACKAGES = ("sluice-agentd", "sluice-controld", "sluice-cli")


class HostSite:
    description = f"this machine, {platform.node()}, because its PID 1 is systemd"

    def __init__(self, debs):
        self.debs = debs

    @staticmethod
    def exists():
        return (PLACE / "owner.token").exists()

    # -- up

    def steps(self):
        return (("Install the packages on this machine", self._install),
                ("Start controld and its PostgreSQL", self._start_control),
                ("Enrol this machine's agent", self._start_agent))

    def _install(self):
        if not self.exists() and (STATE / "tls/ca.pem").exists():
            raise LabError("This machine has a control plane already; the quickstart leaves it alone.")
        PLACE.mkdir(mode=0o700, exist_ok=True)
        run("apt-get", "install", "-y", "-q", "--no-install-recommends", "--reinstall", *self.debs,
            env={"DEBIAN_FRONTEND": "noninteractive"})

    def _start_control(self):
        if not (STATE / "tls/ca.pem").exists():
            run("controld", "tls", "init", "--host", "127.0.0.1", "--host", "localhost", "--host", platform.node())
        run("systemctl", "enable", "--now", "controld.service")
        wait_until("controld to be ready", self._ready, 120, 0.5)
        ca = PLACE / "ca.pem"
        ca.write_bytes((STATE / "tls/ca.pem").read_bytes())
        token = PLACE / "owner.token"
        if not token.exists():
            made = run("controld", "token", "create", "--name", "quickstart", "--role", "owner").text
            with open(os.open(token, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as f:
                f.write(made + "\n")

    @staticmethod
    def _ready():
        return run("curl", "--silent", "--fail", "--noproxy", "*", "--cacert", STATE / "tls/ca.pem", f"{URL}/ready", check=False).rc == 0

    def _start_agent(self):
        if not Path("/var/lib/sluice-agentd/credential").exists():
            key = self.ctl("key", "create", "--type=enrolment", "--uses=1").text.splitlines()[-1].strip()
            run("install", "-m", "0644", PLACE / "ca.pem", ETC / "ca.pem")
            run("install", "-m", "0640", "-g", "sluice-agent", "/dev/stdin", ETC / "enrolment-key", stdin=key + "\n")
            drop_in = ETC / "agentd.conf.d"
            drop_in.mkdir(exist_ok=True)
            (drop_in / "quickstart.conf").write_text(
                f"[Agent]\nURL={URL}\nCAFile={ETC}/ca.pem\nEnrolmentKeyFile={ETC}/enrolment-key\n")
        run("systemctl", "enable", "--now", "agentd.service")
        wait_until("the agent to be Running", lambda: self._agent_status() == "Running", 60, 0.5)

    def _agent_status(self):
        agents = json.loads(self.ctl("agents", "--output=json").stdout)["items"]
        return next((a["status"] for a in agents if a["name"] == platform.node()), None)

    # -- use

    def environment(self):
        return {**os.environ, "SLUICE_URL": URL, "SLUICE_CAFILE": str(PLACE / "ca.pem"),
                "SLUICE_TOKEN": (PLACE / "owner.token").read_text().strip()}

    @staticmethod
    def ctl_command(*arguments):
        return ["/usr/bin/sluicectl", *arguments]

    def ctl(self, *arguments):
        return run(*self.ctl_command(*arguments), env=self.environment())

    @staticmethod
    def logs():
        return ", and in journalctl -u controld -u agentd"

    def status(self):
        if not self.exists():
            print("Nothing is up. Start with ./quickstart.")
            return 3
        states = {unit: run("systemctl", "is-active", unit, check=False).text for unit in UNITS}
        for unit, state in states.items():
            print(f"{unit:18} {state}")
        status = self._agent_status() if self._ready() else None
        print(f"agent              {platform.node()}, {status or 'not known while controld is not ready'}")
        return 0 if status == "Running" and set(states.values()) == {"active"} else 3

    def stop(self, purge=False):
        """Takes the units down; with purge also the packages, their users' files and the quickstart's token."""
        if self.exists():
            run("systemctl", "disable", "--now", *UNITS, check=False)
            if purge:
                run("apt-get", "purge", "-y", "-q", *PACKAGES, env={"DEBIAN_FRONTEND": "noninteractive"})
                run("rm", "-rf", PLACE, ETC / "agentd.conf.d/quickstart.conf", ETC / "ca.pem", ETC / "enrolment-key")
                for directory in (ETC / "agentd.conf.d", ETC):
                    with contextlib.suppress(OSError):  # somebody else's files are in it, or it is gone
                        directory.rmdir()
        print("Stopped; nothing of it runs." + (" Its packages and data are gone." if purge else ""))
        return 0
