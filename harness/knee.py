"""The knee: up to which rate a queue holds, and what gives way first beyond it.

Where the machine gives way, its harness on it, the queue's own knee is higher and not known.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from harness.cells import CellRun
from harness.checkers import Valid
from harness.journeys import asked_part, backlog_exceeded_s

HELD_LEAST = 0.95
BACKLOG_MOST_S = 2.0
"""More waiting tasks than arrive in this time: the queue does not keep up."""
ASKED_LEAST = 0.5
"""A smaller part of their time with an operation under way: the workers wait for the harness."""
LATE_MOST_S = 0.5
"""An enqueue sent so much too late: this machine cannot make the load."""
_TAKING, _WORKING = "taking tasks in", "working tasks off"


@dataclass(frozen=True)
class Break:
    """What gave way.

    Attributes:
        at_s: when, in seconds of the history.
        what: it was.
        machine: whether it was this machine, with the harness on it, and not the queue.
    """

    at_s: float
    what: str
    machine: bool = False


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

    @property
    def of_machine(self) -> bool:
        """Whether this machine gave way, and nobody knows what the queue would have held."""
        return self.first is not None and self.first.machine

    def __str__(self) -> str:
        """Return what was held, and what broke."""
        if self.first is None:
            return "every rate that was tried was held"
        return f"at {self.broke_per_minute} tasks a minute broke first {self.first.what}"


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


def _breaks(run: CellRun) -> Iterator[Break]:
    yield from _errors(run)
    yield from _sent_late(run)
    yield from _slowness(run)
    ended_s = run.began_s + run.cell.lasts_s
    for ruling in run.rulings():
        if ruling.valid is Valid.FALSE:
            yield Break(ended_s, f"a promise: {ruling}")


def _errors(run: CellRun) -> Iterator[Break]:
    for op in run.record.operations:
        if not op.ok:
            yield Break(op.invoked_s, f"an error: {op.op} of {op.worker}: {op.error}")


def _sent_late(run: CellRun) -> Iterator[Break]:
    for op in run.record.operations:
        late_s = op.invoked_s - op.facts.get("scheduled_s", op.invoked_s)
        if late_s > LATE_MOST_S:
            yield Break(op.invoked_s, f"this machine: an enqueue left it {late_s:.1f} s late", True)


def _slowness(run: CellRun) -> Iterator[Break]:
    """A backlog and a rate that is not held: the queue's, but where the machine has no more."""
    most = max(1.0, run.cell.per_minute * BACKLOG_MOST_S / 60)
    grown_s = backlog_exceeded_s(run.ways(), most)
    part = "" if grown_s is None else _slow_part(run, grown_s)
    short = run.effort.exhausted()
    if grown_s is not None and part == _WORKING:
        short = short or _unasked(run, grown_s)
    told = f"this machine: {short}, and " if short else ""
    if grown_s is not None:
        yield Break(grown_s, f"{told}{part}: more than {most:.0f} tasks waited", bool(short))
    held = run.rate_held()
    if held < HELD_LEAST:
        ended_s = run.began_s + run.cell.lasts_s
        yield Break(ended_s, f"{told}the rate: {held:.0%} of it was held", bool(short))


def _unasked(run: CellRun, moment_s: float) -> str:
    """Return that workers waited for the harness while tasks waited for them; else nothing."""
    since_s = moment_s - BACKLOG_MOST_S
    part = asked_part(run.record.operations, run.cell.workers, since_s, moment_s)
    if part >= ASKED_LEAST:
        return ""
    return f"the harness left its workers unasked for {1 - part:.0%} of the time"


def _slow_part(run: CellRun, moment_s: float) -> str:
    """Return for what most of the tasks wait that wait at the moment."""
    waiting = [
        way
        for way in run.ways()
        if way.scheduled_s <= moment_s and (way.done_s is None or way.done_s > moment_s)
    ]
    outside = sum(way.acknowledged_s is None or way.acknowledged_s > moment_s for way in waiting)
    return _TAKING if 2 * outside > len(waiting) else _WORKING
