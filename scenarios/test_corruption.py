"""Damage to the file, to its -wal and to a backup: found, and said by which check.

Claim: damage that SQLite or a digest can show is found before anybody works on it, and a sound
file raises nothing.
Faults: destroyed-header, zeroed-page (table, index, last), truncated-file, garbage-file,
damaged-wal, foreign-wal, flipped-bit (in an index, in a backup), no-fault.
Method: a queue that nobody has open is judged before and under the damage; the findings that are
new name the check that saw it. A backup is verified and restored under the damage.
A failure means: a damaged queue or backup passes for a sound one, or a sound one for damaged.
"""

import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.backup import QueueBackup
from core.database import QueueDatabase
from core.errors import BackupInvalidError
from core.findings import Finding, Level
from core.health import check_health
from core.tasks import TaskQueue
from harness.crew import Crew
from harness.evidence import Evidence
from harness.faults import (
    DamagedWal,
    DestroyedHeader,
    Fault,
    FlippedBit,
    ForeignWal,
    GarbageFile,
    NoFault,
    TruncatedFile,
    ZeroedPage,
)
from harness.ledger import Ledger
from harness.outcome import Inconclusive
from harness.workload import fill

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

TASKS_COUNT = 120
FILLING = "x" * 400
LAST_KEY = "the-last-key"

Choose = Callable[[Path], Fault[Path]]


@dataclass(frozen=True)
class Damage:
    """A fault whose place depends on the file.

    Attributes:
        id: of the row.
        choose: returns the fault for a file.
    """

    id: str
    choose: Choose


def _page_of(name: str) -> Choose:
    """Choose the root page of a table or index."""

    def choose(path: Path) -> Fault[Path]:
        sql = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        return ZeroedPage(page=_asked(path, sql, name))

    return choose


def _last_page(path: Path) -> Fault[Path]:
    return ZeroedPage(page=_asked(path, "PRAGMA page_count"))


def _payload_bit(path: Path) -> Fault[Path]:
    """Choose a bit inside a payload, which no check of SQLite's looks at."""
    offset = path.read_bytes().find(FILLING.encode())
    if offset < 0:
        raise Inconclusive("no payload lies in one piece in the file")
    return FlippedBit(offset=offset + len(FILLING) // 2)


def _index_bit(path: Path) -> Fault[Path]:
    """Choose a bit inside a key of an index, which quick_check does not compare with the table."""
    size = _asked(path, "PRAGMA page_size")
    sql = "SELECT rootpage FROM sqlite_master WHERE name = 'uq_task_idempotency'"
    start = (_asked(path, sql) - 1) * size
    found = path.read_bytes().find(LAST_KEY.encode(), start, start + size)
    if found < 0:
        raise Inconclusive("the index does not lie in one page")
    return FlippedBit(offset=found + len(LAST_KEY) - 1)


DAMAGES = (
    Damage("destroyed-header", lambda _path: DestroyedHeader()),
    Damage("zeroed-page-table", _page_of("task_queue")),
    Damage("zeroed-page-index", _page_of("ix_task_type_status")),
    Damage("zeroed-page-last", _last_page),
    Damage("flipped-bit-index", _index_bit),
    Damage("truncated-file", lambda _path: TruncatedFile(kept=0.5)),
    Damage("truncated-to-nothing", lambda _path: TruncatedFile(kept=0.0)),
    Damage("garbage-file", lambda _path: GarbageFile()),
)


@pytest.fixture
def filled(queue_path: Path) -> Path:
    """A queue with tasks and a backup, which nobody has open and which has no -wal."""
    with QueueDatabase(queue_path) as database:
        tasks = TaskQueue(database, durability="normal")
        for number in range(TASKS_COUNT):
            tasks.enqueue("t", {"number": number, "filling": FILLING})
        tasks.enqueue("t", {}, idempotency_key=LAST_KEY)
        QueueBackup(database).create_backup()
    return queue_path


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.id)
def test_damaged_queue_is_found(
    damage: Damage, filled: Path, ledger: Ledger, evidence: Evidence
) -> None:
    """Damage to the database is found, and the report says by which check."""
    before = _levels(filled)
    with ledger.injected(damage.choose(filled), filled) as sighting:
        found = _new_findings(filled, before)
        sighting.effect = f"found by: {_names(found) or 'no check'}"

    evidence.require(found, f"{damage.id} was found by none of {len(before)} checks")
    worst = max(each.level for each in found)
    evidence.require(worst is Level.CRITICAL, f"{damage.id} was found, and is only {worst}")
    evidence.require(
        any("restore" in each.command for each in found), "no finding names the restore"
    )


