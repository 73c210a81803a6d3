#!/usr/bin/python3
"""The part of ./quickstart that comes after the packages are built: starts Sluice, runs the examples and says how they ended."""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

from lab.hostsite import HostSite
from lab.labsite import LabSite
from lab.shell import LabError

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
UNITS = ((1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"), (1, "B"))


class Progress:
    """Numbered lines with the seconds they took; what went wrong goes to the log."""

    def __init__(self, number, log):
        self.number, self.log = number, log

    @contextlib.contextmanager
    def step(self, text):
        self.number += 1
        print(f"{self.number}. {text:58}", end="", flush=True)
        began = time.monotonic()
        try:
            yield
        except BaseException as error:
            print("interrupted" if isinstance(error, KeyboardInterrupt) else "failed", flush=True)
            raise
        print(f"{time.monotonic() - began:6.1f} s", flush=True)


def size(n):
    if n is None:
        return "-"
    for unit, letter in UNITS:
        if n >= unit:
            return f"{n / unit:.1f}{letter}"
    return "0B"


def report(site, run_id):
    """How one run ended, and each task's use beside its limit."""
    run = json.loads(subprocess.run(site.ctl_command("run", "show", run_id, "--output=json"), env=site.environment(),
                                    check=True, capture_output=True, text=True).stdout)
    print(f"\n   {run['pipe']}: {run['outcome']}")
    print(f"     {'task':10} {'outcome':12} {'CPU time':>9} {'peak memory':>12} {'limit':>8} {'CPU limit':>10} {'tasks':>6}")
    for task in run["tasks"]:
        for attempt in task["attempts"]:
            cpu, quota = attempt["cpu_usage_usec"], attempt["cpu_quota_per_sec_usec"]
            print(f"     {task['task']:10} {attempt['outcome'] or attempt['state']:12} "
                  f"{'-' if cpu is None else f'{cpu / 1000:.0f}ms':>9} {size(attempt['memory_peak_bytes']):>12} "
                  f"{size(attempt['memory_max_bytes']):>8} {'-' if quota is None else f'{quota / 10000:.0f}%':>10} "
                  f"{attempt['tasks_max'] or '-':>6}")
    return run


def newest_run(site, pipe):
    done = subprocess.run(site.ctl_command("runs", "--output=json"), env=site.environment(), check=True,
                          capture_output=True, text=True)
    return next(r["run"] for r in json.loads(done.stdout)["items"] if r["pipe"] == pipe)


def run_example(site, pipe):
    print(f"\n   $ sluicectl run {pipe} --wait --follow", flush=True)
    status = subprocess.run(site.ctl_command("run", pipe, "--wait", "--follow"), env=site.environment(), check=False).returncode
    print(f"   (it ended with exit status {status})", flush=True)
    return newest_run(site, pipe)


def up(site, progress):
    print(f"   The host: {site.description}")
    for text, action in site.steps():
        with progress.step(text):
            action()
    with progress.step("Deploy the pipes of examples/"):
        for pipe in sorted(EXAMPLES.glob("*.pipe")):
            site.ctl("pipe", "deploy", str(pipe))
    runs = [run_example(site, pipe) for pipe in ("packages", "memory-hog")]
    print("\nHow they ended:")
    outcomes = [report(site, run)["outcome"] for run in runs]
    print("\nTry next:\n"
          "  ./quickstart ctl agents                     the host in the fleet\n"
          "  ./quickstart ctl runs                       what ran\n"
          f"  ./quickstart ctl logs {runs[0]}\n"
          f"  ./quickstart ctl run show {runs[1]}\n"
          "  ./quickstart ctl run packages --wait -f     once more\n"
          "  ./quickstart status                         what is up\n"
          "  ./quickstart stop                           remove it all; --purge: its data as well")
    return 0 if outcomes == ["success", "oom-kill"] else 1


def main():
    parser = argparse.ArgumentParser(prog="quickstart", add_help=False)
    parser.add_argument("--packages", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--step", type=int, default=0)
    parser.add_argument("verb", choices=("up", "ctl", "status", "stop"))
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda n, _: (_ for _ in ()).throw(KeyboardInterrupt()))
    debs = sorted(arguments.packages.glob("sluice-*_*.deb"))
    site = (HostSite if Path("/run/systemd/system").is_dir() else LabSite)([d for d in debs if "-dbgsym_" not in d.name])
    try:
        if arguments.verb == "up":
            return up(site, Progress(arguments.step, arguments.log))
        if arguments.verb == "status":
            return site.status()
        if arguments.verb == "stop":
            if arguments.rest not in ([], ["--purge"]):
                parser.error("stop takes nothing but --purge")
            return site.stop(purge=bool(arguments.rest))
        if not site.exists():
            raise LabError("Nothing is up: start with ./quickstart.")
        command = site.ctl_command(*arguments.rest)
        os.execvpe(command[0], command, site.environment())
    except KeyboardInterrupt:
        print("\nInterrupted. ./quickstart goes on from here; ./quickstart stop removes what runs.", file=sys.stderr)
        return 130
    except (LabError, subprocess.SubprocessError, OSError, KeyError, ValueError, StopIteration) as error:
        with contextlib.suppress(OSError), open(arguments.log, "a", encoding="utf-8") as log:
            traceback.print_exc(file=log)
        print(f"\nquickstart: {error}\nMore is in {arguments.log}{site.logs()}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
