"""Which task is handed out, and at what cost.

Claim: the first task that is due is handed out: by priority, then as they came. What cannot run
yet, or never, stands in nobody's way, and no verb gets dearer as the queue grows.
Faults: none; tasks as other programs leave them, and a queue that has grown long.
Method: a worker empties queues in which precedence differs from the order of arrival; the steps
of SQLite's virtual machine are counted for each verb on a short queue and on a long one.
A failure means: urgent tasks wait behind others, tasks run before their time or never, or the
queue slows down just when it has the most to do.
"""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from core.database import QueueDatabase
from core.tasks import TaskQueue
from harness.checkers import (
    CHECKERS,
    attempts_within_limit,
    completed_once,
    done_in_the_end,
    nothing_lost,
    one_holder,
)
from harness.closing import Books
from harness.crew import Crew
from harness.evidence import Evidence
from harness.history import Operation
from harness.outcome import Inconclusive
from harness.waiting import wait_until
from harness.worker import Worker

pytestmark = pytest.mark.scenario

RANKS = (1, 5, 5, 50, 50, 50, 100, 100, 900)
SOON_S = 0.3
DAY_S = 86_400.0
MAX_ATTEMPTS = 2
IN_FRONT_COUNT = 200
SHORT_COUNT = 200
LONG_FACTOR = 20
DEARER_MOST = 2.0
WAIT_S = 20.0
UNFINISHED = tuple(each for each in CHECKERS if each is not done_in_the_end)
# What another program did to a task is in no history; these judge what ours does with it.
PUT_BACK = (nothing_lost, completed_once, one_holder, attempts_within_limit)

IN_FRONT = {
    "later-in-another-format": "strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '+1 hour'), 0",
    "unreadable": "'', 0",
    "used-up": f"datetime('now', '-1 hour'), {MAX_ATTEMPTS}",
}
"""Time and attempts, in SQL, of waiting tasks that cannot be handed out."""


@pytest.mark.needs("priorities", "order")
def test_urgent_task_goes_first_whatever_came_before(
    queue_path: Path, crew: Crew, books: Books, queue_random: random.Random
) -> None:
    """Tasks come out by their priority, and those of one priority as they went in."""
    worker = crew.start(queue_path, "worker")
    # The least urgent one comes first, so that the order of arrival is never the right one.
    ranks = [RANKS[-1], *queue_random.sample(RANKS, len(RANKS))]
    for number, rank in enumerate(ranks):
        worker.enqueue(f"{rank:03d}-{number:02d}", priority=rank)

    claims = [_claim_and_complete(worker) for _rank in ranks]

    books.require_sound(worker)
    keys = [claim.key for claim in claims]
    books.evidence.require(keys == sorted(keys, key=str), f"they were handed out as {keys}")


@pytest.mark.needs("delays", "retries")
def test_task_before_its_time_is_passed_over_and_then_handed_out(
    queue_path: Path, crew: Crew, books: Books
) -> None:
    """What is due later, or waits for its retry, lets the others go first, and runs in its time."""
    worker = crew.start(queue_path, "worker")
    worker.enqueue("tomorrow", delay_s=DAY_S)
    worker.enqueue("retry")
    worker.claim()
    worker.fail("for trial", retry_after_s=DAY_S)
    worker.enqueue("soon", delay_s=SOON_S)
    worker.enqueue("now")

    first = _claim_and_complete(worker)
    wait_until(lambda: _found_all(worker, {"now", "soon"}), "the delay's end", timeout_s=WAIT_S)
    more = worker.claim()

    books.require_sound(worker, checkers=UNFINISHED)
    books.evidence.require(first.key == "now", f"{first.key} was handed out and not the one due")
    books.evidence.require(more.task_id is None, f"{more.key} was handed out before its time")


@pytest.mark.needs("core")
def test_used_up_task_that_was_put_back_is_passed_over(
    queue_path: Path, crew: Crew, books: Books
) -> None:
    """A task without attempts left is not run again, also where another program queues it."""
    worker = crew.start(queue_path, "worker")
    worker.enqueue("used-up", max_attempts=MAX_ATTEMPTS)
    worker.enqueue("behind")
    _change(queue_path, f"UPDATE task_queue SET attempts = {MAX_ATTEMPTS} WHERE id = 1")

    first = _claim_and_complete(worker)
    more = worker.claim()

    books.require_sound(worker, checkers=PUT_BACK)
    books.evidence.require(first.key == "behind", f"{first.key} was handed out, not the one behind")
    books.evidence.require(more.task_id is None, f"{more.key} was handed out without attempts left")


