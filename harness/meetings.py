"""Which operations met something that took its time, and how: pure functions from what was seen.

A claim that found nothing to do is no meeting: it had nothing to lose.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from harness.errands import OPERATIONS, Errand, told_busy
from harness.history import Operation
from harness.latency import Window

WAITED_LEAST_S = 0.02
"""Many times what an operation takes that nobody is in the way of."""

Met = Callable[[Iterable[Operation], Sequence[Window]], list[Operation]]
"""Returns the operations that met one of the windows."""


def meeting(operations: Iterable[Operation], windows: Sequence[Window]) -> list[Operation]:
    """Return the operations that were under way at some time in one of the windows."""
    return _any_window(
        operations,
        windows,
        lambda op, window: op.invoked_s < window.end_s and _returned_s(op) > window.start_s,
    )


def inside(operations: Iterable[Operation], windows: Sequence[Window]) -> list[Operation]:
    """Return those that were begun and acknowledged in one of the windows."""
    return _any_window(
        operations,
        windows,
        lambda op, window: (
            op.ok and op.invoked_s > window.start_s and _returned_s(op) < window.end_s
        ),
    )


def waiting(operations: Iterable[Operation], windows: Sequence[Window]) -> list[Operation]:
    """Return those that waited long in one of the windows, and still did when it ended."""
    return _any_window(
        operations,
        windows,
        lambda op, window: (
            _returned_s(op) > window.end_s
            and window.end_s - max(op.invoked_s, window.start_s) >= WAITED_LEAST_S
        ),
    )


def refused(operations: Iterable[Operation], windows: Sequence[Window]) -> list[Operation]:
    """Return those that were told in one of the windows that the queue is busy."""
    return _any_window(
        operations,
        windows,
        lambda op, window: told_busy(op) and window.start_s < _returned_s(op) < window.end_s,
    )


def counted(operations: Iterable[Operation]) -> Mapping[str, int]:
    """Return how many there are of each of ``OPERATIONS``."""
    counts = Counter(op.op for op in operations)
    return {op: counts[op] for op in OPERATIONS}


def beside(errands: Iterable[Errand], windows: Sequence[Window]) -> list[Errand]:
    """Return the errands that were under way at some time in one of the windows."""
    return [errand for errand in errands if _beside(errand, windows)]


def apart(errands: Iterable[Errand], windows: Sequence[Window]) -> list[Errand]:
    """Return the errands that had to do with none of the windows."""
    return [errand for errand in errands if not _beside(errand, windows)]


def longest_s(errands: Iterable[Errand]) -> Mapping[str, float]:
    """Return how long the longest errand of each operation took.

    It counts from the first time that it was asked for: who is told busy goes on waiting.
    """
    longest: dict[str, float] = {}
    for errand in errands:
        longest[errand.op] = max(errand.ended_s - errand.began_s, longest.get(errand.op, 0.0))
    return longest


def _beside(errand: Errand, windows: Sequence[Window]) -> bool:
    return any(errand.began_s < each.end_s and errand.ended_s > each.start_s for each in windows)


def _any_window(
    operations: Iterable[Operation],
    windows: Sequence[Window],
    met: Callable[[Operation, Window], bool],
) -> list[Operation]:
    return [op for op in operations if not _idle(op) and any(met(op, window) for window in windows)]


def _idle(op: Operation) -> bool:
    return op.op == "claim" and op.ok and op.task_id is None


def _returned_s(op: Operation) -> float:
    return float("inf") if op.returned_s is None else op.returned_s
