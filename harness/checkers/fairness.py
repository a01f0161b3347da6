"""Nobody starves while others are served.

A limit, not a promise: which worker of several gets a task is chance. Somebody starves who asked
for long, and in vain each time, while many others were served; or whose task waited so long
while many that came later were handed out.
"""

import bisect
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator

from harness.checkers.order import priority_of
from harness.checkers.record import Record, TaskHistory
from harness.checkers.ruling import Ruling, Violation, not_applicable, ruled
from harness.checkers.windows import returned_s
from harness.history import Operation, Outcome

_PAUSE_MOST_S = 0.25
"""A worker that pauses longer between two claims was not asking all the while."""
_SHARES_MISSED = 15
"""Who has the same chance as all others misses so many times his share once in e^15 times."""


def workers_fair(record: Record) -> Ruling:
    """No worker asks in vain for long while the others get many tasks."""
    name = "workers-fair"
    served_s = {
        worker: sorted(returned_s(op) for op in claims if op.ok and op.task_id is not None)
        for worker, claims in record.index.claims.items()
    }
    if sum(map(bool, served_s.values())) == 0 or len(served_s) <= 1:
        return not_applicable(name, "no two workers asked for tasks")
    everybody = sorted(moment_s for moments_s in served_s.values() for moment_s in moments_s)
    least = max(record.starvation.others_count, _SHARES_MISSED * len(served_s))
    longest_s, violations = 0.0, list[Violation]()
    for worker, claims in record.index.claims.items():
        for asking in _in_vain(record, worker, claims):
            start_s, end_s = asking[0].invoked_s, returned_s(asking[-1])
            others = _within(everybody, start_s, end_s) - _within(served_s[worker], start_s, end_s)
            if others:
                longest_s = max(longest_s, end_s - start_s)
            if others >= least and _starves(record, end_s - start_s, others):
                sentence = (
                    f"{worker} asked in vain for {end_s - start_s:.1f} s, up to {end_s:.3f} s, "
                    f"while others got {others} tasks"
                )
                violations.append(Violation(sentence, (asking[0], asking[-1])))
    figures = [("longest asking in vain", longest_s, "s")]
    return ruled(name, len(served_s), violations, figures)


def _in_vain(record: Record, worker: str, claims: Iterable[Operation]) -> Iterator[list[Operation]]:
    """Yield each row of claims that got nothing, asked one right after the other.

    The time that a served claim had to wait counts too, as a row of its own.
    """
    struck = [
        (strike.start_s, strike.end_s) for strike in record.strikes if strike.worker == worker
    ]
    row: list[Operation] = []
    for claim in claims:
        if claim.outcome is Outcome.UNKNOWN or any(
            start_s <= returned_s(claim) and claim.invoked_s <= end_s for start_s, end_s in struck
        ):
            # It may have been served, or was kept from asking.
            if row:
                yield row
            row = []
            continue
        if row and claim.invoked_s - returned_s(row[-1]) > _PAUSE_MOST_S:
            yield row
            row = []
        row.append(claim)
        if claim.ok and claim.task_id is not None:
            yield row
            row = []
    if row:
        yield row


def _within(moments_s: list[float], start_s: float, end_s: float) -> int:
    return bisect.bisect_left(moments_s, end_s) - bisect.bisect_right(moments_s, start_s)


def _starves(record: Record, seconds: float, others: int) -> bool:
    limit = record.starvation
    return seconds > limit.seconds and others >= limit.others_count


def producers_fair(record: Record) -> Ruling:
    """No producer's task waits long while many later ones of others, of its rank, go first."""
    name = "producers-fair"
    ranks: dict[int, list[TaskHistory]] = defaultdict(list)
    producers: set[str] = set()
    for task in record.tasks:
        if _counts(task):
            ranks[priority_of(task.enqueues[0])].append(task)
            producers.add(task.enqueues[0].worker)
    if len(producers) <= 1:
        return not_applicable(name, "no two producers' tasks were handed out")
    most, violations = 0, list[Violation]()
    for tasks in ranks.values():
        for task, overtaken, since_s in _overtaken(tasks):
            most = max(most, overtaken)
            waited_s = task.claims[0].invoked_s - since_s
            if _starves(record, waited_s, overtaken):
                sentence = (
                    f"task {task.name} of {task.enqueues[0].worker} waited {waited_s:.1f} s while "
                    f"{overtaken} later ones of others were handed out"
                )
                violations.append(Violation(sentence, (task.enqueues[0], task.claims[0])))
    seen = sum(map(len, ranks.values()))
    return ruled(name, seen, violations, [("most that overtook one", float(most), "tasks")])


def _counts(task: TaskHistory) -> bool:
    if len(task.enqueues) != 1 or not task.claims:
        return False
    return task.enqueues[0].ok and not task.enqueues[0].facts.get("delay_s")


def _overtaken(tasks: list[TaskHistory]) -> Iterator[tuple[TaskHistory, int, float]]:
    """Yield each task that others' later ones went before, how many did, and since when.

    They are counted in the order of the claims, in a tree of the order of the enqueues.
    """
    by_claim = sorted(tasks, key=lambda task: returned_s(task.claims[0]))
    sent_s = sorted(task.enqueues[0].invoked_s for task in tasks)
    everybody = _Counter(sent_s)
    own: dict[str, _Counter] = {}
    by_producer: dict[str, list[float]] = defaultdict(list)
    for task in tasks:
        by_producer[task.enqueues[0].worker].append(task.enqueues[0].invoked_s)
    for producer, moments_s in by_producer.items():
        own[producer] = _Counter(sorted(moments_s))
    waiting = 0
    # When the latest task so far was sent, after each claim; it only grows.
    latest_s: list[float] = []
    for task in sorted(tasks, key=lambda each: each.claims[0].invoked_s):
        since_s = returned_s(task.enqueues[0])
        while returned_s(by_claim[waiting].claims[0]) < task.claims[0].invoked_s:
            served = by_claim[waiting].enqueues[0]
            everybody.add(served.invoked_s)
            own[served.worker].add(served.invoked_s)
            latest_s.append(max(latest_s[-1] if latest_s else -math.inf, served.invoked_s))
            waiting += 1
        if latest_s and latest_s[-1] > since_s:
            later = everybody.later_than(since_s)
            first = by_claim[bisect.bisect_right(latest_s, since_s)]
            others = later - own[task.enqueues[0].worker].later_than(since_s)
            yield task, others, returned_s(first.claims[0])


class _Counter:
    """Counts moments, known beforehand, that came later than another; a Fenwick tree.

    Args:
        moments_s: all that may be added, in order.
    """

    def __init__(self, moments_s: list[float]) -> None:
        self._moments_s = moments_s
        self._sums = [0] * (len(moments_s) + 1)
        self._count = 0

    def add(self, moment_s: float) -> None:
        """Count this one in."""
        self._count += 1
        place = bisect.bisect_left(self._moments_s, moment_s) + 1
        while place < len(self._sums):
            self._sums[place] += 1
            place += place & -place

    def later_than(self, moment_s: float) -> int:
        """Return how many of those counted in are later."""
        place = bisect.bisect_right(self._moments_s, moment_s)
        earlier = 0
        while place:
            earlier += self._sums[place]
            place -= place & -place
        return self._count - earlier
