"""The checkers of order, delays, fairness and recovery: right histories, and each its own wrong."""

import pytest

from harness import checkers
from harness.checkers import (
    RecoveryBudget,
    Starvation,
    Valid,
    delays_honoured,
    explain,
    order_kept,
    priorities_kept,
    producers_fair,
    recovered_in_time,
    recoveries,
    workers_fair,
)
from harness.drivers.protocol import Capabilities
from harness.history import Outcome
from tests.harness.histories import Script, final

NOTHING = Capabilities()
BUDGET = RecoveryBudget(lease_s=1.0, timeout_s=0.5, reclaim_every_s=0.5, work_s=1.0)
HUNGER = Starvation(seconds=5.0, others_count=10)


def ranked(first: int, second: int) -> Script:
    """Two tasks of these priorities, put in one after the other."""
    script = Script().enqueue("k1", 0.0, facts={"priority": first})
    return script.enqueue("k2", 0.5, facts={"priority": second})


# -- priorities and order ------------------------------------------------------------------------


def test_a_lower_priority_number_goes_first():
    """A task that overtakes one of a lower priority number is a violation, and the other is not."""
    wrong = ranked(1, 5).claim("a", 2, 1.0).claim("a", 1, 2.0).record(final(1), final(2))
    right = ranked(5, 1).claim("a", 2, 1.0).claim("a", 1, 2.0).record(final(1), final(2))
    assert priorities_kept(wrong).valid is Valid.FALSE
    assert "k2 was handed out" in explain(priorities_kept(wrong))[0]
    assert priorities_kept(right).valid is Valid.TRUE
    assert order_kept(right).valid is Valid.TRUE


def test_the_earlier_of_two_goes_first():
    """Within a priority a task that overtakes an earlier one is a violation."""
    wrong = ranked(1, 1).claim("a", 2, 1.0).claim("a", 1, 2.0).record(final(1), final(2))
    assert order_kept(wrong).valid is Valid.FALSE
    assert priorities_kept(wrong).valid is Valid.NOT_APPLICABLE


def test_a_task_that_waits_to_the_end_was_overtaken_too():
    """A task that nobody ever claimed waited all the while."""
    record = ranked(1, 1).claim("a", 2, 1.0).record(final(1, "queued"), final(2))
    assert order_kept(record).valid is Valid.FALSE


@pytest.mark.parametrize("checker", [order_kept, priorities_kept])
def test_what_overlaps_may_go_either_way(checker):
    """Neither overlapping enqueues nor overlapping claims prove an order."""
    puts = Script().enqueue("k1", 0.0, lasted_s=3.0, facts={"priority": 1})
    puts.enqueue("k2", 0.5, facts={"priority": 5}).claim("a", 2, 1.0).claim("a", 1, 4.0)
    assert checker(puts.record(final(1), final(2))).valid is not Valid.FALSE
    takes = ranked(1, 5).claim("a", 2, 1.0, lasted_s=2.0).claim("b", 1, 1.5)
    assert checker(takes.record(final(1), final(2))).valid is not Valid.FALSE


def test_a_task_that_somebody_unknown_may_have_had_is_no_witness():
    """After an unanswered claim and a reclaim, a task may have been away for a while."""
    script = ranked(1, 1).add("x", "claim", 0.7, outcome=Outcome.UNKNOWN)
    script.claim("a", 2, 1.0).add("k", "reclaim", 1.5, facts={"count": 1}).claim("a", 1, 2.0)
    assert order_kept(script.record(final(1), final(2))).valid is Valid.TRUE
    script = ranked(1, 1).add("x", "claim", 0.7, outcome=Outcome.UNKNOWN)
    script.claim("a", 2, 1.0).claim("a", 1, 2.0)
    assert order_kept(script.record(final(1), final(2))).valid is Valid.FALSE


def test_a_delayed_task_and_a_restored_one_are_no_witnesses():
    """A task that is due later, or that a restore put back, did not surely wait."""
    script = Script().enqueue("k1", 0.0, facts={"delay_s": 9.0}).enqueue("k2", 0.5)
    script.claim("a", 2, 1.0)
    assert order_kept(script.record(final(1, "queued"), final(2))).valid is Valid.TRUE
    script = ranked(1, 1).add("o", "restore", 0.8).claim("a", 2, 1.0).claim("a", 1, 2.0)
    assert order_kept(script.record(final(1), final(2))).valid is Valid.TRUE


