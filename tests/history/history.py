#!/usr/bin/python3
"""Many clients of the SQL functions at once: agents that are stopped (SIGSTOP), cut off, killed and booted, submitters, workers; answers
are lost, requests sent twice, and sent again seconds later. Then all is healed, and what was seen is judged. Prints TAP; run by `run`.

usage: history.py [--operations=N] [--pause=MIN-MAX] [--seed=N] DIRECTORY
"""

import argparse
import glob
import multiprocessing
import os
import random
import signal
import sys
import time
from collections import Counter
from types import SimpleNamespace

import judge
import psycopg2
from clients import Agents, Submitter, Worker

PIPES = {"again": ("{a,b<a}", "{}"), "once": ("{a}", '{"delivery": "at-most-once"}'), "wait": ("{a}", '{"on_agent_loss": "wait"}'),
         "fail": ("{a}", '{"on_agent_loss": "fail"}')}
PROCESSES, AGENTS = 4, 4  # of agents, and in each
HEALING = 60  # seconds, at most


def prepare(db):
    with db.cursor() as cursor:
        cursor.execute("SELECT api.key_create(t.h('owner'), '{\"type\": \"enrolment\"}', t.h('key'))")
        for pipe, (tasks, more) in PIPES.items():
            cursor.execute("""SELECT api.pipe_put(t.h('owner'), 'default', %s, left(md5(%s), 16),
                              replace(t.spec(%s, %s)::text, '"MemoryMax", "64M"', '"TimeoutStopSec", "200ms"')::jsonb, '')""",
                           (pipe, pipe, tasks, more))


def live(kind, *arguments):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    kind(*arguments).run()


def pause(processes, bounds, stopped, dice):
    """Stops one now and then, and lets those go on whose time is over."""
    for process, until in list(stopped.items()):
        if until < time.monotonic():
            os.kill(process.pid, signal.SIGCONT)
            del stopped[process]
    if dice.random() < 0.1 and len(stopped) < len(processes) - 1:
        process = dice.choice([p for p in processes if p not in stopped])
        os.kill(process.pid, signal.SIGSTOP)
        stopped[process] = time.monotonic() + dice.uniform(*bounds)
        return 1
    return 0


def storm(options, shared, processes):
    dice, stopped, pauses = random.Random(options.seed), {}, 0
    while shared.operations.value < options.operations and all(p.is_alive() for p in processes):
        pauses += pause(processes, options.pause, stopped, dice)
        time.sleep(0.1)
    for process in stopped:
        os.kill(process.pid, signal.SIGCONT)
    return pauses


def heal(db, shared):
    shared.calm.set()
    until = time.monotonic() + HEALING
    while judge.nothing_left(None, db) and time.monotonic() < until:
        time.sleep(0.5)
    shared.over.set()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--operations", type=int, default=500 if os.environ.get("SLUICE_SAMPLE") == "small" else 4000)
    parser.add_argument("--pause", type=lambda text: tuple(float(n) for n in text.split("-")), default=(0.5, 4))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("directory")
    options = parser.parse_args()

    db = psycopg2.connect("")
    db.autocommit = True
    prepare(db)
    shared = SimpleNamespace(calm=multiprocessing.Event(), over=multiprocessing.Event(), operations=multiprocessing.Value("q", 0))
    agents = [multiprocessing.Process(target=live, args=(Agents, n, options, shared, [f"{n}-{i}" for i in range(AGENTS)]))
              for n in range(PROCESSES)]
    others = [multiprocessing.Process(target=live, args=(kind, kind.__name__, options, shared)) for kind in (Submitter, Worker)]
    for process in agents + others:
        process.start()
    try:
        pauses = storm(options, shared, agents)
        heal(db, shared)
    finally:
        shared.over.set()
        for process in agents + others:
            process.join(30)
            process.kill()

    history = judge.History(glob.glob(f"{options.directory}/*"))
    violations = 0
    for n, claim in enumerate(judge.CLAIMS, 1):
        wrong = claim(history, db)
        violations += len(wrong)
        print(f"{'not ok' if wrong else 'ok'} {n} - {claim.__doc__}")
        for line in wrong[:10]:
            print("# " + line[:1000])
    died = [p.name for p in agents + others if p.exitcode]
    print(f"{'not ok' if died else 'ok'} {len(judge.CLAIMS) + 1} - every client lives to the end")
    print(f"# {shared.operations.value} operations, {pauses} pauses, {len(history['run'])} orders, {len(history['start'])} units, "
          f"ends: {dict(Counter(end[-1] for end in history['end']))}, "
          f"evidence: {dict(judge.rows(db, 'SELECT why, count(*) FROM sluice.evidence GROUP BY 1'))}, {violations} violations")
    print(f"1..{len(judge.CLAIMS) + 1}")
    return 1 if violations or died else 0


sys.exit(main())
