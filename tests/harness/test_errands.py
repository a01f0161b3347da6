"""Errands: asked for again where the queue is busy, and followed to their end."""

import math

import pytest
from histories import Script

from harness.errands import ask_until_served, errands, told_busy
from harness.history import Outcome

BUSY = {"outcome": Outcome.FAILED, "error": "busy: the writer lock was not had in time"}
LOST = {"outcome": Outcome.FAILED, "error": "lease-lost: somebody else has it"}


def operations(script):
    """The operations of a script."""
    return tuple(script.operations)


@pytest.mark.parametrize(
    ("known", "busy"),
    [(BUSY, True), (LOST, False), ({}, False), (BUSY | {"outcome": Outcome.UNKNOWN}, False)],
    ids=["busy", "lease lost", "acknowledged", "unknown"],
)
def test_only_what_was_surely_not_done_since_the_queue_is_busy_counts(known, busy):
    """Busy is what the driver says of an operation that failed, and nothing else."""
    (operation,) = operations(Script().add("w", "complete", 0.0, **known))
    assert told_busy(operation) is busy


def test_who_is_told_busy_asks_again_until_served():
    """Each time is told, and the last one is what came of it."""
    answers = list(operations(Script().enqueue("k", 0, **BUSY).enqueue("k", 1).enqueue("k", 2)))
    told = []
    served = ask_until_served(lambda: answers.pop(0), told.append)
    assert served.ok
    assert [op.invoked_s for op in told] == [0, 1]


@pytest.mark.parametrize("known", [LOST, {"outcome": Outcome.UNKNOWN}], ids=["refused", "unknown"])
def test_what_failed_otherwise_is_not_asked_for_again(known):
    """To ask again for what may be done, or never will be, is no cure."""
    answers = list(operations(Script().enqueue("k", 0, **known).enqueue("k", 1)))
    assert not ask_until_served(lambda: answers.pop(0), lambda _op: None).ok


def test_a_queue_that_is_always_busy_ends_the_errand():
    """There is a deadline, and it fails."""
    (busy,) = operations(Script().enqueue("k", 0, **BUSY))
    assert ask_until_served(lambda: busy, lambda _op: None, timeout_s=0.05) is busy


def test_asking_again_for_the_same_is_one_errand():
    """It lasts from the first time to the last."""
    script = Script().enqueue("k", 1.0, **BUSY).enqueue("k", 2.0, **BUSY).enqueue("k", 3.0)
    (errand,) = errands(operations(script))
    assert (errand.op, errand.done, len(errand.asked)) == ("enqueue", True, 3)
    assert (errand.began_s, errand.ended_s) == (1.0, 3.1)


def test_an_errand_is_over_with_its_acknowledgement():
    """The next one, for the same too, is another."""
    found = errands(operations(Script().enqueue("k", 0).enqueue("k", 1)))
    assert [errand.done for errand in found] == [True, True]


def test_another_task_is_another_errand_and_the_first_has_failed_for_good():
    """Who turns to something else has given up."""
    script = Script().enqueue("a", 0, **BUSY).enqueue("b", 1)
    found = errands(operations(script))
    assert [errand.done for errand in found] == [False, True]
    assert "p's enqueue of a, asked for 1 times: failed, busy" in str(found[0])


def test_workers_errands_do_not_mix():
    """What one asks for in between does not end what another wants."""
    script = Script().claim("a", 1, 0, **BUSY).claim("b", 1, 1).claim("a", 2, 2)
    assert [(errand.asked[0].worker, errand.done) for errand in errands(operations(script))] == [
        ("a", True),
        ("b", True),
    ]


def test_an_errand_about_a_task_that_was_held_before_is_another():
    """The token tells one holding of a task from the next."""
    script = Script().about("complete", "w", 1, 0, **BUSY).about("complete", "w", 1, 1, fence="x")
    assert [errand.done for errand in errands(operations(script))] == [False, True]


def test_a_claim_is_for_whatever_task_comes():
    """A claim that was told busy has no task yet; the next one is the same errand."""
    script = Script().add("w", "claim", 0.0, **BUSY).claim("w", 7, 1.0)
    (errand,) = errands(operations(script))
    assert errand.done
    assert "of k7, asked for 2 times" in str(errand)


def test_what_never_came_back_has_no_end():
    """It has failed for good, and lasts for ever."""
    (errand,) = errands(operations(Script().enqueue("k", 0, outcome=Outcome.UNKNOWN)))
    assert (errand.done, errand.ended_s) == (False, math.inf)


def test_maintenance_runs_no_errands():
    """Only what producers and workers do counts."""
    script = Script().add("operator", "vacuum", 0).add("w", "reclaim", 1)
    assert errands(operations(script)) == ()
