"""A task that is due later is not handed out before."""

from harness.checkers.record import Record, TaskHistory
from harness.checkers.ruling import Ruling, Violation, not_applicable, ruled
from harness.checkers.windows import returned_s
from harness.history import Operation


def delays_honoured(record: Record) -> Ruling:
    """No task is handed out before it is due, as far as the clocks may differ.

    Due is the earliest moment that its producer or the worker that gave it back may have meant.
    """
    name = "delays-honoured"
    if not record.capabilities.delays:
        return not_applicable(name, "delays are not promised")
    seen, violations = 0, list[Violation]()
    for task in record.tasks:
        for cause, due_s in _delays(task):
            seen += 1
            early = _early(record, task, cause, due_s - record.clock_error_s)
            if early is not None:
                sentence = (
                    f"task {task.name} was handed out at {early.returned_s:.3f} s and is due at "
                    f"{due_s:.3f} s"
                )
                violations.append(Violation(sentence, (cause, early)))
    return ruled(name, seen, violations) if seen else not_applicable(name, "no task was delayed")


def _delays(task: TaskHistory) -> list[tuple[Operation, float]]:
    """Return what delayed the task, and until when."""
    delays = []
    if task.enqueues and all(op.facts.get("delay_s") for op in task.enqueues):
        due = [(op.invoked_s + float(op.facts["delay_s"]), op) for op in task.enqueues]
        due_s, op = min(due, key=lambda each: each[0])
        delays.append((op, due_s))
    delays += [
        (op, op.invoked_s + float(op.facts["retry_after_s"]))
        for op in task.actions
        if op.op == "fail" and op.ok and op.facts.get("retry_after_s")
    ]
    return delays


def _early(record: Record, task: TaskHistory, cause: Operation, due_s: float) -> Operation | None:
    for claim in task.claims:
        after = cause.op == "enqueue" or claim.invoked_s >= cause.invoked_s
        if after and returned_s(claim) < due_s and record.epoch(claim) == record.epoch(cause):
            return claim
    return None
