"""Says whether a storm broke a promise: compares what the control plane tells with what the nodes wrote down for themselves."""

import collections
import datetime
import re

from .schedule import DELIVERY, WORK

Record = collections.namedtuple("Record", "what boot boottime realtime pid attempt run task epoch kind status lines")
NATURAL = {"success", "exit-code", "oom-kill"}
GIVEN_UP = {"lost", "fenced"}
SLACK = 1.0  # seconds, for two clocks and for what lies between a process and its record
OWN_UNITS = re.compile(r"sluice-[0-9a-f]\.slice|sluice-lease\.target|sluice-fence@.*")


def parse_records(text):
    return [Record(w[0], w[1], int(w[2]) / 1e6, int(w[3]) / 1e6, int(w[4]), *w[5:10], int(w[10]), int(w[11]))
            for w in (line.split() for line in text.splitlines()) if len(w) == 12]


def instant(text):
    return datetime.datetime.fromisoformat(text).timestamp() if text else None


class Execution:
    """One process of an attempt, by its node's record. Times are the build machine's; gone_at is when it was gone for certain."""

    def __init__(self, node, start, at):
        self.node, self.start, self.at = node, start, at
        self.end = self.end_at = self.gone_at = None

    def __repr__(self):
        end = f"ended {self.end.status}" if self.end else "no end"
        return f"{self.start.attempt} on {self.node} at {self.at:.2f}, {end}, gone {self.gone_at and round(self.gone_at, 2)}"


def executions(node, records, clocks, power, now):
    """A power cut ends what runs. power is when it went off and on; clocks has the range of host times at which each boot began."""
    open_ones, found = {}, []
    for r in records:
        base = sum(clocks[r.boot]) / 2 if r.boot in clocks else None
        at = base + r.boottime if base is not None else r.realtime
        key = (r.boot, r.pid, r.attempt)
        if r.what == "start":
            open_ones[key] = Execution(node, r, at)
            found.append(open_ones[key])
        elif r.what == "end" and key in open_ones:
            open_ones[key].end, open_ones[key].end_at = r, at
        elif r.what == "gone" and key in open_ones:
            open_ones.pop(key).gone_at = at
    for e in open_ones.values():
        e.gone_at = min((off for off, _ in power if off >= e.at - SLACK), default=now)
    return found


