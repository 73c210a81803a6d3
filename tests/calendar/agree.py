"""Compares the transitions that PostgreSQL says with Python's zoneinfo. usage: agree.py FILE, lines of name|JSON|milliseconds; writes those
without the milliseconds to FILE.tables, with tabs. Prints TAP."""
import json
import sys
import zoneinfo

import zones

MSEC_MAX = 50  # of the fastest zone with most transitions: on a busy machine all others say more about the machine
STEP = 3 * 86400


def disagreements(name, table):
    """Each transition is one, and between them there is none, as far as can be seen every three days."""
    zone = zoneinfo.ZoneInfo(name)
    at, last = table[0]
    if at != zones.FROM or zones.offset(zone, at) != last:
        yield "%s begins with %s" % (name, table[0])
    for second, now in table[1:]:
        if now == last or zones.offset(zone, second - 1) != last or zones.offset(zone, second) != now:
            yield "%s has no transition %s" % (name, [second, now])
        last = now
    rest = iter(table[1:] + [[zones.UNTIL + STEP, 0]])
    begin, now = next(rest)
    last = table[0][1]
    for second in range(zones.FROM, zones.UNTIL, STEP):
        while second >= begin:
            last = now
            begin, now = next(rest)
        if zones.offset(zone, second) != last:
            yield "%s is at %d seconds from UTC at %d, not %d" % (name, zones.offset(zone, second), second, last)
            return


def main():
    differences, times, known = [], [], zoneinfo.available_timezones()
    with open(sys.argv[1]) as lines, open(sys.argv[1] + ".tables", "w") as tables:
        for line in lines:
            name, table, msec = line.rstrip("\n").split("|")
            times.append((-len(json.loads(table)), float(msec)))
            tables.write("%s\t%s\n" % (name, table))
            if name in known:
                differences += disagreements(name, json.loads(table))
            known.discard(name)
    known -= {"localtime", "posixrules"}
    fastest = min(times)[1]
    few = [] if len(times) > 400 else ["there are %d" % len(times)]
    for number, (what, wrong) in enumerate([
            ("%d zones have the transitions that Python knows" % len(times), few + differences),
            ("each zone that Python knows is one", sorted(known)),
            ("a zone with %d transitions takes at most %d ms" % (-min(times)[0], MSEC_MAX),
             ["it takes %.1f ms" % fastest] if fastest > MSEC_MAX else [])], 1):
        print("%sok %d - %s" % ("not " if wrong else "", number, what))
        for line in wrong[:20]:
            print("# %s" % line)


main()
