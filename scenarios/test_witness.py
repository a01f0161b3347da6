"""The health check as a witness: it changes nothing, hides nothing, and errs in nothing.

Claim: looking leaves every byte as it was and mends nothing; what cannot be looked at is UNKNOWN
and never OK; a file that is no queue is told and raises nothing; a lease is stale to the health
check exactly when the clean-up would free it; every figure is that of this file.
Faults: odd files in the queue's place, a file in the place of the backup folder, no time; a worker
that was killed or is at work.
Method: the look is taken at real files that nobody, a dead worker or a live one has open, and its
findings are compared with what other programs say of the same file: digests from a process that
never opens it, sizes from the file system, counts from SQLite, the number that the clean-up frees.
A failure means: people act on a health report that is wrong, or that did something by itself.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.backup import QueueBackup
from core.clock import ManualClock, SystemClock
from core.database import QueueDatabase
from core.findings import HealthReport, Level
from core.health import check_health
from core.maintenance import QueueMaintenance
from core.paths import backup_folder, sides
from core.tasks import TaskQueue
from core.timestamps import to_text
from harness.crew import Crew
from harness.evidence import Evidence
from harness.footprint import changes, take_footprint
from harness.outcome import Inconclusive
from harness.worker import Worker
from harness.workload import fill

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

HOUR_S = 3600.0
TIMEOUT_S = 300.0
TASKS_COUNT = 30
FILLING = "x" * 4000
MEGABYTE = 1024 * 1024
TOLERANCE = 0.001
MANY_TASKS = """INSERT INTO task_queue (type, payload)
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
    SELECT 't', '{}' FROM n"""
IN_LOOK = {
    "page_count": "page_count",
    "page_size": "page_size",
    "freelist_count": "freelist_count",
    "fragmentation_pct": "fragmentation_pct",
    "wal_size_mb": "wal_size_mb",
    "database_size_mb": "total_size_mb",
}
"""Figures of the look, and what they are called in the statistics."""


# -- it changes nothing --------------------------------------------------------------------------


def _close(worker: Worker) -> None:
    worker.driver.close()


def _kill(worker: Worker) -> None:
    worker.driver.kill()


def _leave(_worker: Worker) -> None:
    """It has the queue open while the look is taken, and does nothing."""


SITUATIONS: dict[str, Callable[[Worker], None]] = {
    "in-use": _leave,
    "log-left-behind": _kill,
    "closed": _close,
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_look_changes_nothing(
    situation: str, queue_path: Path, crew: Crew, evidence: Evidence
) -> None:
    """A look at a queue with stale leases and a backup leaves all of it as it was."""
    worker = crew.start(queue_path, "worker")
    fill([worker], TASKS_COUNT)
    worker.claim()
    QueueBackup(queue_path).create_backup()
    fill([worker], 1, prefix="later")
    SITUATIONS[situation](worker)
    folder = backup_folder(queue_path)

    before = take_footprint(queue_path, folder)
    report = check_health(queue_path, clock=_an_hour_ahead())
    found = changes(before, take_footprint(queue_path, folder), content=True)

    stale = report.metrics.get("stale_leases")
    if stale != 1:
        raise Inconclusive(f"{stale} leases were stale, so there was nothing to mend")
    evidence.limit("changes by looking", len(found), 0, "changes")
    evidence.require(not found, f"looking changed {len(found)} things: {'; '.join(found)}")


# -- it hides nothing ----------------------------------------------------------------------------


def _text(path: Path) -> None:
    path.write_text("This is no database." * 100, encoding="utf-8")


def _other_database(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE something (id INTEGER)")


ODD_FILES: dict[str, Callable[[Path], object]] = {
    "missing": lambda _path: None,
    "empty": lambda path: path.touch(),
    "folder": lambda path: path.mkdir(),
    "text": _text,
    "header-alone": lambda path: path.write_bytes(b"SQLite format 3\0".ljust(100, b"\0")),
    "another-database": _other_database,
}


@pytest.mark.parametrize("odd", ODD_FILES)
def test_file_that_is_no_queue_is_told_and_nothing_is_raised(
    odd: str, scratch: Path, evidence: Evidence
) -> None:
    """Whatever lies in the queue's place, the look ends with a report that calls it CRITICAL."""
    path = scratch / "odd.db"
    ODD_FILES[odd](path)
    names = sorted(each.name for each in scratch.iterdir())

    report = _look(path, evidence)

    level = report.finding("file.opens").level
    evidence.require(level is Level.CRITICAL, f"the place is {odd}, and file.opens is {level}")
    made = sorted({each.name for each in scratch.iterdir()} - set(names))
    evidence.require(not made, f"looking at what is {odd} made {', '.join(made)}")


