"""Who comes first is served first, as far as the order can be known.

A claim is wrong where some other task was surely waiting all the while, from the call to the
answer, and surely had precedence. What overlaps in time may go either way.
"""

import bisect
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

from harness.checkers.record import Record, TaskHistory
from harness.checkers.ruling import Ruling, Violation, not_applicable, ruled
from harness.checkers.windows import end_of, returned_s
from harness.history import Operation

PRIORITY_IF_LEFT_OUT = 100


@dataclass(frozen=True, slots=True)
class Waiting:
    """A task that surely waits.

    Attributes:
        enqueue: the acknowledgement that put it in.
        until_s: when it may have been taken at the earliest.
    """

    enqueue: Operation
    until_s: float


class Line:
    """The tasks of one priority, in the order of their acknowledgements."""

    def __init__(self, waiting: list[Waiting]) -> None:
        waiting.sort(key=lambda each: returned_s(each.enqueue))
        self._since_s = [returned_s(each.enqueue) for each in waiting]
        self._longest: list[Waiting] = []
        for each in waiting:
            last = self._longest[-1] if self._longest else each
            self._longest.append(max(last, each, key=attrgetter("until_s")))

    def longest(self, before_s: float) -> Waiting | None:
        """Return which of those that were acknowledged before then waits longest."""
        count = bisect.bisect_left(self._since_s, before_s)
        return self._longest[count - 1] if count else None


def priority_of(op: Operation) -> int:
    """Return the priority with which an enqueue put its task in; lower goes first."""
    return int(op.facts.get("priority", PRIORITY_IF_LEFT_OUT))


def priorities_kept(record: Record) -> Ruling:
    """No task is handed out while one of a higher rank is surely waiting."""
    name = "priorities-kept"
    if not record.capabilities.priorities:
        return not_applicable(name, "priorities are not promised")
    if len({priority_of(op) for task in record.tasks for op in task.enqueues}) <= 1:
        return not_applicable(name, "all tasks have one priority")
    return _judged(record, name, _HigherRanks(_lines(record)))


def order_kept(record: Record) -> Ruling:
    """Within a priority no task is handed out while one that came earlier is surely waiting."""
    name = "order-kept"
    if not record.capabilities.order:
        return not_applicable(name, "an order is not promised")
    return _judged(record, name, _SameRank(_lines(record)))


class _HigherRanks:
    """Looks for a waiting task of a higher rank; each rank is asked, as there are few of them."""

    def __init__(self, lines: dict[int, list[Waiting]]) -> None:
        self._ranks = sorted(lines)
        self._lines = [Line(lines[rank]) for rank in self._ranks]

    def first(self, enqueue: Operation, before_s: float) -> Iterator[Waiting]:
        for line in self._lines[: bisect.bisect_left(self._ranks, priority_of(enqueue))]:
            found = line.longest(before_s)
            if found is not None:
                yield found


class _SameRank:
    """Looks for a waiting task of the same rank that was acknowledged before this one was sent."""

    def __init__(self, lines: dict[int, list[Waiting]]) -> None:
        self._lines = {rank: Line(waiting) for rank, waiting in lines.items()}

    def first(self, enqueue: Operation, before_s: float) -> Iterator[Waiting]:
        line = self._lines.get(priority_of(enqueue))
        found = None if line is None else line.longest(min(before_s, enqueue.invoked_s))
        if found is not None:
            yield found


def _judged(record: Record, name: str, precedence: _HigherRanks | _SameRank) -> Ruling:
    seen, violations = 0, list[Violation]()
    for task in record.tasks:
        if len(task.enqueues) != 1:
            continue
        enqueue = task.enqueues[0]
        for claim in task.claims:
            seen += 1
            # Due by the producer's clock, which may differ from the worker's.
            before_s = claim.invoked_s - record.clock_error_s
            for other in precedence.first(enqueue, before_s):
                if other.until_s > returned_s(claim):
                    violations.append(_overtaken(claim, other))
                    break
    return ruled(name, seen, violations) if seen else not_applicable(name, "nothing was handed out")


def _overtaken(claim: Operation, other: Waiting) -> Violation:
    key = other.enqueue.key if other.enqueue.key is not None else other.enqueue.task_id
    sentence = (
        f"task {claim.key or claim.task_id} was handed out at {claim.returned_s:.3f} s before "
        f"{key}, which had waited since {other.enqueue.returned_s:.3f} s"
    )
    return Violation(sentence, (other.enqueue, claim))


def _lines(record: Record) -> dict[int, list[Waiting]]:
    lines: dict[int, list[Waiting]] = defaultdict(list)
    if record.final is None:
        return lines
    taken = min((op.invoked_s for op in record.index.unknown_claims), default=math.inf)
    for task in record.tasks:
        waiting = _waiting(record, task, taken)
        if waiting is not None:
            lines[priority_of(waiting.enqueue)].append(waiting)
    return lines


def _waiting(record: Record, task: TaskHistory, taken_s: float) -> Waiting | None:
    """Return how long the task surely waited for its first holder; None where it is not known.

    Args:
        record: all that was seen.
        task: the task.
        taken_s: from when on some task may have been handed to somebody who was never told.
    """
    if len(task.enqueues) != 1 or not task.enqueues[0].ok or task.enqueues[0].facts.get("delay_s"):
        return None
    enqueue = task.enqueues[0]
    until_s, seen_until_s = math.inf, math.inf
    if task.claims:
        until_s, seen_until_s = task.claims[0].invoked_s, end_of(task.claims[0])
    elif len(task.final) != 1 or task.final[0].status != "queued":
        return None
    if taken_s < until_s and record.reclaims.meet(taken_s, seen_until_s):
        until_s = taken_s
    return Waiting(enqueue, min(until_s, record.restores.earliest_s(enqueue.invoked_s)))
