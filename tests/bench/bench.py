#!/usr/bin/python3
"""What Sluice costs on top of systemd, measured in one node. Read docs/TESTING.md, "The benchmark", before believing a figure.

usage: bench.py [--node=container|uml] [--runs=N] [--units=N] [--rate=N] [--alive=N] [--idle=SECONDS] [--only=latency,cpu,idle,rate] [--packages=DIR] [--output=FILE]
"""

import argparse
import datetime
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lab"))

from lab.fleet import Agent, Fleet, Run, pipe_text  # noqa: E402
from lab.lab import Lab  # noqa: E402
from lab.node import Node  # noqa: E402
from lab.nspawn import ContainerNode  # noqa: E402

OURS = ("agentd.service", "agentd-exec.service")
# The profile "standard" of sluice.pipe(5), for systemd-run.
SANDBOX = " ".join(f"-p {p}" for p in (
    "Type=exec DynamicUser=yes NoNewPrivileges=yes ProtectSystem=strict ProtectHome=yes PrivateTmp=yes PrivateDevices=yes ProtectClock=yes "
    "ProtectControlGroups=yes ProtectHostname=yes ProtectKernelLogs=yes ProtectKernelModules=yes ProtectKernelTunables=yes "
    "RestrictRealtime=yes RestrictSUIDSGID=yes LockPersonality=yes CapabilityBoundingSet= SystemCallArchitectures=native").split())
SLOTS = 1000
REST = 2  # seconds before each command, so that none pays for what the one before it has left to do
SYSTEMS = ("init.scope", "dbus.service", "systemd-journald.service")


