"""Stretches of time in which something may have happened."""

import bisect
import math
from collections.abc import Iterable

from harness.history import Operation, Outcome


class Windows:
    """Stretches of time, closed at both ends, that may overlap.

    Args:
        spans: begin and end of each, in seconds.
    """

    def __init__(self, spans: Iterable[tuple[float, float]]) -> None:
        self._starts: list[float] = []
        self._ends: list[float] = []
        latest_s = -math.inf
        for start_s, end_s in sorted(spans):
            latest_s = max(latest_s, end_s)
            self._starts.append(start_s)
            self._ends.append(latest_s)

    @classmethod
    def of(cls, operations: Iterable[Operation]) -> "Windows":
        """Return when each took effect if it did; one without an answer may at any later time."""
        return cls((op.invoked_s, end_of(op)) for op in operations)

    def __bool__(self) -> bool:
        return bool(self._starts)

    def earliest_s(self, since_s: float) -> float:
        """Return the first moment from then on that lies in one of them; infinity if none does."""
        before = bisect.bisect_right(self._starts, since_s)
        if before and self._ends[before - 1] >= since_s:
            return since_s
        return self._starts[before] if before < len(self._starts) else math.inf

    def meet(self, start_s: float, end_s: float) -> bool:
        """Return whether one of them shares a moment with that stretch."""
        earliest_s = self.earliest_s(start_s)
        return earliest_s <= end_s and earliest_s < math.inf


def returned_s(op: Operation) -> float:
    """Return when the answer came, in seconds; infinity where none did."""
    return math.inf if op.returned_s is None else op.returned_s


def end_of(op: Operation) -> float:
    """Return the last moment at which the operation may have taken effect, in seconds."""
    if op.outcome is Outcome.UNKNOWN or op.returned_s is None:
        return math.inf
    return op.returned_s
