"""Restore drills: a backup made under load, a disaster, and every task accounted for.

Claim: after a disaster the newest backup comes back whole; what was acknowledged before it is
there, nothing comes twice, and workers can empty the queue; what the restore says it cost is what
it cost. The newest backup is the sound one of this queue whose snapshot is the latest.
Faults: deleted-database, left-over-wal, destroyed-header, killed-writer, flipped-bit.
Method: producers and workers run while the backup is made and after it; an older one lies beside
it, and a newer one that is cut off. Then all of them are killed, the disaster strikes, the newest
verified backup is restored, and new workers empty the queue. Every acknowledged task is put in one
class: kept, lost since the backup, lost from before it, to run again, duplicated. To choose the
newest, others lie there that only look newer.
A failure means: the backup is worth less than it says, and a restore loses or doubles work.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.backup import QueueBackup
from core.database import QueueDatabase
from core.errors import QueueError
from core.maintenance import QueueMaintenance
from core.restore import RestoreResult
from core.schema import count_by_status
from core.tasks import TaskQueue
from harness.checkers import (
    Record,
    attempts_within_limit,
    completed_once,
    done_in_the_end,
    judge,
    nothing_unexpected,
    one_holder,
)
from harness.crew import Crew
from harness.drill import Reckoning, reckon
from harness.evidence import Evidence
from harness.faults import (
    DeletedDatabase,
    DestroyedHeader,
    Fault,
    FlippedBit,
    KilledWriter,
    LeftOverWal,
)
from harness.history import FinalTask, History, Operation
from harness.judgement import require_all
from harness.ledger import Ledger
from harness.load import Load
from harness.outcome import Inconclusive
from harness.worker import Worker
from harness.workload import fill, work_off

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

BEFORE_COUNT = 60
DONE_BEFORE_COUNT = 15
DONE_LATER_COUNT = 5
AFTER_COUNT = 20
DRAIN_TIMEOUT_S = 30.0
HOUR_S = 3600.0
PAYLOAD = "x" * 400
DISASTERS: tuple[Fault[Path], ...] = (
    DeletedDatabase(),
    LeftOverWal(),
    DestroyedHeader(),
    KilledWriter(),
)
AFTER_RESTORE = (
    nothing_unexpected,
    completed_once,
    one_holder,
    attempts_within_limit,
    done_in_the_end,
)
"""Losses are judged by the reckoning: a restore may lose what came after its backup."""


@dataclass(frozen=True)
class Before:
    """What the drill knows when the disaster strikes."""

    operations: tuple[Operation, ...]
    backup: Operation


@pytest.mark.parametrize("disaster", DISASTERS, ids=lambda fault: fault.name)
def test_restore_after_disaster_accounts_for_every_task(
    disaster: Fault[Path],
    queue_path: Path,
    crew: Crew,
    ledger: Ledger,
    evidence: Evidence,
) -> None:
    """After a disaster and a restore, every acknowledged task is kept or lost within the RPO."""
    history = crew.history
    before = _work_until_the_disaster(queue_path, crew)

    with ledger.injected(disaster, queue_path) as sighting:
        struck_s = history.now_s()
        ticket = history.begin("operator", "restore")
        result = QueueBackup(queue_path).restore_newest()
        ticket.ok(facts={"route": result.route})
        sighting.effect = f"restored by {result.route} in {result.seconds:.2f} s"
        integrity = _integrity(queue_path)
        workers = crew.start_all(queue_path, "later", 2)
        restored = workers[0].final()
        work_off(workers, lambda: True, timeout_s=DRAIN_TIMEOUT_S)

    reckoning = reckon(before.operations, before.backup, restored)
    evidence.measure("rpo_s", reckoning.rpo_s, "s")
    evidence.measure("leases_released", result.leases_released, "tasks")
    _require_reckoned(evidence, reckoning, before)
    # Where nothing came back nothing can be done again: what is lost is judged first.
    evidence.measure("rto_s", _first_done_s(history, struck_s) - struck_s, "s")
    evidence.require(integrity == ["ok"], f"integrity_check after the restore: {integrity}")
    evidence.require(
        not any(_held(task) for task in restored), "a lease of a dead worker was restored"
    )
    evidence.require(result.leases_released >= 1, "the holder's lease was not told as released")
    _require_told(evidence, reckoning, result)
    evidence.require(result.leases_released >= 1, "the holder's lease was not told as released")
    record = Record(
        operations=history.operations(),
        final=workers[0].final(),
        capabilities=workers[0].driver.capabilities,
    )
    require_all(evidence, judge(record, AFTER_RESTORE))


@dataclass(frozen=True)
class Lure:
    """A backup that looks newer than the one to restore, and must not be taken.

    Attributes:
        id: of the row.
        lay: makes it, given the backups of the queue, the older and the newer one.
        names: of those two.
    """

    id: str
    lay: Callable[[QueueBackup, Path, Path], object]
    names: tuple[str | None, str | None] = (None, None)


def _touch(_backups: QueueBackup, older: Path, newer: Path) -> None:
    """Do what a copy or a sync does: the older file has the later time."""
    for file, age_s in ((older, 0.0), (newer, HOUR_S)):
        moment_s = file.stat().st_mtime - age_s
        os.utime(file, (moment_s, moment_s))


def _leave(_backups: QueueBackup, older: Path, newer: Path) -> None:
    if not older.name > newer.name:
        raise Inconclusive(f"{older.name} does not come after {newer.name}")


def _flip(backups: QueueBackup, _older: Path, _newer: Path) -> None:
    """Make one more, and turn a bit of a payload in it."""
    made = backups.create_backup()
    offset = made.read_bytes().find(PAYLOAD.encode())
    if offset < 0:
        raise Inconclusive("no payload lies in one piece in the backup")
    FlippedBit(offset=offset + len(PAYLOAD) // 2).damage(made)


def _share(backups: QueueBackup, _older: Path, _newer: Path) -> None:
    """Let another queue back up into the same folder, last of all."""
    other = backups.path.with_name("other.db")
    with QueueDatabase(other, create=True) as database:
        QueueBackup(database, backups.folder).create_backup()


LURES = (
    Lure("touched", _touch),
    Lure("named-later", _leave, names=("weekly", "daily")),
    Lure("damaged", _flip),
    Lure("of-another-queue", _share),
)


@pytest.mark.parametrize("lure", LURES, ids=lambda lure: lure.id)
def test_restore_newest_takes_the_newest_sound_one(
    lure: Lure, queue_path: Path, evidence: Evidence
) -> None:
    """What is restored is this queue's newest sound snapshot, whatever lies beside it."""
    backups, made = QueueBackup(queue_path), []
    for name in lure.names:
        with QueueDatabase(queue_path) as database:
            TaskQueue(database).enqueue("t", {"filling": PAYLOAD})
        made.append(backups.create_backup(name))
    lure.lay(backups, *made)
    queue_path.unlink()

    refused, chosen = "", ""
    try:
        chosen = backups.restore_newest().backup.name
    except QueueError as error:
        refused = str(error)

    evidence.require(not refused, f"a sound backup is there, and nothing was restored: {refused}")
    evidence.require(
        chosen == made[1].name, f"{chosen} was restored, and the newest sound one is {made[1].name}"
    )
    with QueueDatabase(queue_path) as database:
        tasks = sum(count_by_status(database.connection()).values())
    evidence.require(tasks == len(made), f"{tasks} tasks were restored of {len(made)}")


