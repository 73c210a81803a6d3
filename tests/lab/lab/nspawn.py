"""A node in a container, for rates and CPU time at the machine's own speed.

Its systemd is real, but there are no cgroup controllers in it on a build machine: limits are accepted and not enforced, so
nothing about limits may be tested here. It shares the lab's network namespace, so there is one at a time and no partition.
"""

import contextlib
import os
from pathlib import Path

from . import image
from .network import GATEWAY
from .node import Node
from .shell import run


# A cgroup of its own, so that two containers do not meet: nspawn makes its own below the one that it is started in.
ENTER = 'for c in $1; do mkdir -p "$c" && echo $$ >"$c/cgroup.procs" || exit 1; done; shift; exec "$@"'


def _hierarchies():
    """Where systemd's own hierarchies are mounted here: the unified one, and the named one of cgroup v1."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return [Path(m[1]) for m in mounts if m[2] == "cgroup2" or (m[2] == "cgroup" and "name=systemd" in m[3])]


class ContainerNode(Node):
    def __init__(self, lab, number, name):
        super().__init__(lab, number, name)
        self.address = GATEWAY
        self.root = lab.directory / "containers" / name
        self.groups = [h / f"{lab.name}-{name}" for h in _hierarchies()]

    def _start(self):
        if not self.root.exists():
            self.root.parent.mkdir(exist_ok=True)
            run("cp", "-a", "--reflink=auto", image.node_root(self.lab.node_debs), self.root)
            (self.root / "etc/hostname").write_text(self.name + "\n")
            (self.root / "etc/machine-id").write_text(self._machine_id() + "\n")
        command = ["sh", "-c", ENTER, "sh", " ".join(map(str, self.groups)),
                   "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--console=pipe", f"--machine={self.name}",
                   f"--network-namespace-path=/run/netns/{self.lab.network.namespace}", f"--bind={self.directory}:/run/host/lab",
                   f"--directory={self.root}", "--boot"]
        with open(self.console, "ab") as console:
            self.lab.launch(f"node {self.name}", command, stdout=console, stderr=console,
                            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"})

    def power_cut(self):
        super().power_cut()
        for group in self.groups:
            for path, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(path)
