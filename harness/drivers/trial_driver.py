"""The driver over our own core with one thing that is not as it should be, for trials.

Its clock follows a file, or it dies at a chosen step, or a commit of it fails, or its queue has a
planted defect.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import BinaryIO

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


from core.clock import SystemClock
from core.database import QueueDatabase
from core.tasks import TaskQueue
from harness.door import watched
from harness.drivers.clock_file import ClockFile
from harness.drivers.core_driver import CoreDriver, serve
from harness.drivers.protocol import Message
from harness.drivers.traps import Death, FailedCommit, Synchronous, Trap
from harness.inherited import PLANTED_VARIABLE, planted_by_parent


class FileClock(SystemClock):
    """A clock that is wrong in the way that a file says, from one reading to the next."""

    def __init__(self, file: ClockFile) -> None:
        super().__init__()
        self._file = file

    def now_ms(self) -> int:
        """Return the wrong time in milliseconds since 1970."""
        return self._file.read().shown_ms(time.time_ns() // 1_000_000)


class Output:
    """The output of the process; the trap is told when something has left.

    Args:
        stream: where it goes.
        trap: of the driver.
    """

    def __init__(self, stream: BinaryIO, trap: Trap) -> None:
        self._stream = stream
        self._trap = trap

    @property
    def buffer(self) -> "Output":
        """Where bytes go."""
        return self

    def write(self, data: bytes) -> int:
        """Keep the bytes."""
        return self._stream.write(data)

    def flush(self) -> None:
        """Send the bytes off."""
        self._stream.flush()
        self._trap.said()


class TrialDriver(CoreDriver):
    """Answers as the core's driver does, but for what is tried.

    Args:
        path: the queue's file.
        clock: the worker's.
        trap: is set up for one operation.
        verb: that operation.
    """

    def __init__(self, path: Path, clock: SystemClock, trap: Trap, verb: str) -> None:
        super().__init__(path, clock, "full")
        self._trap = trap
        self._verb = verb

    def answer(self, request: Message) -> Message:
        """Return the answer to one request, if this process lives to give it."""
        self._trap.armed = request.get("op") == self._verb
        return self._trap.done(super().answer(request))

    def _open(self, *, create: bool = False) -> tuple[QueueDatabase, TaskQueue]:
        if self._opened is None:
            database = QueueDatabase(
                self._path, create=create, clock=self._clock, connect=watched(self._trap)
            )
            self._opened = database, TaskQueue(database)
        return self._opened

    def _hello(self, request: Message) -> Message:
        # By its own clock, so that a wrong one can be seen.
        return {**super()._hello(request), "clock_ms": self._clock.now_ms()}


def main() -> int:
    """Answer requests until the input ends, ``close`` is asked, or the step is reached."""
    given = _parser().parse_args()
    clock = SystemClock() if given.clock_file is None else FileClock(ClockFile(given.clock_file))
    trap, verb = _trap(given)
    sys.stdout = Output(sys.stdout.buffer, trap)
    if given.defect is not None:
        # As if this one had been started by a run that has it.
        os.environ[PLANTED_VARIABLE] = given.defect
    with planted_by_parent():
        serve(TrialDriver(given.db, clock, trap, verb))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", required=True, type=Path)
    parser.add_argument("--clock-file", type=Path)
    parser.add_argument("--die-in", default="")
    parser.add_argument("--die-at", type=int, default=0)
    parser.add_argument("--fail-commit-of", default="")
    parser.add_argument("--though-done", action="store_true")
    parser.add_argument("--tell-synchronous-of", default="")
    parser.add_argument("--defect", help="planted into this process: a name of harness.planted")
    return parser


def _trap(given: argparse.Namespace) -> tuple[Trap, str]:
    """Return what was asked to be set up, and for which operation."""
    if given.die_in:
        return Death(given.die_at), given.die_in
    if given.fail_commit_of:
        return FailedCommit(done=given.though_done), given.fail_commit_of
    if given.tell_synchronous_of:
        return Synchronous(), given.tell_synchronous_of
    return Trap(), ""


if __name__ == "__main__":
    sys.exit(main())