def test_damaged_wal_is_found_before_it_is_replayed(
    queue_path: Path, crew: Crew, ledger: Ledger, evidence: Evidence
) -> None:
    """A bad bit in the -wal of a dead writer is found while the tasks behind it are still there."""
    producer = crew.start(queue_path, "producer")
    fill([producer], 20)
    producer.driver.kill()
    before = _levels(queue_path)

    with ledger.injected(DamagedWal(frame=10), queue_path) as sighting:
        found = _new_findings(queue_path, before)
        sighting.effect = f"found by: {_names(found) or 'no check'}"
    kept = _asked(queue_path, "SELECT count(*) FROM task_queue")

    seen = {each.id: each.level for each in found}
    evidence.require(
        seen.get("wal.frames") is Level.CRITICAL, f"the damaged -wal was told as {seen}"
    )
    evidence.require(kept == 20, f"the check itself cost {20 - kept} of 20 tasks")


def test_wal_of_another_database_is_found_before_it_is_replayed(
    queue_path: Path, crew: Crew, ledger: Ledger, evidence: Evidence
) -> None:
    """A -wal that a copy over the old file left behind is told, with the command that mends it."""
    producer = crew.start(queue_path, "producer")
    fill([producer], 20)
    producer.driver.kill()
    before = _levels(queue_path)

    with ledger.injected(ForeignWal(), queue_path) as sighting:
        found = {each.id: each for each in _new_findings(queue_path, before)}
        sighting.effect = f"found by: {_names(list(found.values())) or 'no check'}"

    told = found.get("wal.owner")
    evidence.require(
        told is not None and told.level is Level.CRITICAL, f"the foreign -wal was told as {found}"
    )
    evidence.require(told is not None and "restore" in told.command, "it does not name the restore")


def test_undamaged_queue_raises_nothing(filled: Path, ledger: Ledger, evidence: Evidence) -> None:
    """The same checks on the same file without damage find nothing new."""
    before = _levels(filled)
    with ledger.injected(NoFault(), filled):
        found = _new_findings(filled, before)
        verified = all(QueueBackup(filled).verify_backup(each) for each in _backups(filled))

    evidence.limit("false alarms", len(found), 0, "findings")
    evidence.require(not found, f"{len(found)} false alarms: {_names(found)}")
    evidence.require(verified, "a sound backup did not pass its verification")


BACKUP_DAMAGES = (*DAMAGES, Damage("flipped-bit", _payload_bit))


@pytest.mark.parametrize("damage", BACKUP_DAMAGES, ids=lambda damage: damage.id)
def test_damaged_backup_is_neither_verified_nor_restored(
    damage: Damage, filled: Path, ledger: Ledger, evidence: Evidence
) -> None:
    """A damaged backup fails its verification, and restoring it leaves the queue as it was."""
    backups = QueueBackup(filled)
    (path,) = _backups(filled)
    before = filled.read_bytes()

    with ledger.injected(damage.choose(path), path) as sighting:
        verification = backups.check_backup(path)
        restored = _is_restored(backups, path)
        problems = [str(each) for each in verification.problems]
        sighting.effect = f"found by: {'; '.join(problems) or 'no check'}"
    after = filled.read_bytes()

    evidence.require(not verification.ok, f"a backup with {damage.id} was verified as sound")
    evidence.require(not restored, f"a backup with {damage.id} was restored")
    evidence.require(before == after, "the refused restore changed the queue")


def _is_restored(backups: QueueBackup, path: Path) -> bool:
    try:
        backups.restore_backup(path)
    except BackupInvalidError:
        return False
    return True


def _levels(path: Path) -> dict[str, Level]:
    return {each.id: each.level for each in check_health(path, full=True).findings}


def _new_findings(path: Path, before: dict[str, Level]) -> list[Finding]:
    """Return what is worse than before and is certain; what was not judged is no finding."""
    findings = check_health(path, full=True).findings
    return [
        each
        for each in findings
        if each.level > before[each.id] and each.level is not Level.UNKNOWN
    ]


def _names(found: list[Finding]) -> str:
    return ", ".join(f"{each.id} {each.level}" for each in found)


def _asked(path: Path, sql: str, *values: object) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(sql, values).fetchone()[0])


def _backups(path: Path) -> list[Path]:
    return [each.path for each in QueueBackup(path).list_backups()]
