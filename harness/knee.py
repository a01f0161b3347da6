"""The knee: up to which rate a queue holds, and what gives way first beyond it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from harness.cells import CellRun
from harness.checkers import Valid
from harness.journeys import backlog_exceeded_s

HELD_LEAST = 0.95
BACKLOG_MOST_S = 2.0
"""More waiting tasks than arrive in this time: the queue does not keep up."""
LATE_MOST_S = 0.5
"""An enqueue sent so much too late: this machine cannot make the load."""


@dataclass(frozen=True)
class Break:
    """What gave way.

    Attributes:
        at_s: when, in seconds of the history.
        what: it was.
    """

    at_s: float
    what: str


@dataclass(frozen=True)
class Knee:
    """Where a queue stops holding the rate.

    Attributes:
        held_per_minute: the highest rate that was held; 0 where none was.
        broke_per_minute: the lowest that was not; None where all that were tried were held.
        first: what gave way first there.
    """

    held_per_minute: int
    broke_per_minute: int | None
    first: Break | None


def find_knee(rates: Iterable[int], run: Callable[[int], CellRun]) -> Knee:
    """Return where the queue breaks, as the rate is raised step by step.

    Args:
        rates: tasks a minute, ascending; the last one bounds the search.
        run: puts the queue under one rate.
    """
    held = 0
    for rate in rates:
        first = first_break(run(rate))
        if first is not None:
            return Knee(held, rate, first)
        held = rate
    return Knee(held, None, None)


def first_break(run: CellRun) -> Break | None:
    """Return what gave way first, or None where the rate was held."""
    return min(_breaks(run), key=lambda each: each.at_s, default=None)


def _breaks(run: CellRun) -> list[Break]:
    ended_s = run.began_s + run.cell.lasts_s
    found = [
        Break(op.invoked_s, f"an error: {op.op} of {op.worker}: {op.error}")
        for op in run.record.operations
        if not op.ok
    ]
    for op in run.record.operations:
        scheduled_s = op.facts.get("scheduled_s")
        if scheduled_s is not None and op.invoked_s - scheduled_s > LATE_MOST_S:
            late_s = op.invoked_s - scheduled_s
            found.append(
                Break(op.invoked_s, f"this machine: an enqueue left it {late_s:.1f} s late")
            )
    most = max(1.0, run.cell.per_minute * BACKLOG_MOST_S / 60)
    grown_s = backlog_exceeded_s(run.ways(), most)
    if grown_s is not None:
        found.append(Break(grown_s, f"the workers: more than {most:.0f} tasks waited for them"))
    if run.rate_held() < HELD_LEAST:
        found.append(Break(ended_s, f"the rate: {run.rate_held():.0%} of it was held"))
    found += [
        Break(ended_s, f"a promise: {ruling}")
        for ruling in run.rulings()
        if ruling.valid is Valid.FALSE
    ]
    return found
