"""The queue file that was given, judged without writing to it.

Claim: this file is a sound queue, within its limits, and can be brought back from its backups.
Faults: none are made on the file; its loss is played through on a copy.
Method: the file is looked at read-only by the health check, once for the whole run; nobody has to
stop. A copy of it is backed up, lost and restored in a folder of its own, and so is the newest
verified backup that lies in its backup folder. What the run did to the file's disk is compared by
digests and names, by a process that never opens it as a database.
A failure means: this queue needs what the finding's command does before it can be relied on.
"""

import contextlib
from pathlib import Path

import pytest

from core.backup import QueueBackup
from core.database import QueueDatabase
from core.errors import QueueError
from core.health import FINDING_IDS
from core.maintenance import QueueMaintenance
from core.paths import sides
from core.restore import RestoreResult
from core.schema import HELD, QUEUED, count_by_status
from core.tasks import TaskQueue
from harness.evidence import Evidence
from harness.limits import Bound
from harness.outcome import Inconclusive
from harness.settings import Settings
from harness.subject import SeenFinding, Subject

pytestmark = [pytest.mark.scenario, pytest.mark.queue_db]


def test_file_is_as_it_was(subject: Subject, evidence: Evidence) -> None:
    """Looking at the queue changed nothing on its disk and left nothing there."""
    evidence.judged(f"Looked at: {subject.judged}.")
    if subject.held:
        evidence.judged("It was in use, so that its content stayed the same cannot be shown.")

    evidence.limit("changes on the queue's disk", len(subject.changes), 0, "changes")
    evidence.require(
        not subject.changes, f"{len(subject.changes)} changes: {'; '.join(subject.changes)}"
    )


@pytest.mark.parametrize("finding_id", FINDING_IDS)
def test_finding(finding_id: str, subject: Subject, evidence: Evidence) -> None:
    """The health check finds nothing critical here."""
    finding = subject.finding(finding_id)
    _record(evidence, finding)
    if finding_id == "backups.age":
        evidence.judged(f"Its backups were looked for in {subject.backup_dir}.")

    if finding.level == "UNKNOWN":
        raise Inconclusive(f"{finding.id}: {finding.message}")
    evidence.require(finding.level != "CRITICAL", f"{finding.id}: {finding.message.rstrip('.')}")


def test_newest_backup_can_be_restored_and_worked(
    subject: Subject, scratch: Path, queue_settings: Settings, evidence: Evidence
) -> None:
    """The newest verified backup of this queue comes back whole in another place."""
    newest = QueueBackup(subject.path, subject.backup_dir).newest_verified()
    evidence.require(
        newest is not None, f"there is no verified backup in {subject.backup_dir} to restore"
    )
    assert newest is not None
    evidence.judged(f"Restored in a folder of its own: {newest.path}.")

    target = scratch / subject.path.name
    result = QueueBackup(target, subject.backup_dir).restore_backup(newest.path, allow_foreign=True)

    _require_within(evidence, queue_settings.limits["rto_s"], result.seconds)
    _require_within(evidence, queue_settings.limits["rpo_s"], result.backup_age_s)
    expected = newest.manifest.counts if newest.manifest else None
    _require_workable(evidence, target, result, expected)


def test_fresh_backup_of_a_copy_survives_its_loss(
    subject: Subject, scratch: Path, evidence: Evidence
) -> None:
    """A copy of this queue is backed up, lost and restored, and every task is counted."""
    copy = subject.copy
    if copy is None:
        evidence.require(
            subject.finding("file.opens").level != "CRITICAL",
            f"it cannot be copied: {subject.no_copy}",
        )
        raise Inconclusive(f"the queue was not copied: {subject.no_copy}")
    backups = QueueBackup(copy, scratch / "backups")
    try:
        with QueueDatabase(copy) as database:
            expected = count_by_status(database.connection())
        backup = backups.create_backup("gate")
    except QueueError as error:
        evidence.require(condition=False, sentence=f"it cannot be backed up: {error}")
        return

    for file in (copy, *sides(copy)):
        file.unlink(missing_ok=True)
    result = backups.restore_backup(backup)

    evidence.measure("rto_s", result.seconds, "s")
    _require_workable(evidence, copy, result, expected)


def _record(evidence: Evidence, finding: SeenFinding) -> None:
    bounds = finding.bounds
    if bounds is not None and isinstance(finding.observed, int | float):
        limit = bounds.warning if bounds.critical is None else bounds.critical
        evidence.limit(finding.id, finding.observed, limit, bounds.unit, bounds.kind)
    if finding.level != "OK":
        evidence.finding(
            finding.id,
            finding.level,
            finding.observed,
            finding.threshold,
            finding.message,
            finding.command,
        )


def _require_within(evidence: Evidence, bound: Bound, observed_s: float | None) -> None:
    """Measure what a restore costs; where a limit was set, hold it against that."""
    evidence.measure(bound.name, observed_s, bound.unit)
    if bound.fail is None:
        return
    if observed_s is None:
        raise Inconclusive(f"{bound.name} is not known, and {bound}")
    evidence.limit(bound.name, observed_s, bound.fail, bound.unit)
    evidence.require(observed_s <= bound.fail, f"{bound.name} is {observed_s:.1f} s: {bound}")


def _require_workable(
    evidence: Evidence, path: Path, result: RestoreResult, expected: dict[str, int] | None
) -> None:
    """Require that all tasks are there, that nobody holds one, and that one can be worked off."""
    with contextlib.closing(QueueDatabase(path)) as database:
        counts = count_by_status(database.connection())
        integrity = QueueMaintenance(database).integrity_check()
        tasks = TaskQueue(database)
        task = tasks.claim("gate")
        if task is not None:
            tasks.complete(task)

    total = sum(counts.values())
    evidence.measure("tasks_restored", total, "tasks")
    evidence.measure("leases_released", result.leases_released, "tasks")
    evidence.require(integrity == ["ok"], f"integrity_check after the restore: {integrity[:3]}")
    held = sum(counts.get(status, 0) for status in HELD)
    evidence.require(held == 0, f"{held} tasks are still held after the restore")
    if expected is not None:
        missing = sum(expected.values()) - total
        evidence.limit("tasks missing after the restore", abs(missing), 0, "tasks")
        evidence.require(not missing, f"{missing} of {sum(expected.values())} tasks are missing")
        done = {status: count for status, count in expected.items() if status not in HELD}
        done.pop(QUEUED, None)
        kept = {status: counts.get(status, 0) for status in done}
        evidence.require(
            all(kept[status] >= count for status, count in done.items()),
            f"finished tasks were {done} and are {kept}",
        )
