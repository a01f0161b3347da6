"""Maintenance while workers work: VACUUM, every checkpoint, ANALYZE, check, backup and archive.

Claim: enqueue, claim, heartbeat and complete go on beside every maintenance verb. None is lost or
fails for good, and none is held up for longer than the verb's budget.
Faults: none but the verb itself.
Method: a producer and two workers, each a process, never pause while the verb runs. VACUUM, the
integrity check and the backup are held in their own progress callback until enough operations of
every kind have met them; the others, which are over at once, run again and again until then. The
history says who met whom. What a verb costs the workers is measured where it is not held, and
judged in nightly, on a file that is larger. All checkers judge, archived tasks included.
A failure means: maintenance cannot be run beside workers.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from core.archive import archive_path
from core.backup import QueueBackup
from core.checkpoint import TIMEOUT_SECONDS as CHECKPOINT_S
from core.database import BUSY_TIMEOUT_MS, QueueDatabase
from core.maintenance import QueueMaintenance
from core.tasks import TaskQueue
from harness.bench import (
    KEPT_OUT,
    PASSED,
    REFUSED,
    SERVED,
    SERVED_BETWEEN,
    Bench,
    Manner,
    Progress,
)
from harness.cells import nothing_left
from harness.closing import Books
from harness.crew import Crew
from harness.drill import reckon
from harness.drivers.command import core_command
from harness.errands import OPERATIONS, errands, told_busy
from harness.evidence import Evidence
from harness.history import FinalTask, History, digest_of
from harness.load import Load
from harness.meetings import counted
from harness.outcome import Inconclusive
from harness.stored import tasks_in_archive, tasks_in_backup
from harness.waiting import WaitedTooLongError, wait_until
from harness.worker import Worker
from harness.workload import fill

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

SEEDED_COUNT = 60
FILLING = "x" * 1000
FREE_BYTES = 2_500_000
ROW_BYTES = 100_000
MET_LEAST = 3
MODES = ("PASSIVE", "FULL", "RESTART", "TRUNCATE")

BACKUP_TIMEOUT_S = 15.0
BATCH_TASKS = 3
OLD_COUNT = 24
HOUR_S = 3600.0
HOUR_MS = 3_600_000
SHORT_BUSY_TIMEOUT_MS = 100
DRAIN_TIMEOUT_S = 30.0

NIGHTLY_BYTES = 32_000_000
NIGHTLY_RUNS = 10
CALM_COUNT = 300
REPEATS_LONG_S = 120.0

# The longest that one operation may take beside a verb; judged in nightly only.
#
# The runbook counts VACUUM alone as blocking writes. Beside the others writers wait for each other,
# and without a queue among them: SQLite tries a taken lock again eleven times within 228 ms and
# then every 100 ms (sqliteDefaultBusyCallback in its main.c). Who finds it taken a dozen times more
# was held up by somebody, and is still far from being told busy.
AMONG_WRITERS_MS = 1500.0
# Writers wait for a checkpoint for as long as it may wait for readers (core.checkpoint).
CHECKPOINT_MS = AMONG_WRITERS_MS + CHECKPOINT_S * 1000
# Writers wait for all of VACUUM. Who is told busy before it has ended was kept out for too long: on
# a file of the size of nightly's nobody may be.
VACUUM_MS = float(BUSY_TIMEOUT_MS)


@dataclass(frozen=True)
class Verb:
    """A maintenance verb, and what it may do to the workers beside it.

    Attributes:
        run: runs it once; it says to whom it is given that it is at work.
        manner: how it is met.
        stall_ms: the longest that one operation may take beside it, in milliseconds.
    """

    run: Callable[[QueueDatabase, Progress], object]
    manner: Manner
    stall_ms: float


def _vacuum(database: QueueDatabase, progress: Progress) -> object:
    return QueueMaintenance(database).vacuum(progress=progress)


def _analyze(database: QueueDatabase, _progress: Progress) -> object:
    return QueueMaintenance(database).analyze()


def _integrity(database: QueueDatabase, progress: Progress) -> object:
    return QueueMaintenance(database).integrity_check(progress=progress)


def _backup(database: QueueDatabase, progress: Progress) -> Path:
    return QueueBackup(database).create_backup(progress=progress, timeout_seconds=BACKUP_TIMEOUT_S)


def _archive(database: QueueDatabase, _progress: Progress) -> object:
    return QueueMaintenance(database).archive_finished(older_than_seconds=0.0)


def _archive_old(database: QueueDatabase, _progress: Progress) -> object:
    return QueueMaintenance(database).archive_finished(HOUR_S, batch_tasks=BATCH_TASKS)


def _checkpoint(mode: str, database: QueueDatabase, _progress: Progress) -> object:
    return QueueMaintenance(database).checkpoint(mode)


VERBS: dict[str, Verb] = {
    "vacuum": Verb(_vacuum, KEPT_OUT, VACUUM_MS),
    "backup": Verb(_backup, SERVED, AMONG_WRITERS_MS),
    "archive": Verb(_archive, SERVED_BETWEEN, AMONG_WRITERS_MS),
    "integrity": Verb(_integrity, SERVED, AMONG_WRITERS_MS),
    "analyze": Verb(_analyze, PASSED, AMONG_WRITERS_MS),
    **{
        f"checkpoint-{mode.lower()}": Verb(partial(_checkpoint, mode), PASSED, CHECKPOINT_MS)
        for mode in MODES
    },
}


@dataclass(frozen=True)
class Staff:
    """Who works beside the verb, each in a process of its own.

    Attributes:
        producer: puts tasks in.
        workers: work them off.
    """

    producer: Worker
    workers: list[Worker]

    def at_work(self) -> Load:
        """Return what they do for the body of a ``with``: all they can, without a pause."""
        return Load([self.producer], self.workers, prefix="load")

    def finish(self) -> None:
        """Work off what is left; where some is left none the less, the checkers say so."""
        with Load([], self.workers, prefix="none"), suppress(WaitedTooLongError):
            wait_until(
                lambda: nothing_left(self.producer), "the last task", timeout_s=DRAIN_TIMEOUT_S
            )


@pytest.fixture
def database(queue_path: Path) -> Iterator[QueueDatabase]:
    """The queue, opened by the process that maintains it."""
    with QueueDatabase(queue_path) as database:
        yield database


@pytest.fixture
def seeded(database: QueueDatabase, history: History) -> QueueDatabase:
    """The queue with tasks and free pages; its tasks are in the history too."""
    tasks = TaskQueue(database, durability="normal")
    for number in range(SEEDED_COUNT):
        key = f"seed-{number:05d}"
        payload = {"key": key, "filling": FILLING}
        ticket = history.begin("seed", "enqueue", key=key, digest=digest_of(payload))
        ticket.ok(task_id=tasks.enqueue("t", payload, idempotency_key=key))
    _add_pages(database, "spare", FREE_BYTES)
    with database.transaction() as connection:
        connection.execute("DROP TABLE spare").close()
    return database


@pytest.fixture
def staff(crew: Crew, queue_path: Path) -> Staff:
    """A producer and two workers."""
    return _start(crew, core_command(queue_path))


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ("backup", "archive")])
def test_verb_beside_workers_costs_no_task(
    verb: str, seeded: QueueDatabase, staff: Staff, books: Books
) -> None:
    """Every operation that meets the verb is served, if need be when it asks again."""
    with staff.at_work() as load:
        bench = _bench(load, verb, seeded)
        bench.hold_until_met(MET_LEAST)
        bench.run_until_met(MET_LEAST)

    _measure(books.evidence, bench)
    _require_whole(books, staff, seeded)


@pytest.mark.parametrize(
    "busy_timeout_ms",
    [
        SHORT_BUSY_TIMEOUT_MS,
        pytest.param(BUSY_TIMEOUT_MS, marks=pytest.mark.profile("nightly")),
    ],
)
def test_vacuum_beyond_the_busy_timeout_refuses_nobody_for_good(
    busy_timeout_ms: int, seeded: QueueDatabase, crew: Crew, books: Books
) -> None:
    """Who gave up waiting for VACUUM is told that nothing was done, and is served afterwards."""
    command = [*core_command(seeded.path), "--busy-timeout-ms", str(busy_timeout_ms)]
    staff = _start(crew, command)
    with staff.at_work() as load:
        bench = Bench(load, "vacuum", partial(_vacuum, seeded), REFUSED)
        bench.hold_until_met(1, timeout_s=REPEATS_LONG_S)

    _measure(books.evidence, bench)
    _require_whole(books, staff, seeded)


def test_backup_beside_workers_is_of_one_moment(
    seeded: QueueDatabase, staff: Staff, books: Books
) -> None:
    """A backup has all that was done before it was begun, and nothing from while it was copied."""
    with staff.at_work() as load:
        load.wait_for_each(OPERATIONS)
        bench = _bench(load, "backup", seeded)
        bench.hold_until_met(MET_LEAST)
        bench.run_until_met(MET_LEAST)

    _measure(books.evidence, bench)
    _require_of_one_moment(books, bench, QueueBackup(seeded))
    _require_whole(books, staff, seeded)


def test_archive_beside_workers_takes_what_is_finished_and_old(
    database: QueueDatabase, crew: Crew, staff: Staff, books: Books
) -> None:
    """No task is archived before it is finished and old, none is left behind, and none is lost."""
    expected = _finish_long_ago(crew.start(database.path, "old", clock_offset_ms=-2 * HOUR_MS))
    with staff.at_work() as load:
        load.wait_for_each(OPERATIONS)
        aged = Bench(load, "archive", partial(_archive_old, database), SERVED_BETWEEN)
        aged.run_until_met(MET_LEAST)
        archived = _archived(database)
        bench = _bench(load, "archive", database)
        bench.run_until_met(MET_LEAST)

    _measure(books.evidence, bench)
    _require_exactly(books.evidence, archived, expected)
    _require_whole(books, staff, database)


@pytest.mark.profile("nightly")
@pytest.mark.parametrize("verb", VERBS)
def test_verb_beside_workers_keeps_its_budget(
    verb: str, seeded: QueueDatabase, staff: Staff, books: Books
) -> None:
    """On a file that is larger, no operation takes longer beside the verb than its budget."""
    _add_pages(seeded, "ballast", NIGHTLY_BYTES)
    with staff.at_work() as load:
        load.wait_for_count(CALM_COUNT)
        bench = _bench(load, verb, seeded)
        bench.run_until_met(MET_LEAST, runs_least=NIGHTLY_RUNS, timeout_s=REPEATS_LONG_S)

    _measure(books.evidence, bench)
    _require_budget(books.evidence, bench, VERBS[verb].stall_ms)
    _require_whole(books, staff, seeded)


def _add_pages(database: QueueDatabase, table: str, size_bytes: int) -> None:
    """Put a table of so many bytes into the file, beside the tasks."""
    with database.transaction() as connection:
        connection.execute(f"CREATE TABLE {table} (content)").close()
        for _number in range(size_bytes // ROW_BYTES):
            connection.execute(f"INSERT INTO {table} VALUES (randomblob({ROW_BYTES}))").close()


def _start(crew: Crew, command: list[str]) -> Staff:
    names = ("producer", "worker0", "worker1")
    producer, *workers = crew.start_side_by_side(dict.fromkeys(names, command))
    return Staff(producer, workers)


def _bench(load: Load, verb: str, database: QueueDatabase) -> Bench:
    known = VERBS[verb]
    return Bench(load, verb, partial(known.run, database), known.manner)


def _measure(evidence: Evidence, bench: Bench) -> None:
    """Record who met the verb, and what it cost them where it was not held."""
    figures = {
        "met_held": (counted(bench.met_held()) if bench.held else {}, 1, "operations"),
        "met": (counted(bench.met_free()) if bench.free else {}, 1, "operations"),
        "stall": (bench.stalls_s(), 1000, "ms"),
        "otherwise": (bench.otherwise_s(), 1000, "ms"),
    }
    for name, (by_op, factor, unit) in figures.items():
        for op, value in by_op.items():
            evidence.measure(f"{op}_{name}", value * factor, unit)
    lasted_s = max((window.end_s - window.start_s for window in bench.free), default=None)
    evidence.measure("verb_lasted", None if lasted_s is None else lasted_s * 1000, "ms")
    evidence.measure("verb_runs", len(bench.held) + len(bench.free), "runs")
    busy = sum(map(told_busy, bench.load.operations()))
    evidence.measure("told_busy", busy, "operations")


def _require_budget(evidence: Evidence, bench: Bench, most_ms: float) -> None:
    """Judge the stalls; where they are as long without the verb, there is nothing to judge."""
    otherwise_ms = max(bench.otherwise_s().values()) * 1000
    if otherwise_ms > most_ms:
        raise Inconclusive(f"without {bench.name} an operation took {otherwise_ms:.0f} ms here")
    stalls_ms = {op: stall_s * 1000 for op, stall_s in bench.stalls_s().items()}
    for op, stall_ms in stalls_ms.items():
        evidence.limit(f"longest {op} beside {bench.name}", stall_ms, most_ms, "ms")
    passed = [f"{op} took {ms:.0f} ms" for op, ms in stalls_ms.items() if ms > most_ms]
    evidence.require(
        not passed, f"beside {bench.name} {', '.join(passed)} (limit {most_ms:.0f} ms)"
    )


def _require_of_one_moment(books: Books, bench: Bench, backups: QueueBackup) -> None:
    """Judge the first backup, whose snapshot is older than the moment from which it was held."""
    operations = books.history.operations()
    asked = next(op for op in operations if op.op == bench.name)
    path = backups.list_backups()[-1].path
    snapshot = replace(asked, returned_s=bench.held[0].start_s)
    reckoning = reckon(operations, snapshot, tasks_in_backup(path))
    books.evidence.measure("tasks_in_backup", len(reckoning.kept), "tasks")
    for name, tasks in reckoning.broken.items():
        books.evidence.limit(name, len(tasks), 0, "tasks")
    for name, tasks in reckoning.broken.items():
        books.evidence.require(not tasks, f"{len(tasks)} tasks {name}: {', '.join(tasks[:3])}")
    books.evidence.require(backups.verify_backup(path), "the backup does not verify")


def _finish_long_ago(worker: Worker) -> set[str | None]:
    """Have a worker whose clock is late put tasks in and do them; return their keys."""
    fill([worker], OLD_COUNT, prefix="old")
    done = []
    while worker.claim().task_id is not None:
        done.append(worker.complete())
    if len(done) != OLD_COUNT or not all(op.ok for op in done):
        raise Inconclusive(f"{len(done)} of {OLD_COUNT} tasks were done in time to be old")
    return {op.key for op in done}


def _require_exactly(
    evidence: Evidence, archived: tuple[FinalTask, ...], expected: set[str | None]
) -> None:
    keys = {task.key for task in archived}
    wrongly, left = keys - expected, expected - keys
    evidence.limit("archived though not finished and old", len(wrongly), 0, "tasks")
    evidence.limit("old and not archived", len(left), 0, "tasks")
    evidence.require(not wrongly, f"{len(wrongly)} archived, and not finished long ago: {wrongly}")
    evidence.require(not left, f"{len(left)} finished long ago, and not archived: {left}")


def _require_whole(books: Books, staff: Staff, database: QueueDatabase) -> None:
    """Work off what is left; then judge all of it, and the file."""
    staff.finish()

    given_up = [str(errand) for errand in errands(books.history.operations()) if not errand.done]
    books.evidence.limit("errands that failed for good", len(given_up), 0, "operations")
    integrity = QueueMaintenance(database).integrity_check()
    books.evidence.require(integrity == ["ok"], f"integrity_check afterwards: {integrity}")
    books.evidence.require(not given_up, f"{len(given_up)} failed for good: {given_up[:3]}")
    books.require_sound(staff.producer, archived=_archived(database))


def _archived(database: QueueDatabase) -> tuple[FinalTask, ...]:
    """Return the tasks that have left the queue for its archive."""
    archive = archive_path(database.path)
    return tasks_in_archive(archive) if archive.exists() else ()
