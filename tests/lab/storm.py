#!/usr/bin/python3 -B
"""A storm of faults over a fleet of four hosts, two controlds and two PostgreSQL servers, and the verdict on it.

usage: tests/lab/storm.py [--minutes=5] [--seed=N] [--packages=DIR] [--results=DIR] [--only=KIND,KIND] [--plan]
"""

import argparse
import collections
import concurrent.futures
import json
import os
import random
import shutil
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from lab import schedule  # noqa: E402
from lab.controlplane import ControlPlane  # noqa: E402
from lab.faults import Faults  # noqa: E402
from lab.fleet import Fleet  # noqa: E402
from lab.judge import OWN_UNITS, Judge  # noqa: E402
from lab.lab import Lab  # noqa: E402
from lab.postgres import Cluster  # noqa: E402
from lab.shell import LabError, say, wait_until  # noqa: E402

TOP = Path(__file__).resolve().parents[2]
NODES = ("n1", "n2", "n3", "n4")
# What the work that is left and the longest grace may take once all is well again.
SETTLE_SEC = 420
UNSETTLED = """SELECT (SELECT count(*) FROM sluice.run WHERE ended_at IS NULL), (SELECT count(*) FROM sluice.attempt WHERE NOT log_complete),
 (SELECT count(*) FROM sluice.assignment), (SELECT count(*) FROM sluice.queue), (SELECT count(*) FROM sluice.cleanup),
 (SELECT count(*) FROM sluice.live_run), (SELECT count(*) FROM sluice.owed_log)"""
TABLES = ("runs", "logs", "assignment", "queue", "cleanup", "live_run", "owed_log")
DEAD = """SELECT relname, n_dead_tup FROM pg_stat_user_tables
 WHERE schemaname = 'sluice' AND relname IN ('queue', 'assignment', 'live_run', 'idle', 'presence', 'instance') ORDER BY 1"""
DEAD_MAX = 20000  # rows: PostgreSQL's autovacuum looks once in a minute
LEFTOVERS = ("systemctl list-units --all --plain --no-legend 'sluice-*' | cut -d' ' -f1; "
             "find /var/lib/private/sluice/runs -mindepth 1 -maxdepth 1 2>/dev/null")


