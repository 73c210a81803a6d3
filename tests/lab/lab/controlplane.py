"""controld in the lab, from its package: it runs on the build machine, inside the lab's network, as an ordinary user.

The package's files are unpacked, not installed: a mount namespace of its own shows them at their real places in /usr, to
this controld only. The build machine stays as it was.
"""

import contextlib
import os
import pwd
import signal
from pathlib import Path

from .network import GATEWAY
from .registry import descendants, kill_tree, start_time
from .shell import LabError, run, wait_until

USER = "sluice-lab"
PORT = 8443
# Root's part: make the package's files visible, become the user, and be controld.
ENTER = ('mount -t overlay overlay -o "lowerdir=$1/usr:/usr" /usr && shift && '
         f'exec setpriv --reuid={USER} --regid={USER} --clear-groups -- /usr/sbin/controld "$@"')
# Several control planes on one address: the kernel spreads connections over those that live, as a balancer would.
SHARE = """
import os, socket, sys
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
listener.bind((sys.argv[1], int(sys.argv[2])))
listener.listen(4096)
os.set_inheritable(os.dup2(listener.fileno(), 3), True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execvp(sys.argv[3], sys.argv[3:])
"""


class ControlPlane:
    """database: a connection string instead of the embedded cluster; sibling: another one, whose address and certificate this shares."""

    def __init__(self, lab, name="controld", address=GATEWAY, port=PORT, database=None, sibling=None, shared=False):
        self.lab, self.name, self.address, self.port = lab, name, address, port
        self.directory = lab.directory / name
        self.unpacked = lab.directory / "unpacked"
        self.state, self.runtime = self.directory / "state", self.directory / "run"
        self.config, self.log = self.directory / "controld.conf", self.directory / "controld.log"
        self.begun_at = 0  # in the log, of the last start
        self.database, self.shared = database, shared or sibling is not None
        self.tls = (sibling.state if sibling else self.state) / "tls"
        self.ca_file = self.tls / "ca.pem"
        self.url = f"https://{address}:{port}"

    # -- set-up

    def prepare(self):
        """Unpacks the programs and makes directories and configuration; leaves what is there."""
        self._unpack()
        try:
            pwd.getpwnam(USER)
        except KeyError:
            run("useradd", "--system", "--no-create-home", "--home-dir=/nonexistent", "--shell=/usr/sbin/nologin", USER)
        user = pwd.getpwnam(USER)
        os.chmod(self.lab.directory, 0o711)
        for directory, mode in ((self.directory, 0o711), (self.state, 0o700), (self.runtime, 0o711)):
            directory.mkdir(mode=mode, exist_ok=True)
            os.chown(directory, user.pw_uid, user.pw_gid)
        lines = ["[Controld]", f"Listen={self.address}:{self.port}", f"StateDirectory={self.state}", f"RuntimeDirectory={self.runtime}",
                 f"CertificateFile={self.tls}/server.pem", f"PrivateKeyFile={self.tls}/server.key"]
        if self.database:
            lines.append(f"Database={self.database}")
        self.config.write_text("\n".join(lines) + "\n")
        if not self.ca_file.exists():
            self.controld("tls", "init", "--host", self.address)
        return self

    def _unpack(self):
        wanted = [d for d in self.lab.debs if d.name.startswith(("sluice-controld_", "sluice-cli_"))]
        stamp = self.unpacked / "stamp"
        content = "".join(f"{d.name} {d.stat().st_size} {d.stat().st_mtime_ns}\n" for d in wanted)
        if stamp.exists() and stamp.read_text() == content:
            return
        for deb in wanted:
            run("dpkg", "-x", deb, self.unpacked)
        os.chmod(self.unpacked, 0o755)
        stamp.write_text(content)

    def _command(self, *arguments):
        return self.lab.network.inside("unshare", "--mount", "--propagation=private", "sh", "-c", ENTER, "sh",
                                       str(self.unpacked), f"--config={self.config}", *arguments)

    def controld(self, *arguments, check=True):
        """Runs a subcommand such as tls init to its end."""
        return run(*self._command(*arguments), check=check)

    # -- life

    @property
    def pid(self):
        return self.lab.registry.process(self.name)

    def start(self, timeout=120, wait=True):
        if self.pid:
            return self
        with open(self.log, "ab") as log:
            self.begun_at = log.tell()
            command = self._command("serve")
            if self.shared:
                inside = self.lab.network.inside()
                command = [*inside, "/usr/bin/python3", "-c", SHARE, self.address, str(self.port), *command[len(inside):]]
            self.lab.launch(self.name, command, stdout=log, stderr=log)
        if wait:
            self.wait_ready(timeout)
        return self

    def wait_ready(self, timeout=120):
        def ready():
            if not self.pid:
                raise LabError(f"controld ended while it started:\n{self.log_text()[-2000:]}")
            return self._serves() and self.lab.network.https_status(f"{self.url}/ready", self.ca_file) == 200
        wait_until(f"controld to be ready (see {self.log})", ready, timeout)

    def _serves(self):
        """It has told systemd that it is ready: all of its workers are, and not only the one that answers first."""
        with open(self.log, "rb") as log:
            log.seek(self.begun_at)
            return b"controld: Serving " in log.read()

    def stop(self, timeout=30):
        """As systemctl stop does it."""
        pid = self.pid
        if pid:
            os.kill(pid, signal.SIGTERM)
            try:
                wait_until("controld to stop", lambda: not self.pid, timeout)
            finally:
                kill_tree(pid)

    def kill(self):
        """kill -9 of every process of it, PostgreSQL too: what a crash of its host does."""
        pid = self.pid
        if pid:
            kill_tree(pid)

    def processes(self, word):
        """The ids of its processes with this word in their command line: worker, postgres."""
        found = []
        for pid in descendants(self.pid) if self.pid else []:
            with contextlib.suppress(OSError):
                if word in Path(f"/proc/{pid}/cmdline").read_text().split("\0"):
                    found.append(pid)
        return found

    def workers(self):
        return self.processes("worker")

    def kill_worker(self):
        """kill -9 of one worker; its supervisor replaces it."""
        victim = self.workers()[0]
        os.kill(victim, signal.SIGKILL)
        wait_until("another worker", lambda: start_time(victim) is None and self.workers(), 30)

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    # -- the command line

    def owner_token(self):
        """Makes the first owner token, or returns the one made before."""
        path = self.directory / "owner.token"
        if not path.exists():
            token = self.controld("token", "create", "--name", "owner", "--role", "owner").text
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as f:
                f.write(token + "\n")
        return path.read_text().strip()

    def environment(self):
        return {"SLUICE_URL": self.url, "SLUICE_TOKEN": self.owner_token(), "SLUICE_CAFILE": str(self.ca_file)}

    def ctl_command(self, *arguments):
        return self.lab.network.inside(str(self.unpacked / "usr/bin/sluicectl"), *arguments)

    def ctl(self, *arguments, check=True, timeout=300, env=None):
        """sluicectl ARGUMENTS with the owner's token."""
        return run(*self.ctl_command(*arguments), check=check, timeout=timeout, env={**self.environment(), **(env or {})})
