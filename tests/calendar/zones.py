"""Time zones as Python's zoneinfo has them: transitions found by looking at each day, and the rules of docs/schedules.md, written
down a second time, independently of common/zone.c."""
import bisect
import datetime
import functools
import json
import zoneinfo

UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1)


def epoch(text):
    """Seconds since 1970 of a date in UTC, '2015-01-01'."""
    return int((datetime.datetime.fromisoformat(text) - EPOCH).total_seconds())


FROM, UNTIL = epoch("2015-01-01"), epoch("2046-01-01")


def offset(zone, second):
    return int(datetime.datetime.fromtimestamp(second, zone).utcoffset().total_seconds())


def bisect_offset(zone, low, high):
    """The second in (low, high] from which on the offset is that of high."""
    wanted = offset(zone, high)
    while high - low > 1:
        middle = (low + high) // 2
        if offset(zone, middle) == wanted:
            high = middle
        else:
            low = middle
    return high


@functools.lru_cache(None)
def transitions(name, begin=FROM, end=UNTIL, step=86400):
    """[[from, offset], ...]: the first is begin itself."""
    zone = zoneinfo.ZoneInfo(name)
    last = offset(zone, begin)
    found = [[begin, last]]
    for second in range(begin, end, step):
        high = min(second + step, end)
        now = offset(zone, high)
        if now != last:
            found.append([bisect_offset(zone, second, high), now])
            last = now
    return found


def table(name):
    return json.dumps(transitions(name), separators=(",", ":"))


class Clock:
    """The clocks of a zone: which local times they show, and when."""

    def __init__(self, name):
        self.name = name
        self.changes = transitions(name)
        self.begins = [change[0] for change in self.changes]
        self.shifts = sorted({change[1] for change in self.changes})

    def offset(self, second):
        return self.changes[max(bisect.bisect_right(self.begins, second) - 1, 0)][1]

    def instants(self, local):
        """All instants in microseconds at which the clocks show this local time, in order: two, one, or none."""
        found = set()
        for shift in self.shifts:
            instant = local - shift * 1000000
            if self.offset(instant // 1000000) == shift:
                found.add(instant)
        return sorted(found)

    def due(self, local):
        """When a local time is due: the first time that it is there; skipped, at the transition that skips it."""
        found = self.instants(local)
        if found:
            return found[0]
        for (_, before), (begin, after) in zip(self.changes, self.changes[1:]):
            if begin + before <= local // 1000000 < begin + after:
                return begin * 1000000
        raise ValueError(local)

    def skips_on(self, local):
        """Whether a time of this local day is skipped; local in seconds."""
        return any(after > before and (begin + before) // 86400 <= local // 86400 <= (begin + after) // 86400
                   for (_, before), (begin, after) in zip(self.changes, self.changes[1:]))

    def odd(self, local):
        """Skipped or repeated."""
        return len(self.instants(local)) != 1
