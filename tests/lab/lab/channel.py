"""The test's end of a node's command channel (node-shell.c): two FIFOs, independent of the network."""

import contextlib
import fcntl
import os
import select
import time
import uuid
from pathlib import Path

from .shell import LabError, Result

# User-mode Linux stops reading for ever when its terminal's 4 KiB buffer has been full once; a request stays below that.
PIECE = 1500


class Channel:
    """Several processes may hold a Channel of one node; a lock makes them take turns."""

    def __init__(self, directory, is_on=lambda: True):
        self.is_on = is_on
        self.to_node = Path(directory) / "channel.in"
        self.from_node = Path(directory) / "channel.out"
        self.lock = Path(directory) / "channel.lock"

    def create(self):
        for fifo in (self.to_node, self.from_node):
            fifo.unlink(missing_ok=True)
            os.mkfifo(fifo, 0o600)

    def open_for_node(self):
        """Descriptors that the node's process keeps: opened both ways, so that neither end ever sees an end of file."""
        return os.open(self.to_node, os.O_RDWR), os.open(self.from_node, os.O_RDWR)

    @contextlib.contextmanager
    def _mine(self, deadline):
        with open(self.lock, "w", encoding="ascii") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise LabError(f"{self.lock} is held by another process") from None
                    time.sleep(0.02)
            yield

    def run(self, command, timeout=120, stdin=b"", grace=15):
        """Runs a shell command in the node. A command that is still running after the timeout is killed there;
        a node that has not said so after a further time of grace, or goes off, is not answering."""
        deadline = time.monotonic() + timeout + grace
        with self._mine(deadline):
            out = os.open(self.to_node, os.O_RDWR | os.O_NONBLOCK)
            answers = os.open(self.from_node, os.O_RDWR | os.O_NONBLOCK)
            try:
                talk = _Talk(out, answers, deadline, self.is_on)
                for kind, data in (("command", command.encode()), ("stdin", stdin)):
                    for at in range(0, len(data), PIECE):
                        talk.ask(f"{kind} {data[at:at + PIECE].hex()}")
                return Result(command, *talk.ask(f"run {int(timeout)}"))
            except LabError as error:
                raise LabError(f"{error}: {command}") from None
            finally:
                os.close(out)
                os.close(answers)


class _Talk:
    """The requests of one command. Each is answered before the next is sent."""

    def __init__(self, to_node, from_node, deadline, is_on):
        self.to_node, self.from_node, self.deadline, self.is_on = to_node, from_node, deadline, is_on
        self.key, self.number = uuid.uuid4().hex, 0

    def ask(self, request):
        self.number += 1
        os.write(self.to_node, f"\n{self.key} {self.number} {request}\n".encode())
        return self._answer(f"\nret {self.key} {self.number} ".encode())

    def _answer(self, mark):
        seen, head = bytearray(), None
        while True:
            if head is None and (at := seen.find(mark)) >= 0 and (end := seen.find(b"\n", at + 1)) >= 0:
                head = [int(n) for n in seen[at + len(mark):end].split()]
                del seen[:end + 1]
            if head and len(seen) >= head[1] + head[2]:
                out, err = seen[:head[1]], seen[head[1]:head[1] + head[2]]
                return head[0], out.decode(errors="replace"), err.decode(errors="replace")
            if time.monotonic() > self.deadline:
                raise LabError("The node gave no answer")
            if select.select([self.from_node], [], [], 1)[0]:
                with contextlib.suppress(BlockingIOError):
                    seen += os.read(self.from_node, 65536)
            elif not self.is_on():
                raise LabError("The node went off")
