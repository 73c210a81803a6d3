#!/usr/bin/python3
"""What it costs to look at many schedules at once: api.schedules_due(), the times in C, api.schedules_fire(), by a controld of its own on loopback,
with durability on. Twice: only the next due time is wanted; and after an hour without a control plane, when most have due times that were missed.
The reference is one UPDATE of as many rows of that table.

usage: sweep.py [--build=DIR] [--schedules=N]
"""

import argparse
import sys
import time
from pathlib import Path

from swarm import BenchError, Site

EVENTS = ["*:0/10", "hourly", "daily", "Mon..Fri 02:00", "*-*-1,15 4:30", "quarterly", "*-*~1 23:55", "Fri *-*-13 12:00", "Mon *-05~07/1", "*-02-29",
          "Sat,Sun 8..18/2:15,45"]
CRONS = ["*/5 * * * *", "0 22 * * 1-5", "30 4 1,15 * 5", "0 0 1 1 *", "15,45 9-17 * jan-jun mon-fri"]
ZONES = ["UTC", "Europe/London", "America/New_York", "Africa/Casablanca", "Australia/Lord_Howe"]
OF_A_PIPE = 20


def array(texts):
    return "ARRAY[" + ", ".join(f"'{t}'" for t in texts) + "]"


class Sweep:
    def __init__(self, options, site):
        self.options, self.site = options, site

    def make(self):
        """Schedules that are to be looked at in an hour."""
        self.site.sql(f"""
            SET session_replication_role = replica; -- the names are right
            INSERT INTO sluice.pipe_version (project, pipe, version, type, spec, demands)
            SELECT 'default', 'p' || n, repeat('a', 16), 'batch', v.spec, sluice.demands_make('default', 'p' || n, v.spec)
              FROM (SELECT '{{"type": "batch", "tasks": [{{"name": "a", "directives": [["ExecStart", "/bin/true"]]}}]}}'::jsonb AS spec) v
             CROSS JOIN generate_series(0, {self.options.schedules // OF_A_PIPE}) n;
            INSERT INTO sluice.pipe (project, name, version) SELECT project, pipe, version FROM sluice.pipe_version;
            INSERT INTO sluice.schedule (project, pipe, name, spec, policy, look_at)
            SELECT 'default', 'p' || n / {OF_A_PIPE}, 's' || n, jsonb_build_object('name', 's' || n, 'time_zone', ({array(ZONES)})[1 + n % {len(ZONES)}])
                   || CASE n % 3 WHEN 0 THEN jsonb_build_object('cron', jsonb_build_array(({array(CRONS)})[1 + n / 3 % {len(CRONS)}]))
                                 ELSE jsonb_build_object('on_calendar', jsonb_build_array(({array(EVENTS)})[1 + n / 3 % {len(EVENTS)}])) END,
                   'allow', clock_timestamp() + interval '1 hour'
              FROM generate_series(0, {self.options.schedules} - 1) n;""")
        self.site.sql("VACUUM ANALYZE sluice.schedule")

    def cpu(self):
        for _ in range(100):
            try:
                return self.site.cpu()
            except (FileNotFoundError, ProcessLookupError, IndexError):
                pass  # a backend has ended while it was looked at
        raise BenchError("Backends come and go.")

    def measure(self, what, away):
        self.site.sql(f"UPDATE sluice.schedule SET next_at = NULL, look_at = clock_timestamp() + interval '1 hour', after_at = clock_timestamp() - interval '{away}'")
        self.site.sql("VACUUM sluice.schedule")
        self.site.sql("CHECKPOINT")
        cpu, began = self.cpu(), time.monotonic()
        # One that has been looked at has its next due time, and all of these have one.
        self.site.sql("UPDATE sluice.schedule SET look_at = clock_timestamp(); NOTIFY sluice, 'tick'")
        made, setup = self.cpu(), time.monotonic() - began
        self.site.sql("""
            SET statement_timeout = '10min';
            DO $$ BEGIN
                WHILE EXISTS (SELECT FROM sluice.schedule WHERE next_at IS NULL) LOOP PERFORM pg_sleep(1); END LOOP; -- a look costs some hundredths of a second
            END $$;""")
        took, spent = time.monotonic() - began - setup, [b - a for a, b in zip(made, self.cpu())]
        wrong = self.site.sql("SELECT error FROM sluice.schedule WHERE error IS NOT NULL LIMIT 1")
        if wrong:
            raise BenchError(wrong)
        dues = self.site.sql("SELECT coalesce(sum(count), 0) FROM sluice.schedule_due")
        print(f"| {what} | {dues} | {took:.2f} s | {spent[0]:.2f} s | {spent[1]:.2f} s |", flush=True)
        return made[1] - cpu[1]


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--build", type=Path, default=Path("."))
    parser.add_argument("--schedules", type=int, default=100000)
    parser.set_defaults(agents=0)
    options = parser.parse_args()
    site = Site(options)
    try:
        site.start()
        site.wait_ready()
        bench = Sweep(options, site)
        bench.make()
        print(f"{options.schedules} schedules\n\n| | due times | takes | CPU of controld | of PostgreSQL |\n|---|---:|---:|---:|---:|")
        reference = bench.measure("nothing is due", "0")
        bench.measure("after an hour", "1 hour")
        print(f"\nOne UPDATE of all: {reference:.2f} s of PostgreSQL's CPU.")
    finally:
        site.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
