#!/usr/bin/python3
"""PostgreSQL's bad days, on real clusters: a primary with a synchronous standby, a controld, and the swarm as load. Nothing that was
acknowledged may be missing, nothing done twice, nothing stuck, and controld is never restarted. Prints TAP.

usage: trouble.py --build=DIR [--only=kill,promote,...] [--kills=N] [--crashes=N] [--agents=N] [--seconds=N]

It runs in a mount namespace of its own, for a file system that becomes full.
"""

import argparse
import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "bench"))

import swarm  # noqa: E402
from swarm import BenchError, Site, end, tree_of, wait_until  # noqa: E402

POOLER = os.environ.get("SLUICE_PGBOUNCER", "/usr/sbin/pgbouncer")
SETTINGS = ["listen_addresses=", "max_connections=60", "shared_buffers=64MB", "jit=off", "wal_keep_size=256MB", "hot_standby=on",
            "log_min_messages=fatal", "wal_receiver_timeout=5s", "wal_retrieve_retry_interval=200ms", "autovacuum_naptime=10s"]
# Of the database, by somebody who has other things in mind.
ODD = {"default_transaction_isolation": "serializable", "synchronous_commit": "off", "standard_conforming_strings": "off", "array_nulls": "off",
       "transform_null_equals": "on", "DateStyle": "SQL, DMY", "IntervalStyle": "iso_8601", "bytea_output": "escape", "extra_float_digits": "-10",
       "TimeZone": "Asia/Kathmandu", "client_encoding": "LATIN1", "lock_timeout": "500ms", "idle_session_timeout": "10s", "jit_above_cost": "0",
       "escape_string_warning": "off", "backslash_quote": "on", "client_min_messages": "debug1"}
TABLES = ("run", "task", "attempt", "assignment", "queue", "live_run", "instance", "agent")