@pytest.mark.parametrize(
    "checker", [order_kept, priorities_kept, delays_honoured, checkers.dead_letters_whole]
)
def test_what_is_not_promised_is_not_applicable(checker):
    """A queue is held to what it declares; that is no pass."""
    record = ranked(1, 5).claim("a", 2, 1.0).record(final(1), final(2), capabilities=NOTHING)
    assert checker(record).valid is Valid.NOT_APPLICABLE
    assert "not promised" in checker(record).reason


# -- delays --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at_s", "valid"), [(4.5, Valid.FALSE), (4.95, Valid.TRUE)])
def test_a_delayed_task_is_handed_out_when_it_is_due(at_s, valid):
    """A task that is due at 5 s may be handed out by an answer after that, and by none before."""
    script = Script().enqueue("k1", 0.0, facts={"delay_s": 5.0}).claim("a", 1, at_s)
    assert delays_honoured(script.record(final(1))).valid is valid


def test_a_wrong_clock_is_allowed_for():
    """A task is early only by more than the declared error of the clocks."""
    script = Script().enqueue("k1", 0.0, facts={"delay_s": 5.0}).claim("a", 1, 2.0)
    assert delays_honoured(script.record(final(1), clock_error_s=4.0)).valid is Valid.TRUE
    assert delays_honoured(script.record(final(1), clock_error_s=1.0)).valid is Valid.FALSE


@pytest.mark.parametrize(("at_s", "valid"), [(3.0, Valid.FALSE), (7.0, Valid.TRUE)])
def test_a_retry_waits_as_its_worker_said(at_s, valid):
    """A task that was given back for later is not handed out before."""
    script = Script().enqueue("k1").claim("a", 1, 1.0)
    script.about("fail", "a", 1, 2.0, facts={"status": "queued", "retry_after_s": 5.0})
    ruling = delays_honoured(script.claim("b", 1, at_s).record(final(1)))
    assert (ruling.valid, ruling.seen) == (valid, 1)


# -- heartbeats and dead letters -----------------------------------------------------------------


def beaten() -> Script:
    """A task whose holder extended its lease to 6.5 s, before it ran out at 2 s."""
    script = Script().enqueue("k1").claim("a", 1, 1.0, lease_s=1.0)
    return script.about("heartbeat", "a", 1, 1.5, facts={"lease_s": 5.0})


def test_a_heartbeat_in_time_keeps_the_task():
    """A task whose lease was extended is not handed on, and its holder is not refused."""
    kept = beaten().about("complete", "a", 1, 4.0).record(final(1))
    taken = beaten().claim("b", 1, 4.0).record(final(1, "leased"))
    lost = {"outcome": Outcome.FAILED, "error": "lease-lost: completed"}
    refused = beaten().about("complete", "a", 1, 4.0, **lost).record(final(1, "leased"))
    late = beaten().about("complete", "a", 1, 7.0, **lost).record(final(1, "leased"))
    assert checkers.heartbeats_honoured(kept).valid is Valid.TRUE
    assert checkers.heartbeats_honoured(taken).valid is Valid.FALSE
    assert checkers.heartbeats_honoured(refused).valid is Valid.FALSE
    assert checkers.heartbeats_honoured(late).valid is Valid.TRUE


def test_a_late_heartbeat_does_not_make_up_for_the_time_before():
    """Between the end of a lease and a later heartbeat somebody else may hold the task."""
    script = Script().claim("a", 1, 1.0, lease_s=1.0).claim("b", 1, 3.0, lease_s=1.0)
    script.about("complete", "b", 1, 3.5)
    script.about("heartbeat", "a", 1, 5.0, facts={"lease_s": 5.0})
    assert checkers.one_holder(script.record()).valid is Valid.TRUE


DEAD = {"attempts": 5, "max_attempts": 5}


@pytest.mark.parametrize(
    ("task", "valid"),
    [
        (final(1, "dead_letter", **DEAD), Valid.TRUE),
        (final(1, "dead_letter", history_rows=5, **DEAD), Valid.TRUE),
        (final(1, "dead_letter", history_rows=0, **DEAD), Valid.FALSE),
        (final(1, "dead_letter", attempts=3), Valid.FALSE),
        (final(1, "queued", **DEAD), Valid.FALSE),
        (final(1, "queued", attempts=3), Valid.NOT_APPLICABLE),
    ],
)
def test_a_dead_letter_is_whole(task, valid):
    """What is in dead_letter used up its attempts and has a history; what used them up is there."""
    assert checkers.dead_letters_whole(Script().enqueue("k1").record(task)).valid is valid


