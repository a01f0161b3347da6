"""Finished tasks against the record of what they held: damage is told, and nothing else is.

Claim: a finished task that holds something else than it did, that a lost write brought back or
that is gone, is told by its id until somebody accepts it. Work, archive, VACUUM, idempotency keys,
requeued dead letters and restores are not; a damaged record, or another queue's, is told as that.
Faults: flipped-bit, lost-write, swapped-tasks, deleted-task, no-fault.
Method: the tasks of a queue are completed and recorded. One fault of a place that the seed draws,
then the comparisons of two nights. In nightly the same beside workers, and without a fault beside
workers always.
A failure means: a task is lost or wrong, every check is green, and the backups that still have it
are thinned out; or the alarm is one that nobody believes any more.
"""

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from core.archive import archive_path
from core.backup import QueueBackup
from core.clock import ManualClock, SystemClock
from core.contentrecord import record_path
from core.database import QueueDatabase
from core.errors import ContentRecordError, ForeignRecordError
from core.findings import Level
from core.health import check_health
from core.maintenance import QueueMaintenance
from core.schedule import run_daily
from core.tasks import TaskQueue
from core.timestamps import to_text
from harness.closing import Books
from harness.crew import Crew
from harness.evidence import Evidence
from harness.faults import DeletedTask, Fault, FlippedBit, LostWrite, NoFault, SwappedTasks
from harness.ledger import Ledger
from harness.load import Load
from harness.outcome import Inconclusive
from harness.patient import require_level
from harness.recordedqueue import (
    RecordedQueue,
    Told,
    check,
    make_recorded,
    place_in_payload,
    told,
    written_page,
)
from harness.stored import tasks_in_archive
from harness.workload import fill

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

TASKS_COUNT = 40
NIGHTS_COUNT = 2
BACKUPS_COUNT = 3
PLACES_COUNT = 3
DEAD_KEY = "dead"


@dataclass(frozen=True)
class Damage:
    """One fault, and what has to be told of it.

    Attributes:
        fault: to be injected.
        expected: the tasks that differ.
    """

    fault: Fault[Path]
    expected: Told


