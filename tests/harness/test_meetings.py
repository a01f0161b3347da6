"""Meetings of operations with windows of time, on histories written by hand."""

import pytest
from histories import Script

from harness.errands import errands
from harness.history import Outcome
from harness.latency import Window
from harness.meetings import (
    apart,
    beside,
    counted,
    inside,
    longest_s,
    meeting,
    refused,
    waiting,
)

BUSY = {"outcome": Outcome.FAILED, "error": "busy: the writer lock was not had in time"}
WINDOWS = (Window(10.0, 11.0), Window(20.0, 21.0))


def enqueued(at_s, lasted_s=0.1, **known):
    """One enqueue at that moment."""
    return tuple(Script().enqueue("k", at_s, lasted_s=lasted_s, **known).operations)


def names(met, at_s, lasted_s=0.1, **known):
    """Whether it is met by a lone enqueue at that moment."""
    return bool(met(enqueued(at_s, lasted_s, **known), WINDOWS))


@pytest.mark.parametrize(
    ("at_s", "lasted_s", "met", "within"),
    [
        (9.0, 0.5, False, False),
        (9.5, 1.0, True, False),
        (10.2, 0.5, True, True),
        (10.5, 1.0, True, False),
        (9.0, 3.0, True, False),
        (11.5, 1.0, False, False),
        (20.2, 0.5, True, True),
        (10.5, 10.0, True, False),
    ],
)
def test_under_way_at_one_time_is_less_than_begun_and_ended(at_s, lasted_s, met, within):
    """To meet, a moment is enough; to be inside, both ends have to lie in one window."""
    assert names(meeting, at_s, lasted_s) is met
    assert names(inside, at_s, lasted_s) is within


def test_what_was_not_acknowledged_is_not_inside():
    """A refusal shows nobody going on."""
    assert not names(inside, 10.2, 0.5, **BUSY)
    assert names(meeting, 10.2, 0.5, **BUSY)


@pytest.mark.parametrize(
    ("at_s", "lasted_s", "waits"),
    [
        (10.5, 0.4, False),
        (10.5, 0.6, True),
        (10.99, 0.5, False),
        (5.0, 6.5, True),
        (11.0, 0.5, False),
    ],
    ids=["answered before the end", "waited", "not for long", "from before", "after it"],
)
def test_who_waits_has_no_answer_when_the_window_ends(at_s, lasted_s, waits):
    """And has had none for a good while."""
    assert names(waiting, at_s, lasted_s) is waits


def test_what_never_came_back_waits_and_meets():
    """Without an answer it is under way for ever."""
    assert names(waiting, 10.5, outcome=Outcome.UNKNOWN)
    assert names(meeting, 5.0, outcome=Outcome.UNKNOWN)


@pytest.mark.parametrize(
    ("at_s", "known", "met"),
    [(10.2, BUSY, True), (9.95, BUSY, True), (10.95, BUSY, False), (10.2, {}, False)],
    ids=["inside", "asked before", "told afterwards", "served"],
)
def test_a_refusal_counts_when_it_is_told(at_s, known, met):
    """It is told in the window that nothing was done."""
    assert names(refused, at_s, **known) is met


@pytest.mark.parametrize("met", [meeting, inside, waiting])
def test_a_claim_that_found_nothing_is_no_meeting(met):
    """There was nothing for it to lose."""
    lasted_s = 0.9 if met is waiting else 0.1
    idle = Script().add("w", "claim", 10.5, lasted_s=lasted_s).operations
    served = Script().claim("w", 1, 10.5, lasted_s=lasted_s).operations
    assert not met(idle, WINDOWS)
    assert met(served, WINDOWS)


def test_an_operation_that_met_two_windows_counts_once():
    """It is one operation."""
    assert len(meeting(enqueued(10.5, 10.0), WINDOWS)) == 1


def test_every_operation_is_counted_those_that_never_came_too():
    """None is forgotten for not being there."""
    script = Script().enqueue("a").enqueue("b").claim("w", 1, 1)
    assert counted(script.operations) == {"enqueue": 2, "claim": 1, "heartbeat": 0, "complete": 0}


def test_a_stall_lasts_from_the_first_asking_to_the_acknowledgement():
    """Who was told busy in between has waited for all of it."""
    script = Script().enqueue("k", 9.0, **BUSY).enqueue("k", 10.5).enqueue("l", 30.0)
    found = errands(script.operations)
    assert longest_s(beside(found, WINDOWS)) == {"enqueue": pytest.approx(1.6)}
    assert longest_s(apart(found, WINDOWS)) == {"enqueue": pytest.approx(0.1)}


def test_the_longest_is_that_of_its_operation():
    """Each operation has its own."""
    script = Script().enqueue("k", 10.1, lasted_s=0.5).enqueue("l", 10.7).claim("w", 1, 10.2)
    longest = longest_s(beside(errands(script.operations), WINDOWS))
    assert longest == {"enqueue": pytest.approx(0.5), "claim": pytest.approx(0.1)}