def test_a_dead_letter_is_never_handed_out_again():
    """A task that was given up stays so, unless a restore brings it back."""
    script = Script().enqueue("k1").claim("a", 1, 1.0)
    script.about("fail", "a", 1, 2.0, facts={"status": "dead_letter"})
    again = script.claim("b", 1, 3.0).record(final(1, "dead_letter", **DEAD))
    assert checkers.dead_letters_whole(again).valid is Valid.FALSE
    script = Script().enqueue("k1").claim("a", 1, 1.0)
    script.about("fail", "a", 1, 2.0, facts={"status": "dead_letter"}).add("o", "restore", 2.5)
    back = script.claim("b", 1, 3.0).record(final(1, "dead_letter", **DEAD))
    assert checkers.dead_letters_whole(back).valid is Valid.TRUE


def test_at_most_once_hands_out_once():
    """Only a queue that promises at-most-once is held to it."""
    script = Script().enqueue("k1").claim("a", 1, 1.0).claim("b", 1, 9.0)
    once = Capabilities(delivery="at-most-once")
    assert checkers.handed_out_once(script.record(capabilities=once)).valid is Valid.FALSE
    assert checkers.handed_out_once(script.record()).valid is Valid.NOT_APPLICABLE


def test_a_token_that_comes_twice_is_found():
    """Two holdings of one task under one token cannot be told apart."""
    script = Script().claim("a", 1, 1.0, fence="t").claim("b", 1, 9.0, fence="t")
    assert checkers.stale_holder_refused(script.record()).valid is Valid.FALSE


# -- fairness ------------------------------------------------------------------------------------


def polling(asked: int, served: int) -> Script:
    """One worker is served each half second, the other asks as often and in vain."""
    script = Script()
    for number in range(asked):
        script.claim("lucky", number + 1, number / 2)
        if number < served:
            script.add("b", "claim", number / 2 + 0.05, lasted_s=0.4, facts={"lease_s": 1.0})
    return script


def test_a_worker_that_asks_in_vain_starves():
    """A worker that got nothing for long while another got all is found; a shorter time is not."""
    assert workers_fair(polling(30, 30).record(starvation=HUNGER)).valid is Valid.FALSE
    assert workers_fair(polling(30, 8).record(starvation=HUNGER)).valid is Valid.TRUE
    assert workers_fair(polling(30, 30).record()).measures[0][1] == pytest.approx(14.9, abs=0.2)


@pytest.mark.parametrize(("served", "valid"), [(80, Valid.TRUE), (100, Valid.FALSE)])
def test_who_is_one_of_many_may_miss_more(served, valid):
    """Of six workers one may miss what chance gives to five, and no more than that."""
    script = Script()
    for number in range(served):
        script.claim(f"lucky{number % 5}", number + 1, number / 5)
        script.add("b", "claim", number / 5 + 0.01, lasted_s=0.15, facts={"lease_s": 1.0})
    assert workers_fair(script.record()).valid is valid


def test_a_worker_that_was_struck_does_not_starve():
    """The time in which a worker was kept from asking is not held against the queue."""
    script = Script().add("b", "fault", 0.0, lasted_s=20.0, facts={"fault": "suspended-worker"})
    script.operations += polling(30, 30).operations
    assert workers_fair(script.record(starvation=HUNGER)).valid is Valid.TRUE


def served(late_s: float) -> Script:
    """Producer p's task goes at that time; one of q's, put in later, each half second."""
    script = Script().enqueue("k1", 0.0, worker="p")
    for number in range(2, 40):
        script.enqueue(f"k{number}", number / 2, worker="q")
        script.claim("a", number, number / 2 + 0.2)
    return script.claim("a", 1, late_s)


@pytest.mark.parametrize(("late_s", "valid"), [(30.0, Valid.FALSE), (4.0, Valid.TRUE)])
def test_a_producer_whose_task_waits_starves(late_s, valid):
    """A task that many later ones of another producer overtake, for long, is found."""
    assert producers_fair(served(late_s).record(starvation=HUNGER)).valid is valid


# -- recovery ------------------------------------------------------------------------------------


