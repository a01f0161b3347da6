"""Who holds a task, from when until when, and who only thinks so.

A worker surely holds a task from when it was told until its lease can first have run out: a lease
begins when it was asked for, at the earliest.
"""

import bisect
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.checkers.record import Record, TaskHistory
from harness.checkers.ruling import Ruling, Violation, not_applicable, ruled
from harness.checkers.windows import returned_s
from harness.drivers.protocol import ErrorCode
from harness.history import Operation, Outcome

_ENDS = ("complete", "fail")
_FEW = 2


@dataclass(slots=True)
class Holding:
    """One claim and what its worker did with the task.

    Attributes:
        claim: which began it.
        beats: the heartbeats that were acknowledged.
        refused: what was refused because the lease was lost.
        ended_s: when it may have ended by itself, by a release or by a restore.
    """

    claim: Operation
    beats: list[Operation] = field(default_factory=list)
    refused: list[Operation] = field(default_factory=list)
    ended_s: float = math.inf

    def spans(self) -> list[tuple[float, float, Operation]]:
        """Return when the worker surely held it, and what told it so; cut where it ended."""
        sure: list[tuple[float, float, Operation]] = []
        for told in (self.claim, *self.beats):
            assert told.returned_s is not None, "an acknowledged operation has returned"
            end_s = min(told.invoked_s + float(told.facts["lease_s"]), self.ended_s)
            if end_s > told.returned_s:
                sure.append((told.returned_s, end_s, told))
        return sure


def holdings(record: Record, task: TaskHistory) -> list[Holding]:
    """Return all holdings of a task, in the order in which they were asked for."""
    found = [Holding(claim) for claim in task.claims]
    if task.actions:
        _tell(found, task)
    for holding in found if record.restores else ():
        restored_s = record.restores.earliest_s(holding.claim.invoked_s)
        holding.ended_s = min(holding.ended_s, restored_s)
    return found


def _tell(found: list[Holding], task: TaskHistory) -> None:
    """Tell each holding what came of it."""
    by_claim = {holding.claim.number: holding for holding in found}
    current: dict[tuple[str, str | None], Holding] = {}
    open_holdings: list[Holding] = []
    for op in task.ops:
        holding = by_claim.get(op.number)
        if holding is not None:
            current[op.worker, op.fence] = holding
            open_holdings.append(holding)
        elif op.op == "release" and op.outcome is not Outcome.FAILED:
            for each in open_holdings:
                each.ended_s = min(each.ended_s, op.invoked_s)
            open_holdings = []
        elif (mine := current.get((op.worker, op.fence))) is not None:
            _hear(mine, op)


def _hear(holding: Holding, op: Operation) -> None:
    if is_lost(op):
        holding.refused.append(op)
    elif op.op in _ENDS and op.outcome is not Outcome.FAILED:
        holding.ended_s = min(holding.ended_s, op.invoked_s)
    elif op.op == "heartbeat" and op.ok:
        holding.beats.append(op)


def is_lost(op: Operation) -> bool:
    """Return whether the operation was refused because its worker no longer holds the task."""
    return op.outcome is Outcome.FAILED and op.error.startswith(ErrorCode.LEASE_LOST)


def one_holder(record: Record) -> Ruling:
    """No two workers hold one task at one time, as far as both were told that they do."""
    name = "one-holder"
    if not record.capabilities.leases:
        return not_applicable(name, "leases are not promised")
    seen, violations = 0, list[Violation]()
    for task in record.tasks:
        seen += len(task.claims)
        if len(task.claims) >= _FEW:
            violations += _together(record, task)
    return ruled(name, seen, violations)


def _together(record: Record, task: TaskHistory) -> Iterator[Violation]:
    spans = [
        (start_s, end_s, number, holding.claim)
        for number, holding in enumerate(holdings(record, task))
        for start_s, end_s, _told in holding.spans()
    ]
    last: tuple[float, float, int, Operation] | None = None
    told = set[tuple[int, int]]()
    for span in sorted(spans, key=lambda each: each[:3]):
        start_s, end_s, number, claim = span
        if last is not None and number != last[2]:
            pair = (min(number, last[2]), max(number, last[2]))
            if start_s < min(last[1], end_s) - record.clock_error_s and pair not in told:
                told.add(pair)
                sentence = (
                    f"task {task.name} was held by {last[3].worker} and {claim.worker} at "
                    f"{start_s:.3f} s"
                )
                yield Violation(sentence, _between(task, last[3], claim))
        if last is None or end_s > last[1]:
            last = span


