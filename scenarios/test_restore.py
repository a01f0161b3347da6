"""Restore drills: a backup made under load, a disaster, and every task accounted for.

Claim: after a disaster the newest backup comes back whole; what was acknowledged before it is
there, nothing comes twice, and workers can empty the queue.
Faults: deleted-database, left-over-wal, destroyed-header, killed-writer.
Method: producers and workers run while the backup is made and after it; an older one lies beside
it, and a newer one that is cut off. Then all of them are killed, the disaster strikes, the newest
verified backup is restored, and new workers empty the queue. Every acknowledged task is put in one
class: kept, lost since the backup, lost from before it, to run again, duplicated.
A failure means: the backup is worth less than it says, and a restore loses or doubles work.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.backup import QueueBackup
from core.database import QueueDatabase
from core.maintenance import QueueMaintenance
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
    evidence.measure("rto_s", _first_done_s(history, struck_s) - struck_s, "s")
    evidence.measure("leases_released", result.leases_released, "tasks")
    _require_reckoned(evidence, reckoning, before)
    evidence.require(integrity == ["ok"], f"integrity_check after the restore: {integrity}")
    evidence.require(
        not any(_held(task) for task in restored), "a lease of a dead worker was restored"
    )
    evidence.require(result.leases_released >= 1, "the holder's lease was not told as released")
    record = Record(
        operations=history.operations(),
        final=workers[0].final(),
        capabilities=workers[0].driver.capabilities,
    )
    require_all(evidence, judge(record, AFTER_RESTORE))


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
