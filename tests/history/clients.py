"""Processes that are clients of the SQL functions, each with a connection of its own. What they do and hear goes into a file each."""

import hashlib
import json
import random
import time

import psycopg2
from agent import Agent

LOSE, TWICE, LATE = 0.03, 0.05, 0.1  # of answers that are never read, requests sent twice at once, and sent again later
FATES = [("crash", 0.003), ("reboot", 0.001), ("goodbye", 0.002), ("cut off", 0.004)]
TOKEN = hashlib.sha256(b"owner").digest()


class Client:
    def __init__(self, number, options, shared):
        self.random = random.Random(f"{options.seed} {number}")
        self.shared = shared
        self.file = open(f"{options.directory}/{number}", "w", encoding="ascii", buffering=1)
        self.db = psycopg2.connect("", options="-c sluice.lease=1s -c jit=off")
        self.db.autocommit = True
        self.late = []  # when, and what to call then

    def history(self, *what):
        self.file.write(json.dumps(what) + "\n")

    def chance(self, of):
        return not self.shared.calm.is_set() and self.random.random() < of

    def call(self, query, *parameters, operations=1):
        """All rows, or None when it was refused."""
        with self.shared.operations.get_lock():
            self.shared.operations.value += operations
        try:
            with self.db.cursor() as cursor:
                cursor.execute(query, parameters)
                return cursor.fetchall()
        except psycopg2.Error as error:
            detail = error.diag.message_detail if (error.pgcode or "").startswith("ZF4") else str(error)
            self.history("error", query, detail)
            return None

    def ask(self, query, *parameters):
        """A call that may be made twice, or once more much later, and whose answer may be lost: then None, as if it was refused."""
        if self.chance(LATE):
            self.late.append((time.monotonic() + self.random.expovariate(1), query, parameters))
        if self.chance(TWICE):
            self.call(query, *parameters)
        answer = self.call(query, *parameters)
        return None if self.chance(LOSE) else answer

    def repeat_late(self):
        now = time.monotonic()
        for due in [late for late in self.late if late[0] <= now]:
            self.late.remove(due)
            self.call(due[1], *due[2])

    def run(self):
        while not self.shared.over.is_set():
            self.turn()
            self.repeat_late()


class Agents(Client):
    """Some agents, whose requests are made together, as a worker of controld makes them."""

    def __init__(self, number, options, shared, names):
        super().__init__(number, options, shared)
        self.agents = [Agent(name, self.random, self.history) for name in names]
        for a in self.agents:
            self.call("SELECT api.agent_enroll(sha256('key'), %s, %s)", json.dumps({
                "instance": a.instance, "name": a.name, "type": "batch", "labels": {}, "slots": a.slots, "version": "1", "protocol": 1,
                "hostname": a.name}), a.auth)

    def together(self, function, requests):
        """For (agent, request) pairs the answers to those that are answered at all: agent, when it was asked, answer."""
        sent = time.monotonic()
        requests = [r for r in requests for _ in range(2 if self.chance(TWICE) else 1)]
        for a, request in requests:
            if self.chance(LATE):
                self.late.append((sent + self.random.expovariate(1), f"SELECT api.{function}(%s, %s)", (a.auth, json.dumps(request))))
        said = self.call(f"SELECT request, answer::text FROM api.{function}_batch(%s, %s)", b"".join(a.auth for a, _ in requests),
                         json.dumps([r for _, r in requests]), operations=len(requests))
        answers = dict(said or [])
        for n, (a, request) in enumerate(requests, 1):
            if n in answers:
                answer = answers[n]
            else:
                sent = time.monotonic()
                alone = self.call(f"SELECT x.answer::text FROM api.{function}(%s, %s) x (answer)" if function == "agent_events" else
                                  f"SELECT x.answer::text FROM api.{function}(%s, %s) x", a.auth, json.dumps(request))
                if alone is None:
                    continue
                answer = alone[0][0]
            if not self.chance(LOSE):
                a.hear(sent, json.loads(answer) if answer else None)

    def ship(self, a):
        for unit in a.units.values():
            n = unit.stored + 1
            if n <= len(unit.chunks):
                data = unit.chunks[n - 1]
                said = self.ask("SELECT accepted, sequence FROM api.agent_log_append(%s, %s, %s, %s, 1, 'a', 'b', 1, 2, 3, %s, %s)",
                                a.auth, unit.attempt, unit.epoch, n, len(data), data)
                if said and said[0][0]:
                    self.history("chunk", unit.attempt, unit.epoch, n, data.decode())
                    unit.stored = said[0][1]

    def strike(self, a):
        fate = next((name for name, chance in FATES if self.chance(chance)), None)
        if fate in ("crash", "reboot"):
            a.begin_session(reboot=fate == "reboot")
        elif fate == "goodbye":
            if self.ask("SELECT api.agent_goodbye(%s, %s)", a.auth, json.dumps({"session": a.session, "reason": "stopped"})):
                a.lifted = True
            a.leaving = True
        if fate in ("goodbye", "cut off"):
            a.away_until = time.monotonic() + self.random.uniform(0.2, 4)

    def turn(self):
        here = []
        for a in self.agents:
            a.tick()
            if a.away_until > time.monotonic():
                continue
            a.come_back()
            self.strike(a)
            if a.away_until < time.monotonic():
                here.append(a)
        syncs = [(a, a.sync_request()) for a in here if self.random.random() < 0.5]
        if syncs:
            self.together("agent_sync", syncs)
        events = [(a, r) for a in here for r in [a.events_request()] if r["events"] and self.random.random() < 0.5]
        if events:
            self.together("agent_events", events)
        for a in here:
            self.ship(a)
        time.sleep(0.1 if self.shared.calm.is_set() else 0 if here else 0.01)


