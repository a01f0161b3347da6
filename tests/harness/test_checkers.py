"""Each checker is green on a good history, red on its own violation, and never green on nothing."""

import gc

import pytest

from harness import checkers
from harness.checkers import Record, Ruling, Valid, compose, judge
from harness.drivers.protocol import Capabilities
from harness.history import Outcome
from tests.harness.histories import Script, final

NOT_TRIED = {
    checkers.handed_out_once,
    checkers.stale_holder_refused,
    checkers.heartbeats_honoured,
    checkers.dead_letters_whole,
    checkers.priorities_kept,
    checkers.delays_honoured,
    checkers.producers_fair,
    checkers.recovered_in_time,
}
"""What a plain history does not put to the test."""


def good() -> Record:
    """Two tasks, put in, claimed and completed by two workers."""
    script = Script().enqueue("k1").enqueue("k2", 0.2)
    script.claim("a", 1, 1.0).claim("b", 2, 1.0)
    script.add("a", "complete", 2.0, task_id=1, fence="a")
    script.add("b", "complete", 2.0, task_id=2, fence="b")
    return script.record(final(1), final(2))


@pytest.mark.parametrize("checker", checkers.CHECKERS, ids=lambda checker: checker.__name__)
def test_a_good_history_is_green(checker):
    """Every checker accepts a history in which nothing went wrong, unless it has nothing to try."""
    ruling = checker(good())
    assert ruling.valid is not Valid.FALSE, str(ruling)
    assert ruling.valid is Valid.TRUE or checker in NOT_TRIED, str(ruling)


def test_a_missing_acknowledged_task_is_lost():
    """An acknowledged task that is gone at the end is a loss."""
    record = Script().enqueue("k1").enqueue("k2").record(final(1))
    ruling = checkers.nothing_lost(record)
    assert ruling.valid is Valid.FALSE
    assert "k2" in ruling.violations[0]


def test_an_unknown_task_may_be_missing():
    """A task whose enqueue was never answered may be there or not."""
    script = Script().enqueue("k1").enqueue("k2", outcome=Outcome.UNKNOWN)
    assert checkers.nothing_lost(script.record(final(1))).valid is Valid.TRUE
    assert checkers.nothing_lost(script.record(final(1), final(2))).valid is Valid.TRUE
    assert checkers.nothing_unexpected(script.record(final(1), final(2))).valid is Valid.TRUE


def test_a_completion_that_is_undone_is_lost():
    """A task whose completion was acknowledged is completed at the end."""
    script = Script().enqueue("k1").claim("a", 1, 1.0)
    script.add("a", "complete", 2.0, task_id=1, fence="a")
    assert checkers.nothing_lost(script.record(final(1, "queued"))).valid is Valid.FALSE


def test_a_completed_task_that_waits_once_more_says_which_of_the_two_is_meant():
    """Where a task is there twice, it is the one that is not completed that is told."""
    script = Script().enqueue("k1").claim("a", 1, 1.0)
    script.add("a", "complete", 2.0, task_id=1, fence="a")
    ruling = checkers.nothing_lost(script.record(final(1), final(2, "queued", key="k1")))
    assert "is queued at the end" in ruling.violations[0]


def test_a_completion_answers_for_an_enqueue_without_an_answer():
    """Whose enqueue nobody answered and whose completion was acknowledged is there, completed."""
    script = Script().enqueue("k1", outcome=Outcome.UNKNOWN).claim("a", 1, 1.0)
    script.add("a", "complete", 2.0, task_id=1, fence="a")
    assert checkers.nothing_lost(script.record(final(1))).valid is Valid.TRUE
    assert checkers.nothing_lost(script.record(final(1, "queued"))).valid is Valid.FALSE
    assert checkers.nothing_lost(script.record()).valid is Valid.FALSE


def test_a_task_whose_enqueue_had_no_answer_is_finished_too():
    """What is there at the end is there for the workers, whatever its producer was told."""
    script = Script().enqueue("k1").enqueue("k2", outcome=Outcome.UNKNOWN)
    assert checkers.done_in_the_end(script.record(final(1))).valid is Valid.TRUE
    left = script.record(final(1), final(2, "queued"))
    assert checkers.done_in_the_end(left).valid is Valid.FALSE
    early = script.record(final(1), final(2, "dead_letter", attempts=1))
    assert checkers.done_in_the_end(early).valid is Valid.FALSE


def test_nothing_acknowledged_says_nothing():
    """With no acknowledged task, or an unseen end, no checker of losses is green."""
    refused = Script().enqueue("k1", outcome=Outcome.FAILED)
    assert checkers.nothing_lost(refused.record(final(1))).valid is Valid.UNKNOWN
    assert checkers.nothing_lost(Script().enqueue("k1").record(seen=False)).valid is Valid.UNKNOWN
    assert checkers.completed_once(refused.record()).valid is Valid.UNKNOWN
    assert checkers.done_in_the_end(refused.record()).valid is Valid.UNKNOWN
    assert checkers.attempts_within_limit(refused.record()).valid is Valid.UNKNOWN


