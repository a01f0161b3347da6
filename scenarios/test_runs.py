"""The daily and the weekly run where something is in their way: what is done, and what is said.

Claim: a run does what is safe and nothing else. Without a verified backup it does not VACUUM; to a
damaged queue it writes nothing, and names all of the damage; what it could not do it does not call
done.
Faults: lagging-indexes, stuck-reader; a file in the place of the backup folder.
Method: the run is made as a timer makes it, on a real queue with free pages, a stale lease and
frames in its -wal, so that each of its steps has something to do. What it says is compared with
what became of the file.
A failure means: a run that nobody watches costs the queue, or its report cannot be believed.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.backup import QueueBackup
from core.clock import ManualClock, SystemClock
from core.connection import scalar
from core.database import QueueDatabase
from core.maintenance import QueueMaintenance
from core.paths import backup_folder
from core.runreport import RunReport
from core.schedule import run_daily, run_weekly
from core.tasks import TaskQueue
from harness.evidence import Evidence
from harness.faults import LaggingIndexes, StuckReader
from harness.ledger import Ledger
from harness.outcome import Inconclusive

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

TASKS_COUNT = 60
FILLING = "x" * 2000
HOUR_S = 3600.0
RUNS: dict[str, Callable[[QueueDatabase], RunReport]] = {
    "daily": lambda database: run_daily(database, wait_s=0.0),
    "weekly": lambda database: run_weekly(database, wait_s=0.0),
}


@pytest.fixture
def queue(queue_path: Path) -> Iterator[QueueDatabase]:
    """A queue with free pages, and a task whose holder is gone."""
    clock = ManualClock(SystemClock().now_ms())
    with QueueDatabase(queue_path, clock=clock) as database:
        tasks = TaskQueue(database, durability="normal")
        for _number in range(TASKS_COUNT):
            tasks.enqueue("t", {"filling": FILLING})
        tasks.claim("gone", lease_seconds=1)
        with database.transaction() as connection:
            connection.execute("DELETE FROM task_queue WHERE id % 2 = 0").close()
        clock.advance_s(HOUR_S)
        yield database


@pytest.mark.parametrize("run", RUNS)
def test_run_on_a_damaged_queue_names_all_of_it_and_writes_nothing(
    run: str, queue: QueueDatabase, ledger: Ledger, evidence: Evidence
) -> None:
    """Damage is named in full, and no step writes to a queue that has some."""
    queue.close()
    fault = LaggingIndexes()
    with ledger.injected(fault, queue.path) as sighting:
        before = queue.path.read_bytes()
        report = RUNS[run](queue)
        found = QueueMaintenance(queue).integrity_check()
        queue.close()
        after = queue.path.read_bytes()
        sighting.effect = "; ".join(found)

    unnamed = [name for name in fault.indexes if not any(name in line for line in found)]
    evidence.measure("findings", len(found), "findings")
    evidence.require(
        not unnamed, f"the integrity check does not name the damage of {', '.join(unnamed)}"
    )
    evidence.require(not report.ok, f"the {run} run on a damaged queue is said to be ok")
    untold = [name for name in fault.indexes if name not in report.step("integrity check").detail]
    evidence.require(not untold, f"the {run} run does not name the damage of {', '.join(untold)}")
    evidence.require(before == after, f"the {run} run has written to a damaged queue")


def test_weekly_run_without_a_verified_backup_does_not_vacuum(
    queue: QueueDatabase, evidence: Evidence
) -> None:
    """Where no backup could be made VACUUM is left out, what is safe is done, and both are said."""
    folder = backup_folder(queue.path)
    folder.write_text("This is no folder.", encoding="utf-8")
    pages = _pages(queue)
    report = RUNS["weekly"](queue)
    freed = pages - _pages(queue)
    if not folder.is_file():
        raise Inconclusive(f"{folder} is a folder, and a backup could be made")

    evidence.measure("pages_freed", freed, "pages")
    evidence.require(not report.ok, f"a run whose backup failed is said to be ok: {_said(report)}")
    vacuum = report.step("vacuum")
    evidence.require(
        not vacuum.ran and not freed,
        f"VACUUM was run without a verified backup, and freed {freed} of {pages} pages",
    )
    left = [name for name in ("analyze", "checkpoint", "stale leases") if not report.step(name).ok]
    evidence.require(not left, f"without a backup it has left out what needs none: {left}")


def test_daily_run_behind_a_stuck_reader_says_that_some_is_left(
    queue: QueueDatabase, ledger: Ledger, evidence: Evidence
) -> None:
    """A checkpoint that a reader holds back is not called complete, and without it is."""
    with ledger.injected(StuckReader(), queue.path) as sighting:
        TaskQueue(queue).enqueue("t", {})
        held = RUNS["daily"](queue).step("checkpoint")
        sighting.effect = held.detail
    free = RUNS["daily"](queue).step("checkpoint")

    evidence.require(
        held.detail != "complete",
        "the checkpoint is said to be complete while a reader holds frames back",
    )
    evidence.require(
        free.ok and free.detail == "complete", f"with nobody in its way it says: {free.detail}"
    )


def test_weekly_run_on_a_sound_queue_does_every_step(
    queue: QueueDatabase, evidence: Evidence
) -> None:
    """With nothing in its way all is done: a verified backup, no free pages, no stale lease."""
    pages = _pages(queue)
    report = RUNS["weekly"](queue)
    freed = pages - _pages(queue)
    sound = QueueBackup(queue).newest_verified()

    evidence.measure("weekly_run", report.seconds, "s")
    evidence.require(report.ok, f"not all was done: {_said(report)}")
    evidence.require(sound is not None, "there is no verified backup after the weekly run")
    evidence.require(freed > 0, f"VACUUM freed {freed} of {pages} pages")
    held = scalar(queue.connection(), "SELECT count(*) FROM task_queue WHERE locked_by NOT NULL")
    evidence.require(held == 0, f"{held} tasks are held by workers that are gone")


def _pages(queue: QueueDatabase) -> int:
    return int(scalar(queue.connection(), "PRAGMA page_count"))


def _said(report: RunReport) -> str:
    return "; ".join(f"{step.name}: {step.detail}" for step in report.steps if not step.ok)
