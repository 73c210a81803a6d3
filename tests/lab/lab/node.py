"""A node: one booted systemd host in user-mode Linux, with its own disk, address and command channel."""

import contextlib
import hashlib
import os
import warnings

from . import image
from .channel import Channel
from .network import GATEWAY, NOBODY, PREFIX
from .registry import kill_tree
from .shell import LabError, run, wait_until


class Node:
    """Boots the base image copy-on-write. The COW file is the node's disk and outlives power_cut()."""

    def __init__(self, lab, number, name, memory="384M", disk=None):
        self.lab, self.number, self.name, self.memory = lab, number, name, memory
        self.disk = disk  # another image than the lab's
        self.directory = lab.directory / "nodes" / name
        self.console = self.directory / "console.log"
        self.channel = Channel(self.directory, lambda: self.pid)
        self.address = lab.network.address(number)

    # -- power

    @property
    def pid(self):
        return self.lab.registry.process(f"node {self.name}")

    def boot(self, wait=True):
        """Switches the node on; returns when systemd has started everything, unless told not to wait."""
        if self.pid:
            raise LabError(f"{self.name} is on already")
        self._start()
        if wait:
            self.wait_booted()
        return self

    def _start(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        self.channel.create()
        tap = self.lab.network.add_tap(self.number)
        into, out = self.channel.open_for_node()
        command = ["env", f"LD_PRELOAD={image.uml_ptrace()}", "linux.uml", f"mem={self.memory}", f"umid={self.name}", f"uml_dir={self.directory}",
                   f"ubd0={self.directory}/disk.cow,{self.disk or self.lab.disk}", "root=/dev/ubda", "rw",
                   "con=null", "con0=null,fd:1", f"ssl0=fd:{into},fd:{out}", "ssl=null",
                   f"vec0:transport=tap,ifname={tap},depth=64",
                   f"systemd.hostname={self.name}", f"systemd.machine_id={self._machine_id()}",
                   f"lab.address={self.address}/{PREFIX}",
                   "quiet", "loglevel=4", "systemd.show_status=auto", "init=/lib/systemd/systemd"]
        with open(self.console, "ab") as console:
            self.lab.launch(f"node {self.name}", self.lab.network.inside(*command), stdout=console, stderr=console,
                            pass_fds=(into, out), env={**os.environ, "HOME": str(self.directory)})
        os.close(into)
        os.close(out)

    def _machine_id(self):
        return hashlib.md5(f"{self.lab.directory}/{self.name}".encode(), usedforsecurity=False).hexdigest()

    def wait_booted(self, timeout=180):
        """Waits until systemd has started everything, and returns running or degraded. Of some thousand boots of user-mode Linux one hangs
        with an idle kernel, before anything of ours has begun: that machine is switched off and on, once, and a warning says so."""
        try:
            self._wait_answer(timeout / 2)
        except LabError as error:
            if not self.pid:
                raise
            warnings.warn(f"It was switched off and on. {error}", stacklevel=2)
            self.power_cut()
            self._start()
            self._wait_answer(timeout)
        return self.run("systemctl is-system-running --wait", timeout).text

    def _wait_answer(self, timeout):
        try:
            wait_until(f"{self.name} to answer", self._answers, timeout)
        except LabError as error:
            raise LabError(f"{error}\n{self._last_words()}") from None

    def _last_words(self):
        """Of a node that does not boot: what its console has, and what its processes here wait for."""
        console = self.console.read_text(errors="replace").splitlines()[-30:]
        processes = run("ps", "-s", str(self.pid or 0), "-Lo", "pid,stat,time,wchan:24,comm", check=False).stdout.splitlines()[:30]
        return "\n".join([f"The end of {self.console}:", *console, "Its processes:", *processes])

    def _answers(self):
        if not self.pid:
            raise LabError(f"{self.name} died while it booted")
        with contextlib.suppress(LabError):
            return self.channel.run("true", timeout=2, grace=2)
        return None

    def power_cut(self):
        """The node is gone in an instant: nothing is written back, nobody says goodbye."""
        pid = self.pid
        if pid:
            kill_tree(pid)

    def reboot(self, timeout=180):
        """An orderly restart: user-mode Linux cannot open its tap again from inside, so it goes off and on."""
        self.shut_down(timeout)
        return self.boot()

    def shut_down(self, timeout=60):
        """Switches the node off in good order, or at once when it does not go."""
        if self.pid:
            with contextlib.suppress(LabError):
                self.run("systemctl poweroff --no-block", timeout=10)
                wait_until(f"{self.name} to go off", lambda: not self.pid, timeout)
            self.power_cut()

    # -- what is in it

    def run(self, command, timeout=120, stdin=b"", check=False):
        """Runs a shell command in the node, also when its network is cut; a Result with exact output and status."""
        if not self.pid:
            raise LabError(f"{self.name} is off")
        result = self.channel.run(command, timeout, stdin)
        return result.check() if check else result

    def put(self, path, content, mode=0o644, owner="root:root"):
        """On disk, too: a power cut may come next."""
        data = content.encode() if isinstance(content, str) else content
        self.run(f"mkdir -p $(dirname {path}) && umask 077 && cat >{path} && chown {owner} {path} && chmod {mode:o} {path} && sync {path}",
                 stdin=data, check=True)

    def get(self, path):
        return self.run(f"cat {path}", check=True).stdout

    def boot_id(self):
        return self.run("cat /proc/sys/kernel/random/boot_id", timeout=10, check=True).text

    def journal(self, arguments=""):
        return self.run(f"journalctl --no-pager --quiet {arguments}", timeout=120).stdout

    def property(self, unit, name):
        return self.run(f"systemctl show --value -p {name} {unit}", check=True).text

    def set_clock(self, when):
        """when is what date -s understands: '+1 hour', '2030-01-01 00:00'."""
        self.run(f"date -s '{when}'", check=True)

    # -- network faults

    def cut(self):
        self.lab.network.cut(self.number)

    def mend(self):
        self.lab.network.mend(self.number)

    @contextlib.contextmanager
    def partitioned(self):
        """Inside this block the node reaches nobody; its processes go on."""
        self.cut()
        try:
            yield
        finally:
            self.mend()

    def deafen(self, deaf=True):
        """It hears nobody, and is heard."""
        self.lab.network.deafen(self.number, deaf)

    def silence(self, silent=True):
        """It is heard by nobody, and hears."""
        if silent:
            self.run(f"ip neigh replace {GATEWAY} lladdr {NOBODY} dev vec0 nud permanent", check=True)
        else:
            self.run(f"ip neigh del {GATEWAY} dev vec0")

    def slow(self, milliseconds, loss_percent):
        """Delays and loses packets in both directions; zeroes make it as before."""
        self.run("ip link show ifb0 >/dev/null 2>&1 || { for m in ifb sch_netem sch_ingress cls_matchall act_mirred; do "
                 "effects module /usr/local/lib/$m.ko || exit; done; ip link show ifb0 >/dev/null || ip link add ifb0 type ifb; "
                 "ip link set ifb0 up; }; tc qdisc del dev vec0 root; tc qdisc del dev vec0 ingress; tc qdisc del dev ifb0 root; true",
                 check=True)
        if milliseconds or loss_percent:
            netem = f"netem delay {milliseconds / 2}ms loss {loss_percent}%"
            self.run(f"tc qdisc add dev vec0 root {netem} && tc qdisc add dev ifb0 root {netem} && tc qdisc add dev vec0 ingress && "
                     "tc filter add dev vec0 parent ffff: matchall action mirred egress redirect dev ifb0", check=True)
