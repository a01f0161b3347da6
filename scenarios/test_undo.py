"""Undoing a restore: what it replaced comes back, all of it, and the last one first.

Claim: a restore keeps what it replaced as one set, the -wal with it, so that undoing it brings
back every task and lease of before, also where that could no longer be opened.
Faults: destroyed-header, left-over-wal, no-fault.
Method: the last worker of the queue is killed, so that its newest tasks are in the -wal alone; the
disaster strikes, the backup is restored and the restore undone. What can be read is compared task
by task, and what cannot is compared byte by byte.
A failure means: a restore of the wrong backup cannot be taken back without losing work.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.backup import QueueBackup
from core.database import QueueDatabase
from core.errors import QueueError
from core.paths import sides, wal_of
from core.tasks import TaskQueue
from harness.crew import Crew
from harness.evidence import Evidence
from harness.faults import DestroyedHeader, Fault, LeftOverWal, NoFault
from harness.ledger import Ledger
from harness.leftovers import asked_of_copy
from harness.outcome import Inconclusive
from harness.workload import fill

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

BEFORE_COUNT = 8
AFTER_COUNT = 6
State = dict[str, object]


@dataclass(frozen=True)
class Disaster:
    """What happens to the queue before it is restored.

    Attributes:
        fault: does it.
        read: returns what is to come back.
    """

    fault: Fault[Path]
    read: Callable[[Path], State]


def _tasks(path: Path) -> State:
    """Return every column of every task."""
    rows = asked_of_copy(path, "SELECT * FROM task_queue ORDER BY id")
    return {f"task {row[0]}": row for row in rows}


def _files(path: Path) -> State:
    """Return the bytes of the set; the -shm has no content of its own."""
    files = (path, *(side for side in sides(path) if not side.name.endswith("-shm")))
    return {file.name: file.read_bytes() for file in files if file.exists()}


DISASTERS = (
    Disaster(NoFault(), _tasks),
    Disaster(DestroyedHeader(), _files),
    Disaster(LeftOverWal(), _files),
)


@pytest.mark.parametrize("disaster", DISASTERS, ids=lambda disaster: disaster.fault.name)
def test_undo_brings_back_all_that_was_replaced(
    disaster: Disaster, queue_path: Path, crew: Crew, ledger: Ledger, evidence: Evidence
) -> None:
    """After a restore and its undoing, every task or file of before is there again."""
    worker = crew.start(queue_path, "worker")
    fill([worker], BEFORE_COUNT, prefix="before")
    backups = QueueBackup(queue_path)
    backup = backups.create_backup()
    fill([worker], AFTER_COUNT, prefix="after")
    worker.claim()
    worker.driver.kill()

    if not wal_of(queue_path).stat().st_size:
        raise Inconclusive("nothing is in the -wal alone")

    with ledger.injected(disaster.fault, queue_path) as sighting:
        before = disaster.read(queue_path)
        result = backups.restore_backup(backup)
        restored = len(_tasks(queue_path))
        refused = _refusal(backups.undo_restore)
        sighting.effect = f"restored by {result.route}, undone{': not' if refused else ''}"

    if restored != BEFORE_COUNT:
        raise Inconclusive(f"{restored} tasks were restored, {BEFORE_COUNT} were in the backup")
    evidence.require(not refused, f"the restore cannot be undone: {refused}")
    _require_same(evidence, before, disaster.read(queue_path))


def test_undo_after_two_restores_brings_back_the_last_one(
    queue_path: Path, evidence: Evidence
) -> None:
    """Of two restores the last one is undone, and the undoing can be undone as well."""
    backups = QueueBackup(queue_path)
    with QueueDatabase(queue_path) as database:
        TaskQueue(database).enqueue("t", {"when": "before the backup"})
    backup = backups.create_backup()
    states = []
    restored = _tasks(queue_path)
    for restore in ("first", "second"):
        with QueueDatabase(queue_path) as database:
            TaskQueue(database).enqueue("t", {"when": f"before the {restore} restore"})
        states.append(_tasks(queue_path))
        backups.restore_backup(backup)

    refused = _refusal(backups.undo_restore)
    undone = _tasks(queue_path)
    refused_again = _refusal(backups.undo_restore)

    evidence.require(not refused, f"the second restore cannot be undone: {refused}")
    _require_same(evidence, states[1], undone)
    evidence.require(not refused_again, f"the undoing cannot be undone: {refused_again}")
    _require_same(evidence, restored, _tasks(queue_path))


def _refusal(verb: Callable[[], object]) -> str:
    """Do it; return why it was not done, or nothing."""
    try:
        verb()
    except QueueError as error:
        return str(error)
    return ""


def _require_same(evidence: Evidence, before: State, after: State) -> None:
    missing = sorted(before.keys() - after.keys())
    changed = sorted(name for name in before.keys() & after.keys() if before[name] != after[name])
    more = sorted(after.keys() - before.keys())
    evidence.limit("not as before the restore", len(missing + changed + more), 0, "tasks or files")
    evidence.require(
        not (missing or changed or more),
        f"undoing brought back something else: of {len(before)} tasks or files {len(missing)} "
        f"are missing and {len(changed)} changed, {len(more)} are new: "
        f"{', '.join((missing + changed + more)[:3])}",
    )