@dataclass(frozen=True)
class Hindrance:
    """Something that cannot be looked at.

    Attributes:
        id: of the row.
        finding: that cannot be judged then.
        lay: brings it about.
        timeout_s: of the look.
    """

    id: str
    finding: str
    lay: Callable[[Path], object]
    timeout_s: float = 60.0


HINDRANCES = (
    Hindrance(
        "backup-folder-is-a-file",
        "backups.age",
        lambda path: backup_folder(path).write_text("no folder", encoding="utf-8"),
    ),
    Hindrance("no-time", "database.integrity", lambda _path: None, timeout_s=0.0),
)


@pytest.mark.parametrize("hindrance", HINDRANCES, ids=lambda hindrance: hindrance.id)
def test_what_cannot_be_looked_at_is_unknown_and_never_ok(
    hindrance: Hindrance, queue_path: Path, evidence: Evidence
) -> None:
    """A check that could not be made says so, and the whole is not OK."""
    with QueueDatabase(queue_path) as database, database.transaction() as connection:
        # So many that SQLite looks at the deadline while it reads them.
        connection.execute(MANY_TASKS).close()
    hindrance.lay(queue_path)

    report = check_health(queue_path, timeout_seconds=hindrance.timeout_s)

    finding = report.finding(hindrance.finding)
    evidence.require(
        finding.level is Level.UNKNOWN,
        f"{finding.id} could not be judged, and is {finding.level}: {finding.message}",
    )
    evidence.require(
        report.level >= Level.UNKNOWN, f"{finding.id} is unknown, and the whole is {report.level}"
    )


# -- it errs in nothing --------------------------------------------------------------------------


@dataclass(frozen=True)
class Lease:
    """A held task.

    Attributes:
        ended_s: how long ago its lease ran out; negative if it has not.
        shape: of the time as it is stored.
    """

    ended_s: float
    shape: str = "{}"

    @property
    def stale(self) -> bool:
        """Whether it ran out longer ago than the timeout."""
        return self.ended_s > TIMEOUT_S


LEASES = (
    Lease(-60.0),
    Lease(1.0),
    Lease(TIMEOUT_S - 0.001),
    Lease(TIMEOUT_S),
    Lease(TIMEOUT_S + 0.001),
    Lease(2 * TIMEOUT_S),
    Lease(TIMEOUT_S - 1.0, shape="{}Z"),
    Lease(TIMEOUT_S + 1.0, shape="{}Z"),
)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock(SystemClock().now_ms())


@pytest.fixture
def database(queue_path: Path, clock: ManualClock) -> Iterator[QueueDatabase]:
    """The queue, opened."""
    with QueueDatabase(queue_path, clock=clock) as database:
        yield database