class Judge:
    def __init__(self, storm):
        self.storm, self.violations = storm, []
        self.counts = collections.Counter()
        self.outcomes = collections.Counter()
        self.by_attempt, self.by_task = collections.defaultdict(list), collections.defaultdict(list)

    def wrong(self, rule, text):
        self.violations.append(f"{rule}: {text}")

    def judge(self, runs, records, logs, leftovers, rows, orders):
        """runs: what `run show` says of each; records: {node: text}; logs: {(run, task): [entries]}; leftovers: {node: words};
        rows: {table: number}; orders: {order number: run id}."""
        self._read(records)
        self._judge_orders(orders, runs)
        for run in runs:
            self._judge_run(run, logs)
        self._judge_strangers(runs)
        for node, words in leftovers.items():
            for word in words:
                if not OWN_UNITS.fullmatch(word):
                    self.wrong("left behind", f"{word} on {node}")
        for table, number in rows.items():
            if number:
                self.wrong("rows leaked", f"{number} in {table}")
        return self.violations

    def _read(self, records):
        faults, now = self.storm.faults, max((over for *_, over in self.storm.faults.done), default=0) + 1e6
        for node, text in records.items():
            for e in executions(node, [r for r in parse_records(text) if r.attempt != "-"], faults.clocks, faults.power[node], now):
                if e.gone_at == now:
                    self.wrong("a process is left", repr(e))
                if e.start.boot not in faults.clocks:
                    self.wrong("the storm's own", f"no clock of boot {e.start.boot} on {node}")
                self.by_attempt[e.start.attempt].append(e)
                self.by_task[e.start.run, e.start.task].append(e)
                self.counts["processes"] += 1

    def _judge_orders(self, orders, runs):
        known = {r["run"] for r in runs}
        for number, run in orders.items():
            if run not in known:
                self.wrong("a run is missing", f"order {number} was answered with {run}")
        if len(known) != len(set(orders.values())) or len(orders) != len(known):
            self.wrong("a run too many", f"{len(orders)} orders, {len(known)} runs")

    def _judge_run(self, run, logs):
        self.counts["runs"] += 1
        self.outcomes[f"run {run['state']}"] += 1
        work, delivery, loss = run["pipe"].split("-")
        if run["state"] not in ("succeeded", "failed", "cancelled"):
            self.wrong("not final", f"run {run['run']} ({run['pipe']}) is {run['state']}")
            return
        before = None
        for n, task in enumerate(run["tasks"]):
            if task["state"] not in ("succeeded", "failed", "cancelled", "skipped"):
                self.wrong("not final", f"task {task['task']} of {run['run']} is {task['state']}")
            for attempt in task["attempts"]:
                self._judge_attempt(run, task, attempt, WORK[work][1][n])
                self._judge_log(attempt, logs.get((run["run"], task["task"]), []))
            self._judge_task(run, task, DELIVERY[delivery], before)
            before = task
        good = all(t["state"] == "succeeded" for t in run["tasks"])
        if good != (run["state"] == "succeeded") or good != (run["outcome"] == "success"):
            self.wrong("a run that is not its tasks", f"{run['run']}: {run['state']}, {run['outcome']}")

    def _judge_task(self, run, task, delivery, before):
        done = sorted(self.by_task[run["run"], task["task"]], key=lambda e: e.at)
        what = f"{run['pipe']} {run['run']} {task['task']}: {done}"
        if delivery == "at-most-once" and len(done) > 1:
            self.wrong("at most once", what)
        for one, two in zip(done, done[1:]):
            if two.at < one.gone_at - SLACK:
                self.wrong("two at a time", what)
        outcomes = {a["outcome"] for a in task["attempts"]}
        if task["state"] == "succeeded" and not any(e.end and e.end.status == 0 for e in done):
            self.wrong("a success without the work", what)
        if (delivery == "at-least-once" and task["state"] == "failed" and not done and not outcomes & GIVEN_UP
                and not any(self._full_disk(a) for a in task["attempts"])):
            self.wrong("at least once", f"{what} {outcomes}")
        if before and done:
            ended = [e.end_at for e in self.by_task[run["run"], before["task"]] if e.end and e.end.status == 0]
            if not any(at <= done[0].at + SLACK for at in ended):
                self.wrong("before its predecessor", what)

    # -- attempts

    def _hit(self, node, kinds, begin, end):
        """One of these faults was on the node, or on all, at some time in between."""
        return any(f.kind in kinds and f.target in (node, "postgres", "controld") and begun <= end and begin <= over
                   for f, begun, over in self.storm.faults.done)

    def _judge_attempt(self, run, task, attempt, work):
        self.counts["attempts"] += 1
        outcome, done = attempt["outcome"], sorted(self.by_attempt[attempt["attempt"]], key=lambda e: e.at)
        self.outcomes[outcome or attempt["state"]] += 1
        last = done[-1] if done else None
        what = (f"{run['pipe']} {run['run']} {task['task']} attempt {attempt['attempt']} on {attempt['agent']}: {outcome} "
                f"{attempt['exit_code']} {attempt['exit_status']}, {attempt['reason']!r}; {done}")
        if attempt["state"] not in ("ended", "cancelled"):
            self.wrong("not final", what)
        elif outcome in NATURAL and last:
            self._judge_natural(attempt, last, work, what)
        elif outcome in GIVEN_UP:
            self._judge_given_up(attempt, last, what)
        elif not self._full_disk(attempt):
            self.wrong("an outcome that nothing explains", what)
        if last and last.node != attempt["agent"]:
            self.wrong("on another node", what)
        if len(done) > 1 and not all(self._power_cut_in(e.node, e.at, e.gone_at + SLACK) for e in done[:-1]):
            self.wrong("an attempt began twice", what)

    def _judge_natural(self, attempt, last, work, what):
        _, status, _, directives = work
        wanted = ("oom-kill", None) if "MemoryMax" in directives else ("success" if status == 0 else "exit-code", status)
        if (attempt["outcome"], attempt["exit_status"] if wanted[1] is not None else None) != wanted:
            self.wrong("another outcome than the task's", what)
        elif (wanted[0] == "oom-kill") == (last.end is not None):
            self.wrong("another outcome than the node's record", what)

    def _judge_given_up(self, attempt, last, what):
        """Lost with the power, or given up after the grace, or stopped by the fence: its process must be gone, and there was a fault."""
        begin, end = instant(attempt["assigned_at"]) or 0, instant(attempt["ended_at"])
        cut = self._power_cut_in(attempt["agent"], begin - SLACK, end)
        if attempt["outcome"] == "fenced" or "not heard of" in (attempt["reason"] or ""):
            if not self._hit(attempt["agent"], AWAY, begin - SLACK, end):
                self.wrong("given up for nothing", what)
        elif not cut and (last or not self._hit(attempt["agent"], BEGINS_ANEW, begin - SLACK, end)):
            self.wrong("lost for nothing", what)
        if attempt["outcome"] == "fenced" and last and last.end:
            self.wrong("fenced after its end", what)

    def _power_cut_in(self, node, begin, end):
        return any(off <= end and begin <= on for off, on in self.storm.faults.power.get(node, []))

    def _full_disk(self, attempt):
        begin, end = instant(attempt["assigned_at"]), instant(attempt["ended_at"])
        return begin and self._hit(attempt["agent"], {"full disk"}, begin - 5, end + 5)

    # -- logs

    def _judge_log(self, attempt, entries):
        """Each line once and in order; all of them, unless the node lost power or had no room."""
        lines = [e["message"] for e in entries if e["attempt"] == attempt["attempt"] and e["message"].startswith("line ")]
        numbers = [int(line.split()[1]) for line in lines]
        done = self.by_attempt[attempt["attempt"]]
        self.counts["lines"] += len(lines)
        what = f"attempt {attempt['attempt']} ({attempt['outcome']}): {numbers}; {done}"
        if len(done) == 1 and numbers != sorted(set(numbers)):
            self.wrong("lines doubled or out of order", what)
        if len(done) != 1 or attempt["outcome"] not in NATURAL:
            return
        if self._power_cut_in(attempt["agent"], done[0].at, done[0].gone_at + 60) or self._hit(
                attempt["agent"], {"full disk"}, done[0].at - 5, done[0].gone_at + 5):
            return
        if numbers != list(range(done[0].start.lines)):
            self.wrong("lines lost", what)

    def _judge_strangers(self, runs):
        known = {a["attempt"] for r in runs for t in r["tasks"] for a in t["attempts"]}
        for attempt, done in self.by_attempt.items():
            if done and attempt not in known:
                self.wrong("nobody knows this attempt", repr(done))


# What begins another session. Whether the unit of an assignment began whose answer was under way then cannot be known but from the journal.
BEGINS_ANEW = {"kill agentd", "kill both halves", "restart agentd", "clock step"}
# What may keep an agent from the control plane. A clock that steps is not among them.
AWAY = {"power cut", "long power cut", "partition", "long partition", "deaf node", "mute node", "slow network", "kill backend",
        "kill postmaster", "restart postgres", "fail over", "kill controld", "rolling restart"}
