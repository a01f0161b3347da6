"""The archive: what moves there, and what becomes of a task when the move is cut off.

Claim: only tasks that are finished and old enough leave the queue, each whole and with its
history; cut off at any step, every task is in the queue or in the archive, and the next run brings
each to one of the two.
Faults: killed-at-step.
Method: tasks of every status and age are archived by a clock that stands still. For the kill the
run stands still at each step, where its files are copied as a kill there would leave them; copies,
in nightly all, are read as they are, then the run is made again.
A failure means: tidying up costs tasks that are still to be done, or what is known of those that
were.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from core.archive import archive_path
from core.clock import ManualClock, SystemClock
from core.database import QueueDatabase
from core.errors import QueueError
from core.maintenance import QueueMaintenance
from core.schema import FINISHED
from core.tasks import TaskQueue
from core.timestamps import to_text
from harness.cutoff import CutOff, Depth
from harness.evidence import Evidence
from harness.leftovers import asked_of_copy
from harness.outcome import Inconclusive

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

DAY_S = 86_400.0
AGE_S = 30 * DAY_S
KILLED_COUNT = 2
LOOKS_COUNT = 8
BEFORE, AFTER = "all in the queue", "each in one place"
BETWEEN = "each in one place or in both"
ANY_ARCHIVED = "SELECT 1 FROM archived_tasks LIMIT 1"
ARCHIVED = """SELECT idempotency_key, status,
    (SELECT count(*) FROM archived_logs AS l WHERE l.archive_id = t.archive_id)
    FROM archived_tasks AS t"""
QUEUED = """SELECT idempotency_key, status,
    (SELECT count(*) FROM task_logs WHERE task_id = t.id) FROM task_queue AS t"""
Rows = dict[str, tuple[str, int]]
Act = Callable[[TaskQueue], object]


def _claim(tasks: TaskQueue) -> object:
    return tasks.claim("holder", lease_seconds=100 * DAY_S)


def _complete(tasks: TaskQueue) -> None:
    task = tasks.claim("worker")
    assert task is not None
    tasks.complete(task)


def _fail(tasks: TaskQueue) -> object:
    task = tasks.claim("worker")
    assert task is not None
    return tasks.fail(task, "no luck", retry_after_seconds=200 * DAY_S)


@dataclass(frozen=True)
class Task:
    """A task, and whether it is to be archived.

    Attributes:
        key: of it.
        act: what was done to it.
        age_s: how long ago.
        moves: whether it is finished and old enough.
        attempts: that it has.
    """

    key: str
    act: Act
    age_s: float
    moves: bool
    attempts: int = 5


TASKS = (
    Task("completed long ago", _complete, 40 * DAY_S, moves=True),
    Task("failed for good long ago", _fail, 40 * DAY_S, moves=True, attempts=1),
    Task("held for long", _claim, 40 * DAY_S, moves=False),
    Task("to be tried again", _fail, 40 * DAY_S, moves=False),
    Task("waiting for long", lambda _tasks: None, 40 * DAY_S, moves=False),
    Task("completed lately", _complete, 20 * DAY_S, moves=False),
)
"""In the order in which they are put in: what waits is put in when all others are dealt with."""


def test_archive_takes_what_is_finished_and_old_and_nothing_else(
    queue_path: Path, evidence: Evidence
) -> None:
    """Tasks that are held, to be done or young stay; those that move keep their history."""
    clock = ManualClock(SystemClock().now_ms())
    with QueueDatabase(queue_path, clock=clock) as database:
        tasks, age_s = TaskQueue(database), TASKS[0].age_s
        for task in TASKS:
            clock.advance_s(age_s - task.age_s)
            age_s = task.age_s
            tasks.enqueue("t", {}, idempotency_key=task.key, max_attempts=task.attempts)
            task.act(tasks)
            if task.key.startswith("waiting"):
                # Nobody claims it when the next one is dealt with.
                _put_off(database, task.key)
        clock.advance_s(age_s)
        before = _queued(queue_path)
        result = QueueMaintenance(database).archive_finished(AGE_S)
    left, moved = _queued(queue_path), _archived(result.archive)

    gone = sorted(task.key for task in TASKS if not task.moves and task.key not in left)
    stayed = sorted(task.key for task in TASKS if task.moves and task.key in left)
    evidence.limit("tasks taken that had to stay", len(gone), 0, "tasks")
    evidence.require(not gone, f"{len(gone)} tasks were taken that had to stay: {', '.join(gone)}")
    evidence.require(not stayed, f"{len(stayed)} tasks had to move: {', '.join(stayed)}")
    changed = sorted(key for key, row in {**left, **moved}.items() if before.get(key) != row)
    evidence.require(
        not changed, f"{len(changed)} tasks are not there with their history: {', '.join(changed)}"
    )
    if not any(logs for _status, logs in moved.values()):
        raise Inconclusive(f"no task that was moved had a history: {before}")


def test_killed_at_any_step_archive_loses_no_task(
    scratch: Path, queue_random: random.Random, evidence: Evidence
) -> None:
    """Killed where a name comes or goes, or the seed says, each task is there; a run ends it."""
    _require_survived(scratch, evidence, Depth(LOOKS_COUNT, chance=queue_random, turns=True))


@pytest.mark.profile("nightly")
def test_killed_at_every_step_archive_loses_no_task(scratch: Path, evidence: Evidence) -> None:
    """Killed at every step every task is in the queue or the archive, and the next run ends it."""
    _require_survived(scratch, evidence, Depth())


def _require_survived(scratch: Path, evidence: Evidence, depth: Depth) -> None:
    __tracebackhide__ = True
    path = scratch / "queue" / "queue.db"
    with QueueDatabase(path, create=True) as database:
        tasks = TaskQueue(database)
        for number in range(KILLED_COUNT):
            tasks.enqueue("t", {}, idempotency_key=f"done-{number}")
            _complete(tasks)
        tasks.enqueue("t", {}, idempotency_key="waiting")
    keys = _queued(path).keys()

    cut = CutOff(path, "archive", 0)
    judge = partial(_found, path, keys)
    cut.require_survived(evidence, judge, (BEFORE, BETWEEN, AFTER), done=AFTER, depth=depth)


def _found(path: Path, keys: object) -> str:
    """Return where the tasks are, and whether the next run leaves each in one place."""
    left, moved = _queued(path), _archived(archive_path(path))
    if {*left, *moved} != keys:
        return f"{len({*left, *moved})} tasks, in the queue {len(left)}, archived {len(moved)}"
    again = _again(path)
    if again:
        return again
    if not moved:
        return BEFORE
    return BETWEEN if left.keys() & moved.keys() else AFTER


def _again(path: Path) -> str:
    """Make the run again; return what is wrong afterwards, or nothing."""
    try:
        with QueueDatabase(path) as database:
            QueueMaintenance(database).archive_finished(0)
    except QueueError as error:
        return f"an archive that cannot be gone on with ({error})"
    left, moved = _queued(path), _archived(archive_path(path))
    places = Counter([*left, *moved])
    if any(status in FINISHED for status, _logs in left.values()) or max(places.values()) > 1:
        return f"after another run {len(left)} tasks in the queue, {len(moved)} archived"
    return ""


def _put_off(database: QueueDatabase, key: str) -> None:
    later = to_text(database.clock.now_ms() + round(200 * DAY_S * 1000))
    with database.transaction() as connection:
        connection.execute(
            "UPDATE task_queue SET run_after_utc = ? WHERE idempotency_key = ?", (later, key)
        ).close()


def _queued(path: Path) -> Rows:
    """Return status and number of log rows of the queue's tasks, by key."""
    return _rows(asked_of_copy(path, QUEUED))


def _archived(path: Path) -> Rows:
    """Return the same of the archive's; it has no columns of a task before it has the first."""
    if not path.exists() or not asked_of_copy(path, ANY_ARCHIVED):
        return {}
    return _rows(asked_of_copy(path, ARCHIVED))


def _rows(found: list[tuple[Any, ...]]) -> Rows:
    return {str(key): (str(status), int(logs)) for key, status, logs in found}
