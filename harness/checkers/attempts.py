"""Attempts are limited, and what has used them up is put aside whole."""

from collections.abc import Iterator

from harness.checkers.record import Record, TaskHistory
from harness.checkers.ruling import Ruling, Violation, not_applicable, ruled, unknown


def attempts_within_limit(record: Record) -> Ruling:
    """No task is handed out once its attempts are used up, and none has more than its limit."""
    name = "attempts-within-limit"
    seen, violations = 0, list[Violation]()
    for task in record.tasks:
        seen += len(task.claims) + len(task.final)
        for claim in task.claims:
            facts = claim.facts
            if facts["attempts"] >= facts["max_attempts"]:
                sentence = (
                    f"task {task.name} was handed out with {facts['attempts']} of "
                    f"{facts['max_attempts']} attempts used"
                )
                violations.append(Violation(sentence, tuple(task.ops)))
        for final in task.final:
            if final.attempts > final.max_attempts:
                sentence = (
                    f"task {task.name} has {final.attempts} of {final.max_attempts} attempts "
                    "at the end"
                )
                violations.append(Violation(sentence, tuple(task.ops)))
    return ruled(name, seen, violations) if seen else unknown(name, "no task was seen")


def dead_letters_whole(record: Record) -> Ruling:
    """What used its attempts up is in dead_letter with its history, stays, and nothing else is."""
    name = "dead-letters-whole"
    if not record.capabilities.retries:
        return not_applicable(name, "retries are not promised")
    if record.final is None:
        return unknown(name, "the end was not seen")
    seen, violations = 0, list[Violation]()
    for task in record.tasks:
        seen += _given_up(task)
        violations += _not_whole(record, task)
    if not seen and not violations:
        return not_applicable(name, "no task used its attempts up")
    return ruled(name, seen, violations)


def _given_up(task: TaskHistory) -> bool:
    return any(each.status == "dead_letter" for each in task.final) or any(
        op.op == "fail" and op.facts.get("status") == "dead_letter" for op in task.actions
    )


def _not_whole(record: Record, task: TaskHistory) -> Iterator[Violation]:
    for final in task.final:
        dead = final.status == "dead_letter"
        used = f"{final.attempts} of {final.max_attempts} attempts"
        story = tuple(task.ops)
        if dead and final.attempts < final.max_attempts:
            yield Violation(f"task {task.name} is in dead_letter after {used}", story)
        if final.status == "queued" and final.attempts >= final.max_attempts:
            yield Violation(f"task {task.name} is queued after {used}", story)
        if dead and final.history_rows == 0:
            yield Violation(f"task {task.name} is in dead_letter and has no history", story)
    yield from _handed_out_again(record, task)


def _handed_out_again(record: Record, task: TaskHistory) -> Iterator[Violation]:
    for fail in task.actions:
        if fail.op != "fail" or not fail.ok or fail.facts.get("status") != "dead_letter":
            continue
        assert fail.returned_s is not None, "an acknowledged operation has returned"
        for claim in task.claims:
            if claim.invoked_s > fail.returned_s and record.epoch(claim) == record.epoch(fail):
                sentence = (
                    f"task {task.name} was handed out at {claim.returned_s:.3f} s, after it went "
                    f"to dead_letter at {fail.returned_s:.3f} s"
                )
                yield Violation(sentence, (fail, claim))
                return
