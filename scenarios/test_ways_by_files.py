"""SQLite's page of ways to corrupt a database, sections 1, 4 and 5: through the files.

Claim: what goes wrong with the files is found by the check that docs/corruption.md names, a way
that no check sees is said there to be unseen, and a restore of the newest backup ends all of them.
A backup is never the copy of a moment that there was not.
Faults: way-to-corrupt: written over, through a stale descriptor, a mapping or bad memory; a hot
journal or log deleted, cut, swapped, moved; a disk that is smaller than it says.
Method: each way is made to happen by real processes on a real queue. SQLite alone, on a copy, says
which harm that did; only then is health asked, and the backup restored. No harm is inconclusive.
A failure means: damage that the documentation says is found is not, or cannot be undone.
"""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from core.backup import QueueBackup
from core.database import QueueDatabase
from core.errors import QueueError
from core.paths import wal_of
from harness.corrupting import critical, require_found_and_ended, rows
from harness.equipment import missing
from harness.evidence import Evidence
from harness.outcome import Inconclusive
from harness.ways import by_files, by_locks, by_settings
from harness.ways.by_files import PAGE_BYTES, spill
from harness.ways.harm import harm_to
from harness.ways.programs import said
from harness.ways.session import Session, session
from harness.ways.stage import Stage, new_stage
from harness.ways.way import Way

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

GATE = ("1.3-log-deleted",)
TASKS_COUNT = 60
BUSY_TIMEOUT_MS = 100
ALL = (*by_files.WAYS, *by_locks.WAYS, *by_settings.WAYS)


def test_way_that_is_drawn_is_found_and_ended_by_a_restore(
    scratch: Path, evidence: Evidence, queue_random: random.Random
) -> None:
    """Of all ways one is drawn by the seed: it does harm, and is seen as the documentation says."""
    possible = [way for way in ALL if not missing(way.machine)]
    require_found_and_ended(queue_random.choice(possible), scratch, evidence)


@pytest.mark.parametrize("way", rows(by_files.WAYS, GATE))
def test_damage_through_files_is_found_and_ended_by_a_restore(
    way: Way, scratch: Path, evidence: Evidence
) -> None:
    """It does harm, the check that is named finds it or none does, and a restore mends it."""
    require_found_and_ended(way, scratch, evidence)


# -- copies of a moment that there was not -------------------------------------------------------


def _copy_in_transaction(stage: Stage, writer: Session) -> Path:
    """Copy the file while half of a transaction is in it, and leave its journal out."""
    spill(writer)
    return Path(shutil.copyfile(stage.path, stage.path.with_name("copied.db")))


