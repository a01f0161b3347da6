"""Files that somebody else may have written: none of what they hold runs, and none is believed.

Claim: a backup or queue from unknown hands is refused or judged without running anything in it,
within bounds of time and memory; what comes out is an error of ours, and the queue is as it was.
Faults: hostile-schema (trigger, view, computed table, expression), link-in-place, hostile-file:
thousands of files made wrong by chance, by the format's rules, and with SQLite's own help.
Method: each is verified, listed, judged and restored over a sound queue, which is compared byte for
byte. The many are tried one after another in a process of its own, under a limit of memory.
A failure means: whoever may write to the backup folder may change, stop or hold up the queue.
"""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from core.backup import QueueBackup
from core.clock import ManualClock, SystemClock
from core.connection import Connection
from core.database import QueueDatabase
from core.errors import OperationTimeoutError, QueueError
from core.findings import Level
from core.health import check_health
from core.manifest import manifest_path
from core.tasks import TaskQueue
from harness.door import watched
from harness.evidence import Evidence
from harness.faults import HostileSchema, LinkInPlace
from harness.fuzz.hunt import Hunt, hunt
from harness.ledger import Ledger

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

TASKS_COUNT = 6
HELD_COUNT = 2
TIMEOUT_S = 10.0
LEASE_S = 3600.0
FILES_COUNT = 40
HUNT_S = 20.0
NIGHTLY_S = 100.0
NUMBERS_COUNT = 1 << 40
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
DELETES = "BEGIN DELETE FROM task_queue; END"
SCHEMAS: dict[str, tuple[str, ...]] = {
    "trigger-on-tasks": HostileSchema().statements,
    "trigger-on-logs": (f"CREATE TRIGGER planted AFTER INSERT ON task_logs {DELETES}",),
    "endless-view": ("DROP TABLE task_queue", f"CREATE VIEW task_queue AS {ENDLESS}"),
    "computed-table": ("CREATE VIRTUAL TABLE planted USING fts5 (x)",),
    "expression": ("CREATE TABLE planted (x CHECK (x LIKE '%a%b%c%d%e%f%'))",),
}
META_TRIGGER = f"CREATE TRIGGER planted AFTER INSERT ON queuedrill_meta {DELETES}"


@pytest.fixture
def filled(queue_path: Path) -> Path:
    """A queue with tasks, some of them held, and a backup without a manifest: anybody's."""
    with QueueDatabase(queue_path) as database:
        tasks = TaskQueue(database, durability="normal")
        for number in range(TASKS_COUNT):
            tasks.enqueue("t", {"number": number})
        for _number in range(HELD_COUNT):
            tasks.claim("worker", lease_seconds=LEASE_S)
        manifest_path(QueueBackup(database).create_backup()).unlink()
    return queue_path


@pytest.mark.parametrize("kind", SCHEMAS)
def test_hostile_backup_is_refused_by_name(
    kind: str, filled: Path, ledger: Ledger, evidence: Evidence
) -> None:
    """What is in its schema makes a backup invalid, for verify and for restore."""
    (backup,) = _backups(filled)
    before = filled.read_bytes()

    with ledger.injected(HostileSchema(statements=SCHEMAS[kind]), backup) as sighting:
        proof = QueueBackup(filled).check_backup(backup, timeout_seconds=TIMEOUT_S)
        refusal = _refusal(lambda: QueueBackup(filled).restore_backup(backup))
        sighting.effect = str(proof)

    evidence.require(not proof.ok, f"a backup with a {kind} was verified as sound")
    evidence.require(refusal, f"a backup with a {kind} was restored")
    evidence.require("nobody declared" in refusal, f"the refusal does not tell why: {refusal}")
    evidence.require(filled.read_bytes() == before, "the refused restore changed the queue")


def test_backup_that_turns_hostile_after_its_proof_runs_nothing(
    filled: Path, evidence: Evidence
) -> None:
    """A trigger that is put in between proof and copy does not act while leases are released."""
    (backup,) = _backups(filled)
    stranger = _AfterProof(backup)
    refusal = _refusal(
        lambda: QueueBackup(filled, connect=watched(stranger)).restore_backup(backup)
    )
    evidence.fault(
        "hostile-after-proof",
        "a trigger put into the backup between its proof and its copy",
        stranger.done and b"TRIGGER planted" in backup.read_bytes(),
        "the text of the trigger lies in the file",
        refusal or "it was restored",
    )
    statuses = _statuses(filled)

    evidence.require(
        "completed" not in statuses, f"the trigger has ended tasks that nobody did: {statuses}"
    )
    evidence.require(refusal, "a backup with a trigger that nobody declared was restored")
    evidence.require("planted" in refusal, f"the refusal does not name the trigger: {refusal}")


def test_undo_of_a_hostile_queue_runs_nothing(
    filled: Path, ledger: Ledger, evidence: Evidence
) -> None:
    """A queue with a trigger in it is replaced and brought back, and loses no task by that."""
    (backup,) = _backups(filled)
    with ledger.injected(HostileSchema(statements=(META_TRIGGER,)), filled) as sighting:
        QueueBackup(filled).restore_backup(backup)
        QueueBackup(filled).undo_restore()
        kept = len(_statuses(filled))
        sighting.effect = f"{kept} of {TASKS_COUNT} tasks came back"

    gone = TASKS_COUNT - kept
    evidence.require(not gone, f"the trigger ran: {gone} of {TASKS_COUNT} tasks are gone")