def _flip(queue: RecordedQueue, chance: random.Random) -> Damage:
    number = chance.choice(queue.ids[: TASKS_COUNT // 2])
    return Damage(FlippedBit(place_in_payload(queue, number, chance)), {"changed": [number]})


def _lose_write(queue: RecordedQueue, chance: random.Random) -> Damage:
    page = written_page(queue, chance)
    return Damage(LostWrite(page.number, page.before), {"reverted": page.held})


def _swap(queue: RecordedQueue, chance: random.Random) -> Damage:
    first, second = sorted(chance.sample(queue.ids, 2))
    return Damage(SwappedTasks(first, second), {"changed": [first, second]})


def _delete(queue: RecordedQueue, chance: random.Random) -> Damage:
    number = chance.choice(queue.ids)
    return Damage(DeletedTask(number), {"missing": [number]})


DAMAGES: dict[str, tuple[Callable[[RecordedQueue, random.Random], Damage], Level]] = {
    "flipped-bit": (_flip, Level.CRITICAL),
    "lost-write": (_lose_write, Level.CRITICAL),
    "swapped-tasks": (_swap, Level.CRITICAL),
    "deleted-task": (_delete, Level.WARNING),
}


@pytest.fixture
def recorded(queue_path: Path) -> RecordedQueue:
    """A queue with completed tasks that are recorded; nobody has it open."""
    return make_recorded(queue_path, TASKS_COUNT)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_a_finished_task_is_told_by_its_id_each_night(
    damage: str,
    recorded: RecordedQueue,
    ledger: Ledger,
    queue_random: random.Random,
    evidence: Evidence,
) -> None:
    """The tasks that differ are named, no other is, and what was told once is told again."""
    choose, level = DAMAGES[damage]
    chosen = choose(recorded, queue_random)
    with ledger.injected(chosen.fault, recorded.path) as sighting:
        nights = [told(recorded.check()) for _night in range(NIGHTS_COUNT)]
        found = check_health(recorded.path, full=True).finding("content.finished")
        sighting.effect = f"told: {nights[0]}"

    evidence.require(
        nights[0] == chosen.expected, f"{damage} was told as {nights[0]}, not {chosen.expected}"
    )
    evidence.require(
        nights[1] == nights[0], f"{damage} was told once and forgotten: then {nights[1]}"
    )
    require_level(evidence, found, level)


@pytest.mark.profile("nightly")
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_beside_workers_is_told_by_its_id(  # noqa: PLR0917 - each is a fixture
    damage: str,
    recorded: RecordedQueue,
    crew: Crew,
    ledger: Ledger,
    queue_random: random.Random,
    evidence: Evidence,
) -> None:
    """The same while others have the queue open, and work on as soon as it has struck."""
    producer, worker = crew.start_all(recorded.path, "w", 2)
    fill([producer], 1)
    worker.claim()
    _empty_log(recorded.path)
    chosen = DAMAGES[damage][0](recorded, queue_random)
    with ledger.injected(chosen.fault, recorded.path) as sighting:
        with Load([producer], [worker], prefix="beside") as load:
            load.wait_for_acknowledgement(0.0, "complete")
            result = recorded.check()
            load.wait_until_all_are_served()
        sighting.effect = f"told: {told(result)}"

    evidence.require(
        told(result) == chosen.expected, f"{damage} was told as {told(result)} beside workers"
    )


def test_work_beside_the_comparison_raises_no_difference(
    recorded: RecordedQueue, crew: Crew, ledger: Ledger, books: Books
) -> None:
    """Workers, archive, VACUUM, keys and dead letters go on, and nobody cries wolf or waits."""
    producer, worker = crew.start_all(recorded.path, "w", 2)
    steps: dict[str, Callable[[QueueDatabase], object]] = {
        "workers": lambda _database: None,
        "a key enqueued again": partial(_touch, recorded),
        "a dead letter": _die,
        "that dead letter requeued": _requeue,
        "archive": lambda database: QueueMaintenance(database).archive_finished(0),
        "VACUUM": lambda database: QueueMaintenance(database).vacuum(),
    }
    alarms: dict[str, str] = {}
    compared = 0
    with (
        ledger.injected(NoFault(), recorded.path),
        QueueDatabase(recorded.path, busy_timeout_ms=30_000) as database,
        Load([producer], [worker], prefix="beside") as load,
    ):
        for name, step in steps.items():
            load.wait_for_acknowledgement(load.history.now_s(), "complete")
            step(database)
            result = check(recorded.path)
            compared += result.tally.compared
            alarms |= {} if result.ok else {name: str(result)}

    books.evidence.measure("compared", compared, "tasks")
    books.evidence.limit("false alarms", len(alarms), 0, "comparisons")
    books.evidence.require(not alarms, f"a difference that is none after: {alarms}")
    archived = tasks_in_archive(archive_path(recorded.path))
    if len(archived) < TASKS_COUNT:
        raise Inconclusive(f"only {len(archived)} tasks were archived")
    refused = [op for op in books.history.operations() if op.outcome.name != "OK"]
    books.evidence.require(not refused, f"{len(refused)} operations were refused: {refused[:3]}")


def test_restore_is_said_and_raises_no_difference(
    recorded: RecordedQueue, ledger: Ledger, evidence: Evidence
) -> None:
    """After a restore, and its undoing, nothing can be compared: that is said, and no more."""
    backups = QueueBackup(recorded.path)
    backup = backups.create_backup()
    with QueueDatabase(recorded.path) as database:
        _touch(recorded, database)
        _complete(TaskQueue(database))
    recorded.check()
    with ledger.injected(NoFault(), recorded.path):
        for undo in (False, True):
            if undo:
                backups.undo_restore()
            else:
                backups.restore_backup(backup)
            result, again = recorded.check(), recorded.check()
            evidence.require(result.ok, f"a restore was told as damage: {result}")
            evidence.require("restored" in result.why_not, f"of a restore was said: {result}")
            compared, tasks = again.tally.compared, result.tally.tasks
            evidence.require(
                compared == tasks >= TASKS_COUNT,
                f"after a restore {compared} of {tasks} tasks are recorded",
            )


def test_older_file_in_the_queue_s_place_is_told(
    recorded: RecordedQueue, tmp_path: Path, evidence: Evidence
) -> None:
    """A copy from before that somebody put in place by hand is no restore, and is told as older."""
    kept = tmp_path / "kept.db"
    shutil.copyfile(recorded.path, kept)
    with QueueDatabase(recorded.path) as database:
        _complete(TaskQueue(database))
    recorded.check()
    _empty_log(recorded.path)
    shutil.copyfile(kept, recorded.path)
    if recorded.path.read_bytes() != kept.read_bytes():
        raise Inconclusive("the older copy did not take the queue's place")

    nights = [recorded.check() for _night in range(NIGHTS_COUNT)]

    evidence.require(
        all(night.went_back for night in nights), f"an older file was told as {nights[-1]}"
    )


def test_damaged_record_is_not_told_as_a_damaged_queue(
    recorded: RecordedQueue, ledger: Ledger, queue_random: random.Random, evidence: Evidence
) -> None:
    """A bit that turned in the record is said of the record, which is kept for whoever looks."""
    record = record_path(recorded.path)
    for offset in _places_in_record(record.read_bytes(), queue_random):
        with ledger.injected(FlippedBit(offset), record) as sighting:
            hurt = record.read_bytes()
            said = _told_of(recorded.path)
            kept = record.read_bytes() == hurt
            sighting.effect = said

        evidence.require(
            said == ContentRecordError.__name__, f"byte {offset} of the record: told as {said}"
        )
        evidence.require(kept, "the damaged record was replaced")


def test_damaged_record_is_a_warning_to_the_health_check(
    recorded: RecordedQueue, ledger: Ledger, evidence: Evidence
) -> None:
    """What is known of the queue is less, and nothing is wrong with the queue."""
    record = record_path(recorded.path)
    with ledger.injected(FlippedBit(record.stat().st_size // 2), record):
        found = check_health(recorded.path, full=True).finding("content.finished")

    require_level(evidence, found, Level.WARNING)


def _places_in_record(content: bytes, chance: random.Random) -> list[int]:
    """Return some offsets: one of a digest that reads as another one after it, and any others."""
    start = content.index(b'"digests":"') + len(b'"digests":"')
    end = content.index(b'"', start)
    readable = [at for at in range(start, end) if chr(content[at] ^ 1).isalnum()]
    return [chance.choice(readable), *chance.sample(range(len(content)), PLACES_COUNT)]


def test_record_of_another_queue_is_refused(
    recorded: RecordedQueue, tmp_path: Path, evidence: Evidence
) -> None:
    """The record of one queue says nothing of another, whatever its name is."""
    other = tmp_path / "other" / "queue.db"
    QueueDatabase(other, create=True).close()
    shutil.copy(record_path(recorded.path), record_path(other))

    said = _told_of(other)

    evidence.require(
        said == ForeignRecordError.__name__, f"the record of another queue was told as {said}"
    )


def test_daily_run_keeps_every_backup_while_a_finished_task_is_damaged(
    recorded: RecordedQueue, ledger: Ledger, queue_random: random.Random, evidence: Evidence
) -> None:
    """The backups that still have the task as it was are not thinned out, and the run says why."""
    clock = ManualClock(SystemClock().now_ms())
    with QueueDatabase(recorded.path, clock=clock) as database:
        for _night in range(BACKUPS_COUNT):
            run_daily(database)
            clock.advance_s(86_400)
    chosen = _flip(recorded, queue_random)
    with ledger.injected(chosen.fault, recorded.path):
        with QueueDatabase(recorded.path, clock=clock) as database:
            report = run_daily(database, keep_count=1)
        left = len(QueueBackup(recorded.path).list_backups())

    evidence.require(not report.step("content").ok, "the daily run has not seen the damage")
    evidence.require(
        left == BACKUPS_COUNT + 1, f"{BACKUPS_COUNT + 1 - left} backups from before were removed"
    )


def _told_of(path: Path) -> str:
    """Return the name of the error that a comparison ends with, or what it tells."""
    try:
        return str(check(path))
    except ContentRecordError as error:
        return type(error).__name__


def _empty_log(path: Path) -> None:
    """Bring all into the file itself, beside whoever has it open."""
    with QueueDatabase(path) as database:
        if not QueueMaintenance(database).checkpoint("TRUNCATE")["complete"]:
            raise Inconclusive("the -wal could not be brought into the file")


def _complete(tasks: TaskQueue) -> None:
    tasks.enqueue("t", {})
    task = tasks.claim("here")
    assert task is not None
    tasks.complete(task)


def _touch(queue: RecordedQueue, database: QueueDatabase) -> None:
    """Enqueue with the key of a task that is completed."""
    known = TaskQueue(database).enqueue("t", {}, idempotency_key="task-0003")
    if known not in queue.ids:
        raise Inconclusive("the key of a completed task is not known")


def _die(database: QueueDatabase) -> None:
    """Leave a dead letter, ahead of all that others put in."""
    tasks = TaskQueue(database)
    tasks.enqueue(DEAD_KEY, {}, max_attempts=1, priority=0)
    task = tasks.claim("here", types=[DEAD_KEY])
    # A worker may have had it first: then it was completed, and there is none to requeue.
    if task is not None:
        tasks.fail(task, "no luck")


def _requeue(database: QueueDatabase) -> None:
    """Take dead letters up again as people do it."""
    with database.transaction() as connection:
        connection.execute(
            "UPDATE task_queue SET status = 'queued', attempts = 0, updated_at_utc = ? "
            "WHERE status = 'dead_letter'",
            (to_text(database.clock.now_ms()),),
        ).close()