class Submitter(Client):
    """Makes runs as fast as they end, cancels some, and looks at how they have ended."""

    def __init__(self, number, options, shared):
        super().__init__(number, options, shared)
        self.number, self.made, self.runs, self.open = number, 0, [], []

    def turn(self):
        if self.shared.calm.is_set() and not self.open:
            time.sleep(0.1)
            return
        room = self.call("SELECT (SELECT count(*) FROM sluice.queue) + (SELECT count(*) FROM sluice.assignment) < 100", operations=0)[0][0]
        if room and not self.shared.calm.is_set():
            self.made += 1
            pipe = self.random.choice(["again", "again", "again", "once", "wait", "fail"])
            self.open.append((f"{self.number}.{self.made}", pipe, self.random.random() < 0.3))
        for order in list(self.open):
            self.create(*order, order)
        if self.runs and self.chance(0.05):
            self.ask("SELECT api.run_cancel(%s, %s)", TOKEN, self.random.choice(self.runs[-20:]))
        if self.runs:
            run = self.random.choice(self.runs)
            seen = json.loads(self.call("SELECT api.run_get(%s, %s, NULL)::text", TOKEN, run)[0][0])
            if seen["outcome"]:
                self.history("final", run, seen["state"], seen["outcome"], seen["exit_status"])

    def create(self, key, pipe, many, order):
        if many:
            said = self.ask("SELECT api.run_create_many(%s, 'default', %s, %s)::text", TOKEN, json.dumps({"runs": [{"pipe": pipe}] * 3}), key)
            runs = said and [item["run"] for item in json.loads(said[0][0])["items"]]
        else:
            said = self.ask("SELECT api.run_create(%s, 'default', %s, NULL, %s)::text", TOKEN, pipe, key)
            runs = said and [json.loads(said[0][0])["run"]]
        if runs:
            self.history("run", key, runs)
            self.runs += runs
            self.open.remove(order)


class Worker(Client):
    """What controld's workers do by themselves."""

    def turn(self):
        self.call("SELECT api.presence_flush('{}')", operations=0)
        if self.chance(0.2):
            self.call("SELECT api.presence_broke(ARRAY[id], '{0}') FROM sluice.instance ORDER BY random() LIMIT 1", operations=0)
        for _ in range(10):
            while self.call("SELECT api.dispatch()", operations=0) == [(True,)]:
                pass
            time.sleep(0.02)