@pytest.mark.parametrize("kind", SCHEMAS)
def test_hostile_queue_is_judged_and_never_good(
    kind: str, filled: Path, ledger: Ledger, evidence: Evidence
) -> None:
    """Health looks at it without running it, says what is in it, and leaves it as it is."""
    with ledger.injected(HostileSchema(statements=SCHEMAS[kind]), filled) as sighting:
        before = filled.read_bytes()
        report = check_health(filled, full=True, timeout_seconds=TIMEOUT_S)
        changed = filled.read_bytes() != before
        told = [each for each in report.findings if _is_told(each.id, each.level)]
        sighting.effect = ", ".join(f"{each.id} {each.level}" for each in told)

    evidence.require(told, f"a {kind} in the queue is told by no finding")
    evidence.require(not changed, "looking changed the queue")


def test_reading_a_foreign_file_ends_though_nobody_said_when(
    filled: Path, evidence: Evidence
) -> None:
    """A verification without a time limit has one all the same, by the clock of the queue."""
    (backup,) = _backups(filled)
    try:
        proof = QueueBackup(filled, clock=_HastyClock()).check_backup(backup)
        ended = f"it was let go on to its end: {proof}"
    except OperationTimeoutError:
        ended = ""

    evidence.require(not ended, f"hours of reading have no end: {ended}")


@pytest.mark.machine("posix")
def test_link_in_the_backup_folder_is_not_followed(
    filled: Path, ledger: Ledger, evidence: Evidence
) -> None:
    """A backup that is a link out of the folder is not listed, not verified and not restored."""
    (backup,) = _backups(filled)
    with ledger.injected(LinkInPlace(), backup) as sighting:
        listed = bool(_backups(filled))
        verified = QueueBackup(filled).verify_backup(backup)
        restored = not _refusal(lambda: QueueBackup(filled).restore_backup(backup))
        sighting.effect = f"listed {listed}, verified {verified}, restored {restored}"

    evidence.require(not listed, "a link is listed as a backup")
    evidence.require(not verified, "a link was followed and verified as a backup")
    evidence.require(not restored, "a link was followed and restored")


@pytest.mark.machine("posix")
def test_link_in_the_place_of_a_manifest_is_not_followed(
    filled: Path, ledger: Ledger, evidence: Evidence
) -> None:
    """What lies behind it is neither believed nor told."""
    backup = QueueBackup(filled).create_backup(name="linked")
    with ledger.injected(LinkInPlace(), manifest_path(backup)) as sighting:
        (info,) = [each for each in QueueBackup(filled).list_backups() if each.path == backup]
        sighting.effect = info.manifest_problem or "it was read"

    evidence.require(info.manifest is None, "a manifest behind a link was followed and believed")


def test_files_of_others_come_to_errors_of_ours(
    scratch: Path, evidence: Evidence, queue_random: random.Random
) -> None:
    """Files that the seed makes wrong are verified, judged and restored, and nothing else is so."""
    first = queue_random.randrange(NUMBERS_COUNT)
    numbers = range(first, first + FILES_COUNT)

    _require_nothing_found(evidence, hunt(numbers, seconds=HUNT_S, keep=scratch / "found"))


@pytest.mark.profile("nightly")
@pytest.mark.timeout(600)
def test_files_of_others_for_longer_come_to_errors_of_ours(
    scratch: Path, evidence: Evidence, queue_random: random.Random
) -> None:
    """The same with as many files as fit into the time."""
    first = queue_random.randrange(NUMBERS_COUNT)
    numbers = range(first, first + NUMBERS_COUNT)

    _require_nothing_found(evidence, hunt(numbers, seconds=NIGHTLY_S, keep=scratch / "found"))


def _require_nothing_found(evidence: Evidence, found: Hunt) -> None:
    differ = found.tried - found.unchanged
    evidence.fault(
        "hostile-file",
        "files that are wrong in one to three ways",
        differ > 0,
        f"{differ} of {found.tried} files differ from the sound ones they were made of",
        str(found),
    )
    evidence.measure("hostile_files", differ, "files")
    evidence.limit("hostile files that came to no good", len(found.found), 0, "files")
    first = found.found[0] if found.found else None
    evidence.require(
        first is None,
        f"{len(found.found)} of {differ} hostile files came to no good: {first and first.wrong[0]} "
        f"(python -m harness.fuzz --first {first and first.number} --count 1)",
    )


class _AfterProof:
    """Puts a trigger into a backup when the connection that proved it is closed."""

    def __init__(self, backup: Path) -> None:
        self._backup = backup
        self.done = False

    def before(self, _connection: Connection, sql: str) -> None:
        if sql == "closing" and not self.done:
            self.done = True
            HostileSchema().damage(self._backup)

    def after(self, _connection: Connection, _sql: str) -> None:
        """Nothing: what counts is the moment between the proof and the copy."""


class _HastyClock(ManualClock):
    """Ten minutes pass between any two looks at it."""

    def __init__(self) -> None:
        super().__init__(SystemClock().now_ms())

    def monotonic_s(self) -> float:
        self.advance_s(LEASE_S / 6)
        return super().monotonic_s()


def _is_told(finding: str, level: Level) -> bool:
    about_the_schema = finding.startswith("schema.") or finding == "file.opens"
    return about_the_schema and level in (Level.WARNING, Level.CRITICAL)


def _refusal(restore: Callable[[], object]) -> str:
    """Return with which words the restore was refused; empty where it was done."""
    try:
        restore()
    except QueueError as error:
        return str(error)
    return ""


def _statuses(path: Path) -> list[str]:
    with QueueDatabase(path, read_only=True) as database:
        rows = database.connection().execute("SELECT status FROM task_queue").fetchall()
    return [str(row[0]) for row in rows]


def _backups(path: Path) -> list[Path]:
    return [each.path for each in QueueBackup(path).list_backups()]