@pytest.mark.needs("core")
@pytest.mark.parametrize("kind", IN_FRONT)
def test_tasks_that_cannot_run_hide_none_behind_them(
    kind: str, queue_path: Path, crew: Crew, books: Books
) -> None:
    """However many tasks that cannot be handed out stand first, the one that can is found."""
    worker = crew.start(queue_path, "worker")
    _put_in_front(queue_path, IN_FRONT_COUNT, IN_FRONT[kind])
    worker.enqueue("behind")

    found = _claim_and_complete(worker)

    books.evidence.require(
        found.key == "behind",
        f"{IN_FRONT_COUNT} tasks that cannot run hide the one behind them: {found.key} was claimed",
    )


@pytest.mark.needs("core")
@pytest.mark.parametrize("status", ["queued", "completed", "dead_letter"])
def test_long_queue_makes_no_verb_dearer(status: str, queue_path: Path, evidence: Evidence) -> None:
    """Each verb takes as many steps on a queue with many such tasks as on one with few."""
    with QueueDatabase(queue_path) as database:
        _grow(database, SHORT_COUNT, status)
        before = _steps_of_verbs(database)
        _grow(database, SHORT_COUNT * (LONG_FACTOR - 1), status)
        after = _steps_of_verbs(database)

    dearer = {verb: after[verb] / before[verb] for verb in before}
    for verb, ratio in dearer.items():
        evidence.limit(f"{verb}: steps at {LONG_FACTOR} times the backlog", ratio, DEARER_MOST, "x")
    worst = max(dearer, key=dearer.__getitem__)
    evidence.require(
        dearer[worst] <= DEARER_MOST,
        f"{worst} takes {dearer[worst]:.1f} times the steps at {LONG_FACTOR} times the backlog "
        f"(limit {DEARER_MOST:g})",
    )


def _claim_and_complete(worker: Worker) -> Operation:
    claim = worker.claim()
    if worker.task is not None:
        worker.complete()
    return claim


def _found_all(worker: Worker, keys: set[str]) -> bool:
    """Return whether those are all done, after one more was looked for."""
    _claim_and_complete(worker)
    return {task.key for task in worker.final() if task.status == "completed"} >= keys


def _change(queue_path: Path, sql: str) -> None:
    """Do what another program may do to the queue."""
    with QueueDatabase(queue_path) as database, database.transaction() as connection:
        connection.execute(sql).close()


def _put_in_front(queue_path: Path, count: int, due_and_attempts: str) -> None:
    """Put tasks in that another program has left so."""
    _change(
        queue_path,
        "WITH RECURSIVE numbers (number) AS "
        f"(SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < {count}) "
        "INSERT INTO task_queue (type, payload, max_attempts, run_after_utc, attempts) "
        f"SELECT 'theirs', '{{}}', {MAX_ATTEMPTS}, {due_and_attempts} FROM numbers",
    )


def _grow(database: QueueDatabase, count: int, status: str) -> None:
    rows = [(status, f'{{"number": {number}}}') for number in range(count)]
    sql = "INSERT INTO task_queue (type, status, payload) VALUES ('drill', ?, ?)"
    with database.transaction("normal") as connection:
        connection.executemany(sql, rows).close()


def _steps_of_verbs(database: QueueDatabase) -> dict[str, int]:
    """Return how many steps of SQLite's virtual machine each verb takes."""
    tasks = TaskQueue(database, durability="normal")
    steps = {"enqueue": _steps(database, lambda: tasks.enqueue("drill", {}))}
    for _number in range(2):
        tasks.enqueue("drill", {})
    first, second = tasks.claim("worker"), tasks.claim("worker")
    if first is None or second is None:
        raise Inconclusive("two of the tasks that were put in could not be claimed")
    steps |= {
        "claim": _steps(database, lambda: tasks.claim("worker")),
        "heartbeat": _steps(database, lambda: tasks.heartbeat(first)),
        "complete": _steps(database, lambda: tasks.complete(first)),
        "fail": _steps(database, lambda: tasks.fail(second, "for trial")),
    }
    return steps


def _steps(database: QueueDatabase, verb: Callable[[], object]) -> int:
    counted = [0]

    def count() -> None:
        counted[0] += 1

    connection = database.connection()
    connection.set_progress_handler(count, 1)
    try:
        verb()
    finally:
        connection.set_progress_handler(None, 0)
    return counted[0]
