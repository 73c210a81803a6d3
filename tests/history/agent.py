"""A host and its agentd, as the SQL functions see them. Units live in PID 1's hands: they end at their time or their fence's, whatever becomes
of agentd, so what was due while this process stood still is worked out when it goes on. CLOCK_MONOTONIC is the same for all processes."""

import hashlib
import time
import uuid

FENCE = 1  # SelfFenceSec=, the least there is
STOP = 0.2  # TimeoutStopSec= of all pipes


class Unit:
    def __init__(self, offer, now, random):
        self.attempt, self.epoch, self.run, self.fence = offer["attempt"], offer["epoch"], offer["run"], offer["fence"]
        self.due = now + random.choice([0, 0, 0.05, 0.3, 1.5])
        self.will = random.choice(["success", "success", "success", "exit-code"])
        self.chunks = [f"{self.attempt} {n}".encode() for n in range(random.choice([0, 0, 1, 3]))]
        self.result = None
        self.forget()

    def forget(self):
        """agentd starts again: what was acknowledged is not known to it."""
        self.said, self.stored = set(), 0

    def events(self):
        if not self.result:
            return [] if "running" in self.said else [self.event("running")]
        if "ended" not in self.said:
            return [self.event("ended", result=self.result)]
        return [self.event("logged", sequence=len(self.chunks))] if self.stored == len(self.chunks) else []

    def event(self, state, **more):
        return {"attempt": self.attempt, "epoch": self.epoch, "state": state, **more}


class Agent:
    def __init__(self, name, random, history):
        self.random, self.history = random, history
        self.name, self.instance = name, str(uuid.uuid4())
        self.auth = hashlib.sha256(self.instance.encode()).digest()
        self.slots = random.choice([2, 4, 8])
        self.units = {}  # what PID 1 has
        self.journal = {}  # what the journal knows of units that are gone: attempt and epoch → result
        self.contact = time.monotonic()
        self.lifted = False
        self.leaving = False  # the next thing is another session
        self.away_until = 0  # cut off, or stopped
        self.begin_session()

    def begin_session(self, reboot=False):
        self.session, self.challenge = str(uuid.uuid4()), None
        self.pending = []  # events that are of no unit
        self.refused, self.told = set(), set()  # told: ends that were acknowledged
        if reboot:
            for unit in self.units.values():
                self.end(unit, time.monotonic(), "lost")
                self.journal[unit.attempt, unit.epoch] = unit.result
            self.units.clear()
        for unit in self.units.values():
            unit.forget()

    def come_back(self):
        """From a cut, or as the agentd after one that said goodbye: which has its fences before it says anything."""
        if self.leaving:
            self.leaving = False
            self.tick()
            self.contact, self.lifted = time.monotonic(), False
            self.begin_session()

    def end(self, unit, at, result):
        if not unit.result:
            unit.result = result
            self.history("end", unit.attempt, unit.epoch, self.instance, at, result)

    def tick(self):
        now = time.monotonic()
        for unit in self.units.values():
            fence = self.contact + FENCE if unit.fence and not self.lifted else float("inf")
            if min(unit.due, fence) <= now:
                if fence < unit.due:
                    self.end(unit, min(fence + STOP, now), "fenced")
                else:
                    self.end(unit, unit.due, unit.will)

    def sync_request(self):
        return {"session": self.session, "boot": "0" * 32, "version": "1", "slots": self.slots, "draining": False, "self_fence_sec": FENCE,
                "wait_sec": 0, **({"challenge": self.challenge} if self.challenge else {}), "attempts": [{"attempt": u.attempt, "epoch": u.epoch, "state": "ended" if u.result else "running"}
                                            for u in self.units.values()]}

    def events_request(self):
        events = [event for unit in self.units.values() for event in unit.events()] + self.pending
        self.random.shuffle(events)
        return {"session": self.session, "events": events[:16]}

    def say(self, attempt, epoch, state, **more):
        event = {"attempt": attempt, "epoch": epoch, "state": state, **more}
        if event not in self.pending:
            self.pending.append(event)

    def refuse(self, offer, **more):
        self.refused.add((offer["attempt"], offer["epoch"]))
        self.say(offer["attempt"], offer["epoch"], "refused", **more)

    def hear(self, sent, answer):
        """An answer to a request that was sent then; None where there was nothing to say."""
        self.tick()  # what was due before this contact counts
        self.contact = max(self.contact, sent)
        self.challenge = (answer or {}).get("challenge", self.challenge)
        for key, act in (("acknowledged", self.acknowledged), ("stop", self.stop), ("release", self.release), ("recover", self.recover)):
            for item in (answer or {}).get(key, []):
                act(item)
        for run in (answer or {}).get("clean", []):
            if not any(u.run == run for u in self.units.values()) and {"state": "cleaned", "run": run} not in self.pending:
                self.pending.append({"state": "cleaned", "run": run})
        for offer in (answer or {}).get("start", []):
            self.history("offer", offer["attempt"], offer["epoch"], self.instance)
            self.start(offer, sent)

    def start(self, offer, sent):
        if offer["attempt"] in self.units or (offer["attempt"], offer["epoch"]) in self.refused | self.journal.keys():
            return
        draw, now = self.random.random(), time.monotonic()
        if draw < 0.2 or len(self.units) >= self.slots:
            self.refuse(offer, requeue=True)
        elif draw < 0.22:
            self.refuse(offer)
        elif now < sent + FENCE:  # agentd-exec passes it on no later
            self.units[offer["attempt"]] = Unit(offer, now, self.random)
            self.history("start", offer["attempt"], offer["epoch"], self.instance, now, offer["run"], offer["task"], offer["pipe"])

    def acknowledged(self, item):
        if item["state"] == "cleaned":
            self.pending = [e for e in self.pending if e.get("run") != item["run"]]
            return
        self.history("ack", item["attempt"], item["epoch"], self.instance, item["state"])
        self.pending = [e for e in self.pending if any(e.get(k) != item[k] for k in ("attempt", "epoch", "state"))]
        if item["state"] == "ended":
            self.told.add((item["attempt"], item["epoch"]))
        unit = self.units.get(item["attempt"])
        if unit and unit.epoch == item["epoch"]:
            unit.said.add(item["state"])
            if item["state"] == "logged":
                self.release(item)

    def stop(self, item):
        unit = self.units.get(item["attempt"])
        if unit:
            self.end(unit, time.monotonic(), "signal")
        elif (item["attempt"], item["epoch"]) not in self.journal:
            self.refuse(item)

    def release(self, item):
        unit = self.units.pop(item["attempt"], None)
        if unit:
            self.end(unit, time.monotonic(), "signal")
            self.journal[unit.attempt, unit.epoch] = unit.result

    def recover(self, item):
        """The end that the journal knows of that epoch, and then that there is no more of the log."""
        key = item["attempt"], item["epoch"]
        if item["attempt"] in self.units:
            return
        if key in self.journal and key not in self.told:
            self.say(*key, "ended", result=self.journal[key])
        else:
            self.refuse(item, requeue=True)
