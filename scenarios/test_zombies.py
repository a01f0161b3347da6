"""Zombies: workers from before a restore, who do not know of it and go on where they were.

Claim: what a worker claimed before a restore it can neither end nor extend afterwards, also where a
restarted worker of the same name has claimed the task again: a restore takes attempts back, so
that name and attempts are those of the zombie, and only the moment of the claim differs.
Faults: zombie.
Method: a worker holds a task while the queue is restored under it, live, to a backup from before or
after its claim. Then another process, in some rows of the same name, claims the task, and the
zombie asks for everything that a holder may. What the task was is compared, and the new holder
completes it.
A failure means: after a restore work is reported done that nobody has done, or is done twice.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from core.backup import QueueBackup
from harness.checkers import completed_once, nothing_unexpected, one_holder
from harness.closing import Books
from harness.crew import Crew
from harness.evidence import Evidence
from harness.history import FinalTask, Outcome
from harness.outcome import Inconclusive
from harness.worker import Worker

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

NAME = "worker"


@dataclass(frozen=True)
class Past:
    """What the zombie was before the restore, and who came after it.

    Attributes:
        id: of the row.
        held_in_backup: whether it claimed before the backup was made.
        successor: name under which another process claims the task after the restore, if one does.
    """

    id: str
    held_in_backup: bool
    successor: str | None

    def __str__(self) -> str:
        return self.id


PASTS = (
    Past("held-in-the-backup", held_in_backup=True, successor=None),
    Past("held-in-the-backup-by-a-namesake-now", held_in_backup=True, successor=NAME),
    Past("claimed-since-by-a-namesake-now", held_in_backup=False, successor=NAME),
    Past("claimed-since-by-another-now", held_in_backup=False, successor="another"),
    Past("claimed-since-and-waiting-again", held_in_backup=False, successor=None),
)


@pytest.mark.parametrize("past", PASTS, ids=str)
def test_zombie_of_before_the_restore_ends_nothing(
    past: Past, queue_path: Path, crew: Crew, books: Books
) -> None:
    """Whatever a worker asks about a task that it held before a restore is refused."""
    zombie = crew.start(queue_path, NAME)
    _restore_under(zombie, past, queue_path, books.evidence)
    successor = crew.start(queue_path, "successor")
    if past.successor is not None:
        successor.name = past.successor
        _claim(successor)
    before = _only_task(successor)

    asked = {
        "heartbeat": zombie.heartbeat(),
        "fail": zombie.fail("late"),
        "complete": zombie.complete(),
    }
    after = _only_task(successor)

    accepted = [op for op, told in asked.items() if told.outcome is not Outcome.FAILED]
    books.evidence.limit("late operations accepted", len(accepted), 0, "operations")
    books.evidence.require(
        not accepted, f"{', '.join(accepted)} of a holding from before the restore was accepted"
    )
    books.evidence.require(before == after, f"a refused zombie changed {before} to {after}")
    if past.successor is None:
        _claim(successor)
    books.evidence.require(successor.complete().ok, "the task's holder cannot complete it any more")
    books.require_sound(successor, checkers=(nothing_unexpected, completed_once, one_holder))


def _restore_under(zombie: Worker, past: Past, queue: Path, evidence: Evidence) -> None:
    """Let it claim, and restore a backup of before or after that under it."""
    zombie.enqueue("task")
    if past.held_in_backup:
        _claim(zombie)
    backups = QueueBackup(queue)
    backup = backups.create_backup()
    if not past.held_in_backup:
        _claim(zombie)
    ticket = zombie.history.begin("operator", "restore")
    result = backups.restore_backup(backup, live=True)
    ticket.ok(facts={"route": result.route})
    alive = zombie.driver.exit_status is None
    evidence.fault(
        "zombie",
        "a worker that holds a task while the queue is restored under it",
        alive and result.route == "interface",
        f"process {zombie.driver.pid} lives, and has {zombie.task}",
    )


def _claim(worker: Worker) -> None:
    claim = worker.claim()
    if claim.task_id is None:
        raise Inconclusive(f"{worker.name} could not claim the only task: {claim.error}")


def _only_task(worker: Worker) -> FinalTask:
    tasks = worker.final()
    if len(tasks) != 1:
        raise Inconclusive(f"{len(tasks)} tasks were restored, not 1")
    return tasks[0]
