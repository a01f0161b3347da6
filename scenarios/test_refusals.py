"""Maintenance that cannot do what it was asked: refused, with the queue as it was.

Claim: a verb that has no room, no such table, or another run beside it refuses before it does
anything, and says why; two maintenance runs never overlap.
Faults: short-disk; another process in the middle of a run.
Method: each verb is called where it has to refuse, on a queue on which it would have something to
do; that it did nothing is seen in the queue's figures. The other run is a process that stands still
in the middle of its work.
A failure means: maintenance fills a disk, meets itself, or says that it did what it did not.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from core.connection import scalar
from core.database import QueueDatabase
from core.errors import (
    MaintenanceBusyError,
    NotEnoughSpaceError,
    QueueError,
    UnknownTableError,
)
from core.maintenance import QueueMaintenance
from core.tasks import TaskQueue
from harness.evidence import Evidence
from harness.faults import ShortDisk
from harness.ledger import Ledger
from harness.outcome import Inconclusive
from harness.stepwise import stepwise

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

TASKS_COUNT = 40
FILLING = "x" * 2000
UNKNOWN_TABLE = "no_such_table"
VERBS: dict[str, Callable[[QueueMaintenance], object]] = {
    "analyze": lambda maintenance: maintenance.analyze(),
    "archive": lambda maintenance: maintenance.archive_finished(0),
    "checkpoint": lambda maintenance: maintenance.checkpoint(),
    "stale leases": lambda maintenance: maintenance.cleanup_stale_leases(),
    "vacuum": lambda maintenance: maintenance.vacuum(timeout_seconds=1.0),
}


@pytest.fixture
def fragmented(queue_path: Path) -> Path:
    """A queue with finished tasks and free pages, which nobody has open."""
    with QueueDatabase(queue_path) as database:
        tasks = TaskQueue(database, durability="normal")
        for _number in range(TASKS_COUNT):
            tasks.enqueue("t", {"filling": FILLING})
        with database.transaction() as connection:
            connection.execute("DELETE FROM task_queue WHERE id > 4").close()
        while task := tasks.claim("worker"):
            tasks.complete(task)
    return queue_path


def test_vacuum_without_room_is_refused_and_changes_nothing(
    fragmented: Path, ledger: Ledger, evidence: Evidence
) -> None:
    """Where the copy would not fit, VACUUM does not begin, and says how much it needs."""
    with QueueDatabase(fragmented) as database:
        before, refused = _free_pages(database), ""
        fault = ShortDisk(free=fragmented.stat().st_size // 2)
        with ledger.injected(fault, fragmented.parent) as sighting:
            try:
                QueueMaintenance(database).vacuum()
            except NotEnoughSpaceError as error:
                refused = str(error)
            sighting.effect = refused or "VACUUM was run"
        after = _free_pages(database)

    evidence.require(refused, "VACUUM was run on a disk that cannot take its copy")
    evidence.require(before == after, f"it refused, and freed {before - after} pages")


def test_analyze_of_a_table_that_is_not_there_is_refused(
    fragmented: Path, evidence: Evidence
) -> None:
    """A mistyped table is an error that names those there are, and no statistics are written."""
    refused = ""
    with QueueDatabase(fragmented) as database:
        try:
            QueueMaintenance(database).analyze(UNKNOWN_TABLE)
        except UnknownTableError as error:
            refused = str(error)
        rows = scalar(database.connection(), "SELECT count(*) FROM sqlite_master WHERE name = ?",
                      ("sqlite_stat1",))  # fmt: skip

    evidence.require(refused, f"the statistics of {UNKNOWN_TABLE}, which is not there, are updated")
    evidence.require("task_queue" in refused, f"it does not name the tables there are: {refused}")
    evidence.require(rows == 0, "it refused, and wrote statistics")


def test_verb_in_the_middle_of_another_run_is_refused(fragmented: Path, evidence: Evidence) -> None:
    """While a run is at work in another process, no other verb begins, and the run is named."""
    with stepwise(fragmented, "archive", 0) as run:
        at_work = next((step for step in run if "INSERT INTO archived_tasks" in step.what), None)
        said = _each_verb(fragmented) if at_work else {}
        alive = run.kill()
    if at_work is None or not alive:
        raise Inconclusive(f"the other run was not at work; it ended so: {run.ended}")

    began = [verb for verb, refusal in said.items() if str(run.pid) not in refusal]
    evidence.limit("verbs that overlap with another run", len(began), 0, "verbs")
    evidence.require(
        not began,
        f"{len(began)} of {len(said)} verbs are not kept out by a run that is at work: "
        f"{', '.join(began)}",
    )


def _each_verb(path: Path) -> dict[str, str]:
    """Return what each verb says that refused since another run is at work; nothing else."""
    with QueueDatabase(path) as database:
        maintenance = QueueMaintenance(database)
        return {verb: _refusal(partial(call, maintenance)) for verb, call in VERBS.items()}


def _refusal(verb: Callable[[], object]) -> str:
    try:
        verb()
    except MaintenanceBusyError as error:
        return str(error)
    except QueueError:
        # Whatever stopped it, it had begun.
        return ""
    return ""


def _free_pages(database: QueueDatabase) -> int:
    return int(scalar(database.connection(), "PRAGMA freelist_count"))
