"""What must be true of a history, and of the database that it leaves behind."""

import json
from collections import Counter, defaultdict


class History:
    """Lines of all clients by kind: tuples without it."""

    def __init__(self, files):
        self.by_kind = defaultdict(list)
        for file in files:
            for line in open(file, encoding="ascii"):
                kind, *rest = json.loads(line)
                self.by_kind[kind].append(tuple(rest))

    def __getitem__(self, kind):
        return self.by_kind[kind]


def rows(db, query):
    with db.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def one_instance(history, db):
    """An attempt and epoch is given to one instance."""
    del db
    instances = defaultdict(set)
    for attempt, epoch, instance in history["offer"]:
        instances[attempt, epoch].add(instance)
    return [f"{key} was given to {value}" for key, value in instances.items() if len(value) > 1]


def never_two(history, db):
    """No two units of a task run at a time."""
    del db
    ends = {(a, e, i): at for a, e, i, at, _ in history["end"]}
    lives = defaultdict(list)
    for attempt, epoch, instance, at, run, task, _ in history["start"]:
        lives[run, task].append((at, ends.get((attempt, epoch, instance), float("inf")), attempt, epoch, instance))
    return [f"{task}: {a} and {b}" for task, all_ in lives.items() for a, b in zip(sorted(all_), sorted(all_)[1:]) if b[0] < a[1]]


def at_most_once(history, db):
    """With Delivery=at-most-once a task begins at most once."""
    del db
    count = Counter((run, task) for _, _, _, _, run, task, pipe in history["start"] if pipe == "once")
    return [f"{key} began {n} times" for key, n in count.items() if n > 1]


def acknowledged(history, db):
    """What was acknowledged had its effect, or is kept as evidence, once."""
    attempts = {str(a): rest for a, *rest in rows(db, "SELECT id, epoch, instance::text, started_at IS NOT NULL, result, log_complete FROM sluice.attempt")}
    evidence = Counter((str(a), e, str(i), s) for a, e, i, s in rows(db, "SELECT attempt, epoch, instance, event ->> 'state' FROM sluice.evidence"))
    results = {(a, e, i): result for a, e, i, _, result in history["end"]}
    wrong = [f"evidence of {key} is kept {n} times" for key, n in evidence.items() if n > 1]
    for a, e, i, state in set(history["ack"]):
        epoch, instance, started, result, logged = attempts[a]
        here = (epoch, instance) == (e, i)
        effect = {"running": here and started, "ended": here and result == results.get((a, e, i)),
                  "refused": not here or result in ("refused", "lost") or logged, "logged": here and logged}[state]
        if not effect and not evidence[a, e, i, state]:
            wrong.append(f"{state} of {a} {e} by {i} was acknowledged; there is {attempts[a]}")
    return wrong


def no_lies(history, db):
    """An outcome that systemd has said is that of the unit of that epoch."""
    ends = {(a, e, i): result for a, e, i, _, result in history["end"]}
    return [f"{a} {e}: {result}, the unit {ends.get((str(a), e, i))}"
            for a, e, i, result in rows(db, "SELECT id, epoch, instance::text, result FROM sluice.attempt WHERE result IN ('success', 'exit-code', 'fenced')")
            if ends.get((str(a), e, i)) != result]


def runs_once(history, db):
    """A key stands for one run, which is there; there are no others."""
    runs = defaultdict(set)
    for key, run in history["run"]:
        runs[key].add(tuple(run))
    there = {key: [str(r) for r in made] for key, made in rows(db, "SELECT key, coalesce(runs, ARRAY[run])::text[] FROM sluice.idempotency")}
    wrong = [f"{key} was answered with {made}" for key, made in runs.items() if len(made) > 1 or [*made][0] != tuple(there.get(key, ()))]
    alive = {r for (r,) in rows(db, "SELECT id::text FROM sluice.run")}
    return wrong + [f"{r} of no key" for r in alive ^ {r for made in there.values() for r in made}]


def final_is_final(history, db):
    """What was seen of a run that was over never changes."""
    last = {run: rest for run, *rest in rows(db, "SELECT id::text, state, outcome, exit_status FROM sluice.run")}
    return [f"{run} was {seen}, and is {last[run]}" for run, *seen in history["final"] if last[run] != seen]


def logs(history, db):
    """Chunks that were acknowledged are stored as they were, without a gap."""
    stored = {(str(a), e, n): bytes(data).decode() for a, e, n, data in rows(db, "SELECT attempt, epoch, sequence, data FROM sluice.log_chunk")}
    wrong = [f"chunk {(a, e, n)} is {stored.get((a, e, n))}" for a, e, n, data in history["chunk"] if stored.get((a, e, n)) != data]
    wrong += [f"chunk {(a, e, n)} has none before it" for a, e, n in stored if n > 1 and (a, e, n - 1) not in stored]
    return wrong + [f"{a} is complete with {n} chunks" for a, n in rows(
        db, "SELECT id, log_sequence FROM sluice.attempt a WHERE log_sequence > (SELECT count(*) FROM sluice.log_chunk c"
            " WHERE (c.attempt, c.epoch) = (a.id, a.epoch))")]


def no_surprise(history, db):
    """Nothing fails but what may: requests of a session, or of an epoch, that is over."""
    del db
    return [f"{call}: {error}" for call, error in history["error"] if error not in ("session-replaced", "attempt-not-found")]


LEFT = {"instance": " WHERE rival IS NOT NULL OR quarantined_at IS NOT NULL", "queue": "", "assignment": "", "live_run": "", "cleanup": "", "owed_log": "", "run": " WHERE ended_at IS NULL",
        "task": " WHERE state IN ('waiting', 'queued', 'running')"}


def nothing_left(history, db):
    """After the healing all is over, and nothing is kept for later."""
    del history
    return [f"{table}: {row}" for table, which in LEFT.items() for row, in rows(db, f"SELECT to_json(t)::text FROM sluice.{table} t{which}")]


CLAIMS = [one_instance, never_two, at_most_once, acknowledged, no_lies, runs_once, final_is_final, logs, no_surprise, nothing_left]
