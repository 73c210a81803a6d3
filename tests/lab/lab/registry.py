"""Remembers what a lab made (processes, namespaces, mounts, directories), so that it can be removed even after a crash.

One JSON file per lab in /run/sluice-lab. A lab whose owner has died and that is not kept on purpose is swept by whoever
starts the next one. A process is known by its id and start time, so a reused id is never killed.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import time
from pathlib import Path

from .shell import run

PLACE = Path("/run/sluice-lab")


def start_time(pid):
    """The start time of a process in clock ticks since boot, or None when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def descendants(pid):
    """A process, all below it and all in its session, parents first."""
    children, session = {}, []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
            if int(fields[3]) == pid:
                session.append(int(entry.name))
    found = [pid, *(p for p in session if p != pid)]
    for each in found:
        found.extend(p for p in children.get(each, []) if p not in found)
    return found


def kill_tree(pid):
    """Kills a process, all below it and all in its session, and waits until they are gone. What they beget while they are looked for is
    looked for as well: of a node it would keep the disk locked."""
    started = start_time(pid)
    family = {}
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        gone = all(start_time(p) != s for p, s in family.items())  # so nobody begets during the look that begins now
        new = {p: start_time(p) for p in descendants(pid) if p not in family}
        new = {p: s for p, s in new.items() if s is not None and (p != pid or s == started)}
        if gone and not new:
            return
        family.update(new)
        for each in new:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        for each in family:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(each, os.WNOHANG)
        time.sleep(0 if new else 0.02)


class Registry:
    """The record of one lab. Every change is on disk before the thing it names is made."""

    def __init__(self, name, persistent=False):
        PLACE.mkdir(mode=0o700, exist_ok=True)
        self.path = PLACE / f"{name}.json"
        self.record = {"name": name, "persistent": persistent, "owner": [os.getpid(), start_time(os.getpid())],
                       "processes": [], "namespaces": [], "mounts": [], "directories": []}

    @classmethod
    def load(cls, name):
        """The record of a lab that exists already, or None."""
        self = cls(name)
        try:
            self.record = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return None
        return self

    def save(self):
        temporary = self.path.with_suffix(".new")
        temporary.write_text(json.dumps(self.record, indent=1))
        temporary.replace(self.path)

    def add(self, kind, value):
        if value not in self.record[kind]:
            self.record[kind].append(value)
            self.save()

    def add_process(self, pid, what):
        self.add("processes", [pid, start_time(pid), what])

    def process(self, what):
        """The id of the living process with this name, or None."""
        for pid, started, name in reversed(self.record["processes"]):
            if name == what and started is not None and start_time(pid) == started:
                return pid
        return None

    def abandoned(self):
        pid, started = self.record["owner"]
        return not self.record["persistent"] and start_time(pid) != started

    def remove(self):
        """Ends and removes everything in the record, the newest first, and then the record."""
        for pid, started, _ in reversed(self.record["processes"]):
            if started is not None and start_time(pid) == started:
                kill_tree(pid)
        for mount in reversed(self.record["mounts"]):
            run("umount", "--recursive", "--lazy", mount, check=False)
        for namespace in self.record["namespaces"]:
            run("ip", "netns", "del", namespace, check=False)
        for directory in self.record["directories"]:
            shutil.rmtree(directory, ignore_errors=True)
        self.path.unlink(missing_ok=True)


def sweep():
    """Removes what labs left that died without cleaning up."""
    PLACE.mkdir(mode=0o700, exist_ok=True)
    with open(PLACE / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for path in PLACE.glob("*.json"):
            registry = Registry.load(path.stem)
            if registry and registry.abandoned():
                registry.remove()
