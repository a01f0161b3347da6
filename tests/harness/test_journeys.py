"""The way of each task through the queue, on histories written by hand."""

import pytest
from histories import Script

from harness.history import Outcome
from harness.journeys import Journey, asked_part, backlog_exceeded_s, done_until, journeys


def way(key, scheduled_s, done_s=None):
    """A task's way, as far as the backlog looks at it."""
    return Journey(key=key, scheduled_s=scheduled_s, done_s=done_s)


def arrived(script, key, scheduled_s, **known):
    """Add an enqueue that was to be sent at a moment."""
    return script.enqueue(key, facts={"scheduled_s": scheduled_s}, **known)


def test_a_way_has_the_moments_at_which_the_answers_came():
    """Each step counts from its answer, and all of them from the scheduled arrival."""
    script = arrived(Script(), "k1", 1.0, at_s=1.2)
    script.claim("w", 1, 2.0).about("complete", "w", 1, 3.0)

    (found,) = journeys(script.operations)

    moments = (found.scheduled_s, found.acknowledged_s, found.claimed_s, found.done_s)
    assert moments == pytest.approx((1.0, 1.3, 2.1, 3.1))
    assert found.took_s(found.done_s) == pytest.approx(2.1)


def test_ways_come_in_the_order_of_their_arrivals():
    """What was sent late stands where it was to arrive."""
    script = arrived(Script(), "a", 2.0, at_s=2.0)
    arrived(script, "b", 1.0, at_s=2.5)

    assert [found.key for found in journeys(script.operations)] == ["b", "a"]


def test_a_task_that_ran_again_has_its_first_claim():
    """A second holder does not make the wait for the first one longer."""
    script = arrived(Script(), "k1", 0.0).claim("dead", 1, 1.0).claim("w", 1, 5.0)

    (found,) = journeys(script.operations)

    assert found.claimed_s == pytest.approx(1.1)


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.UNKNOWN])
@pytest.mark.parametrize(
    ("op", "attribute"),
    [("enqueue", "acknowledged_s"), ("claim", "claimed_s"), ("complete", "done_s")],
)
def test_what_was_not_acknowledged_is_no_step(op, attribute, outcome):
    """Neither a refusal nor silence brings a task on."""
    script = Script()
    ends = {
        each: outcome if each == op else Outcome.OK for each in ("enqueue", "claim", "complete")
    }
    arrived(script, "k1", 0.0, outcome=ends["enqueue"])
    script.claim("w", 1, 1.0, outcome=ends["claim"])
    script.about("complete", "w", 1, 2.0, outcome=ends["complete"])

    (found,) = journeys(script.operations)

    steps = {each: getattr(found, each) for each in ("acknowledged_s", "claimed_s", "done_s")}
    assert [each for each, moment_s in steps.items() if moment_s is None] == [attribute]
    assert found.took_s(steps[attribute]) is None


def test_a_completion_that_is_asked_for_again_counts_when_it_is_acknowledged():
    """A refusal first and an acknowledgement later: the task is done at the later one."""
    script = arrived(Script(), "k1", 0.0).claim("w", 1, 1.0)
    script.about("complete", "w", 1, 2.0, outcome=Outcome.FAILED).about("complete", "w", 1, 4.0)

    assert journeys(script.operations)[0].done_s == pytest.approx(4.1)


def test_what_was_put_in_without_a_schedule_has_no_way():
    """Tasks that nobody scheduled, faults and empty claims are left out."""
    script = Script().enqueue("k1").claim("w", 1, 1.0).add("w", "claim", 2.0).kill("w", 3.0)

    assert journeys(script.operations) == []


def test_done_counts_up_to_and_with_the_moment():
    """What was done later, or never, is not done until then."""
    ways = [way("a", 0.0, 1.0), way("b", 0.0, 2.0), way("c", 0.0, 2.1), way("d", 0.0)]

    assert [done_until(ways, moment_s) for moment_s in (0.9, 2.0, 9.0)] == [0, 2, 3]


def test_a_backlog_is_seen_when_it_has_more_than_the_most():
    """The moment is that of the arrival that was one too many."""
    ways = [way("a", 1.0, 9.0), way("b", 2.0, 9.0), way("c", 3.0, 9.0)]

    assert backlog_exceeded_s(ways, 2) == 3.0
    assert backlog_exceeded_s(ways, 3) is None


def test_a_backlog_shrinks_by_what_is_done():
    """A task that is done at the moment at which another arrives has made room for it."""
    ways = [way("a", 1.0, 2.0), way("b", 2.0, 3.0), way("c", 3.0, 4.0)]

    assert backlog_exceeded_s(ways, 1) is None


def test_a_task_that_is_never_done_waits_for_ever():
    """Tasks that are lost or stuck stay in the backlog."""
    ways = [way("a", 1.0), way("b", 2.0, 3.0), way("c", 50.0, 51.0)]

    assert backlog_exceeded_s(ways, 1) == 2.0
    assert backlog_exceeded_s([ways[0], ways[2]], 1) == 50.0


def test_workers_are_asked_while_an_operation_is_under_way():
    """What reaches into the time counts as far as it does, and producers do not count."""
    script = Script().claim("a", 1, 9.0, lasted_s=2.0).about("complete", "a", 1, 13.0, lasted_s=9.0)
    script.claim("b", 2, 1.0, lasted_s=1.0).enqueue("k", 10.0, lasted_s=4.0)

    assert asked_part(script.operations, 2, 10.0, 14.0) == pytest.approx((1.0 + 1.0) / (2 * 4.0))


def test_a_request_without_an_answer_is_under_way_to_the_end():
    """Nobody knows when it was over, and its worker waits."""
    script = Script().claim("a", 1, 12.0, outcome=Outcome.UNKNOWN)

    assert asked_part(script.operations, 2, 10.0, 14.0) == pytest.approx(0.25)


def test_without_workers_nobody_is_asked():
    """Only producers: no part of any time."""
    assert asked_part(Script().enqueue("k").operations, 1, 0.0, 1.0) == 0.0
