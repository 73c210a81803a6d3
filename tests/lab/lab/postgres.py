"""Two PostgreSQL servers in the lab's network: a primary, and a standby that streams from it and can take its place.

A fail-over loses nothing that was acknowledged: the primary waits for the standby while there is one, and a standby is
promoted only then. That is what PostgreSQL's managers do as well.
"""

import os
import shutil
import signal
import time
from pathlib import Path

from .controlplane import USER
from .network import GATEWAY
from .registry import descendants, kill_tree
from .shell import run, wait_until

SETTINGS = f"""
listen_addresses = '{GATEWAY}'
max_connections = 60
shared_buffers = 32MB
wal_keep_size = 256MB
wal_log_hints = on
hot_standby = on
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 500ms
log_line_prefix = '%m [%p] %u '
synchronous_commit = on
"""


class Cluster:
    def __init__(self, lab):
        self.lab, self.directory = lab, lab.directory / "postgresql"
        self.servers = [Server(self, name, 5432 + n) for n, name in enumerate(("one", "two"))]
        self.primary, self.standby = self.servers

    @property
    def conninfo(self):
        hosts, ports = ",".join(GATEWAY for _ in self.servers), ",".join(str(s.port) for s in self.servers)
        return (f"hostaddr={hosts} port={ports} dbname=sluice user=sluice target_session_attrs=read-write connect_timeout=5 "
                "keepalives_idle=5 keepalives_interval=2 keepalives_count=3")

    def start(self):
        self.directory.mkdir(mode=0o711, exist_ok=True)
        self.primary.create()
        self.primary.start()
        self.sql("CREATE ROLE sluice LOGIN CREATEROLE", database="postgres")
        self.sql("CREATE DATABASE sluice OWNER sluice", database="postgres")
        self.rebuild_standby()
        return self

    def sql(self, statement, database="sluice"):
        """As superuser, on the primary; the rows as text."""
        done = run(*self.lab.network.inside(*program("psql"), "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", GATEWAY, "-p",
                                            str(self.primary.port), "-U", "postgres", "-d", database, "-c", statement), timeout=60)
        return done.text

    def rebuild_standby(self):
        """Makes the other server a copy of the primary, and has the primary wait for it once it has caught up."""
        self._wait_for("")
        self.standby.stop("immediate")
        self.standby.copy(self.primary)
        self.standby.start()
        wait_until("the standby to stream", lambda: "streaming" in self.sql("SELECT state FROM pg_stat_replication"), 60)
        self._wait_for("*")
        wait_until("the standby to be synchronous", self.in_step, 60)

    def in_step(self):
        """The standby has all that was ever acknowledged."""
        return self.sql("SELECT true FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'sync'") == "t"

    def _wait_for(self, standbys):
        self.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{standbys}'")
        self.sql("SELECT pg_reload_conf()")

    def fail_over(self):
        """The primary is gone in an instant, the standby takes its place, and the old primary comes back as its standby."""
        self.primary.crash()
        self.primary, self.standby = self.standby, self.primary
        self.primary.promote()
        self.rebuild_standby()


def program(name):
    newest = max(Path("/usr/lib/postgresql").glob("[0-9]*/bin"), key=lambda p: int(p.parent.name))
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--", str(newest / name)]


class Server:
    def __init__(self, cluster, name, port):
        self.cluster, self.lab, self.name, self.port = cluster, cluster.lab, name, port
        self.data, self.log = cluster.directory / name, cluster.directory / f"{name}.log"

    @property
    def pid(self):
        return self.lab.registry.process(f"postgres {self.name}")

    def _make_directory(self):
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(mode=0o700)
        shutil.chown(self.data, USER, USER)

    def create(self):
        self._make_directory()
        run(*program("initdb"), "--pgdata", self.data, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as conf:
            conf.write(SETTINGS)
        with open(self.data / "pg_hba.conf", "a", encoding="utf-8") as hba:
            hba.write(f"host all all {GATEWAY}/32 trust\nhost replication all {GATEWAY}/32 trust\n")

    def copy(self, other):
        self._make_directory()
        run(*self.lab.network.inside(*program("pg_basebackup"), "-h", GATEWAY, "-p", str(other.port), "-U", "postgres", "-D", str(self.data),
                                     "--checkpoint=fast", "--write-recovery-conf", "--wal-method=stream"), timeout=120)

    def start(self):
        def started():
            if not self.pid:  # what a killed one left may still hold the shared memory
                with open(self.log, "ab") as log:
                    self.lab.launch(f"postgres {self.name}", self.lab.network.inside(
                        *program("postgres"), "-D", str(self.data), "-p", str(self.port), "-c", "unix_socket_directories="),
                        stdout=log, stderr=log)
            return self.ready()
        wait_until(f"PostgreSQL to start (see {self.log})", started, 60, 0.3)

    def ready(self):
        return run(*self.lab.network.inside(*program("pg_isready"), "-q", "-h", GATEWAY, "-p", str(self.port)), check=False).rc == 0

    def stop(self, mode="fast"):
        pid = self.pid
        if pid:
            os.kill(pid, {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode])
            wait_until("PostgreSQL to stop", lambda: not self.pid, 60)
            kill_tree(pid)

    def crash(self):
        """kill -9 of the postmaster and all that it has started."""
        if self.pid:
            kill_tree(self.pid)

    def kill_postmaster(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            wait_until("the postmaster to be gone", lambda: not self.pid, 10, 0.02)

    def kill_backend(self, fraction):
        """kill -9 of one that serves controld; PostgreSQL restarts all of them for that."""
        backends = []
        for pid in sorted(descendants(self.pid)) if self.pid else []:
            try:
                command = Path(f"/proc/{pid}/cmdline").read_text()
            except OSError:
                continue
            if command.startswith("postgres: sluice "):
                backends.append(pid)
        if backends:
            os.kill(backends[int(fraction * len(backends))], signal.SIGKILL)
            time.sleep(0.5)

    def promote(self):
        run(*program("pg_ctl"), "promote", "-w", "-t", "60", "-D", self.data)
