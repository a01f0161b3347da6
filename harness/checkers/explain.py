"""The story of a violation, in plain lines."""

from harness.checkers.ruling import Ruling
from harness.history import Operation, Outcome

_LINES_MOST = 12


def explain(ruling: Ruling, number: int = 0) -> tuple[str, ...]:
    """Return one violation and the few operations that show it, in time order, a line each.

    Args:
        ruling: of any checker; one without a violation is its own story.
        number: which violation, from 0; those far down the list have no operations kept.
    """
    if number >= len(ruling.violations):
        return (str(ruling),)
    story = ruling.stories[number] if number < len(ruling.stories) else ()
    lines = [_line(op) for op in sorted(story, key=lambda op: (op.invoked_s, op.number))]
    left_out = len(lines) - _LINES_MOST
    if left_out > 0:
        half = _LINES_MOST // 2
        lines = [*lines[:half], f"  ... {left_out} more ...", *lines[-half:]]
    return (f"{ruling.name}: {ruling.violations[number]}", *lines)


def _line(op: Operation) -> str:
    ended = "never answered" if op.returned_s is None else f"{op.returned_s:.3f} s"
    words = [f"  {op.invoked_s:.3f} s to {ended}:", op.worker, op.op]
    if op.key is not None or op.task_id is not None:
        words.append(f"task {op.key if op.key is not None else op.task_id}")
    if op.fence is not None:
        words.append(f"under {op.fence}")
    return " ".join([*words, f"- {_came(op)}"])


def _came(op: Operation) -> str:
    if op.outcome is Outcome.OK:
        told = op.facts.get("status")
        return f"ok, {told}" if told else "ok"
    said = "refused" if op.outcome is Outcome.FAILED else "unknown"
    return f"{said}: {op.error}" if op.error else said
