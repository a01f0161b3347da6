"""Every task is done, and once."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from harness.checkers.record import OPEN, Record, TaskHistory
from harness.checkers.ruling import Ruling, Violation, not_applicable, ruled, unknown
from harness.history import Operation


def completed_once(record: Record) -> Ruling:
    """No task is completed twice; a restore between the two makes it another matter."""
    name = "completed-once"
    seen, violations = 0, list[Violation]()
    for task in record.tasks:
        done = [op for op in task.actions if op.op == "complete" and op.ok]
        seen += len(done)
        violations += [
            Violation(f"task {task.name} was completed {len(doubled)} times", tuple(task.ops))
            for doubled in _more_than_once(record, done)
        ]
    return ruled(name, seen, violations) if seen else unknown(name, "no task was completed")


def handed_out_once(record: Record) -> Ruling:
    """A queue that promises at-most-once hands no task out twice."""
    name = "handed-out-once"
    if record.capabilities.delivery != "at-most-once":
        return not_applicable(name, f"{record.capabilities.delivery} is promised")
    seen = sum(len(task.claims) for task in record.tasks)
    if not seen:
        return unknown(name, "no task was handed out")
    violations = (
        Violation(f"task {task.name} was handed out {len(doubled)} times", tuple(doubled))
        for task in record.tasks
        for doubled in _more_than_once(record, task.claims)
    )
    return ruled(name, seen, violations)


def _more_than_once(record: Record, ops: list[Operation]) -> Iterator[list[Operation]]:
    if len(ops) < 2:  # noqa: PLR2004 - two is more than once
        return
    by_epoch: dict[int, list[Operation]] = defaultdict(list)
    for op in ops:
        by_epoch[record.epoch(op)].append(op)
    yield from (doubled for doubled in by_epoch.values() if len(doubled) > 1)


def done_in_the_end(record: Record) -> Ruling:
    """Every task that was put in is finished at the end: completed, or out of attempts.

    One whose enqueue had no answer is none the less there, for the workers as for the others.
    """
    name = "done-in-the-end"
    if not record.final:
        return unknown(name, "the end was not seen")
    theirs = [task for task in record.tasks if task.final and task.enqueues]
    if not theirs:
        return unknown(name, "no task that was put in is there")
    return ruled(name, len(theirs), _unfinished(theirs))


def _unfinished(tasks: Iterable[TaskHistory]) -> Iterator[Violation]:
    for task in tasks:
        for final in task.final:
            if final.status in OPEN:
                yield Violation(f"task {task.name} is still {final.status}", tuple(task.ops))
            elif final.status == "dead_letter" and final.attempts < final.max_attempts:
                sentence = (
                    f"task {task.name} is in dead_letter after {final.attempts} of "
                    f"{final.max_attempts} attempts"
                )
                yield Violation(sentence, tuple(task.ops))
