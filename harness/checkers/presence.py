"""What was put in is there, and nothing else is."""

from collections.abc import Iterator

from harness.checkers.record import Record, TaskHistory
from harness.checkers.ruling import Ruling, Violation, ruled, unknown
from harness.history import Operation

_PROMISES = ("enqueue", "complete")


def nothing_lost(record: Record) -> Ruling:
    """Every acknowledged task is there at the end, and every acknowledged completion too.

    Who completes a task has had it, so a completion answers for a task whose enqueue had no answer.
    """
    name = "nothing-lost"
    if record.final is None:
        return unknown(name, "the end was not seen")
    seen, violations = 0, list[Violation]()
    for task in record.tasks:
        promises = [op for op in task.ops if op.op in _PROMISES and op.ok]
        seen += len(promises)
        found = _gone(task, promises[0]) or _undone(task) if promises else None
        if found is not None:
            violations.append(found)
    return ruled(name, seen, violations) if seen else unknown(name, "nothing was acknowledged")


def _gone(task: TaskHistory, promise: Operation) -> Violation | None:
    if task.final:
        return None
    sentence = (
        f"task {task.name}, whose {promise.op} was acknowledged at {promise.returned_s:.3f} s, "
        "is gone"
    )
    return Violation(sentence, tuple(task.ops))


def _undone(task: TaskHistory) -> Violation | None:
    undone = next((each.status for each in task.final if each.status != "completed"), None)
    if undone is None:
        return None
    done = next((op for op in task.actions if op.op == "complete" and op.ok), None)
    if done is None:
        return None
    sentence = (
        f"task {task.name} was completed at {done.returned_s:.3f} s and is {undone} at the end"
    )
    return Violation(sentence, tuple(task.ops))


def nothing_unexpected(record: Record) -> Ruling:
    """What comes out was put in, once, and is as it was put in."""
    name = "nothing-unexpected"
    if record.final is None:
        return unknown(name, "the end was not seen")
    seen, violations = 0, list[Violation]()
    for task in record.tasks:
        seen += len(task.claims) + len(task.final)
        violations += _foreign(task) if not task.enqueues else _changed(task)
        if len(task.final) > 1:
            sentence = f"task {task.name} is there {len(task.final)} times at the end"
            violations.append(Violation(sentence, tuple(task.ops)))
    return ruled(name, seen, violations)


def _foreign(task: TaskHistory) -> Iterator[Violation]:
    for claim in task.claims:
        sentence = f"task {task.name} was handed out at {claim.returned_s:.3f} s and never put in"
        yield Violation(sentence, (claim,))
    if task.final:
        sentence = f"task {task.name} is there at the end and was never put in"
        yield Violation(sentence, tuple(task.ops))


def _changed(task: TaskHistory) -> Iterator[Violation]:
    asked = {op.facts.get("digest") for op in task.enqueues}
    for claim in task.claims:
        if claim.facts.get("digest") not in asked:
            sentence = f"task {task.name} was handed out with another payload"
            yield Violation(sentence, (*task.enqueues, claim))
    for final in task.final:
        if final.digest not in asked:
            sentence = f"task {task.name} has another payload at the end"
            yield Violation(sentence, tuple(task.enqueues))