def test_look_and_clean_up_agree_on_every_lease(
    database: QueueDatabase, clock: ManualClock, evidence: Evidence
) -> None:
    """The look counts as stale what ran out longer ago than the timeout, as the clean-up does."""
    _hold(database, clock)
    expected = sum(lease.stale for lease in LEASES)

    seen = check_health(database.path, clock=clock).metrics["stale_leases"]
    freed = QueueMaintenance(database).cleanup_stale_leases(TIMEOUT_S)
    left = check_health(database.path, clock=clock).metrics["stale_leases"]

    evidence.measure("stale_leases_seen", float(str(seen)), "tasks")
    evidence.measure("stale_leases_freed", freed, "tasks")
    evidence.require(
        seen == freed, f"the look sees {seen} stale leases, and the clean-up frees {freed}"
    )
    evidence.require(
        freed == expected, f"{expected} of {len(LEASES)} leases are stale, and {freed} were freed"
    )
    evidence.require(left == 0, f"after the clean-up the look sees {left} stale leases")


def test_figures_are_those_of_the_file(
    database: QueueDatabase, clock: ManualClock, evidence: Evidence
) -> None:
    """Sizes and pages are what the file system and SQLite themselves say, in the unit named."""
    tasks = TaskQueue(database, durability="normal")
    for _number in range(TASKS_COUNT):
        tasks.enqueue("t", {"filling": FILLING})
    with database.transaction() as connection:
        connection.execute("DELETE FROM task_queue WHERE id > 10").close()

    metrics = check_health(database.path, clock=clock).metrics
    stats = dict(QueueMaintenance(database).get_database_stats())
    actual = _actual(database)

    if not actual["wal_size_mb"] or not actual["freelist_count"]:
        raise Inconclusive(f"there is no -wal, or no free page: {actual}")
    figures = [(f"statistics {name}", stats[name], actual[name]) for name in actual]
    figures += [(f"look {name}", metrics[name], actual[IN_LOOK[name]]) for name in IN_LOOK]
    wrong = [
        f"{name} is {said}, in truth {true:g}"
        for name, said, true in figures
        if not (isinstance(said, int | float) and abs(said - true) <= TOLERANCE)
    ]
    evidence.limit("wrong figures", len(wrong), 0, "figures")
    evidence.require(
        not wrong, f"{len(wrong)} of {len(figures)} figures are wrong: {'; '.join(wrong)}"
    )


def _hold(database: QueueDatabase, clock: ManualClock) -> None:
    """Have each of the leases held, as some worker wrote it."""
    tasks = TaskQueue(database, durability="normal")
    for lease in LEASES:
        tasks.enqueue("t", {})
        task = tasks.claim("worker", lease_seconds=HOUR_S)
        assert task is not None
        end = lease.shape.format(to_text(clock.now_ms() - round(lease.ended_s * 1000)))
        with database.transaction() as connection:
            connection.execute(
                "UPDATE task_queue SET lease_until_utc = ? WHERE id = ?", (end, task.id)
            ).close()


def _actual(database: QueueDatabase) -> dict[str, float]:
    """Return the figures from elsewhere: sizes by the file system, pages by a connection."""
    wal, shm, _journal = (
        side.stat().st_size / MEGABYTE if side.exists() else 0.0 for side in sides(database.path)
    )
    file = database.path.stat().st_size / MEGABYTE
    with contextlib.closing(sqlite3.connect(database.path)) as connection:
        pages, free, size = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
    return {
        "page_count": pages,
        "freelist_count": free,
        "page_size": size,
        "fragmentation_pct": 100 * free / pages,
        "total_size_mb": pages * size / MEGABYTE,
        "wal_size_mb": wal,
        "database_size_mb": file,
        "on_disk_mb": file + wal + shm,
    }


def _look(path: Path, evidence: Evidence) -> HealthReport:
    """Return the report; an error out of the look itself is a failure, whatever it is."""
    __tracebackhide__ = True
    try:
        return check_health(path)
    except Exception as error:  # noqa: BLE001 - that nothing is raised is the promise
        fell = f"{type(error).__name__}: {error}"
    evidence.require(condition=False, sentence=f"the health check fell over: {fell}")
    raise AssertionError(fell)


def _an_hour_ahead() -> ManualClock:
    return ManualClock(SystemClock().now_ms() + round(HOUR_S * 1000))