class Storm:
    def __init__(self, lab, seed, seconds, only=None):
        self.lab, self.seed, self.seconds = lab, seed, seconds
        self.plan = schedule.draw_faults(seed, seconds, NODES, only)
        self.load = schedule.draw_load(seed, seconds)
        self.cluster = Cluster(lab)
        first = ControlPlane(lab, "controld-1", database=self.cluster.conninfo, shared=True)
        self.controls = [first, ControlPlane(lab, "controld-2", database=self.cluster.conninfo, sibling=first)]
        self.fleet = Fleet(lab, first)
        self.nodes = {name: lab.node(name) for name in NODES}
        self.faults = Faults(self)
        self.orders, self.begun = {}, 0.0
        self._stop = threading.Event()

    def print_plan(self):
        say(f"The storm of seed {self.seed}, {self.seconds:.0f} s, {len(self.load)} runs:")
        for fault in self.plan:
            say(str(fault))

    # -- before

    def set_up(self):
        for control in self.controls:
            control.prepare()
        self.cluster.start()
        for control in self.controls:
            control.start()
        for node in self.nodes.values():
            node.boot(wait=False)
        for name, text in schedule.pipes():
            self.fleet.deploy(name, text)
        for node in self.nodes.values():
            node.wait_booted()
            node.run("dd if=/dev/zero of=/var/effects bs=1M count=8 status=none && sync && "
                     "systemctl enable --quiet --now lab-effects.socket && effects task none 0 0 0", check=True)
            self.faults.read_clock(node)
        for name in NODES:
            self.fleet.agent(name, lines=(f"SelfFenceSec={schedule.SELF_FENCE_SEC}",))
        return self

    # -- the storm

    def rage(self):
        self.begun = time.time()
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            try:
                self._play(pool)
            except BaseException:
                self._stop.set()
                raise
            finally:
                self.faults.calm.set()

    def _play(self, pool):
        script = sorted([*self.plan, *enumerate(self.load)], key=lambda x: x[1].at if isinstance(x, tuple) else x.at)
        for item in script:
            fault = not isinstance(item, tuple)
            self._wait_until(item.at if fault else item[1].at)
            if fault:
                pool.submit(self.faults.do, item)
            else:
                pool.submit(self._order, *item)
        self._wait_until(self.seconds)
        say(f"{self.seconds:7.1f} s  calm")
        self.faults.calm.set()

    def _wait_until(self, second):
        delay = self.begun + second - time.time()
        if delay > 0:
            time.sleep(delay)

    def _order(self, number, order):
        """As a careful client: the same request again until it is answered."""
        deadline = time.monotonic() + self.seconds + SETTLE_SEC
        while time.monotonic() < deadline and not self._stop.is_set():
            done = self.fleet.ctl("run", order.pipe, "--output=json", f"--idempotency-key=storm-{self.seed}-{number}", check=False)
            if done.rc == 0:
                self.orders[number] = json.loads(done.stdout)["run"]
                return
            self._stop.wait(1)
        say(f"! order {number} was never answered: {done.stderr}")

    def settle(self):
        """All is well again; everything must come to its end by itself."""
        self.faults.heal()
        healed, seen = time.time(), ""

        def settled():
            nonlocal seen
            seen = self.cluster.sql(UNSETTLED)
            return set(seen.split("|")) == {"0"}
        try:
            wait_until("the fleet to settle", settled, SETTLE_SEC, 1)
        except LabError:
            say(f"! Not settled after {SETTLE_SEC} s: {', '.join(TABLES)} {seen}")
        say(f"Settled {time.time() - healed:.0f} s after the healing")
        # Acknowledged units are let go of at once, empty slices a little later.
        for node in self.nodes.values():
            try:
                wait_until("units to go", lambda n=node: not self._leftovers(n), 30, 1)
            except LabError:
                pass

    def _leftovers(self, node):
        return [w for w in node.run(LEFTOVERS).text.split() if not OWN_UNITS.fullmatch(w)]

    # -- after

    def judge(self):
        runs = [self.fleet.ctl_json("run", "show", r) for r in self.cluster.sql("SELECT id FROM sluice.run ORDER BY id").split()]
        logs = {(r["run"], t["task"]): self._entries(r["run"], t["task"]) for r in runs for t in r["tasks"]}
        self.records = {name: node.run("tr -d '\\0' </var/effects", check=True).stdout for name, node in self.nodes.items()}
        rows = dict(zip(TABLES, (int(n) for n in self.cluster.sql(UNSETTLED).split("|"))))
        self.runs, judge = runs, Judge(self)
        judge.judge(runs, self.records, logs, {n: self._leftovers(node) for n, node in self.nodes.items()}, rows, self.orders)
        for fault, error in self.faults.failed:
            judge.wrong("the storm's own", f"{fault}: {error}")
        self.dead = {table: int(n) for table, n in (line.split("|") for line in self.cluster.sql(DEAD).split())}
        for table, n in self.dead.items():
            if n > DEAD_MAX:
                judge.wrong("dead rows", f"{n} in {table}, and nobody has vacuumed them")
        return judge

    def _entries(self, run, task):
        text = self.fleet.ctl("logs", run, f"--task={task}", "--output=json").stdout
        return [{"message": e.get("MESSAGE", ""), "attempt": e.get("SLUICE_ATTEMPT", "")} for e in map(json.loads, text.splitlines())]

    def report(self, judge):
        def table(counter):
            return ", ".join(f"{n} {k}" for k, n in sorted(counter.items()))
        kinds = collections.Counter(f.kind for f, *_ in self.faults.done)
        return (f"seed {self.seed}, {self.seconds / 60:.0f} min: {len(self.faults.done)} faults: {table(kinds)}\n"
                f"{table(judge.counts)}\noutcomes: {table(judge.outcomes)}\ndead rows: {table(self.dead)}\nviolations: {len(judge.violations)}")

    def keep_evidence(self, directory, judge=None):
        self.fleet.keep_evidence(directory)
        for path in [*self.lab.directory.glob("controld-*/*.log"), *self.lab.directory.glob("postgresql/*.log")]:
            shutil.copy(path, directory / f"{path.parent.name}-{path.name}")
        (directory / "plan").write_text("\n".join(map(str, self.plan)) + "\n")
        (directory / "done").write_text("\n".join(f"{b:.3f} {o:.3f} {f.kind}: {f.target}" for f, b, o in self.faults.done) + "\n")
        if judge:
            (directory / "violations").write_text("\n".join(judge.violations) + "\n")
            (directory / "runs.json").write_text(json.dumps(self.runs, indent=1))
            for name, text in self.records.items():
                (directory / f"{name}.effects").write_text(text)

    def run(self, results):
        """Everything; the judge has the violations."""
        self.print_plan()
        try:
            self.set_up()
            self.rage()
            self.settle()
            judge = self.judge()
        except LabError:
            self.keep_evidence(results)
            raise
        say(self.report(judge))
        for violation in judge.violations:
            say(violation)
        if judge.violations:
            self.keep_evidence(results, judge)
            say(f"Evidence: {results}")
        return judge


def main():
    parser = argparse.ArgumentParser(description="A storm of faults, and the verdict on it.")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=random.randrange(1000000))
    parser.add_argument("--packages", type=Path, default=TOP / "build/packages/dist")
    parser.add_argument("--results", type=Path, default=TOP / "build/results/storm")
    parser.add_argument("--only", help="these kinds of fault, separated by commas")
    parser.add_argument("--plan", action="store_true", help="print the schedule and do nothing")
    options = parser.parse_args()
    only = options.only.split(",") if options.only else None
    if options.plan:
        for fault in schedule.draw_faults(options.seed, options.minutes * 60, NODES, only):
            print(fault)
        return 0
    debs = [p for p in sorted(options.packages.glob("sluice-*_*.deb")) if "-dbgsym_" not in p.name]
    if len(debs) != 3:
        parser.error(f"{options.packages} has not the three packages; run make deb")
    lab = Lab(f"sluice-storm-{os.getpid()}", debs)
    try:
        judge = Storm(lab, options.seed, options.minutes * 60, only).run(options.results / f"seed-{options.seed}")
    finally:
        lab.close()
    return 1 if judge.violations else 0


if __name__ == "__main__":
    sys.exit(main())
