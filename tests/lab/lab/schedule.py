"""What a storm does and when: all of it is drawn from the seed before it begins, so that the same seed is the same storm."""

import dataclasses
import random

from .fleet import pipe_text

# kind: (how often in a round, whom it hits, seconds it lasts, seconds until its target may be hit again)
KINDS = {
    "kill agentd": (2, "node", (0, 0), 2),
    "kill agentd-exec": (1, "node", (0, 0), 2),
    "kill both halves": (1, "node", (0, 0), 2),
    "restart agentd": (1, "node", (0, 0), 4),
    "power cut": (2, "node", (1, 8), 35),
    "long power cut": (1, "node", (85, 115), 35),
    "partition": (2, "node", (3, 25), 2),
    "long partition": (1, "node", (85, 115), 5),
    "deaf node": (1, "node", (3, 25), 2),
    "mute node": (1, "node", (3, 25), 2),
    "slow network": (2, "node", (5, 20), 2),
    "full disk": (1, "node", (5, 20), 5),
    "clock step": (2, "node", (5, 20), 3),
    "kill backend": (2, "postgres", (0, 0), 5),
    "kill postmaster": (1, "postgres", (0, 3), 8),
    "restart postgres": (1, "postgres", (0, 0), 8),
    "fail over": (1, "postgres", (0, 0), 25),
    "kill controld": (2, "controld", (0, 3), 5),
    "kill worker": (2, "controld", (0, 0), 3),
    "rolling restart": (1, "controld", (0, 0), 12),
}
GAP = (2.0, 6.0)  # seconds between two faults
LOAD_GAP = (0.5, 1.9)

SELF_FENCE_SEC = 30
STOP_SEC = 5
MEMORY = {"MemoryMax": "24M"}

# kind: (how often, [(milliseconds, exit status, lines, directives) of each task])
WORK = {
    "short": (9, [(200, 0, 3, {})]),
    "long": (2, [(16000, 0, 20, {})]),
    "longer": (2, [(35000, 0, 40, {})]),
    "failing": (4, [(800, 3, 5, {})]),
    "memory": (2, [(500, 0, 4, MEMORY)]),
    "chain": (3, [(1000, 0, 4, {}), (4000, 0, 8, {}), (500, 0, 2, {})]),
}
DELIVERY = {"least": "at-least-once", "most": "at-most-once"}
ON_LOSS = {"retry": 5, "wait": 1, "fail": 1}


@dataclasses.dataclass(frozen=True)
class Fault:
    at: float
    kind: str
    target: str
    seconds: float
    amount: float  # 0 to 1: which process, how slow, how far

    def __str__(self):
        lasts = f" for {self.seconds:.0f} s" if self.seconds else ""
        return f"{self.at:7.1f} s  {self.kind}: {self.target}{lasts} ({self.amount:.3f})"


@dataclasses.dataclass(frozen=True)
class Order:
    at: float
    pipe: str


def pipes():
    """Name and text of each pipe. The name says what is expected: WORK-DELIVERY-ON_LOSS."""
    for work, (_, tasks) in WORK.items():
        for delivery, words in DELIVERY.items():
            for loss in ON_LOSS:
                sections = {}
                for n, (msec, status, lines, more) in enumerate(tasks):
                    directives = {"ExecStart": f"/usr/local/sbin/effects task {work} {msec} {status} {lines}",
                                  "TimeoutStopSec": f"{STOP_SEC}s", **more}
                    sections[f"t{n}"] = {**directives, **({"After": f"t{n - 1}"} if n else {})}
                yield f"{work}-{delivery}-{loss}", pipe_text(sections, "lab", (f"Delivery={words}", f"OnAgentLoss={loss}"))


def draw_load(seed, seconds):
    rng, at, orders = random.Random(f"load {seed}"), 0.0, []
    works, often = list(WORK), [w for w, _ in WORK.values()]
    while at < seconds:
        work = rng.choices(works, often)[0]
        orders.append(Order(at, f"{work}-{rng.choice(list(DELIVERY))}-{rng.choices(list(ON_LOSS), list(ON_LOSS.values()))[0]}"))
        at += rng.uniform(*LOAD_GAP)
    return orders


def draw_faults(seed, seconds, nodes, kinds=None):
    """Each round has every kind as often as the table says, in an order of its own, on whoever is free."""
    rng, at, faults = random.Random(f"faults {seed}"), rng_start(seed), []
    free_at, bag = {**{n: 0.0 for n in nodes}, "postgres": 0.0, "controld": 0.0}, []
    while at < seconds:
        if not bag:
            bag = [k for k, (often, *_) in KINDS.items() if not kinds or k in kinds for _ in range(often)]
            rng.shuffle(bag)
        for kind in bag:
            _, whom, lasts, rest = KINDS[kind]
            free = [t for t in (nodes if whom == "node" else [whom]) if free_at[t] <= at]
            if free:
                fault = Fault(at, kind, rng.choice(free), min(rng.uniform(*lasts), seconds - at), rng.random())
                faults.append(fault)
                free_at[fault.target] = at + fault.seconds + rest
                bag.remove(kind)
                break
        at += rng.uniform(*GAP)
    return faults


def rng_start(seed):
    """The first fault comes when there is something to hit."""
    return random.Random(f"start {seed}").uniform(5, 10)
