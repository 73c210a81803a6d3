#!/usr/bin/python3
"""What the control plane can do, and what it costs: many agents played by tests/bench/swarm against a controld of its own, with its
embedded PostgreSQL, on loopback. Read docs/TESTING.md, "The swarm", before believing a figure.

usage: swarm.py [--build=DIR] [--quick] [--only=a,b,c,d,f] [--agents=N] [--history=N] [--profile] [--output=FILE]
"""

import argparse
import contextlib
import datetime
import json
import os
import platform
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
TICK = os.sysconf("SC_CLK_TCK")
REFERENCE = """
DROP SCHEMA IF EXISTS bench_reference CASCADE;
CREATE SCHEMA bench_reference;
CREATE TABLE bench_reference.job (id bigserial PRIMARY KEY, state text NOT NULL DEFAULT 'queued', payload text);
INSERT INTO bench_reference.job (payload) SELECT repeat('x', 100) FROM generate_series(1, %d);
CREATE INDEX ON bench_reference.job (id) WHERE state = 'queued';
VACUUM ANALYZE bench_reference.job;
"""
# Claims a batch and finishes it: two transactions, as with agents.
CLAIM = """
WITH c AS (SELECT id FROM bench_reference.job WHERE state = 'queued' ORDER BY id LIMIT %d FOR UPDATE SKIP LOCKED),
     u AS (UPDATE bench_reference.job j SET state = 'running' FROM c WHERE j.id = c.id RETURNING j.id)
SELECT coalesce(string_agg(id::text, ','), '0') AS ids FROM u \\gset
DELETE FROM bench_reference.job WHERE id IN (:ids);
"""


class BenchError(Exception):
    pass


# -- processes

def stat_of(pid):
    """parent, own CPU seconds, with those of children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    own, ended = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    return int(fields[1]), own / TICK, (own + ended) / TICK


def tree_of(root):
    """The process and all its descendants."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(stat_of(entry)[0], []).append(int(entry))
    found, queue = [], [root]
    while queue:
        found.append(queue.pop())
        queue += children.get(found[-1], [])
    return found


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def memory_of(pids):
    """Bytes: anonymous memory, and proportional share of all that is mapped."""
    anonymous = share = 0
    for pid in pids:
        anonymous += int(re.search(r"^RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.M)[1]) * 1024
        share += int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1]) * 1024
    return anonymous, share


def machine_cpu():
    """Seconds that all CPUs were busy, and stolen from us by the host."""
    fields = [int(x) / TICK for x in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return sum(fields[:3]) + sum(fields[5:7]), fields[7]


def wait_until(what, condition, timeout):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"Waited {timeout} s in vain for {what}.")
        time.sleep(0.02)


def end(process, sig=signal.SIGTERM, timeout=40):
    """Ends a process that we started, kindly first."""
    if process is None or process.poll() is not None:
        return
    process.send_signal(sig)
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# -- controld