def test_a_task_from_nowhere_is_unexpected():
    """A task that nobody put in is unexpected, claimed or found at the end."""
    claimed = Script().enqueue("k1").claim("a", 9, 1.0)
    assert checkers.nothing_unexpected(claimed.record(final(1))).valid is Valid.FALSE
    found = Script().enqueue("k1").record(final(1), final(9))
    assert checkers.nothing_unexpected(found).valid is Valid.FALSE


def test_a_changed_payload_is_unexpected():
    """A task that comes out with another payload is unexpected, claimed or found at the end."""
    claimed = Script().enqueue("k1").claim("a", 1, 1.0, digest="other")
    assert checkers.nothing_unexpected(claimed.record(final(1))).valid is Valid.FALSE
    found = Script().enqueue("k1").record(final(1, digest="other"))
    assert checkers.nothing_unexpected(found).valid is Valid.FALSE


def test_a_task_that_is_there_twice_is_unexpected():
    """One key is one task."""
    record = Script().enqueue("k1").record(final(1), final(2, key="k1"))
    assert checkers.nothing_unexpected(record).valid is Valid.FALSE


def test_two_completions_are_one_too_many():
    """A task that is completed by two workers is a violation."""
    script = Script().add("a", "complete", 1.0, task_id=1).add("b", "complete", 2.0, task_id=1)
    assert checkers.completed_once(script.record(final(1))).valid is Valid.FALSE


def test_a_restore_between_two_completions_makes_them_two_matters():
    """A task that a restore brought back may be completed again."""
    script = Script().add("a", "complete", 1.0, task_id=1).add("h", "restore", 2.0)
    script.add("b", "complete", 3.0, task_id=1)
    assert checkers.completed_once(script.record(final(1))).valid is Valid.TRUE


def test_an_unanswered_completion_does_not_count():
    """A completion that may not have happened is no second one."""
    script = Script().add("a", "complete", 1.0, task_id=1, outcome=Outcome.UNKNOWN)
    script.add("b", "complete", 2.0, task_id=1)
    assert checkers.completed_once(script.record(final(1))).valid is Valid.TRUE


def test_two_holders_at_one_time_are_found():
    """Two workers that were both told they hold a task, at one time, are a violation."""
    ruling = checkers.one_holder(Script().claim("a", 1, 1.0).claim("b", 1, 1.05).record())
    assert ruling.valid is Valid.FALSE
    assert "held by a and b" in ruling.violations[0]


@pytest.mark.parametrize(
    ("lease_s", "second_at_s", "valid"),
    [(1.0, 1.95, Valid.TRUE), (1.0, 1.7, Valid.FALSE), (0.5, 1.5, Valid.TRUE)],
)
def test_a_second_holder_is_right_once_the_lease_has_run_out(lease_s, second_at_s, valid):
    """A lease runs from when it was asked for; the second may be told when the first has ended."""
    script = Script().claim("a", 1, 1.0, lease_s=lease_s)
    script.claim("b", 1, second_at_s, attempts=1)
    assert checkers.one_holder(script.record()).valid is valid


def test_a_heartbeat_prolongs_the_holding():
    """A lease that was extended is held to its new end."""
    script = Script().claim("a", 1, 1.0, lease_s=1.0)
    beat = {"task_id": 1, "fence": "a", "facts": {"lease_s": 5.0}}
    script.add("a", "heartbeat", 1.5, **beat).claim("b", 1, 3.0)
    assert checkers.one_holder(script.record()).valid is Valid.FALSE


@pytest.mark.parametrize("op", ["complete", "fail", "release", "restore"])
def test_a_holding_ends_with_what_ends_it(op):
    """A task that was given back, released or restored may be held by the next one."""
    fence = "a" if op in ("complete", "fail") else None
    script = Script().claim("a", 1, 1.0).add("a", op, 2.0, task_id=1, fence=fence)
    assert checkers.one_holder(script.claim("b", 1, 2.5).record()).valid is Valid.TRUE


def test_a_holding_does_not_end_with_somebody_elses_completion():
    """What another fence does to a task does not end a holding."""
    script = Script().claim("a", 1, 1.0).add("b", "complete", 2.0, task_id=1, fence="b")
    assert checkers.one_holder(script.claim("c", 1, 2.5).record()).valid is Valid.FALSE


def test_holders_are_not_judged_where_leases_are_not_promised():
    """A queue is held to what it declares."""
    script = Script().claim("a", 1, 1.0).claim("b", 1, 1.05)
    record = script.record(capabilities=Capabilities())
    for ruling in (checkers.one_holder(record), checkers.stale_holder_refused(record)):
        assert ruling.valid is Valid.NOT_APPLICABLE
        assert "not promised" in ruling.reason