class Cluster:
    """One PostgreSQL with durability on, on a socket in a directory of its own."""

    def __init__(self, site, name, tmpfs=None):
        self.site, self.name, self.tmpfs = site, name, tmpfs
        self.directory = site.directory / name
        self.data, self.log = self.directory / "data", site.directory / f"{name}.log"
        self.directory.mkdir(mode=0o755)
        if tmpfs:
            subprocess.run(["mount", "-t", "tmpfs", "-o", tmpfs, name, self.directory], check=True)
        owner = pwd.getpwnam(site.user)
        self.log.touch()
        for path in (self.directory, self.log):
            os.chown(path, owner.pw_uid, owner.pw_gid)

    def tool(self, name, *arguments, check=True):
        command = self.site.as_user(name, *arguments)
        if command[0] == "setpriv":
            command.remove("--pdeathsig=TERM")  # the server outlives pg_ctl
        with open(os.devnull, "r+b") as null:
            return subprocess.run(command, check=check, stdin=null, stdout=null, stderr=null, timeout=120, cwd="/")

    def init(self):
        self.tool("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--data-checksums")
        with open(self.data / "postgresql.conf", "a", encoding="ascii") as conf:
            for setting in [*SETTINGS, f"unix_socket_directories={self.directory}"]:
                name, value = setting.split("=", 1)
                conf.write(f"{name} = '{value}'\n")

    def follow(self, primary):
        self.tool("pg_basebackup", "-D", self.data, "-h", primary.directory, "-U", "postgres", "-R", "-X", "stream", "-c", "fast")
        with open(self.data / "postgresql.conf", "a", encoding="ascii") as conf:
            conf.write(f"unix_socket_directories = '{self.directory}'\n")
            conf.write(f"primary_conninfo = 'host={primary.directory} user=postgres application_name={self.name}'\n")
            conf.write("synchronous_standby_names = ''\n")
        (self.data / "postgresql.auto.conf").write_text("")

    def start(self):
        self.tool("pg_ctl", "-D", self.data, "-l", self.log, "-w", "-t", "60", "start")

    def stop(self, mode="immediate"):
        if (self.data / "postmaster.pid").exists():
            self.signal(signal.SIGCONT)
            self.tool("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop", check=False)

    def is_running(self):
        return self.tool("pg_ctl", "-D", self.data, "status", check=False).returncode == 0

    def promote(self):
        self.tool("pg_ctl", "-D", self.data, "-w", "promote")

    def signal(self, number):
        """To all of its processes; SIGSTOP makes a host that hangs."""
        pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        for process in reversed(tree_of(pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    def sql(self, text, user="sluice", database="sluice"):
        command = ["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-h", self.directory, "-U", user, database]
        done = subprocess.run(self.site.as_user(*command), input=text, text=True, capture_output=True, check=False, timeout=60, cwd="/")
        if done.returncode:
            raise BenchError(f"psql: {done.stderr}")
        return done.stdout.strip()


class Ground:
    """Two clusters and a controld; and who is the primary now."""

    def __init__(self, options):
        self.options, self.children = options, []
        self.site = Site(options)
        self.one, self.two = Cluster(self.site, "one"), Cluster(self.site, "two")
        self.small = None  # on a file system of its own
        self.primary, self.pooler, self.number, self.failed = self.one, None, 0, 0

    # -- checks

    def ok(self, good, what, more=""):
        self.number += 1
        self.failed += not good
        print(f"{'' if good else 'not '}ok {self.number} - {what}{'' if good else f' # {more}'}", flush=True)

    def same(self, have, want, what):
        self.ok(have == want, what, f"have {have}, want {want}")

    # -- set-up

    @staticmethod
    def begin(cluster):
        cluster.init()
        cluster.start()
        cluster.sql("CREATE ROLE sluice LOGIN CREATEROLE; CREATE DATABASE sluice OWNER sluice", "postgres", "postgres")

    def prepare(self):
        self.begin(self.one)
        self.two.follow(self.one)
        self.two.start()
        self.one.sql("ALTER SYSTEM SET synchronous_standby_names = 'two'; SELECT pg_reload_conf()", "postgres", "postgres")
        self.configure(f"host={self.one.directory},{self.two.directory} dbname=sluice user=sluice")
        self.site.start()
        self.site.wait_ready()
        self.token = self.site.token()

    def configure(self, database, *lines):
        text = [line for line in self.site.config.read_text().splitlines() if not line.startswith(("Database", "Statement"))]
        self.site.config.write_text("\n".join([*text, f"Database={database}", "StatementTimeoutSec=2s", *lines]) + "\n")

    def reconfigure(self, database, *lines):
        self.site.stop()
        self.configure(database, *lines)
        self.site.start()

    def ask(self, path="/ready", *options):
        """status, Retry-After"""
        done = subprocess.run(["curl", "-s", "-i", "-m", "10", "--cacert", self.site.ca, *options, f"{self.site.url}{path}"], capture_output=True,
                              text=True, check=False)
        status = done.stdout.split(" ")[1] if " " in done.stdout else "none"
        after = [line.split(": ", 1)[1] for line in done.stdout.splitlines() if line.lower().startswith("retry-after:")]
        return status, after[0] if after else ""

    # -- load

    @contextlib.contextmanager
    def load(self, what, seconds, **options):
        """The swarm does what it can for so long while the body makes trouble; then all that was promised must be there."""
        before = int(self.primary.sql("SELECT count(*) FROM sluice.run"))
        runs = swarm.Swarm(self, self.options.agents, self.options.rate * seconds, 3 * seconds + 100, slots=8, rate=self.options.rate,
                           submitters=max(8, self.options.rate // 2), **options)
        runs.until("running")
        time.sleep(3)
        yield
        said = runs.end_when_done()
        counts = self.primary.sql(f"""
            SELECT count(*) FILTER (WHERE state = 'succeeded'), count(*) FILTER (WHERE ended_at IS NULL), count(*) - {before} FROM sluice.run;
            SELECT count(*) FROM sluice.assignment; SELECT count(*) FROM sluice.queue; SELECT count(*) FROM sluice.live_run;
            SELECT count(*) FROM (SELECT a.run FROM sluice.attempt a WHERE a.started_at IS NOT NULL GROUP BY a.run, a.task HAVING count(*) > 1) x""").split("\n")
        made = int(counts[0].split("|")[2])
        self.ok(said["complete"], f"{what}: the load came to its end ({said['ended']} of {said['submitted']} runs)", str(said))
        self.same(said["ended"], said["submitted"], f"{what}: what was created has ended")
        self.ok(made == said["submitted"], f"{what}: each run that was acknowledged is there, and none twice", f"{made} made, {said['submitted']} acknowledged")
        self.same(counts[0].split("|")[1], "0", f"{what}: no run is left")
        self.same(counts[1:4], ["0", "0", "0"], f"{what}: no assignment, nothing queued, no live run is left")
        self.same(counts[4], "0", f"{what}: no task was begun by two attempts")

    def rate(self, seconds):
        """Runs that end in a second, from now on."""
        text = "SELECT count(*) FROM sluice.run WHERE ended_at IS NOT NULL"
        first, began = int(self.primary.sql(text)), time.monotonic()
        time.sleep(seconds)
        return (int(self.primary.sql(text)) - first) / (time.monotonic() - began)

    def same_supervisor(self, what, pid):
        self.ok(self.site.process.poll() is None and self.site.process.pid == pid, f"{what}: controld was not restarted")

    # -- the bad days

    def kill(self):
        """kill -9 of workers, immediate stops of PostgreSQL."""
        o, pid = self.options, self.site.process.pid
        done = {"workers": 0, "servers": 0}
        seconds = int(30 + o.kills * o.pause + o.crashes * (o.pause + 3))
        with self.load("kill", seconds):
            former, deadline = self.rate(5), time.monotonic() + seconds * 4
            while (done["workers"] < o.kills or done["servers"] < o.crashes) and time.monotonic() < deadline:
                if done["workers"] * max(1, o.crashes) <= done["servers"] * o.kills and done["workers"] < o.kills or done["servers"] >= o.crashes:
                    with contextlib.suppress(IndexError, ProcessLookupError):
                        os.kill(self.site.workers()[done["workers"] % 2], signal.SIGKILL)
                        done["workers"] += 1
                    time.sleep(o.pause)
                else:
                    self.primary.stop("immediate")
                    self.primary.start()
                    done["servers"] += 1
                    time.sleep(o.pause)
            wait_until("controld to be ready", lambda: self.ask()[0] == "200", 30)
            time.sleep(5)
            after = self.rate(5)
            print(f"# kill: {done['workers']} kills of workers, {done['servers']} immediate stops; {former:.0f} runs/s before, {after:.0f} from 5 s after "
                  f"the last ({100 * after / max(1, former):.0f} %)", flush=True)
        self.same((done["workers"], done["servers"]), (o.kills, o.crashes), "kill: all of the trouble was made")
        self.ok(after >= 0.95 * former, "kill: 95 % of the former rate after 5 s", f"{after:.0f} of {former:.0f}")
        self.same_supervisor("kill", pid)

    def hang(self):
        """A primary that says nothing."""
        pid = self.site.process.pid
        with self.load("hang", self.options.seconds):
            self.primary.signal(signal.SIGSTOP)
            try:
                began, seen = time.monotonic(), []
                while time.monotonic() - began < 9:
                    seen.append(self.ask())
                    time.sleep(0.3)
                self.ok(all(s == "503" and 2 <= int(a or 0) <= 5 for s, a in seen), "hang: 503 with Retry-After meanwhile", str(seen))
            finally:
                self.primary.signal(signal.SIGCONT)
            began = time.monotonic()
            wait_until("controld to be ready", lambda: self.ask()[0] == "200", 30)
            print(f"# hang: ready {time.monotonic() - began:.1f} s after the server went on", flush=True)
        self.same_supervisor("hang", pid)

    def silent(self):
        """A worker that stands still, with the connections that it has."""
        pid, worker = self.site.process.pid, self.site.workers()[0]
        with self.load("silent", self.options.seconds):
            os.kill(worker, signal.SIGSTOP)
            began = time.monotonic()
            wait_until("another worker in its place", lambda: worker not in self.site.workers(), 90)
            print(f"# silent: replaced after {time.monotonic() - began:.1f} s", flush=True)
        self.same_supervisor("silent", pid)

    def full(self):
        """No connection is left."""
        self.site.restart()
        workers = self.site.workers()
        self.primary.sql("ALTER ROLE sluice CONNECTION LIMIT 0", "postgres", "postgres")
        try:
            for worker in workers:
                os.kill(worker, signal.SIGKILL)
            self.primary.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'sluice'", "postgres", "postgres")
            wait_until("an answer", lambda: self.ask()[0] != "none", 20)
            wait_until("the refusal", lambda: self.ask()[0] == "503", 20)
            self.ok(self.ask()[1] != "", "full: 503 with Retry-After while there is no connection for us")
        finally:
            self.primary.sql("ALTER ROLE sluice CONNECTION LIMIT -1", "postgres", "postgres")
        began = time.monotonic()
        wait_until("controld to be ready", lambda: self.ask()[0] == "200", 20)
        self.ok(time.monotonic() - began < 5, "full: it serves again within 5 s")

    def readonly(self):
        """Only a standby is there: 503, also when the connection string insists on it."""
        for attributes in ("", " target_session_attrs=any"):
            self.reconfigure(f"host={self.two.directory} dbname=sluice user=sluice{attributes}")
            wait_until("an answer", lambda: self.ask()[0] != "none" or self.site.process.poll() is not None, 20)
            time.sleep(2)
            status, after = self.ask()
            self.ok(status in ("503", "none") and (after != "" or status == "none"), f"readonly{attributes}: no standby serves", f"{status} {after}")
        self.reconfigure(f"host={self.one.directory},{self.two.directory} dbname=sluice user=sluice")
        self.site.wait_ready()

    def pooled(self):
        """A pooler in transaction mode: no LISTEN, no prepared statement, no setting of a session; and what somebody set for the database."""
        if not os.access(POOLER, os.X_OK):
            print(f"ok {self.number + 1} - pooled: a pooler in transaction mode # SKIP no {POOLER}")
            self.number += 1
            return
        directory = self.site.directory / "pooler"
        directory.mkdir(mode=0o755)
        os.chown(directory, pwd.getpwnam(self.site.user).pw_uid, -1)
        (directory / "users").write_text('"sluice" ""\n')
        (directory / "ini").write_text(
            f"[databases]\nsluice = host={self.primary.directory}\n[pgbouncer]\nunix_socket_dir={directory}\nlisten_port=6432\nlisten_addr=\n"
            f"auth_type=trust\nauth_file={directory}/users\npool_mode=transaction\ndefault_pool_size=4\nlogfile={directory}/log\npidfile={directory}/pid\n"
            "ignore_startup_parameters=extra_float_digits\nserver_reset_query_always=1\nserver_reset_query=DISCARD ALL\n")
        self.set_oddly()
        self.pooler = subprocess.Popen(self.site.as_user(POOLER, "-q", directory / "ini"), stderr=subprocess.DEVNULL)
        wait_until("the pooler", (directory / ".s.PGSQL.6432").exists, 10)
        self.reconfigure(f"host={directory} port=6432 dbname=sluice user=sluice", "DatabasePooler=yes", "Notifications=yes", "PollIntervalSec=500ms")
        self.site.wait_ready()
        listening = self.primary.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'", "postgres", "postgres")
        self.same(listening, "0", "pooled: nobody listens")
        self.load_level("pooled")
        with self.load("pooled, and the server ends at once", 20):
            self.primary.stop("immediate")
            self.primary.start()
        self.primary.sql("ALTER DATABASE sluice RESET ALL", "postgres", "postgres")
        self.site.config.write_text("\n".join(l for l in self.site.config.read_text().splitlines()
                                              if not l.startswith(("Notifications", "Poll"))) + "\n")
        self.reconfigure(f"host={self.one.directory},{self.two.directory} dbname=sluice user=sluice")
        self.site.wait_ready()

    def set_oddly(self):
        text = [f"ALTER DATABASE sluice SET {name} = '{value}'" for name, value in ODD.items()]
        self.primary.sql("; ".join(text), "postgres", "postgres")

    def load_level(self, what):
        """Only transactions that are serializable have locks of this kind."""
        seen = 0
        with self.load(what, 10):
            for _ in range(20):
                seen += int(self.primary.sql("SELECT count(*) FROM pg_locks WHERE mode = 'SIReadLock'", "postgres", "postgres"))
                time.sleep(0.2)
        self.same(seen, 0, f"{what}: our transactions are of the level that they need")

    def settings(self):
        """What somebody set for the database, ours do without."""
        self.set_oddly()
        self.site.restart()
        self.load_level("settings")
        self.ok("DEBUG" not in self.site.log.read_text(), "settings: what the server tells everybody is not in our journal")
        self.two.signal(signal.SIGSTOP)
        try:
            status = self.ask("/api/v1/keys", "-H", f"Authorization: Bearer {self.token}", "-H", "Content-Type: application/json", "-d", '{"type": "enrolment"}')[0]
            self.same(status, "503", "settings: nothing is acknowledged before it is where it has to be")
        finally:
            self.two.signal(signal.SIGCONT)
        self.primary.sql("REVOKE sluice_controld FROM sluice; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'sluice'", "postgres", "postgres")
        wait_until("the reason in the journal", lambda: "permission denied to set role" in self.site.log.read_text(), 30)
        self.primary.sql("GRANT sluice_controld TO sluice", "postgres", "postgres")
        wait_until("controld to be ready", lambda: self.ask()[0] == "200", 10)
        self.ok(True, "settings: a right that is gone is named, and given again it is enough")
        self.primary.sql("ALTER DATABASE sluice RESET ALL; CREATE DATABASE ascii OWNER sluice ENCODING 'SQL_ASCII' TEMPLATE template0", "postgres", "postgres")
        self.reconfigure(f"host={self.one.directory},{self.two.directory} dbname=ascii user=sluice")
        wait_until("the refusal", lambda: "needs UTF8" in self.site.log.read_text(), 20)
        self.ok(self.ask()[0] != "200", "settings: a database that does not know all characters is refused")
        self.reconfigure(f"host={self.one.directory},{self.two.directory} dbname=sluice user=sluice")
        self.site.wait_ready()

    def locked(self):
        """Somebody has each table to himself for a while, as ALTER TABLE and VACUUM FULL do."""
        pid = self.site.process.pid
        with self.load("locked", 6 * len(TABLES)):
            for table in TABLES:
                self.primary.sql(f"BEGIN; LOCK TABLE sluice.{table} IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(4); COMMIT", "postgres")
        self.same_supervisor("locked", pid)

    def promote(self):
        """The primary is lost; the standby becomes one. Last, because nobody is standby then."""
        pid = self.site.process.pid
        with self.load("promote", self.options.seconds):
            self.one.stop("immediate")
            wait_until("503", lambda: self.ask()[0] == "503", 20)
            self.two.promote()
            self.primary, began = self.two, time.monotonic()
            wait_until("controld to be ready", lambda: self.ask()[0] == "200", 30)
            print(f"# promote: ready {time.monotonic() - began:.1f} s after the promotion", flush=True)
        self.same_supervisor("promote", pid)

    def space(self):
        """No block is left for tables, nor for the WAL, which PostgreSQL may end for. A database of its own, after all others."""
        self.small = Cluster(self.site, "small", "size=400m")
        self.begin(self.small)
        self.primary = self.small
        self.reconfigure(f"host={self.small.directory} dbname=sluice user=sluice")
        self.site.wait_ready()
        self.token, pid = self.site.token(), self.site.process.pid
        filler = self.small.directory / "filler"
        with self.load("space", self.options.seconds, identities=self.small.directory / "identities"):  # this database knows no other
            with open(filler, "wb", buffering=0) as f, contextlib.suppress(OSError):
                while True:
                    f.write(bytes(1 << 16))
            large = json.dumps({"type": "enrolment", "labels": {f"l{n}": os.urandom(127).hex() for n in range(64)}})
            began, seen = time.monotonic(), set()
            while time.monotonic() - began < 8:
                seen.add(self.ask("/api/v1/keys", "-H", f"Authorization: Bearer {self.token}", "-H", "Content-Type: application/json", "-d", large))
            self.ok(any(s == "503" for s, _ in seen) and all(s == "201" or s == "503" and after for s, after in seen),
                    "space: 503 with Retry-After for what has no place", str(seen))
            filler.unlink()
            if not self.small.is_running():
                self.small.start()
            wait_until("controld to be ready", lambda: self.ask()[0] == "200", 30)
        self.same_supervisor("space", pid)

    def run(self):
        self.prepare()
        for name in self.options.only:
            getattr(self, name)()
        errors = [line for line in self.site.log.read_text().splitlines() if line.startswith("<3>") and "PostgreSQL: terminating" not in line]
        print("".join(f"# controld: {line}\n" for line in errors[:20]), end="")
        print(f"1..{self.number}")
        return self.failed == 0

    def close(self):
        for process in self.children:
            end(process, timeout=15)
        self.site.stop()
        end(self.pooler, signal.SIGINT, 5)
        for cluster in filter(None, (self.small, self.two, self.one)):
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                cluster.stop()
            if cluster.tmpfs:
                subprocess.run(["umount", cluster.directory], check=False)
        self.site.close()


def end_when_done(self):
    """Its figures; its own time limit bounds the wait."""
    said = self.until("end")
    self.process.wait()
    return said


def main():
    parser = argparse.ArgumentParser(description="PostgreSQL's bad days.")
    parser.add_argument("--build", type=Path, required=True, help="where make bench-tools and controld were built")
    parser.add_argument("--only", default="kill,hang,silent,full,settings,locked,readonly,pooled,promote,space", help="which")
    parser.add_argument("--kills", type=int, default=6, help="of workers; the figure asked for is 1000")
    parser.add_argument("--crashes", type=int, default=2, help="immediate stops of PostgreSQL; the figure asked for is 100")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between two faults")
    parser.add_argument("--agents", type=int, default=20)
    parser.add_argument("--rate", type=int, default=20, help="runs a second")
    parser.add_argument("--seconds", type=int, default=30, help="how long a load lasts, where the faults do not say")
    options = parser.parse_args()
    options.build, options.only = options.build.resolve(), options.only.split(",")
    os.environ["PATH"] += "".join(f":{p}" for p in sorted(Path("/usr/lib/postgresql").glob("*/bin")))
    for name in ("controld/controld", "tests/bench/swarm"):
        if not (options.build / name).exists():
            parser.error(f"{options.build / name} is not there: build with make and make bench-tools, and give --build=")
    for tool in ("initdb", "pg_basebackup", "curl"):
        if not shutil.which(tool):
            print(f"1..0 # SKIP no {tool}")
            return 0
    if "space" in options.only and "SLUICE_OWN_MOUNTS" not in os.environ:
        os.execvp("unshare", ["unshare", "--mount", "--propagation=private", "env", "SLUICE_OWN_MOUNTS=1", sys.executable, *sys.argv])
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    swarm.Swarm.end_when_done = end_when_done
    ground = Ground(options)
    try:
        good = ground.run()
    except BenchError as e:
        print(f"Bail out! {e}")
        return 1
    finally:
        ground.close()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