def _between(task: TaskHistory, one: Operation, other: Operation) -> tuple[Operation, ...]:
    first, last = sorted((one.number, other.number))
    return tuple(op for op in task.ops if first <= op.number <= last)


def heartbeats_honoured(record: Record) -> Ruling:
    """A task whose holder's heartbeats come in time stays with it, and it is not refused."""
    name = "heartbeats-honoured"
    if not record.capabilities.leases:
        return not_applicable(name, "leases are not promised")
    seen, violations = 0, list[Violation]()
    for task in record.tasks:
        if not any(op.op == "heartbeat" for op in task.actions):
            continue
        for holding in holdings(record, task):
            seen += len(holding.beats) + len(holding.refused)
            violations += _not_honoured(record, task, holding)
    return ruled(name, seen, violations) if seen else not_applicable(name, "no heartbeat was sent")


def _not_honoured(record: Record, task: TaskHistory, holding: Holding) -> Iterator[Violation]:
    error_s = record.clock_error_s
    for told_s, end_s, told in holding.spans():
        if told is not holding.claim:
            other = _claimed_within(task, holding, told_s, end_s - error_s)
            if other is not None:
                sentence = (
                    f"task {task.name} was handed to {other.worker} at {other.returned_s:.3f} s "
                    f"though {told.worker} had extended its lease to {end_s:.3f} s"
                )
                yield Violation(sentence, (holding.claim, told, other))
                return
        for op in holding.refused:
            if told_s <= op.invoked_s and returned_s(op) < end_s - error_s:
                sentence = (
                    f"task {task.name}: {op.op} by {op.worker} at {op.invoked_s:.3f} s was refused "
                    f"though its lease ran to {end_s:.3f} s"
                )
                yield Violation(sentence, (holding.claim, told, op))
                return


def _claimed_within(
    task: TaskHistory, holding: Holding, start_s: float, end_s: float
) -> Operation | None:
    for claim in task.claims:
        inside = claim.invoked_s >= start_s and returned_s(claim) < end_s
        if inside and claim is not holding.claim:
            return claim
    return None


def stale_holder_refused(record: Record) -> Ruling:
    """A worker whose task was handed to somebody else cannot complete, fail or extend it.

    The token of one holding never stands for another one of the same task.
    """
    name = "stale-holder-refused"
    if not record.capabilities.fencing:
        return not_applicable(name, "fencing is not promised")
    seen, violations = 0, list[Violation]()
    for task in record.tasks:
        if len(task.claims) < _FEW:
            continue
        violations += _shared_tokens(record, task)
        takeovers = _Takeovers(record, task)
        for op in task.actions:
            taken = takeovers.before(op)
            seen += taken is not None
            if taken is not None and op.ok:
                sentence = (
                    f"task {task.name}: {op.op} by {op.worker} at {op.invoked_s:.3f} s was "
                    f"accepted after {taken.worker} had it at {taken.returned_s:.3f} s"
                )
                own = takeovers.own[op.fence]
                violations.append(Violation(sentence, (own, taken, op)))
    if not seen and not violations:
        return not_applicable(name, "no holder was overtaken")
    return ruled(name, seen, violations)


def _shared_tokens(record: Record, task: TaskHistory) -> Iterator[Violation]:
    first: dict[tuple[int, str | None], Operation] = {}
    for claim in task.claims:
        before = first.setdefault((record.epoch(claim), claim.fence), claim)
        if before is not claim:
            sentence = f"task {task.name} was handed out twice under the token {claim.fence}"
            yield Violation(sentence, (before, claim))


class _Takeovers:
    """Says which claim took a task away from the holder of a token.

    Attributes:
        own: the claim of each token.
    """

    def __init__(self, record: Record, task: TaskHistory) -> None:
        self.own = {claim.fence: claim for claim in task.claims}
        self._restores = record.restores
        # Of this claim and all later ones, that which was answered first.
        self._first: list[Operation] = list(task.claims)
        for number in range(len(self._first) - 2, -1, -1):
            here, later = self._first[number], self._first[number + 1]
            if returned_s(later) < returned_s(here):
                self._first[number] = later
        self._starts = [claim.invoked_s for claim in task.claims]

    def before(self, op: Operation) -> Operation | None:
        """Return the claim that surely took the task away before this operation was asked for."""
        own = self.own.get(op.fence)
        if op.op == "release" or own is None or own.number > op.number:
            return None
        index = bisect.bisect_left(self._starts, returned_s(own))
        if index == len(self._first):
            return None
        taken = self._first[index]
        surely = returned_s(taken) <= op.invoked_s and taken.fence != op.fence
        if not surely or self._restores.meet(own.invoked_s, op.invoked_s):
            return None
        return taken
