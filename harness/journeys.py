"""The way of each task of an open loop through the queue, and the rate that the queue held.

Pure functions over a history whose enqueues say when they were to arrive.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.history import Operation


@dataclass(kw_only=True)
class Journey:
    """One task's way, in seconds of the history; None where it did not come so far.

    Attributes:
        key: of the task.
        scheduled_s: when it was to arrive.
        acknowledged_s: when its producer knew that it was in.
        claimed_s: when a worker had it for the first time.
        done_s: when its completion was acknowledged.
    """

    key: str
    scheduled_s: float
    acknowledged_s: float | None = None
    claimed_s: float | None = None
    done_s: float | None = None

    def took_s(self, moment_s: float | None) -> float | None:
        """Return the seconds from its arrival to the moment."""
        return None if moment_s is None else moment_s - self.scheduled_s


def journeys(operations: Iterable[Operation]) -> list[Journey]:
    """Return the way of every task that was to arrive at a moment, in that order."""
    found: dict[str | None, Journey] = {}
    for op in operations:
        scheduled_s = op.facts.get("scheduled_s")
        if op.op == "enqueue" and op.key is not None and scheduled_s is not None:
            journey = found.setdefault(op.key, Journey(key=op.key, scheduled_s=scheduled_s))
            journey.acknowledged_s = _first(journey.acknowledged_s, op)
    for op in operations:
        way = found.get(op.key)
        if way is not None and op.op == "claim":
            way.claimed_s = _first(way.claimed_s, op)
        elif way is not None and op.op == "complete":
            way.done_s = _first(way.done_s, op)
    return sorted(found.values(), key=lambda each: each.scheduled_s)


def _first(known_s: float | None, op: Operation) -> float | None:
    return op.returned_s if known_s is None and op.ok else known_s


def done_until(ways: Iterable[Journey], moment_s: float) -> int:
    """Return how many tasks were done by the moment."""
    return sum(way.done_s is not None and way.done_s <= moment_s for way in ways)


def backlog_exceeded_s(ways: Sequence[Journey], most: float) -> float | None:
    """Return when more tasks than that had arrived and were not done; None if that never was."""
    arrivals = [(way.scheduled_s, 1) for way in ways]
    ends = [(way.done_s, -1) for way in ways if way.done_s is not None]
    waiting = 0
    for moment_s, change in sorted(arrivals + ends):
        waiting += change
        if waiting > most:
            return moment_s
    return None


def asked_part(
    operations: Iterable[Operation], workers_count: int, start_s: float, end_s: float
) -> float:
    """Return for which part of a time the workers had an operation under way, on average.

    Args:
        operations: of a history. A worker is whoever claims.
        workers_count: how many there are.
        start_s: when that time begins.
        end_s: when it ends, after its beginning.
    """
    listed = list(operations)
    workers = {op.worker for op in listed if op.op == "claim"}
    asked_s = 0.0
    for op in listed:
        if op.worker in workers:
            until_s = end_s if op.returned_s is None else min(op.returned_s, end_s)
            asked_s += max(0.0, until_s - max(op.invoked_s, start_s))
    return asked_s / (workers_count * (end_s - start_s))
