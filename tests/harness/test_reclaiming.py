"""Who takes tasks from dead holders: while the body runs, and no longer."""

import time

import pytest

from harness.reclaiming import Reclaimer, claim_when_there, reclaim_until_freed
from harness.waiting import WaitedTooLongError, let_pass, wait_until

SHORT_LEASE_S = 0.2
DEADLINE_S = 30


@pytest.fixture
def keeper(crew, path):
    """A worker that reclaims; another one held the only task when it died."""
    keeper, dead = crew.start(path, "keeper"), crew.start(path, "dead")
    keeper.enqueue("k")
    dead.claim(lease_s=SHORT_LEASE_S)
    dead.driver.kill()
    return keeper


def reclaims(worker):
    """The reclaims of the history so far."""
    return [op for op in worker.history.operations() if op.op == "reclaim"]


def test_a_reclaimer_frees_what_a_dead_holder_left(keeper):
    """The task is there again while the body runs."""
    with Reclaimer(keeper, every_s=0.05):
        wait_until(
            lambda: any(op.facts.get("count") for op in reclaims(keeper)),
            "the task to be freed",
            timeout_s=DEADLINE_S,
        )

    assert keeper.claim().key == "k"


def test_a_reclaimer_stops_with_the_body(keeper):
    """Afterwards nobody reclaims any more, and nothing of it is under way."""
    with Reclaimer(keeper, every_s=0.01):
        wait_until(lambda: len(reclaims(keeper)) >= 2, "reclaims", timeout_s=DEADLINE_S)
    done = reclaims(keeper)

    assert all(op.returned_s is not None for op in done)
    assert keeper.claim().ok, "the worker is free for others"
    assert reclaims(keeper) == done


def test_a_reclaimer_pauses_before_each_reclaim(keeper):
    """With a pause that is longer than the body it reclaims nothing, and does not hold it up."""
    began_s = time.monotonic()
    with Reclaimer(keeper, every_s=10 * DEADLINE_S):
        pass

    assert time.monotonic() - began_s < DEADLINE_S / 2
    assert reclaims(keeper) == []


def test_a_reclaimer_ends_with_its_worker(keeper):
    """A worker that died reclaims no more: the history is not filled with its silence."""
    with Reclaimer(keeper, every_s=0.001):
        wait_until(lambda: reclaims(keeper), "a reclaim", timeout_s=DEADLINE_S)
        keeper.driver.kill()
        count = len(reclaims(keeper))
        # Time enough for many reclaims of somebody who does not see it.
        let_pass(0.2)

    assert len(reclaims(keeper)) <= count + 1


def test_a_lease_is_waited_for_until_it_is_over(keeper):
    """The reclaim that is returned is the one that freed the task."""
    freed = reclaim_until_freed(keeper)

    assert freed.facts["count"] == 1
    assert [op.facts["count"] for op in reclaims(keeper)[:-1]] == [0] * (len(reclaims(keeper)) - 1)


def test_a_lease_that_does_not_end_is_not_waited_for_for_ever(crew, path):
    """Where nothing is held nothing is freed, and the wait has an end."""
    with pytest.raises(WaitedTooLongError, match=r"the end of a lease .* within 0\.1 s"):
        reclaim_until_freed(crew.start(path, "w"), timeout_s=0.1)


def test_a_task_is_waited_for_until_it_is_there(crew, path):
    """Claims that found nothing come before the one that is returned, with the lease asked for."""
    worker, producer = crew.start(path, "w"), crew.start(path, "p")
    worker.claim()
    producer.enqueue("k")

    claimed = claim_when_there(worker, lease_s=7.0)

    assert (claimed.key, claimed.facts["lease_s"]) == ("k", 7.0)
    assert worker.complete().ok


def test_a_task_that_does_not_come_is_not_waited_for_for_ever(crew, path):
    """The wait has an end, and says for what it was."""
    with pytest.raises(WaitedTooLongError, match=r"a task to be claimed .* within 0\.1 s"):
        claim_when_there(crew.start(path, "w"), timeout_s=0.1)
