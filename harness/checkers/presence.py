"""What was put in is there, and nothing else is."""

from collections.abc import Iterator

from harness.checkers.record import Record, TaskHistory
from harness.checkers.ruling import Ruling, Violation, ruled, unknown


def nothing_lost(record: Record) -> Ruling:
    """Every acknowledged task is there at the end, and every acknowledged completion too."""
    name = "nothing-lost"
    if record.final is None or not any(op.op == "enqueue" and op.ok for op in record.operations):
        return unknown(name, "nothing was acknowledged, or the end was not seen")
    seen, violations = 0, list[Violation]()
    for task in record.tasks:
        enqueued = next((op for op in task.enqueues if op.ok), None)
        if enqueued is not None:
            seen += 1
            if not task.final:
                violations.append(
                    Violation(
                        f"task {task.name} was acknowledged at {enqueued.returned_s:.3f} s "
                        "and is gone",
                        tuple(task.ops),
                    )
                )
        undone = _undone(task)
        seen += sum(op.op == "complete" and op.ok for op in task.actions)
        if undone is not None:
            violations.append(undone)
    return ruled(name, seen, violations)


def _undone(task: TaskHistory) -> Violation | None:
    if not task.final or all(each.status == "completed" for each in task.final):
        return None
    done = next((op for op in task.actions if op.op == "complete" and op.ok), None)
    if done is None:
        return None
    sentence = (
        f"task {task.name} was completed at {done.returned_s:.3f} s and is "
        f"{task.final[0].status} at the end"
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