def _work_until_the_disaster(queue_path: Path, crew: Crew) -> Before:
    """Fill, work, back up under load, work on, and kill everybody."""
    history = crew.history
    producers = crew.start_all(queue_path, "producer", 2)
    holder = crew.start(queue_path, "holder")
    worker = crew.start(queue_path, "worker")
    fill(producers, BEFORE_COUNT, prefix="before")
    holder.claim()
    _do(worker, DONE_BEFORE_COUNT)
    QueueBackup(queue_path).create_backup("older")
    with Load(producers, prefix="during") as load:
        backup = _backup(queue_path, history, until=load.wait_for_acknowledgement)
    _leave_a_broken_one(queue_path)
    fill(producers, AFTER_COUNT, prefix="after")
    _do(worker, DONE_LATER_COUNT)
    # A kill leaves the -wal behind; a worker that ends by itself would clear it away.
    for each in (*producers, holder, worker):
        each.driver.kill()
    if not holder.task:
        raise Inconclusive("no task was held while the backup was made")
    return Before(history.operations(), backup)


def _backup(queue_path: Path, history: History, *, until: Callable[[float], object]) -> Operation:
    """Make a backup that is not done before something was acknowledged while it was made."""
    ticket = history.begin("operator", "backup")
    began_s = history.now_s()
    backup = QueueBackup(queue_path)
    backup.create_backup("drill", progress=lambda _progress: until(began_s))
    return ticket.ok()


def _leave_a_broken_one(queue_path: Path) -> None:
    """Leave a backup that is the newest and is cut off, so that it must be passed over."""
    newest = QueueBackup(queue_path).create_backup("newest")
    content = newest.read_bytes()
    newest.write_bytes(content[: len(content) // 2])


def _do(worker: Worker, count: int) -> None:
    for _number in range(count):
        if worker.claim().task_id is not None:
            worker.complete()


def _integrity(queue_path: Path) -> list[str]:
    with QueueDatabase(queue_path) as database:
        return QueueMaintenance(database).integrity_check()


def _first_done_s(history: History, since_s: float) -> float:
    done_s = [
        op.returned_s
        for op in history.operations()
        if op.op == "complete" and op.ok and op.returned_s is not None and op.invoked_s >= since_s
    ]
    if not done_s:
        raise Inconclusive("no task was completed after the restore, so its time is not known")
    return min(done_s)


def _held(task: FinalTask) -> bool:
    return task.status in ("leased", "processing")


def _require_told(evidence: Evidence, reckoning: Reckoning, result: RestoreResult) -> None:
    """Judge what the restore says of its cost; of a queue that no longer opens it says nothing."""
    lost = len(reckoning.lost_within) + len(reckoning.lost_beyond)
    again = len(reckoning.resurrected) + len(reckoning.undone)
    told = (result.tasks_lost, result.tasks_to_run_again)
    if result.route == "interface":
        evidence.require(
            told == (lost, again),
            f"the restore says it cost {told[0]} tasks and {told[1]} are to run again; it cost "
            f"{lost}, and {again} are",
        )


def _require_reckoned(evidence: Evidence, reckoning: Reckoning, before: Before) -> None:
    """Judge the classes; a drill in which nothing could be lost says nothing."""
    evidence.measure("tasks_kept", len(reckoning.kept), "tasks")
    evidence.measure("tasks_lost_since_backup", len(reckoning.lost_within), "tasks")
    evidence.measure("tasks_to_run_again", len(reckoning.resurrected), "tasks")
    for name, tasks in reckoning.broken.items():
        evidence.limit(name, len(tasks), 0, "tasks")
    for name, tasks in reckoning.broken.items():
        evidence.require(not tasks, f"{len(tasks)} tasks {name}: {', '.join(tasks[:3])}")
    if len(reckoning.kept) < BEFORE_COUNT - DONE_LATER_COUNT or not reckoning.lost_within:
        raise Inconclusive(f"the drill was too small: {reckoning} of {len(before.operations)}")
