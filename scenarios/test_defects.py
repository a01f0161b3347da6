"""What is there or not: each defect that the health check knows is planted, and taken out again.

Claim: the health check tells a defect of the file, its schema, its backups or its content while it
is there, and neither before nor afterwards.
Faults: two names, a rollback journal, a missing table or index, a trigger, no backup, a backup from
the future, a restore that was cut off, a reference to nothing.
Method: a real file gets the defect by the means of the field, and loses it again.
A failure means: the health check is blind to something, or cries wolf.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.connection import connect_stdlib
from core.findings import Level
from core.intent import RestoreIntent, write_intent
from core.paths import lock_folder, uri
from core.quarantine import new_folder
from core.recovery import on_opening
from core.staging import staging_folder
from core.timestamps import to_text
from harness.evidence import Evidence
from harness.outcome import Inconclusive
from harness.patient import Patient, require_level

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

HOUR_S = 3600.0

Step = Callable[[Patient], object]


@dataclass(frozen=True)
class Defect:
    """Something that is there or not.

    Attributes:
        finding: id of the finding that tells it.
        level: of that finding.
        plant: brings it about.
        mend: takes it away.
        prepare: what must be there before.
        way: tells two defects of one finding apart.
    """

    finding: str
    level: Level
    plant: Step
    mend: Step
    prepare: Step = lambda _patient: None
    way: str = ""

    def __str__(self) -> str:
        return self.finding + (f"-{self.way}" if self.way else "")


def _second_name(patient: Patient) -> Path:
    return patient.path.with_name("second.db")


def _journal(mode: str) -> Step:
    def switch(patient: Patient) -> None:
        connection = patient.database.connection()
        if connection.execute(f"PRAGMA journal_mode = {mode}").fetchall() != [(mode,)]:
            raise Inconclusive(f"the journal mode could not be set to {mode}")

    return switch


def _back_up(patient: Patient) -> None:
    patient.backups.create_backup()


def _lose_the_backups(patient: Patient) -> None:
    for file in patient.backups.folder.iterdir():
        file.unlink()


def _cut_off_a_restore(patient: Patient) -> None:
    """Leave what a restore leaves that was killed before it replaced anything."""
    restore_id = "0" * 16
    note = RestoreIntent(
        restore_id=restore_id,
        route="interface",
        backup=str(patient.backups.folder / "queue_backup.db"),
        staging=str(staging_folder(patient.path, restore_id)),
        quarantine=str(new_folder(patient.path, restore_id, patient.clock.now_ms())),
        old=(patient.path.name,),
        new=(patient.path.name,),
        started_utc=to_text(patient.clock.now_ms()),
    )
    write_intent(patient.path, note)


def _refer_to_nothing(patient: Patient) -> None:
    """Write as a program does that does not ask SQLite to keep references."""
    with contextlib.closing(connect_stdlib(uri(patient.path, mode="rw"), timeout_s=1.0)) as other:
        other.execute("INSERT INTO task_logs (task_id, level) VALUES (404, 'INFO')").close()


TRIGGER = "CREATE TRIGGER odd AFTER INSERT ON task_queue BEGIN DELETE FROM task_queue; END"
EXPRESSION = "CREATE TABLE odd (words TEXT CHECK (words LIKE '%a%b%c%d%e%f%'))"
INDEX = "CREATE INDEX ix_task_type_status ON task_queue (type, status)"
DEFECTS = (
    Defect(
        "file.names",
        Level.WARNING,
        lambda patient: _second_name(patient).hardlink_to(patient.path),
        lambda patient: _second_name(patient).unlink(),
    ),
    Defect(
        "file.locking",
        Level.WARNING,
        lambda patient: lock_folder(patient.path).mkdir(),
        lambda patient: lock_folder(patient.path).rmdir(),
    ),
    Defect("database.journal_mode", Level.WARNING, _journal("delete"), _journal("wal")),
    Defect(
        "schema.complete",
        Level.WARNING,
        lambda patient: patient.execute("DROP INDEX ix_task_type_status"),
        lambda patient: patient.execute(INDEX),
    ),
    Defect(
        "schema.complete",
        Level.WARNING,
        lambda patient: patient.execute("ALTER TABLE workers RENAME TO elsewhere"),
        lambda patient: patient.execute("ALTER TABLE elsewhere RENAME TO workers"),
        way="table",
    ),
    Defect("backups.age", Level.CRITICAL, _lose_the_backups, _back_up, _back_up, way="none"),
    Defect(
        "backups.age",
        Level.WARNING,
        lambda patient: patient.clock.jump_s(-2 * HOUR_S),
        lambda patient: patient.clock.jump_s(2 * HOUR_S),
        _back_up,
        way="from-the-future",
    ),
    Defect(
        "file.restore",
        Level.CRITICAL,
        _cut_off_a_restore,
        lambda patient: on_opening(patient.path, read_only=False, connect=connect_stdlib),
    ),
    Defect(
        "database.integrity",
        Level.CRITICAL,
        _refer_to_nothing,
        lambda patient: patient.execute("DELETE FROM task_logs"),
        way="reference",
    ),
    Defect(
        "schema.triggers",
        Level.CRITICAL,
        lambda patient: patient.execute(TRIGGER),
        lambda patient: patient.execute("DROP TRIGGER odd"),
    ),
    Defect(
        "schema.expressions",
        Level.WARNING,
        lambda patient: patient.execute(EXPRESSION),
        lambda patient: patient.execute("DROP TABLE odd"),
    ),
)


@pytest.mark.parametrize("defect", DEFECTS, ids=str)
def test_planted_defect_is_told_and_its_absence_too(
    defect: Defect, patient: Patient, evidence: Evidence
) -> None:
    """A defect is told while it is there, and not before or afterwards."""
    defect.prepare(patient)
    before = patient.look(defect.finding, full=True)
    defect.plant(patient)
    planted = patient.look(defect.finding, full=True)
    defect.mend(patient)
    mended = patient.look(defect.finding, full=True)

    require_level(evidence, before, Level.OK)
    require_level(evidence, planted, defect.level)
    require_level(evidence, mended, Level.OK)