def _copy_over_a_checkpoint(stage: Stage, writer: Session) -> Path:
    """Copy half of the file, let a checkpoint change all of it, and copy the rest."""
    copy = stage.path.with_name("copied.db")
    with stage.path.open("rb") as source, copy.open("wb") as target:
        target.write(source.read(stage.path.stat().st_size // PAGE_BYTES // 2 * PAGE_BYTES))
        stage.put(writer, [f"meanwhile-{number}" for number in range(TASKS_COUNT)])
        writer.sql("UPDATE task_queue SET type = 'changed'")
        writer.sql("PRAGMA wal_checkpoint(TRUNCATE)")
        target.write(source.read())
    return copy


COPIES: dict[str, tuple[str, Callable[[Stage, Session], Path]]] = {
    "1.2-copied-in-transaction": ("delete", _copy_in_transaction),
    "1.2-copied-over-a-checkpoint": ("wal", _copy_over_a_checkpoint),
}


@pytest.mark.profile("nightly")
@pytest.mark.parametrize("way", COPIES)
def test_copy_of_no_moment_is_not_taken_for_a_backup(
    way: str, scratch: Path, evidence: Evidence
) -> None:
    """A file copied under a writer is refused; a backup at that moment is sound, or is not made."""
    journal, copy_by = COPIES[way]
    stage = new_stage(scratch / "tried" / "queue.db", journal=journal)
    backups = QueueBackup(stage.path)
    with session(stage.path) as writer:
        copy = copy_by(stage, writer)
        made = _made_beside(stage.path)
        harm = harm_to(copy, stage.acknowledged)
    evidence.fault("way-to-corrupt", "the file is copied under a writer", bool(harm), harm)
    if not harm:
        raise Inconclusive(f"{way} left a sound copy")

    found = backups.check_backup(copy)
    try:
        backups.restore_backup(copy)
        restored = True
    except QueueError:
        restored = False
    unsound = harm_to(made, stage.acknowledged) if made else ""

    evidence.require(not found.ok, f"{way}: the copy was verified as sound, and has: {harm}")
    evidence.require(not restored, f"{way}: the copy was restored")
    evidence.require(not unsound, f"{way}: a backup made at that moment has: {unsound}")


def _made_beside(path: Path) -> Path | None:
    """Return a backup that is made beside the writer, or None where it says that it cannot be."""
    try:
        with QueueDatabase(path, busy_timeout_ms=BUSY_TIMEOUT_MS) as database:
            return QueueBackup(database).create_backup()
    except QueueError:
        return None


# -- what cannot happen --------------------------------------------------------------------------


@pytest.mark.profile("nightly")
def test_standard_stream_that_was_closed_is_never_the_queue(
    scratch: Path, evidence: Evidence
) -> None:
    """A daemon without a standard error writes its last words somewhere else."""
    stage = new_stage(scratch / "tried" / "queue.db")
    (facts,) = said("stale_descriptor.py", stage.path, scratch / "log", "stderr")
    harm = harm_to(stage.path, stage.acknowledged)

    evidence.fault(
        "way-to-corrupt",
        "a program whose standard error was closed opens the queue, and writes an error",
        facts["descriptor"] == 2,
        f"descriptor 2 was closed, and is {'' if facts['is_the_queue'] else 'not '}the queue's now",
    )
    evidence.require(not facts["is_the_queue"], "the queue was opened as standard error")
    evidence.require(not harm, f"what was written to standard error did this: {harm}")


@pytest.mark.profile("nightly")
def test_backup_on_a_disk_smaller_than_it_says_is_not_published(
    scratch: Path, evidence: Evidence
) -> None:
    """A stick that writes its later blocks over its first ones gets no backup that is listed."""
    stage = new_stage(scratch / "tried" / "queue.db")
    (facts,) = said("small_stick.py", stage.path, scratch / "stick", 10 * PAGE_BYTES)

    evidence.fault(
        "way-to-corrupt",
        "a disk that writes what it has no room for over what it has",
        facts["wrapped"] > 0,
        f"{facts['wrapped']} writes went to another place than was asked for",
        f"the backup ended so: {facts['ended']}",
    )
    if not facts["wrapped"]:
        raise Inconclusive("the backup fitted on the stick")
    listed = [
        str(each.path.name) for each in QueueBackup(stage.path, scratch / "stick").list_backups()
    ]
    evidence.require(facts["ended"] != "done", "a backup was made of which half is overwritten")
    evidence.require(not listed, f"a backup of which half is overwritten is listed: {listed}")


def test_log_that_stays_is_the_control(scratch: Path, evidence: Evidence) -> None:
    """A killed writer whose files nobody touches costs nothing and raises nothing."""
    stage = new_stage(scratch / "tried" / "queue.db")
    by_files.die_with_log(stage)
    left = wal_of(stage.path).exists()
    evidence.fault("way-to-corrupt", "nothing but a killed writer", left, "its -wal is there")

    harm = harm_to(stage.path, stage.acknowledged)
    found = [each.id for each in critical(stage.path)]

    evidence.require(not harm, f"a killed writer whose files stayed left: {harm}")
    evidence.limit("false alarms", len(found), 0, "findings")
    evidence.require(not found, f"false alarms: {', '.join(found)}")
