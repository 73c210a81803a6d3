#!/usr/bin/python3
"""How long `sluicectl apply` takes for a directory of pipes, against a controld of its own on loopback, with durability on. The reference
is as many transactions of one row each by pgbench on the same PostgreSQL, one after the other.

usage: apply.py [--build=DIR] [--pipes=N]
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from swarm import BenchError, Site

PIPE = """[Pipe]
Description=Pipe {number}, {edition}
AgentSelector=region=eu-west, warehouse
[Task extract]
ExecStart=/usr/bin/psql -f extract-{number}.sql
MemoryMax=512M
[Task load]
After=extract
ExecStart=/usr/local/bin/load ${{SLUICE_WORKSPACE}}/orders.csv
Retry=3
"""


class Apply:
    def __init__(self, options, site, directory):
        self.options, self.site, self.directory = options, site, directory
        self.env = {**os.environ, "SLUICE_URL": site.url, "SLUICE_CAFILE": str(site.ca), "SLUICE_TOKEN": site.token()}

    def write(self, edition):
        for number in range(self.options.pipes):
            (self.directory / f"p{number}.pipe").write_text(PIPE.format(number=number, edition=edition), encoding="utf-8")

    def measure(self, what, expected):
        cpu, began = self.site.cpu(), time.monotonic()
        done = subprocess.run([self.options.build / "cli/sluicectl", "apply", self.directory], env=self.env, text=True, capture_output=True, check=False)
        took, spent = time.monotonic() - began, [b - a for a, b in zip(cpu, self.site.cpu())]
        if done.returncode or done.stdout.splitlines()[-1] != expected:
            raise BenchError(f"apply: {done.stdout[-300:]}{done.stderr[-1000:]}")
        print(f"| {what} | {took:.2f} s | {spent[0]:.2f} s | {spent[1]:.2f} s |")
        return took

    def reference(self):
        self.site.sql("CREATE TABLE reference (id bigserial PRIMARY KEY, t text)")
        script = self.site.directory / "insert.sql"
        script.write_text("INSERT INTO reference (t) VALUES (repeat('x', 1000));\n", encoding="ascii")
        script.chmod(0o644)
        done = subprocess.run(self.site.as_user("pgbench", "-n", "-t", self.options.pipes, "-f", script, "-h", self.site.runtime / "postgresql",
                                                "-U", "sluice", "sluice"), capture_output=True, text=True, check=False)
        found = re.search(r"tps = ([\d.]+)", done.stdout)
        if not found:
            raise BenchError(f"pgbench: {done.stderr}")
        return self.options.pipes / float(found.group(1))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--build", type=Path, default=Path("."))
    parser.add_argument("--pipes", type=int, default=1000)
    parser.set_defaults(agents=0)
    options = parser.parse_args()
    n = options.pipes
    with tempfile.TemporaryDirectory(prefix="sluice-apply-") as directory:
        site = Site(options)
        try:
            site.start()
            site.wait_ready()
            bench = Apply(options, site, Path(directory))
            print(f"{n} pipes\n\n| `sluicectl apply` | takes | CPU of controld | of PostgreSQL |\n|---|---:|---:|---:|")
            bench.write("first")
            first = bench.measure("all are new", f"{n} new, 0 changed, 0 unchanged.")
            bench.measure("none has changed", f"0 new, 0 changed, {n} unchanged.")
            bench.write("second")
            bench.measure("all have changed", f"0 new, {n} changed, 0 unchanged.")
            reference = bench.reference()
            print(f"\n{n} transactions of one row by pgbench: {reference:.2f} s; new pipes take {first / reference:.1f} times that.")
        finally:
            site.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