class Site:
    """controld from the build tree, as an ordinary user, in a directory of its own."""

    def __init__(self, options):
        self.options, self.process, self.preload = options, None, False
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self.directory = Path(tempfile.mkdtemp(prefix="sluice-swarm-"))
        self.directory.chmod(0o711)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self.state, self.runtime, self.log = self.directory / "state", self.directory / "run", self.directory / "log"
        self.config = self.directory / "controld.conf"
        owner = pwd.getpwnam(self.user)
        for directory in (self.state, self.runtime):
            directory.mkdir(mode=0o700)
            os.chown(directory, owner.pw_uid, owner.pw_gid)
        self.config.write_text(
            f"[Controld]\nListen=127.0.0.1:{self.port}\nStateDirectory={self.state}\nRuntimeDirectory={self.runtime}\n"
            f"SQLDirectory={TOP}/sql\nMaxConnections={max(16384, 2 * options.agents)}\nLogLevel=warning\n")
        self.controld = options.build / "controld/controld"
        self.run("tls", "init", "--host", "127.0.0.1")
        self.ca = self.directory / "ca.pem"
        shutil.copyfile(self.state / "tls/ca.pem", self.ca)

    def as_user(self, *command):
        if os.geteuid() != 0:
            return [str(c) for c in command]
        return ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups", "--pdeathsig=TERM", "--", *map(str, command)]

    def run(self, *arguments):
        return subprocess.run(self.as_user(self.controld, *arguments, f"--config={self.config}"), check=True, text=True,
                              stdout=subprocess.PIPE, timeout=60).stdout

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.as_user(self.controld, "serve", f"--config={self.config}"), stdout=log, stderr=log)

    def wait_ready(self, timeout=60):
        def ready():
            if self.process.poll() is not None:
                raise BenchError(f"controld ended:\n{self.log.read_text()[-2000:]}")
            done = subprocess.run(["curl", "-s", "--cacert", self.ca, f"{self.url}/ready"], capture_output=True, check=False)
            return b"ready" in done.stdout
        wait_until("controld to be ready", ready, timeout)

    def stop(self):
        end(self.process)
        self.process = None

    def restart(self):
        self.stop()
        self.start()
        self.wait_ready()

    def token(self):
        return self.run("token", "create", "--name", "swarm", "--role", "owner").strip()

    def workers(self):
        return [p for p in tree_of(self.process.pid) if "worker" in command_of(p)]

    def postgres(self):
        return [p for p in tree_of(self.process.pid) if command_of(p)[:1] and "postgres" in command_of(p)[0]]

    def sql(self, text, tuples=True):
        command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.runtime / "postgresql", "-U", "sluice", "sluice"]
        done = subprocess.run(self.as_user(*command, *(["-At"] if tuples else [])), input=text, text=True, capture_output=True,
                              check=False, timeout=1200)
        if done.returncode:
            raise BenchError(f"psql: {done.stderr}")
        return done.stdout.strip()

    def cpu(self):
        """CPU seconds of controld's workers, and of PostgreSQL with what of it has ended."""
        postgres = self.postgres()
        ended = sum(stat_of(p)[2] - stat_of(p)[1] for p in postgres)
        return sum(stat_of(p)[1] for p in self.workers()), sum(stat_of(p)[1] for p in postgres) + ended

    def close(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class Swarm:
    """One run of the load generator; its phases arrive as lines."""

    def __init__(self, bench, agents, runs=0, seconds=60, url=None, **options):
        self.bench = bench
        words = {"url": url or bench.site.url, "ca_file": bench.site.ca, "agents": agents, "runs": runs, "seconds": seconds,
                 "identities": bench.site.directory / "identities", "output": "json", **options}
        self.command = [str(bench.options.build / "tests/bench/swarm"), *(f"--{k.replace('_', '-')}={v}" for k, v in words.items())]
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True, env={**os.environ, "SLUICE_TOKEN": bench.token})
        bench.children.append(self.process)

    def until(self, phase):
        """The line of this phase. Its own time limits bound the wait."""
        for line in self.process.stdout:
            said = json.loads(line)
            if said["phase"] == phase:
                return said
        raise BenchError(f"The swarm ended before \"{phase}\".")

    def end(self):
        """Ends it now; the figures."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.until("end")


# -- the scenarios

class Bench:
    def __init__(self, options):
        self.options, self.children, self.out, self.rate = options, [], [], None
        self.site = Site(options)

    def say(self, line=""):
        self.out.append(line)
        print(line, flush=True)

    def prepare(self):
        self.site.start()
        self.site.wait_ready()
        for setting in self.options.set:
            name, value = setting.split("=", 1)
            self.site.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        if self.options.set and not self.options.profile:
            self.site.restart()
        if self.options.profile:
            self.site.sql("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'; ALTER SYSTEM SET track_functions = 'all'")
            self.site.restart()
            self.site.sql("CREATE EXTENSION pg_stat_statements; ALTER SYSTEM SET pg_stat_statements.track = 'all';"
                          "ALTER SYSTEM SET pg_stat_statements.track_planning = on; SELECT pg_reload_conf()")
        self.token = self.site.token()
        self.log_begins = len(self.site.log.read_text())  # what the first start says of a database that is not there yet is no news

    @contextlib.contextmanager
    def metered(self, what):
        """CPU seconds by part while the body runs; `figures` is filled at its end."""
        figures = {}
        before, machine, began = self.site.cpu(), machine_cpu(), time.monotonic()
        yield figures
        after, machine_after = self.site.cpu(), machine_cpu()
        figures.update(what=what, seconds=time.monotonic() - began, controld=after[0] - before[0], postgres=after[1] - before[1],
                       machine=machine_after[0] - machine[0], stolen=machine_after[1] - machine[1])

    def load(self, what, agents, runs, seconds, **options):
        """A whole run of the swarm, with the CPU time of each part."""
        swarm = Swarm(self, agents, runs, seconds, **options)
        swarm.until("running")
        with self.metered(what) as f:
            swarm.until("leaving")
        f.update(swarm.until("end"))
        f["swarm"] = f["own_cpu_usec"] / 1e6
        f["rate"] = f["ended"] / (f["run_usec"] / 1e6)
        f["others"] = max(0, f["machine"] - f["controld"] - f["postgres"] - f["swarm"]) / f["seconds"]
        swarm.process.wait()
        self.clear()
        return f

    def clear(self):
        """What was not done when the time was over is no load of what comes next. Agents that have just left may still be about."""
        wait_until("the last ones to have left", lambda: self.site.sql("SELECT count(*) FROM sluice.open_instance") == "0", 60)
        self.site.sql("""
            UPDATE sluice.instance SET goodbye_at = clock_timestamp() WHERE goodbye_at IS NULL; -- else its next session is challenged for six seconds
            DELETE FROM sluice.queue; DELETE FROM sluice.assignment; DELETE FROM sluice.live_run; DELETE FROM sluice.owed_log; DELETE FROM sluice.cleanup;
            DELETE FROM sluice.attempt a USING sluice.run r WHERE r.ended_at IS NULL AND a.run = r.id;
            DELETE FROM sluice.task t USING sluice.run r WHERE r.ended_at IS NULL AND t.run = r.id;
            DELETE FROM sluice.run WHERE ended_at IS NULL;
            VACUUM ANALYZE sluice.queue; VACUUM ANALYZE sluice.assignment; VACUUM ANALYZE sluice.live_run""")

    def table(self, rows, reference=None):
        self.say("| | attempts/s | of reference | controld | PostgreSQL | swarm | CPU a attempt | other load on the machine | events a request |\n"
                 "|---|---:|---:|---:|---:|---:|---:|---:|---:|")
        for f in rows:
            n = max(1, f["ended"])
            ratio = f"{f['rate'] / reference:.4f}" if reference else ""
            self.say(f"| {f['what']}{'' if f['complete'] else ' (time was over)'} | {f['rate']:.0f} | {ratio} | "
                     + " | ".join(f"{f[k] / n * 1000:.2f} ms" for k in ("controld", "postgres", "swarm"))
                     + f" | {(f['controld'] + f['postgres'] + f['swarm']) / n * 1000:.2f} ms | {f['others']:.2f} cores | "
                     f"{(3 * f['ended'] + f['cleaned']) / max(1, f['reports']):.1f} |")
        self.say()

    def latencies(self, rows):
        self.say("| | n | p50 | p99 | max |\n|---|---:|---:|---:|---:|")
        for what, h in rows:
            self.say(f"| {what} | {h['count']} | " + " | ".join(f"{h[k] / 1000:.2f} ms" for k in ("p50_usec", "p99_usec", "max_usec")) + " |")
        self.say()

    def reference(self, batch, seconds, rows):
        """Jobs a second that PostgreSQL alone claims and finishes."""
        self.site.sql(REFERENCE % rows)
        script = self.site.directory / f"claim-{batch}.sql"
        script.write_text(CLAIM % batch)
        script.chmod(0o644)
        done = subprocess.run(self.site.as_user("pgbench", "-n", "-c", "4", "-j", "1", "-T", seconds, "-f", script,
                                                "-h", self.site.runtime / "postgresql", "-U", "sluice", "sluice"),
                              capture_output=True, text=True, check=False, timeout=seconds + 60)
        found = re.search(r"tps = ([\d.]+)", done.stdout)
        if not found:
            raise BenchError(f"pgbench: {done.stderr}")
        left = int(self.site.sql("SELECT count(*) FROM bench_reference.job; DROP SCHEMA bench_reference CASCADE"))
        if left < batch * 4:
            raise BenchError("The reference ran out of jobs.")
        return (rows - left) / seconds

    def a_rate(self):
        o = self.options
        self.say("## (a) Attempts a second\n")
        batched, single = self.reference(100, o.span // 3, 400000 if o.quick else 1000000), self.reference(1, o.span // 3, 200000)
        f = self.load("100 agents of 64 slots, as fast as it goes", 100, 1000000, o.span, slots=64, submitters=256)
        self.rate = f["rate"]
        self.say(f"pgbench on the same PostgreSQL, 4 clients: claims and finishes **{batched:.0f}** jobs/s in batches of 100, "
                 f"**{single:.0f}**/s one by one. Ratios are to the batches.\n")
        self.table([f], batched)
        self.latencies([("run create, request to answer", f["submit"]), ("run create sent, agent has it", f["created_to_got"]),
                        ("events, request to answer", f["report"]), ("agent has it, end acknowledged", f["got_to_ended"])])
        if o.profile:
            self.profile()

    def profile(self):
        self.say("Statements, nested ones too, and functions by their own time:\n\n```")
        self.say(self.site.sql(
            "SELECT calls, round(total_exec_time) AS ms, round(total_plan_time) AS plan_ms, round(mean_exec_time::numeric, 3) AS mean_ms,"
            " left(regexp_replace(query, '\\s+', ' ', 'g'), 100) AS query FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 25;"
            "SELECT funcname, calls, round(total_time) AS ms, round(self_time) AS own_ms"
            " FROM pg_stat_user_functions ORDER BY self_time DESC LIMIT 20", tuples=False))
        self.say("```\n")

    def b_waiting(self):
        o, n = self.options, self.options.agents
        self.say(f"## (b) {n} agents that wait\n")
        before = memory_of(self.site.workers())
        with self.metered("enrol") as enrol:
            swarm = Swarm(self, n, 0, 600, parallel=256)
            swarm.until("running")
        swarm.end()
        with self.metered("connect") as connect:
            swarm = Swarm(self, n, 0, 600, parallel=256)
            swarm.until("running")
        # Long enough for the memory of the handshakes to have come back, and for the sessions of before to have been given up.
        time.sleep(15)
        if o.profile:
            self.site.sql("SELECT pg_stat_statements_reset(), pg_stat_reset()")
        with self.metered("waiting") as f:
            time.sleep(o.idle)
        if o.profile:
            self.profile()
        after = memory_of(self.site.workers())
        figures = swarm.end()
        bare = self.bare_waiting(n)
        self.say("| connecting, 256 at a time | a second | controld | PostgreSQL | other load on the machine, with the swarm |\n"
                 "|---|---:|---:|---:|---:|")
        for what, m in (("enrol, sync", enrol), ("sync", connect)):
            self.say(f"| {what} | {n / m['seconds']:.0f} | {m['controld'] / n * 1000:.2f} ms | {m['postgres'] / n * 1000:.2f} ms | "
                     f"{(m['machine'] - m['controld'] - m['postgres']) / m['seconds']:.2f} cores |")
        self.say(f"| bare libmicrohttpd | {n / bare['seconds']:.0f} | {bare['cpu'] / n * 1000:.2f} ms | | |\n")
        self.say(f"Connect and TLS handshake: p50 {figures['handshake']['p50_usec'] / 1000:.1f} ms, "
                 f"p99 {figures['handshake']['p99_usec'] / 1000:.1f} ms.\n")
        self.say("| memory for each waiting agent | controld | bare libmicrohttpd, 4 KiB pool | target |\n|---|---:|---:|---:|")
        for i, what in ((0, "anonymous"), (1, "proportional share")):
            self.say(f"| {what} | {(after[i] - before[i]) / n / 1000:.1f} KB | {bare['memory'][i] / n / 1000:.1f} KB | {'20 KB' if i == 0 else ''} |")
        self.say(f"\nWaiting for {o.idle} s: controld {f['controld'] / f['seconds'] * 100:.1f} %, PostgreSQL "
                 f"{f['postgres'] / f['seconds'] * 100:.1f} % of a core (target: 10 % in all).\n")

    def bare_waiting(self, n):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        process = subprocess.Popen([self.options.build / "tests/bench/bare-http", str(port), self.site.state / "tls/server.pem",
                                    self.site.state / "tls/server.key"], stdin=subprocess.PIPE)
        self.children.append(process)
        time.sleep(0.3)
        before = memory_of([process.pid])
        swarm = Swarm(self, n, 0, 60, url=f"https://127.0.0.1:{port}", parallel=256)
        seconds = swarm.until("running")["usec"] / 1e6
        time.sleep(1)
        after, cpu = memory_of([process.pid]), stat_of(process.pid)[1]
        swarm.end()
        process.stdin.close()
        end(process)
        return {"memory": [after[i] - before[i] for i in range(2)], "seconds": seconds, "cpu": cpu}

    def c_latency(self):
        o, n = self.options, self.options.agents
        self.say(f"## (c) From a run created to an agent that has it\n\nTarget: p50 2 ms, p99 10 ms. Counted from before the request is sent.\n")
        idle = self.load("idle", n, 20 * o.span // 2, o.span * 2, rate=20, settle_sec=2)
        rows = [(f"{n} idle agents, 20 runs/s: sent to agent has it", idle["created_to_got"]),
                (f"{n} idle agents: answered to agent has it", idle["answered_to_got"])]
        cancelled = self.load("cancel", n, 10 * o.span // 2, o.span * 2, rate=10, cancel=100)
        if o.profile:
            self.profile()
        rows.append((f"{n} agents: cancel sent to agent has the stop", cancelled["cancel_to_stop"]))
        if self.rate:
            half = max(1, int(self.rate / 2))
            busy = self.load("half", 100, half * o.span // 2, o.span * 2, slots=64, rate=half, submitters=256)
            rows.append((f"100 agents at half of (a), {half} runs/s: sent to agent has it", busy["created_to_got"]))
        self.latencies(rows)

    def d_restart(self):
        n = self.options.agents
        self.say(f"## (d) Restart of controld with {n} agents\n")
        first = self.site.sql("SELECT now()")
        swarm = Swarm(self, n, 0, 600, parallel=256)
        swarm.until("running")
        began = time.monotonic()
        self.site.stop()
        self.site.start()
        self.site.wait_ready()
        ready = time.monotonic() - began
        back = swarm.until("back")
        whole = time.monotonic() - began
        unknown = self.site.sql("SELECT count(*) FROM sluice.instance i LEFT JOIN sluice.presence p ON p.instance = i.id"
                                f" WHERE sluice.instance_status(i, p.last_seen_at) = 'Unknown' AND i.session_since >= '{first}'")
        figures = swarm.end()
        self.say(f"controld with its PostgreSQL was ready again {ready:.1f} s after SIGTERM; all {n} agents had an answer after {whole:.1f} s, "
                 f"{back['usec'] / 1e6:.1f} s after the first was lost (target: 10 s for 10,000 agents). {unknown} Unknown (target: 0). "
                 f"{figures['connects']} handshakes, p99 {figures['handshake']['p99_usec'] / 1000:.0f} ms; {figures['connect_failures']} failed attempts.\n")

    def grow(self, finished, queued):
        """Copies of what is there: runs that ended, and attempts that wait for an agent that does not exist."""
        copy = "(jsonb_populate_record(x.%s, jsonb_build_object(%s))).*"
        self.site.sql(f"""
            CREATE TEMP TABLE ids AS SELECT sluice.uuid_v7() AS run, sluice.uuid_v7() AS attempt, n FROM generate_series(1, {finished + queued}) n;
            CREATE TEMP TABLE old AS SELECT r, t, a FROM sluice.run r JOIN sluice.task t ON t.run = r.id JOIN sluice.attempt a ON a.run = r.id
                                      WHERE r.state = 'succeeded' LIMIT 1;
            INSERT INTO sluice.run SELECT {copy % ('r', "'id', i.run")} FROM old x, ids i;
            INSERT INTO sluice.task SELECT {copy % ('t', "'run', i.run")} FROM old x, ids i;
            INSERT INTO sluice.attempt SELECT {copy % ('a', "'id', i.attempt, 'run', i.run")} FROM old x, ids i WHERE i.n <= {finished};
            INSERT INTO sluice.attempt SELECT {copy % ('a', "'id', i.attempt, 'run', i.run, 'state', 'queued', 'ended_at', null, 'outcome', null, 'instance', null, 'agent', null")}
              FROM old x, ids i WHERE i.n > {finished};
            INSERT INTO sluice.demand (id, project, type, selector, path)
            VALUES (sluice.uuid_v7(), 'default', 'batch', '[{{"key": "nowhere", "operator": "exists", "values": []}}]', 'exists($.nowhere)');
            INSERT INTO sluice.queue (attempt, run, demand)
            SELECT i.attempt, i.run, (SELECT id FROM sluice.demand ORDER BY id DESC LIMIT 1) FROM ids i WHERE i.n > {finished};
            ANALYZE sluice.run, sluice.task, sluice.attempt, sluice.queue""")

    @contextlib.contextmanager
    def old_snapshot(self):
        """A reader, a dump say, that holds its snapshot: no row that dies meanwhile can be removed."""
        command = ["psql", "-X", "-q", "-h", self.site.runtime / "postgresql", "-U", "sluice", "sluice"]
        reader = subprocess.Popen(self.site.as_user(*command), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        self.children.append(reader)
        reader.stdin.write("SET idle_in_transaction_session_timeout = 0;\nBEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT count(*) FROM sluice.run;\n")
        reader.stdin.flush()
        wait_until("the reader", lambda: self.site.sql("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'") == "1", 60)
        yield
        reader.stdin.close()
        end(reader)

    def f_growth(self):
        o = self.options
        self.say(f"## (f) Growth\n\nThe same load each time: 100 agents of 64 slots, beside more that wait or more rows.\n")
        options = {"slots": 64, "submitters": 256}
        rows = [self.load("100 agents", 100, 1000000, o.span, **options)]
        rows.append(self.load(f"{o.agents} agents", o.agents, 1000000, o.span, **options))
        with self.old_snapshot():
            rows.append(self.load(f"100 agents, the first {o.snapshot} s of a reader with one snapshot", 100, 1000000, o.snapshot, **options))
            rows.append(self.load("100 agents, and then", 100, 1000000, o.span, **options))
        self.grow(o.history, 0)
        rows.append(self.load(f"100 agents, {o.history} finished runs", 100, 1000000, o.span, **options))
        self.grow(0, o.history)
        rows.append(self.load(f"100 agents, {o.history} more that nobody can take", 100, 1000000, o.span, **options))
        self.table(rows, rows[0]["rate"])

    def run(self):
        o = self.options
        self.say(f"# Swarm, {datetime.date.today()}\n\nMade by `tests/bench/swarm.py {' '.join(sys.argv[1:])}` on {os.cpu_count()} CPUs, "
                 f"Linux {platform.release()}: controld, PostgreSQL with its durability on, and the swarm share them. CPU times are user and system time "
                 "of the processes; wall clock figures suffer from other load on the machine, which is stated.\n")
        self.prepare()
        for letter, scenario in (("a", self.a_rate), ("b", self.b_waiting), ("c", self.c_latency), ("d", self.d_restart), ("f", self.f_growth)):
            if letter in o.only:
                scenario()
                self.clear()
        log = self.site.log.read_text()[self.log_begins:]
        errors = [line for line in log.splitlines() if line.startswith("<3>") or " ERROR: " in line]
        self.say(f"Errors in controld's log: {len(errors)}." + "".join(f"\n    {line}" for line in errors[:10]))
        o.output.parent.mkdir(parents=True, exist_ok=True)
        o.output.write_text("\n".join(self.out) + "\n")
        print(f"Written to {o.output}")

    def close(self):
        for process in self.children:
            end(process, timeout=15)
        self.site.close()


def main():
    parser = argparse.ArgumentParser(description="What the control plane can do, and what it costs.")
    parser.add_argument("--build", type=Path, default=TOP / "build/unit", help="where make bench-tools and controld were built")
    parser.add_argument("--quick", action="store_true", help="at most 3 minutes")
    parser.add_argument("--only", default="a,b,c,d,f", help="scenarios")
    parser.add_argument("--agents", type=int, help="how many wait (default 10000, 1000 with --quick)")
    parser.add_argument("--history", type=int, help="rows for (f) (default 1000000, 20000 with --quick)")
    parser.add_argument("--span", type=int, help="seconds of a measurement (default 30, 9 with --quick)")
    parser.add_argument("--profile", action="store_true", help="let PostgreSQL count statements and functions, show the first")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of PostgreSQL, to see what it changes")
    parser.add_argument("--output", type=Path, default=TOP / "build/results/swarm.md")
    options = parser.parse_args()
    options.build = options.build.resolve()
    options.agents = options.agents or (1000 if options.quick else 10000)
    options.history = options.history or (20000 if options.quick else 1000000)
    options.span = options.span or (9 if options.quick else 30)
    options.idle = options.span if options.quick else 60
    options.snapshot = 30 if options.quick else 600
    options.only = options.only.split(",")
    os.environ["PATH"] += "".join(f":{p}" for p in sorted(Path("/usr/lib/postgresql").glob("*/bin")))
    for name in ("controld/controld", "tests/bench/swarm", "tests/bench/bare-http"):
        if not (options.build / name).exists():
            parser.error(f"{options.build / name} is not there: build with make and make bench-tools, and give --build=")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bench = Bench(options)
    try:
        bench.run()
    except BenchError as e:
        sys.exit(f"swarm.py: {e}")
    finally:
        bench.close()


if __name__ == "__main__":
    main()
