"""A restore that is killed at any of its steps: the old state whole, or the new one whole.

Claim: a kill at any moment of a restore leaves the old state or the restored one, never a mixture
and never nothing; the next who opens the queue is told which, and no lease of a dead worker is
left in the restored one.
Faults: killed-at-step, destroyed-header, no-fault.
Method: the restore runs in a process that stands still at each step (a statement, a step of the
copy, a call to the file system), where its files are copied as a kill there would leave them;
copies, in nightly all, are laid out in the queue's place and opened as a worker opens it. One
process is killed for real, and leaves what the copy of that step says.
A failure means: a restore that is cut off costs the queue, which is when it is needed most.
"""

import random
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from core.backup import QueueBackup
from core.database import QueueDatabase
from core.errors import QueueError
from core.maintenance import QueueMaintenance
from core.paths import wal_of
from core.schema import HELD, QUEUED
from harness.crew import Crew
from harness.cutoff import CutOff, Depth
from harness.evidence import Evidence
from harness.faults import DestroyedHeader, Fault, NoFault
from harness.ledger import Ledger
from harness.leftovers import asked_of_copy
from harness.outcome import Inconclusive
from harness.workload import fill

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

BEFORE_COUNT = 12
AFTER_COUNT = 4
HELD_COUNT = 2
LOOKS_COUNT = 8
OLD, NEW = "the old state", "the restored state"
DISASTERS: tuple[Fault[Path], ...] = (NoFault(), DestroyedHeader())
Rows = dict[str, tuple[object, ...]]
Files = dict[str, bytes]


@dataclass(frozen=True)
class Bench:
    """A queue that has gone on since its backup, and what may be found in its place.

    Attributes:
        path: the queue; its last worker was killed, so that the newest tasks are in the -wal.
        backup: of it.
        old: its tasks.
        new: those of the backup, with nobody holding one.
    """

    path: Path
    backup: Path
    old: Rows
    new: Rows


@pytest.fixture
def bench(scratch: Path, crew: Crew) -> Bench:
    """A queue in a folder of its own, with a backup, worked on since."""
    path = scratch / "queue" / "queue.db"
    QueueDatabase(path, create=True).close()
    worker = crew.start(path, "worker")
    fill([worker], BEFORE_COUNT, prefix="before")
    for _number in range(HELD_COUNT):
        worker.claim()
    backup = QueueBackup(path).create_backup()
    fill([worker], AFTER_COUNT, prefix="after")
    worker.complete()
    worker.driver.kill()
    held = _rows(backup)
    new = {key: _released(row) for key, row in held.items()}
    if held == new:
        raise Inconclusive("no task was held while the backup was made")
    return Bench(path, backup, _rows(path), new)


@pytest.mark.parametrize("disaster", DISASTERS, ids=lambda fault: fault.name)
def test_killed_at_any_step_restore_leaves_old_or_new(
    disaster: Fault[Path],
    bench: Bench,
    queue_random: random.Random,
    ledger: Ledger,
    evidence: Evidence,
) -> None:
    """Killed where a name comes or goes, or where the seed says, the old state or the new is there.

    It is told which of the two.
    """
    depth = Depth(LOOKS_COUNT, chance=queue_random, turns=True)
    _require_survived(disaster, bench, depth, ledger, evidence)


@pytest.mark.profile("nightly")
@pytest.mark.parametrize("disaster", DISASTERS, ids=lambda fault: fault.name)
def test_killed_at_every_step_restore_leaves_old_or_new(
    disaster: Fault[Path], bench: Bench, ledger: Ledger, evidence: Evidence
) -> None:
    """Killed at every step of a restore, the queue is as before or as restored, and says so."""
    _require_survived(disaster, bench, Depth(), ledger, evidence)


def _require_survived(
    disaster: Fault[Path], bench: Bench, depth: Depth, ledger: Ledger, evidence: Evidence
) -> None:
    __tracebackhide__ = True
    with ledger.injected(disaster, bench.path) as sighting:
        damaged = None if isinstance(disaster, NoFault) else _files(bench.path)
        cut = CutOff(bench.path, "restore", bench.backup)
        judge = partial(_found, bench, damaged)
        cut.require_survived(evidence, judge, (OLD, NEW), done=NEW, depth=depth)
        sighting.effect = "restored"


def _found(bench: Bench, damaged: Files | None) -> str:
    """Open the queue as a worker does, and return which state it finds."""
    # Before: SQLite folds a -wal also into a file that it then says is none of its own.
    there = _files(bench.path)
    try:
        with QueueDatabase(bench.path) as database:
            integrity = QueueMaintenance(database).integrity_check()
            recovered = database.recovered
    except QueueError as error:
        return OLD if there == damaged else f"no queue ({error})"
    if integrity != ["ok"]:
        return f"damaged ({integrity[0]})"
    state = _named(bench, _rows(bench.path))
    told = None if recovered is None else {"old": OLD, "new": NEW}.get(recovered.state)
    return state if recovered is None or told == state else f"{state}, and told as {recovered}"


def _named(bench: Bench, rows: Rows) -> str:
    if rows == bench.old:
        return OLD
    if rows == bench.new:
        return NEW
    if {key: _released(row) for key, row in rows.items()} == bench.new:
        return "the restored state with leases that dead workers held"
    return f"a mixture ({len(rows)} tasks of {len(bench.old)} before and {len(bench.new)} restored)"


def _rows(path: Path) -> Rows:
    """Return what a program that knows nothing of restores reads of each task."""
    sql = "SELECT idempotency_key, status, locked_by, attempts, payload FROM task_queue"
    return {str(row[0]): tuple(row[1:]) for row in asked_of_copy(path, sql)}


def _files(path: Path) -> Files:
    """Return the bytes of the database and its -wal, as far as they are there."""
    return {file.name: file.read_bytes() for file in (path, wal_of(path)) if file.exists()}


def _released(row: tuple[object, ...]) -> tuple[object, ...]:
    status, _holder, *others = row
    return (QUEUED, None, *others) if status in HELD else row