def rescued(claimed_s: float, done_s: float) -> Script:
    """A worker dies at 2 s with a task that is claimed again and completed at these times."""
    script = Script().enqueue("k1").claim("a", 1, 1.0, lease_s=1.0).kill("a", 2.0)
    script.add("keeper", "reclaim", claimed_s - 0.5, facts={"count": 1})
    return script.claim("b", 1, claimed_s).about("complete", "b", 1, done_s)


def test_each_lost_holder_has_its_recovery():
    """For each lost holder it is known when its task was claimed again and when it was done."""
    (recovery,) = recoveries(rescued(3.0, 4.0).record(final(1)))
    assert (recovery.claim.worker, recovery.lost_s) == ("a", 2.0)
    assert recovery.claimed_after_s == pytest.approx(1.1)
    assert recovery.done_after_s == pytest.approx(2.1)


def test_a_holder_that_was_done_before_it_died_lost_nothing():
    """What a worker had completed, or did complete as it died, needs no recovery."""
    script = Script().enqueue("k1").claim("a", 1, 1.0)
    done = script.about("complete", "a", 1, 1.5).kill("a", 2.0).record(final(1))
    assert recoveries(done) == ()
    script = Script().enqueue("k1").claim("a", 1, 1.0)
    script.about("complete", "a", 1, 1.5, outcome=Outcome.UNKNOWN)
    assert recoveries(script.kill("a", 2.0).record(final(1))) == ()


def test_recovery_within_the_budget_is_right():
    """Work that is done again in time is right; its times are measured."""
    ruling = recovered_in_time(rescued(3.0, 4.0).record(final(1), budget=BUDGET))
    assert ruling.valid is Valid.TRUE
    assert {name: round(value, 1) for name, value, _unit in ruling.measures} == {
        "claimed again after, median": 1.1,
        "claimed again after, longest": 1.1,
        "done again after, median": 2.1,
        "done again after, longest": 2.1,
    }


def test_recovery_beyond_the_budget_is_found():
    """Work that is claimed again too late, done too late or never done is a violation."""
    late = rescued(9.0, 9.5).record(final(1), budget=BUDGET)
    slow = rescued(3.0, 9.0).record(final(1), budget=BUDGET)
    never = Script().enqueue("k1").kill("a", 2.0).record(final(1, "queued"), budget=BUDGET)
    for record in (late, slow, never):
        assert recovered_in_time(record).valid is Valid.FALSE


def test_recovery_says_nothing_without_a_budget_or_a_fault():
    """Without a budget it is not applicable; without a fault, or its end, it is unknown."""
    record = rescued(3.0, 4.0).record(final(1))
    assert recovered_in_time(record).valid is Valid.NOT_APPLICABLE
    calm = Script().enqueue("k1").record(final(1), budget=BUDGET)
    assert recovered_in_time(calm).valid is Valid.UNKNOWN
    script = Script().enqueue("k1").add("a", "fault", 1.0, outcome=Outcome.UNKNOWN)
    assert recovered_in_time(script.record(final(1), budget=BUDGET)).valid is Valid.UNKNOWN


# -- stories -------------------------------------------------------------------------------------


def test_a_violation_is_explained_by_the_operations_of_its_task():
    """The story has the operations that show the violation, in time order, and no others."""
    script = Script().enqueue("k1").enqueue("k2").claim("a", 1, 1.0).claim("c", 2, 1.0)
    record = script.claim("b", 1, 1.05).record(final(1), final(2))
    assert explain(checkers.one_holder(record)) == (
        "one-holder: task k1 was held by a and b at 1.150 s",
        "  1.000 s to 1.100 s: a claim task k1 under a - ok",
        "  1.050 s to 1.150 s: b claim task k1 under b - ok",
    )


def test_a_story_shows_how_each_operation_ended():
    """What was refused says why; what was never answered says so."""
    script = Script().enqueue("k1", outcome=Outcome.UNKNOWN).claim("a", 1, 1.0)
    script.about("complete", "a", 1, 2.0, outcome=Outcome.FAILED, error="busy: the lock")
    lines = explain(checkers.done_in_the_end(script.enqueue("k1").record(final(1, "leased"))))
    assert any("never answered: p enqueue task k1 - unknown" in line for line in lines)
    assert any("refused: busy: the lock" in line for line in lines)


def test_a_ruling_without_a_violation_is_its_own_story():
    """A ruling that found nothing wrong is explained by its one line."""
    ruling = order_kept(ranked(1, 1).record())
    assert explain(ruling) == (str(ruling),)
