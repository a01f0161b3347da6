"""All checkers, and how they are asked."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from harness.checkers.attempts import attempts_within_limit, dead_letters_whole
from harness.checkers.completion import completed_once, done_in_the_end, handed_out_once
from harness.checkers.delays import delays_honoured
from harness.checkers.fairness import producers_fair, workers_fair
from harness.checkers.holding import heartbeats_honoured, one_holder, stale_holder_refused
from harness.checkers.linearizable import linearizable
from harness.checkers.order import order_kept, priorities_kept
from harness.checkers.presence import nothing_lost, nothing_unexpected
from harness.checkers.record import Record
from harness.checkers.recovery import recovered_in_time
from harness.checkers.ruling import Ruling, unknown

Checker = Callable[[Record], Ruling]

CHECKERS: tuple[Checker, ...] = (
    nothing_lost,
    nothing_unexpected,
    completed_once,
    handed_out_once,
    one_holder,
    stale_holder_refused,
    heartbeats_honoured,
    linearizable,
    attempts_within_limit,
    dead_letters_whole,
    priorities_kept,
    order_kept,
    delays_honoured,
    workers_fair,
    producers_fair,
    recovered_in_time,
    done_in_the_end,
)
"""All of them, the worst loss first. A history that ends before the queue is worked off leaves the
last one out."""


def judge(record: Record, checkers: Sequence[Checker] | None = None) -> tuple[Ruling, ...]:
    """Return every checker's ruling; a checker that raises says unknown."""
    with _uncollected():
        return tuple(_ask(checker, record) for checker in checkers or CHECKERS)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Let the garbage collector rest for the body.

    What checkers make refers to nothing that refers back. The collector looks through all of a
    large history again and again for that, a fifth of the time.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _ask(checker: Checker, record: Record) -> Ruling:
    try:
        return checker(record)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not be green
        name = checker.__name__.replace("_", "-")
        return unknown(name, f"the checker failed: {error!r}")
