"""The driver over our own core with one thing that is not as it should be, for trials.

Its clock follows a file, or it dies at a chosen step, or its queue has a planted defect.
"""

import argparse
import os
import signal
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


from core.clock import SystemClock
from core.connection import Connection, connect_stdlib
from core.database import QueueDatabase
from core.tasks import TaskQueue
from harness.drivers.clock_file import ClockFile
from harness.drivers.core_driver import CoreDriver, serve
from harness.drivers.counted import Counted
from harness.drivers.protocol import Message
from harness.planted import DEFECTS, planted, planted_by_parent

_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


class FileClock(SystemClock):
    """A clock that is wrong in the way that a file says, from one reading to the next."""

    def __init__(self, file: ClockFile) -> None:
        super().__init__()
        self._file = file

    def now_ms(self) -> int:
        """Return the wrong time in milliseconds since 1970."""
        return self._file.read().shown_ms(time.time_ns() // 1_000_000)


class Door:
    """Counts statements, and ends the process without a word at the chosen one.

    The moments before and after a statement count one each, so that an odd step is one before a
    statement and the last even one lies between COMMIT and the answer.

    Args:
        die_at: the step, from 1; -1 is when all is done and the answer is not said yet.

    Attributes:
        armed: whether it counts.
    """

    def __init__(self, die_at: int) -> None:
        self.armed = False
        self._left = die_at

    def connect(self, uri: str, *, timeout_s: float) -> Connection:
        """Return a connection whose statements count."""
        return Counted(connect_stdlib(uri, timeout_s=timeout_s), self.step)

    def step(self, _what: str) -> None:
        """Count one step."""
        if self.armed:
            self._left -= 1
            if self._left == 0:
                _die()

    def unsaid(self) -> None:
        """Note that the operation is done and its answer known."""
        if self.armed and self._left < 0:
            _die()


def _die() -> None:
    # On Windows this is TerminateProcess: no handler runs, nothing is flushed.
    os.kill(os.getpid(), _KILL)
    # The signal comes before the next line of Python, or a moment later.
    threading.Event().wait()


class TrialDriver(CoreDriver):
    """Answers as the core's driver does, but for what is tried.

    Args:
        path: the queue's file.
        clock: the worker's.
        door: counts the statements of one operation, or None.
        die_in: that operation.
    """

    def __init__(self, path: Path, clock: SystemClock, door: Door | None, die_in: str) -> None:
        super().__init__(path, clock, "full")
        self._door = door
        self._die_in = die_in

    def answer(self, request: Message) -> Message:
        """Return the answer to one request, if this process lives to give it."""
        if self._door is not None:
            self._door.armed = request.get("op") == self._die_in
        answer = super().answer(request)
        if self._door is not None:
            self._door.unsaid()
        return answer

    def _open(self, *, create: bool = False) -> tuple[QueueDatabase, TaskQueue]:
        if self._opened is None:
            connect = connect_stdlib if self._door is None else self._door.connect
            database = QueueDatabase(self._path, create=create, clock=self._clock, connect=connect)
            self._opened = database, TaskQueue(database)
        return self._opened

    def _hello(self, request: Message) -> Message:
        # By its own clock, so that a wrong one can be seen.
        return {**super()._hello(request), "clock_ms": self._clock.now_ms()}


def main() -> int:
    """Answer requests until the input ends, ``close`` is asked, or the step is reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", required=True, type=Path)
    parser.add_argument("--clock-file", type=Path)
    parser.add_argument("--die-in", default="")
    parser.add_argument("--die-at", type=int, default=0)
    parser.add_argument("--defect", choices=sorted(DEFECTS))
    given = parser.parse_args()
    clock = SystemClock() if given.clock_file is None else FileClock(ClockFile(given.clock_file))
    door = Door(given.die_at) if given.die_in else None
    driver = TrialDriver(given.db, clock, door, given.die_in)
    with planted_by_parent() if given.defect is None else planted(DEFECTS[given.defect]):
        serve(driver)
    return 0


if __name__ == "__main__":
    sys.exit(main())