class Bench:
    def __init__(self, options):
        self.options = options
        debs = [d for d in sorted(options.packages.glob("sluice-*_*.deb")) if "-dbgsym_" not in d.name]
        self.lab = Lab(f"sluice-bench-{os.getpid()}", debs)
        self.fleet = Fleet(self.lab).start()
        self.lab.node("bench", kind=ContainerNode if options.node == "container" else Node)
        self.agent = Agent(self.fleet, "bench")
        self.node = self.agent.node
        self.out = []

    def say(self, line=""):
        self.out.append(line)
        print(line, flush=True)

    def prepare(self):
        self.agent.bring_up(slots=SLOTS)
        self.fleet.deploy("bench", pipe_text({"task": {"ExecStart": "/bin/true"}}))
        environment = "".join(f"export {k}={shlex.quote(v)}\n" for k, v in self.fleet.control.environment().items())
        self.node.put("/srv/bench.env", environment.replace(str(self.fleet.control.ca_file), "/etc/sluice/ca.pem"), mode=0o600)
        tool = self.lab.directory / "bare-start"
        subprocess.run(["gcc", "-O2", "-o", tool, HERE / "bare-start.c", "-lsystemd"], check=True)
        self.node.put("/srv/bare-start", tool.read_bytes(), mode=0o755)
        for _ in range(3):
            self.in_node("sluicectl run bench --wait && systemd-run --quiet --wait /bin/true")

    def in_node(self, script, timeout=900):
        return self.node.run(f". /srv/bench.env; {script}", timeout=timeout, check=True).stdout

    # -- how long

    def latency(self):
        n = self.options.runs
        times = self.in_node(
            f"timed() {{ sleep {REST}; a=$EPOCHREALTIME; \"$@\" >/dev/null; echo $a $EPOCHREALTIME; }}; for i in $(seq {n}); do "
            f"timed sluicectl run bench --wait; timed systemd-run --quiet --wait /bin/true; timed systemd-run --quiet --wait {SANDBOX} /bin/true; done")
        pairs = [[float(x) for x in line.split()] for line in times.splitlines()]
        ours, theirs, boxed = ([(b - a) * 1000 for a, b in pairs[i::3]] for i in range(3))
        self.say(f"## Time of one run of /bin/true, {n} of each in turn\n")
        self.say("| | median | 10 % | 90 % |\n|---|---:|---:|---:|")
        for name, values in (("sluicectl run --wait", ours), ("systemd-run --wait", theirs),
                             ("systemd-run --wait, with a task's sandbox", boxed)):
            tenths = statistics.quantiles(values, n=10)
            self.say(f"| {name} | {statistics.median(values):.1f} ms | {tenths[0]:.1f} ms | {tenths[-1]:.1f} ms |")
        self.say(f"\nRatio of the medians: **{statistics.median(ours) / statistics.median(theirs):.2f}**, which is {statistics.median(boxed) / statistics.median(theirs):.2f} "
                 "for systemd-run with the sandbox that every task gets; "
                 f"to that: **{statistics.median(ours) / statistics.median(boxed):.2f}** (target: at most 1.5, see docs/decisions/0014)\n")
        self.where_the_time_goes()

    def where_the_time_goes(self):
        def moment(text):
            return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000

        rows = []
        for run in self.fleet.ctl_json("runs")["items"][:20]:
            attempt = self.fleet.ctl_json("run", "show", run["run"])["tasks"][0]["attempts"][0]
            rows.append([moment(attempt[k]) for k in ("queued_at", "assigned_at", "started_at", "ended_at")] + [moment(run["ended_at"])])
        steps = ("queued to assigned", "assigned to reported running", "running to reported ended", "ended to run ended")
        self.say("By the database's clock, median of the last runs: " + ", ".join(
            f"{what} {statistics.median(r[i + 1] - r[i] for r in rows):.1f} ms" for i, what in enumerate(steps)) + "; the rest is sluicectl.\n")

    # -- how much CPU

    def cpu(self):
        """CPU time in usec that each unit has used since boot."""
        used = {}
        for unit in (*SYSTEMS, *OURS):
            group = "init.scope" if unit == "init.scope" else f"system.slice/{unit}"
            text = self.node.run(f"sed -n 's/^usage_usec //p' /sys/fs/cgroup/{group}/cpu.stat").text
            used[unit] = int(text or 0)
        return used

    def cpu_per_task(self):
        n = self.options.units
        self.in_node("sluicectl run bench --wait")
        before = self.cpu()
        self.in_node(f"for i in $(seq {n}); do sluicectl run bench --wait >/dev/null; done")
        between = self.cpu()
        own = self.in_node(f"/srv/bare-start {n}").strip()
        after = self.cpu()
        self.say(f"## CPU time for each task, {n} tasks one after the other\n")
        self.say("| unit | Sluice | bare sd-bus loop |\n|---|---:|---:|")
        sluice = {u: (between[u] - before[u]) / n / 1000 for u in before}
        bare = {u: (after[u] - between[u]) / n / 1000 for u in SYSTEMS}
        for unit in (*SYSTEMS, *OURS):
            self.say(f"| {unit} | {sluice[unit]:.2f} ms | {f'{bare[unit]:.2f} ms' if unit in bare else ''} |")
        loop = int(re.search(r"(\d+) usec", own)[1]) / 1000
        self.say(f"| bare-start | | {loop:.2f} ms |")
        ours, system, least = sum(sluice[u] for u in OURS), sum(sluice[u] for u in SYSTEMS), sum(bare.values())
        self.say(f"\nagentd and agentd-exec together: **{ours:.2f} ms** a task (target: at most 1 ms). PID 1, dbus and journald: {system:.2f} ms "
                 f"under Sluice, {least:.2f} ms under the bare loop.\n")

    # -- how many

    def finish(self, runs):
        """Has the agent do what has waited for it; units started in a second, from the first start to the last end."""
        self.fleet.ctl("agent", "resume", "bench")
        ended = [Run(self.fleet, run).wait_ended(600).show() for run in runs]
        moments = [[datetime.datetime.fromisoformat(a[k].replace("Z", "+00:00")).timestamp() for k in ("assigned_at", "ended_at")]
                   for a in (run["tasks"][0]["attempts"][-1] for run in ended)]
        return len(runs) / (max(m[1] for m in moments) - min(m[0] for m in moments))

    def rate_of_starts(self):
        n, alive = self.options.rate, self.options.alive
        self.say(f"## Units started in a second, {n} that wait at the beginning, on {SLOTS} slots\n")
        self.say("| units alive | Sluice | bare sd-bus loop | ratio | the loop, with a task's unit | ratio |\n|---|---:|---:|---:|---:|---:|")
        self.fleet.deploy("lasting", pipe_text({"task": {"ExecStart": "/bin/sleep infinity", "TasksMax": "2"}}))
        for there in (0, alive):
            lasting = [self.fleet.start_run("lasting") for _ in range(there)]
            for run in lasting:
                run.wait_running(timeout=600)
            self.fleet.ctl("agent", "pause", "bench", "--reason=benchmark")
            ours = self.finish([self.fleet.start_run("bench").id for _ in range(n)])
            bare, same = (n / float(re.search(r"([0-9.]+) seconds", self.in_node(f"/srv/bare-start {n}{how}"))[1]) for how in ("", " task"))
            self.say(f"| {there} | {ours:.1f} | {bare:.1f} | {ours / bare:.2f} | {same:.1f} | **{ours / same:.2f}** |")
        self.say("\nTargets: 0.9 with none, 0.75 with 500. The bare loop's unit has no sandbox, no user, no directory and no accounting of its own; \"a task's unit\" has "
                 "what agentd asks PID 1 for, and what is compared then is what Sluice adds: the control plane, the log, the accounting, the removal.\n")

    # -- doing nothing

    def idle(self):
        seconds = self.options.idle
        pid = self.node.property("agentd.service", "MainPID")
        status = f"grep -hE '^(VmRSS|RssAnon|voluntary|nonvoluntary)' /proc/{pid}/task/*/status /proc/{pid}/status"
        self.node.run("sleep 35")  # after which memory is given back
        first, cpu = self.node.run(status).stdout, self.cpu()
        self.node.run(f"sleep {seconds}", timeout=seconds + 60)
        last, cpu_after = self.node.run(status).stdout, self.cpu()

        def switches(text):
            return sum(int(x) for x in re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M)) // 2

        resident, anonymous = (int(re.findall(rf"^{k}:\s+(\d+)", last, re.M)[-1]) / 1024 for k in ("VmRSS", "RssAnon"))
        self.say(f"## agentd with nothing to do, {seconds} s\n")
        self.say(f"RSS **{resident:.1f} MB** (target: 13), anonymous **{anonymous:.1f} MB** (target: 2.5); {switches(last) - switches(first)} wake-ups, "
                 f"{(cpu_after['agentd.service'] - cpu['agentd.service']) / 1000:.1f} ms of CPU time.\n")

    def run(self):
        command = " ".join(["tests/bench/bench.py", *sys.argv[1:]])
        self.say(f"# Benchmark, {datetime.date.today()}\n\nMade by `{command}` on {os.cpu_count()} CPUs, Linux {platform.release()}, in a "
                 f"{'systemd-nspawn container' if self.options.node == 'container' else 'user-mode Linux node'}.\n")
        self.prepare()
        for name, part in (("latency", self.latency), ("cpu", self.cpu_per_task), ("idle", self.idle), ("rate", self.rate_of_starts)):
            if name in self.options.only.split(","):
                part()
        self.options.output.parent.mkdir(parents=True, exist_ok=True)
        self.options.output.write_text("\n".join(self.out) + "\n")
        print(f"Written to {self.options.output}")


def main():
    top = HERE.parents[1]
    parser = argparse.ArgumentParser(description="What Sluice costs on top of systemd, measured in one node.")
    parser.add_argument("--node", choices=("container", "uml"), default="container")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--units", type=int, default=200)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--alive", type=int, default=500)
    parser.add_argument("--idle", type=int, default=60)
    parser.add_argument("--only", default="latency,cpu,idle,rate", help="parts")
    parser.add_argument("--packages", type=Path, default=top / "build/packages/dist")
    parser.add_argument("--output", type=Path, default=top / "build/results/bench.md")
    bench = Bench(parser.parse_args())
    try:
        bench.run()
    except Exception:
        bench.fleet.keep_evidence(bench.options.output.parent / "bench-failure")
        raise


if __name__ == "__main__":
    sys.exit(main())
