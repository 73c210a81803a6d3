"""Does what a schedule says, and undoes it. What was really done, and when, is on record for the judge."""

import contextlib
import os
import signal
import threading
import time

from .shell import LabError, say, wait_until


class Faults:
    """storm has nodes, cluster (PostgreSQL) and controls. Each fault runs in a thread; those on one target take turns."""

    def __init__(self, storm):
        self.storm, self.calm = storm, threading.Event()
        self.done, self.failed = [], []  # (fault, begun, over), by time.time()
        self.power = {name: [] for name in storm.nodes}  # [off, on again]
        self.clocks = {}  # boot id: [least, greatest] host time of its CLOCK_BOOTTIME 0, in seconds
        self._locks = {t: threading.Lock() for t in [*storm.nodes, "postgres", "controld"]}

    def do(self, fault):
        with self._locks[fault.target]:
            begun = time.time()
            say(f"{begun - self.storm.begun:7.1f} s  {fault.kind}: {fault.target}")
            try:
                getattr(self, fault.kind.replace(" ", "_").replace("-", "_"))(fault)
            except (LabError, OSError) as error:
                say(f"! {fault.kind} of {fault.target}: {error}")
                self.failed.append((fault, str(error)))
            self.done.append((fault, begun, time.time()))

    def _node(self, fault):
        return self.storm.nodes[fault.target]

    def _wait(self, fault):
        self.calm.wait(fault.seconds)

    def heal(self):
        """Whatever is still wrong: one that was interrupted, or did not work."""
        for node in self.storm.nodes.values():
            node.mend()
            node.deafen(False)
            if not node.pid:
                self._switch_on(node)
            node.silence(False)
            node.slow(0, 0)
            node.run("rm -f /var/full; sync; systemctl reset-failed agentd agentd-exec lab-effects; systemctl start lab-effects.socket agentd")
            self._set_clock(node)
        cluster = self.storm.cluster
        cluster.primary.start()
        if not cluster.in_step():
            cluster.rebuild_standby()
        for control in self.storm.controls:
            control.start()

    # -- the node's clock and the build machine's, to compare what happened on different nodes

    def read_clock(self, node):
        for _ in range(3):
            before = time.time()
            boot, boottime, _ = node.run("effects now", timeout=20, check=True).text.split()
            after = time.time()
            least, greatest = self.clocks.get(boot, (before - 1e9, after + 1e9))
            zero = int(boottime) / 1e6
            self.clocks[boot] = (max(least, before - zero), min(greatest, after - zero))

    @staticmethod
    def _set_clock(node):
        node.run(f"date -s @{time.time() + 0.05:.3f}", check=True)

    # -- on a node

    def kill_agentd(self, fault):
        self._node(fault).run("systemctl kill --signal=KILL agentd")

    def kill_agentd_exec(self, fault):
        self._node(fault).run("systemctl kill --signal=KILL agentd-exec")

    def kill_both_halves(self, fault):
        self._node(fault).run("systemctl kill --signal=KILL agentd agentd-exec")

    def restart_agentd(self, fault):
        self._node(fault).run("systemctl restart agentd", check=True)

    def power_cut(self, fault):
        node = self._node(fault)
        node.power_cut()
        self.power[node.name].append([time.time(), float("inf")])
        self._wait(fault)
        self._switch_on(node)

    def _switch_on(self, node):
        node.boot()
        if self.power[node.name]:
            self.power[node.name][-1][1] = time.time()
        self.read_clock(node)

    long_power_cut = power_cut

    @contextlib.contextmanager
    def _while(self, undo):
        try:
            yield
        finally:
            undo()

    def partition(self, fault):
        node = self._node(fault)
        with self._while(node.mend):
            node.cut()
            self._wait(fault)

    long_partition = partition

    def deaf_node(self, fault):
        node = self._node(fault)
        with self._while(lambda: node.deafen(False)):
            node.deafen()
            self._wait(fault)

    def mute_node(self, fault):
        node = self._node(fault)
        with self._while(lambda: node.silence(False)):
            node.silence()
            self._wait(fault)

    def slow_network(self, fault):
        node = self._node(fault)
        with self._while(lambda: node.slow(0, 0)):
            node.slow(20 + int(600 * fault.amount), 1 + int(15 * fault.amount))
            self._wait(fault)

    def full_disk(self, fault):
        """Nothing is left, for root neither."""
        node = self._node(fault)
        with self._while(lambda: node.run("rm -f /var/full && sync", check=True)):
            node.run("n=$(stat -f -c %f /var); while [ $n -gt 0 ]; do "
                     "fallocate -o $(stat -c %s /var/full 2>/dev/null || echo 0) -l $((n * 4096)) /var/full 2>/dev/null || n=$((n / 2)); done")
            self._wait(fault)

    def clock_step(self, fault):
        """Up to an hour, forth or back."""
        node = self._node(fault)
        with self._while(lambda: self._set_clock(node)):
            node.run(f"date -s @{time.time() + (fault.amount - 0.5) * 7200:.3f}", check=True)
            self._wait(fault)

    # -- PostgreSQL

    def kill_backend(self, fault):
        self.storm.cluster.primary.kill_backend(fault.amount)

    def kill_postmaster(self, fault):
        primary = self.storm.cluster.primary
        primary.kill_postmaster()
        self._wait(fault)
        primary.start()

    def restart_postgres(self, fault):
        primary = self.storm.cluster.primary
        primary.stop("fast" if fault.amount < 0.5 else "immediate")
        primary.start()

    def fail_over(self, fault):
        """Only with a standby that has all: that is what a manager of PostgreSQL waits for, too."""
        cluster = self.storm.cluster
        wait_until("the standby to be in step", cluster.in_step, 60)
        cluster.fail_over()

    # -- controld

    def kill_controld(self, fault):
        """Its supervisor; systemd would start it again."""
        control = self.storm.controls[int(fault.amount * len(self.storm.controls))]
        pid = control.pid
        if pid:
            os.kill(pid, signal.SIGKILL)
            wait_until("controld to be gone", lambda: control.pid != pid, 10, 0.02)
        self._wait(fault)
        control.start()

    def kill_worker(self, fault):
        workers = [p for c in self.storm.controls for p in c.workers()]
        if workers:
            os.kill(workers[int(fault.amount * len(workers))], signal.SIGKILL)

    def rolling_restart(self, fault):
        for control in self.storm.controls:
            control.stop()
            control.start()
