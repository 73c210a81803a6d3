"""A lab: a directory, a network namespace, a control plane and nodes, and the duty to remove all of them again."""

import atexit
import os
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

from . import image
from .network import Network
from .node import Node
from .registry import Registry, sweep
from .shell import LabError, run


class Lab:
    """With persistent=True (the quickstart) it is kept until close(); else it goes when this process ends, however it does."""

    def __init__(self, name, debs, directory=None, persistent=False):
        sweep()
        self.name, self.debs = name, [Path(d) for d in debs]
        known = Registry.load(name)
        self.registry = known or Registry(name, persistent)
        if directory:
            self.directory = Path(directory)
            self.directory.mkdir(parents=True, exist_ok=True)
        else:
            self.directory = Path(tempfile.mkdtemp(prefix=f"{name}-", dir="/var/tmp"))
            self.registry.record["directories"].append(str(self.directory))
        self.registry.save()
        self.network = Network(name)
        self.nodes = {}
        self._disk = None
        self._launching, self._closed = threading.Lock(), False
        if not known or not self._network_is_up():
            self.registry.add("namespaces", name)
            self.network.create()
        if not persistent:
            self._close_at_exit()

    def _network_is_up(self):
        return self.network.ip("link", "show", "br0", check=False).rc == 0

    def _close_at_exit(self):
        atexit.register(self.close)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._interrupt)

    @staticmethod
    def _interrupt(number, _):
        """As Ctrl-C: a test runner takes SystemExit for the failure of one test and goes on."""
        raise KeyboardInterrupt(signal.Signals(number).name)

    @property
    def disk(self):
        """The image that hosts of the fleet share; made at the first use."""
        if not self._disk:
            self._disk = self.keep("disk", lambda: image.node_disk(self.node_debs))
            image.prune()
        return self._disk

    def keep(self, name, make):
        """A link of the lab's own to an image from the cache: it is needed for as long as the nodes' disks, whatever is pruned."""
        link = self.directory / f"{name}.ext4"
        if not link.exists():
            made = make()
            try:
                os.link(made, link)
            except OSError:
                run("cp", "--sparse=always", "--preserve=timestamps", made, link)
        return link

    @property
    def node_debs(self):
        """What a host of the fleet has installed: the agent, and the client; no server code."""
        return [d for d in self.debs if not d.name.startswith("sluice-controld_")]

    def launch(self, what, command, **options):
        """Starts a process that belongs to this lab. A signal in between waits until the process is on record."""
        came, old = [], {}
        if threading.current_thread() is threading.main_thread():
            old = {n: signal.signal(n, lambda n, _: came.append(n)) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            with self._launching:
                if self._closed:
                    raise LabError(f"{self.name} is closed")
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)
                self.registry.add_process(process.pid, what)
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)
        return process

    def node(self, name, kind=Node, **options):
        if name not in self.nodes:
            self.nodes[name] = kind(self, len(self.nodes) + 1, name, **options)
        return self.nodes[name]

    def close(self):
        with self._launching:
            self._closed = True
        self.registry.remove()
        self.nodes.clear()
