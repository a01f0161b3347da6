"""Pauses of a holder that end a few milliseconds before or after the end of its lease."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from harness.faults.fault import Sighting
from harness.faults.processes import SuspendedWorker
from harness.worker import Worker


@dataclass(frozen=True)
class PausedUpToLease:
    """A holder stands still right up to the end of its lease, or a little over it.

    Simulated by SIGSTOP and a SIGCONT so many milliseconds after the end. Survivable because one
    transaction decides whose the task is: the holder's, or that of whoever reclaimed it.

    Attributes:
        after_ms: when it goes on, in milliseconds after the end of its lease; below zero before.
    """

    name: ClassVar[str] = "paused-up-to-lease"
    asked: ClassVar[str] = "a holder suspended until some milliseconds around its lease's end"
    permitted: ClassVar[tuple[type[Exception], ...]] = ()
    after_ms: int = 0

    @contextlib.contextmanager
    def inject(self, target: Worker) -> Iterator[Sighting]:
        """Suspend the holder, and let it go on for the body; confirmed by the process table.

        Args:
            target: holds a task, and its clock is right.
        """
        assert target.task is not None, "a task must be claimed before"
        lease_until_ms = int(target.task["lease_until_ms"])
        with SuspendedWorker().inject(target.driver) as stopped:
            _wait_until_ms(lease_until_ms + self.after_ms)
        went_on_ms = time.time_ns() // 1_000_000 - lease_until_ms
        yield Sighting(
            stopped.confirmed and went_on_ms >= self.after_ms,
            f"{stopped.evidence}; it went on {went_on_ms} ms after the end of its lease",
        )


def _wait_until_ms(moment_ms: int) -> None:
    """Return at the moment, in UTC milliseconds since 1970; at once where it is past."""
    left_s = moment_ms / 1000 - time.time()
    if left_s > 0:
        threading.Event().wait(left_s)