@pytest.mark.parametrize("op", ["complete", "fail", "heartbeat"])
def test_an_accepted_stale_holder_is_found(op):
    """What a worker does to a task after another one had it must be refused."""
    script = Script().claim("a", 1, 1.0, lease_s=1.0).claim("b", 1, 5.0, attempts=1)
    stale = {"task_id": 1, "fence": "a", "facts": {"lease_s": 1.0}}
    accepted = script.add("a", op, 6.0, **stale).record()
    assert checkers.stale_holder_refused(accepted).valid is Valid.FALSE


def test_a_refused_stale_holder_is_right_and_counted():
    """A refused stale holder is what a queue promises; the ruling says that one was seen."""
    script = Script().claim("a", 1, 1.0, lease_s=1.0).claim("b", 1, 5.0, attempts=1)
    script.add("a", "complete", 6.0, task_id=1, fence="a", outcome=Outcome.FAILED)
    ruling = checkers.stale_holder_refused(script.record())
    assert (ruling.valid, ruling.seen) == (Valid.TRUE, 1)


def test_a_completion_that_overlaps_the_takeover_is_no_violation():
    """Where the order of two operations is not known, the queue has the benefit."""
    script = Script().claim("a", 1, 1.0, lease_s=1.0).claim("b", 1, 5.0, attempts=1)
    script.add("a", "complete", 5.05, task_id=1, fence="a")
    assert checkers.stale_holder_refused(script.record()).valid is Valid.NOT_APPLICABLE


def test_a_task_beyond_its_attempts_is_found():
    """A task is not handed out, nor kept, with more attempts than its limit."""
    claimed = Script().claim("a", 1, 1.0, attempts=5).record(final(1))
    assert checkers.attempts_within_limit(claimed).valid is Valid.FALSE
    kept = Script().claim("a", 1, 1.0, attempts=4).record(final(1, attempts=6))
    assert checkers.attempts_within_limit(kept).valid is Valid.FALSE


@pytest.mark.parametrize("status", ["queued", "leased", "processing"])
def test_unfinished_work_is_found(status):
    """A task that is still waiting or held at the end is a violation."""
    record = Script().enqueue("k1").record(final(1, status))
    assert checkers.done_in_the_end(record).valid is Valid.FALSE


def test_a_dead_letter_before_its_time_is_found():
    """A task may only give up once its attempts are used up."""
    early = Script().enqueue("k1").record(final(1, "dead_letter", attempts=2))
    assert checkers.done_in_the_end(early).valid is Valid.FALSE
    due = Script().enqueue("k1").record(final(1, "dead_letter", attempts=5))
    assert checkers.done_in_the_end(due).valid is Valid.TRUE


def broken(record: Record) -> Ruling:
    """A checker with a fault of its own."""
    raise ZeroDivisionError(str(len(record.operations)))


@pytest.mark.parametrize("was_on", [True, False])
def test_the_garbage_collector_rests_while_it_is_judged_and_no_longer(was_on):
    """Also where a checker raises; who had it off keeps it off."""
    seen = []

    def looks(_record):
        seen.append(gc.isenabled())
        raise ZeroDivisionError

    before = gc.isenabled()
    try:
        (gc.enable if was_on else gc.disable)()
        judge(good(), [looks])
        assert (seen, gc.isenabled()) == ([False], was_on)
    finally:
        (gc.enable if before else gc.disable)()


def test_a_checker_that_raises_is_unknown():
    """A checker that fails says unknown, with the reason, and is never green."""
    (ruling,) = judge(good(), [broken])
    assert ruling.valid is Valid.UNKNOWN
    assert "ZeroDivisionError" in ruling.reason


@pytest.mark.parametrize(
    ("answers", "composed"),
    [
        (["true", "true"], "true"),
        (["true", "unknown"], "unknown"),
        (["unknown", "false", "true"], "false"),
        (["not-applicable", "true"], "true"),
        (["not-applicable", "unknown", "true"], "unknown"),
        (["not-applicable"], "unknown"),
        ([], "unknown"),
    ],
)
def test_false_goes_over_unknown_and_unknown_over_true(answers, composed):
    """Rulings compose to the worst of them, and no ruling at all is unknown."""
    rulings = [Ruling(name="x", valid=Valid(answer)) for answer in answers]
    assert compose(rulings) is Valid(composed)


def test_a_ruling_says_its_figures_in_one_line():
    """A ruling shows its first violations and how many more there are."""
    ruling = Ruling(name="x", valid=Valid.FALSE, seen=9, violations=tuple("abcde"))
    assert str(ruling) == "x: false (9 looked at), 5 violations: a; b; c; and 2 more"
