"""What `systemd-analyze calendar` says of many expressions at once."""
import calendar
import os
import re
import subprocess
import time

FAILED = re.compile(r"^Failed to (parse calendar specification|determine next elapse for) '(.*)': ")


class Answer:
    def __init__(self):
        self.normal = None  # None: refused
        self.due = []  # seconds since the epoch
        self.stuck = False  # it gave up looking for a due time, and says no normal form either


def stamp(text):
    """'Sun 2024-03-31 00:10:00 UTC', in seconds."""
    return calendar.timegm(tuple(map(int, (text[4:8], text[9:11], text[12:14], text[15:17], text[18:20], text[21:23]))))


def read(answer, line, zone):
    name, _, value = line.partition(": ")
    name = name.strip()
    if name == "Normalized form":
        answer.normal = value
    elif name == "(in UTC)" or (zone == "UTC" and (name == "Next elapse" or name.startswith("Iter. #")) and value != "never"):
        answer.due.append(stamp(value))


def ask(expressions, base, zone="UTC", iterations=1):
    """An Answer for each. Those that cannot be parsed are only named on the standard error output, in order."""
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(base))
    command = ["systemd-analyze", "calendar", "--base-time=" + when, "--iterations=%d" % iterations, "--"] + expressions
    done = subprocess.run(command, env=dict(os.environ, TZ=zone, LC_ALL="C"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    failed = [(m[1][0], m[2]) for m in map(FAILED.match, done.stderr.splitlines()) if m]
    blocks = [[]]
    for line in done.stdout.splitlines():
        if line.lstrip().startswith("Normalized form:"):
            blocks.append([])
        blocks[-1].append(line)
    answers, seen = [], 0
    for expression in expressions:
        answers.append(Answer())
        if failed and failed[0] == ("p", expression):
            failed.pop(0)
            continue
        if failed and failed[0] == ("d", expression):
            answers[-1].stuck = bool(failed.pop(0))
            continue
        seen += 1
        for line in blocks[seen]:
            read(answers[-1], line, zone)
    if failed or seen != len(blocks) - 1:
        raise RuntimeError("cannot read systemd-analyze: %s" % failed)
    return answers
