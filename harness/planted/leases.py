"""Defects of leases: a holder that is gone, or one that is not, is taken for the other."""

from dataclasses import replace
from typing import Any

from core.task import Task
from core.tasks import TaskQueue
from harness.planted.defect import Catch, Change, Defect

Right = Any
"""The right part, which the wrong one may call."""


def _believe(right: Right) -> Right:
    """Take whoever says that he holds a task for its holder."""

    def verb(self: TaskQueue, task: Task, *arguments: Any, **settings: Any) -> Any:  # noqa: ANN401 - as the right one
        return right(self, _as_it_is_held(self, task), *arguments, **settings)

    return verb


def _as_it_is_held(queue: TaskQueue, task: Task) -> Task:
    rows = (
        queue.database.connection()
        .execute(
            "SELECT locked_by, reserved_at_utc, attempts FROM task_queue WHERE id = ?", (task.id,)
        )
        .fetchall()
    )
    worker, reserved_at, attempts = rows[0]
    return replace(task, worker=worker or "", reserved_at=reserved_at or "", attempts=attempts)


DEFECTS = (
    Defect(
        name="no-fencing",
        group="leases",
        wrong="Whoever says that he holds a task may end it: the holder is not compared.",
        changes=tuple(
            Change("core.tasks", f"TaskQueue.{verb}", _believe)
            for verb in ("heartbeat", "complete", "fail")
        ),
        catches=(Catch("test_leases.py", "stale-holder-refused"),),
    ),
)
