"""What a worker wants done, and asks for again where it is told that the queue is busy."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from textwrap import shorten

from harness.drivers.protocol import ErrorCode
from harness.history import Operation, Outcome
from harness.waiting import let_pass

OPERATIONS = ("enqueue", "claim", "heartbeat", "complete")
"""What a producer and its workers do all day."""

_PAUSE_S = 0.01
_WHY_CHARACTERS = 80
_TIMEOUT_S = 30.0


def told_busy(operation: Operation) -> bool:
    """Return whether it was told that nothing was done since others held the queue."""
    return operation.outcome is Outcome.FAILED and operation.error.startswith(ErrorCode.BUSY)


def ask_until_served(
    ask: Callable[[], Operation],
    tell: Callable[[Operation], object],
    *,
    timeout_s: float = _TIMEOUT_S,
) -> Operation:
    """Return what came of it in the end; whoever is told busy asks again, and for the same.

    Args:
        ask: does it once.
        tell: is told of each time.
        timeout_s: how long it is asked for at most, in seconds.
    """
    end_s = time.monotonic() + timeout_s
    while True:
        operation = ask()
        tell(operation)
        if not told_busy(operation) or time.monotonic() >= end_s:
            return operation
        # The driver has waited for as long as it is willing to; this only keeps one that says
        # busy at once from filling the history.
        let_pass(_PAUSE_S)


@dataclass(frozen=True)
class Errand:
    """One thing that a worker wanted, from the first time it asked to the last.

    Attributes:
        asked: every time that it asked, in order.
    """

    asked: tuple[Operation, ...]

    @property
    def op(self) -> str:
        """The operation."""
        return self.asked[0].op

    @property
    def done(self) -> bool:
        """Whether it was acknowledged in the end."""
        return self.asked[-1].ok

    @property
    def began_s(self) -> float:
        """When it was asked for first, in seconds of the history."""
        return self.asked[0].invoked_s

    @property
    def ended_s(self) -> float:
        """When it was answered last; infinity where no answer came."""
        returned_s = self.asked[-1].returned_s
        return float("inf") if returned_s is None else returned_s

    def __str__(self) -> str:
        """Return one line for a failure."""
        last = self.asked[-1]
        what = f"{last.worker}'s {self.op} of {last.key or 'a task'}"
        why = shorten(last.error, _WHY_CHARACTERS)
        return f"{what}, asked for {len(self.asked)} times: {last.outcome}, {why}"


def errands(operations: Iterable[Operation]) -> tuple[Errand, ...]:
    """Return the errands of a history, in the order in which they were begun.

    Args:
        operations: those of each worker, which does one thing at a time, in the order in which it
            asked. Those that are none of ``OPERATIONS`` are left out.
    """
    found: list[list[Operation]] = []
    latest: dict[str, list[Operation]] = {}
    for op in operations:
        if op.op not in OPERATIONS:
            continue
        asked = latest.get(op.worker)
        if asked is None or asked[-1].ok or not _same(asked[-1], op):
            asked = latest[op.worker] = []
            found.append(asked)
        asked.append(op)
    return tuple(Errand(tuple(asked)) for asked in found)


def _same(one: Operation, other: Operation) -> bool:
    """Whether both ask for the same; which task a claim will get is not known when it is sent."""
    if one.op != other.op or one.op == "claim":
        return one.op == other.op
    return (one.key, one.fence) == (other.key, other.fence)
