"""Defects of how a bad disk is met: an error swallowed, taken for success, or left in a mess."""

from typing import Any

from core.connection import Connection
from core.errors import CommitUnknownError, DatabaseIOError, DiskFullError
from core.task import Task
from core.tasks import TaskQueue
from harness.planted.defect import Catch, Change, Defect

Right = Any
"""The right part, which the wrong one may call."""


def _full_is_done(right: Right) -> Right:
    def enqueue(self: TaskQueue, *arguments: Any, **settings: Any) -> Any:  # noqa: ANN401 - as the right one
        try:
            return right(self, *arguments, **settings)
        except DiskFullError:
            return 0

    return enqueue


def _error_is_done(right: Right) -> Right:
    def complete(self: TaskQueue, task: Task) -> None:
        try:
            right(self, task)
        except (CommitUnknownError, DatabaseIOError):
            return

    return complete


def _stay_open(_right: Right) -> Right:
    def roll_back(_connection: Connection) -> None:
        return

    return roll_back


def _unseen(_right: Right) -> Right:
    def refuse_moved(_self: Any, _path: Any) -> None:  # noqa: ANN401 - as the right one
        return

    return refuse_moved


def _untranslated(_right: Right) -> Right:
    return {}


_STRUCK = "test_io_faults.py::test_fault_at_some_calls_is_survived_or_told"

DEFECTS = (
    Defect(
        name="full-disk-is-done",
        group="disk",
        wrong="A producer on a full disk is told that its task is in the queue.",
        changes=(Change("core.tasks", "TaskQueue.enqueue", _full_is_done),),
        catches=(
            Catch(f"{_STRUCK}[worker]", "is right"),
            Catch(
                "test_full_disk.py::test_database_that_may_not_grow_refuses_and_loses_nothing",
                "is right",
            ),
        ),
    ),
    Defect(
        name="disk-error-is-done",
        group="disk",
        wrong="A worker whose disk fails is told that its task is completed, and it runs again.",
        changes=(Change("core.tasks", "TaskQueue.complete", _error_is_done),),
        catches=(Catch(f"{_STRUCK}[worker]", "says that it is done"),),
    ),
    Defect(
        name="transaction-left-open",
        group="disk",
        wrong="A worker that met an error keeps the writer lock, and everybody else waits.",
        changes=(Change("core.database", "roll_back", _stay_open),),
        catches=(Catch(f"{_STRUCK}[worker]", "database is locked"),),
    ),
    Defect(
        name="raw-disk-errors",
        group="disk",
        wrong="A full or failing disk is told in SQLite's words, without a cure.",
        changes=(Change("core.translation", "_LEAVES", _untranslated),),
        catches=(Catch(f"{_STRUCK}[worker]", "OperationalError"),),
    ),
    Defect(
        name="moved-file-unseen",
        group="disk",
        wrong="Once somebody has replaced the queue's file, tasks go where nobody finds them.",
        changes=(Change("core.slot", "Slot.refuse_moved", _unseen),),
        catches=(
            Catch(
                "test_disk_surroundings.py::test_database_moved_under_a_worker_takes_no_task_along",
                "into a file without a name",
            ),
        ),
    ),
)
