"""Attempts: each is counted once, however it ends, and a task has so many and no more.

Claim: a task that failed, or whose holder died, is tried again until its attempts are used up, and
then put aside.
Faults: killed-worker.
Method: one task fails each time it is tried; another fails, kills its holder, and fails again.
A failure means: a task that cannot be done is tried for ever, or one that can is given up early.
"""

from pathlib import Path

import pytest

from harness.closing import Books
from harness.crew import Crew
from harness.faults import KilledWorker
from harness.history import Operation
from harness.ledger import Ledger
from harness.outcome import Inconclusive
from harness.reclaiming import reclaim_until_freed
from harness.worker import Worker

pytestmark = [pytest.mark.scenario, pytest.mark.needs("retries")]

MAX_ATTEMPTS = 3
LEASE_S = 0.2
HOPELESS = "hopeless"


def test_task_that_fails_each_time_is_given_up_after_its_attempts(
    queue_path: Path, crew: Crew, books: Books
) -> None:
    """It is handed out as often as it has attempts, and goes to dead_letter with the last one."""
    worker = crew.start(queue_path, "worker")
    _put_in(worker)

    told = [_claim_and_fail(worker) for _number in range(MAX_ATTEMPTS)]

    _require_given_up(worker, books)
    right = [*["queued"] * (MAX_ATTEMPTS - 1), "dead_letter"]
    books.evidence.require(told == right, f"its worker was told {told}")


@pytest.mark.needs("leases")
def test_attempt_that_fails_and_one_that_dies_count_alike(
    queue_path: Path, crew: Crew, books: Books, ledger: Ledger
) -> None:
    """A task that fails, kills its holder and fails again has used three attempts up."""
    worker, victim = crew.start(queue_path, "worker"), crew.start(queue_path, "victim")
    _put_in(worker)

    _claim_and_fail(worker)
    _require_held(victim.claim(lease_s=LEASE_S))
    with ledger.injected(KilledWorker(), victim.driver):
        reclaim_until_freed(worker)
    _claim_and_fail(worker)

    _require_given_up(worker, books)


def _put_in(worker: Worker) -> None:
    """Put in the task that is tried in vain, and one behind it."""
    worker.enqueue(HOPELESS, max_attempts=MAX_ATTEMPTS)
    worker.enqueue("behind")


def _claim_and_fail(worker: Worker) -> str:
    """Have one attempt end; return what the worker was told of the task."""
    _require_held(worker.claim())
    return str(worker.fail("for trial").facts.get("status"))


def _require_held(claim: Operation) -> None:
    if claim.task_id is None:
        raise Inconclusive(f"the task could not be claimed: {claim.error or 'none was due'}")


def _require_given_up(worker: Worker, books: Books) -> None:
    """Fail unless all attempts of the task are counted, and it is out of the others' way."""
    __tracebackhide__ = True
    next_key = worker.claim().key
    if worker.task is not None:
        worker.complete()
    (task,) = (task for task in worker.final() if task.key == HOPELESS)
    books.evidence.limit("attempts of the task", task.attempts, MAX_ATTEMPTS, "attempts")
    books.evidence.require(
        (task.status, task.attempts) == ("dead_letter", MAX_ATTEMPTS),
        f"it is {task.status} after {task.attempts} of {MAX_ATTEMPTS} attempts, "
        f"and {MAX_ATTEMPTS} have ended",
    )
    books.evidence.require(next_key == "behind", f"after it {next_key} was handed out")
    books.require_sound(worker)
