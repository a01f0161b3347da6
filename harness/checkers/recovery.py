"""What lost holders leave behind is done again, and in time."""

import bisect
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from harness.checkers.record import Record, RecoveryBudget, TaskHistory
from harness.checkers.ruling import Measured, Ruling, Violation, not_applicable, ruled, unknown
from harness.checkers.windows import returned_s
from harness.history import Operation


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """What became of the task of a lost holder.

    Attributes:
        claim: by which the lost holder had it.
        lost_s: when the holder was lost, in seconds of the history.
        claimed_after_s: seconds from there to the next claim; None where there was none.
        done_after_s: seconds from there to the completion; None where none was acknowledged.
    """

    claim: Operation
    lost_s: float
    claimed_after_s: float | None
    done_after_s: float | None


def recoveries(record: Record) -> tuple[Recovery, ...]:
    """Return what became of the task of every holder that was lost, in the order of the losses."""
    losses: dict[str, list[float]] = defaultdict(list)
    for strike in record.strikes:
        if strike.lost:
            losses[strike.worker].append(strike.start_s)
    found = [recovery for task in record.tasks if losses for recovery in _recoveries(task, losses)]
    return tuple(sorted(found, key=lambda each: each.lost_s))


def _recoveries(task: TaskHistory, losses: dict[str, list[float]]) -> Iterator[Recovery]:
    for number, claim in enumerate(task.claims):
        lost = sorted(losses.get(claim.worker, ()))
        after = bisect.bisect_left(lost, claim.invoked_s)
        if after == len(lost) or _given_up(task, claim):
            continue
        lost_s = lost[after]
        later = task.claims[number + 1 :]
        if later and later[0].invoked_s < lost_s:
            # It had lost the task to somebody else before.
            continue
        done_s = _done_s(task, claim.number)
        if not later and (done_s is not None or task.status == "completed"):
            # What it was doing when it died was done after all.
            continue
        yield Recovery(
            claim=claim,
            lost_s=lost_s,
            claimed_after_s=returned_s(later[0]) - lost_s if later else None,
            done_after_s=None if done_s is None else done_s - lost_s,
        )


def _given_up(task: TaskHistory, claim: Operation) -> bool:
    return any(
        op.op in ("complete", "fail") and op.ok and op.fence == claim.fence for op in task.actions
    )


def _done_s(task: TaskHistory, after: int = 0) -> float | None:
    """Return when the task was surely done; None where no answer says so."""
    for op in task.actions:
        dead = op.op == "fail" and op.facts.get("status") == "dead_letter"
        if op.number > after and op.ok and (op.op == "complete" or dead):
            return returned_s(op)
    return None


def recovered_in_time(record: Record) -> Ruling:
    """After the last fault every task is done within the recovery budget, and so is lost work.

    A task that came later has its budget from its own acknowledgement on.
    """
    name = "recovered-in-time"
    if record.budget is None:
        return not_applicable(name, "no recovery budget was set")
    if not record.strikes:
        return unknown(name, "no fault was written down")
    last_s = max(strike.end_s for strike in record.strikes)
    if last_s == math.inf:
        return unknown(name, "a fault had not ended")
    if record.final is None:
        return unknown(name, "the end was not seen")
    found = recoveries(record)
    seen, violations = len(found), list(_late_recoveries(record, found, record.budget))
    for task in record.tasks:
        seen += 1
        late = _late(task, last_s, record.budget)
        if late is not None:
            violations.append(late)
    return ruled(name, seen, violations, _figures(found))


def _late_recoveries(
    record: Record, found: tuple[Recovery, ...], budget: RecoveryBudget
) -> Iterator[Violation]:
    for each in found:
        task_name = each.claim.key if each.claim.key is not None else each.claim.task_id
        after_s = each.claimed_after_s
        if after_s is not None and after_s > budget.seconds:
            task = record.index.tasks.get(task_name) if task_name is not None else None
            sentence = (
                f"task {task_name} was claimed {after_s:.3f} s after {each.claim.worker} was lost "
                f"with it, and {budget.seconds:.3f} s is its budget"
            )
            yield Violation(sentence, tuple(task.ops) if task else (each.claim,))


def _late(task: TaskHistory, last_s: float, budget: RecoveryBudget) -> Violation | None:
    enqueued = next((op for op in task.enqueues if op.ok), None)
    if enqueued is None:
        return None
    due_s = max(last_s, returned_s(enqueued)) + budget.seconds
    done_s = _done_s(task)
    if done_s is None and task.status in ("completed", "dead_letter"):
        # By an operation without an answer, or a reclaim: it is done, and nobody knows since when.
        return None
    if done_s is not None and done_s <= due_s:
        return None
    when = "not done" if done_s is None else f"done at {done_s:.3f} s"
    sentence = f"task {task.name} is {when}, and was due by {due_s:.3f} s"
    return Violation(sentence, tuple(task.ops))


def _figures(found: tuple[Recovery, ...]) -> Iterator[Measured]:
    for what, values in (
        ("claimed again after", [each.claimed_after_s for each in found]),
        ("done again after", [each.done_after_s for each in found]),
    ):
        known = sorted(value for value in values if value is not None)
        if known:
            yield f"{what}, median", known[len(known) // 2], "s"
            yield f"{what}, longest", known[-1], "s"
