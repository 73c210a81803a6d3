"""Runs programs on the build machine, says what failed, and prints progress."""

import os
import subprocess
import sys
import time


class LabError(Exception):
    """Something that the lab needs did not work; the message is for people."""


class Result:
    """What a command left behind, on the build machine or in a node."""

    def __init__(self, command, rc, stdout, stderr):
        self.command, self.rc, self.stdout, self.stderr = command, rc, stdout, stderr

    def __repr__(self):
        return f"<{self.command!r} ended {self.rc}: {self.stdout!r} {self.stderr!r}>"

    @property
    def text(self):
        return self.stdout.strip()

    def check(self):
        if self.rc != 0:
            raise LabError(f"{self.command} ended {self.rc}: {self.stderr.strip() or self.text}")
        return self


def run(*argv, check=True, timeout=600, stdin=None, env=None, cwd=None):
    """Runs one program to its end and returns a Result with text."""
    done = subprocess.run([str(a) for a in argv], input=stdin, capture_output=True, text=True,
                          errors="replace", timeout=timeout, cwd=cwd,
                          env=None if env is None else {**os.environ, **env},
                          stdin=subprocess.DEVNULL if stdin is None else None)
    result = Result(" ".join(str(a) for a in argv), done.returncode, done.stdout, done.stderr)
    return result.check() if check else result


def wait_until(what, condition, timeout=30, interval=0.1):
    """Calls condition until it returns something true, and returns that."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise LabError(f"Waited {timeout} s in vain for {what}; last seen: {value!r}")
        time.sleep(interval)


def say(text):
    print(text, file=sys.stderr, flush=True)
