"""Defects of claiming: the wrong task is handed out, or one task to two."""

from typing import Any

from core.task import Task
from core.tasks import TaskQueue
from core.timestamps import to_text
from harness.planted.defect import Catch, Change, Defect

Right = Any
"""The right part, which the wrong one may call."""


def _claim_what_is_held(right: Right) -> Right:
    """What a claim does that reads and writes in two transactions, made certain."""

    def claim(self: TaskQueue, worker_id: str, **settings: Any) -> Task | None:  # noqa: ANN401 - as the right one
        with self.database.transaction("normal") as connection:
            connection.execute(
                "UPDATE task_queue SET status = 'queued', locked_by = NULL "
                "WHERE status IN ('leased', 'processing')"
            ).close()
        claimed: Task | None = right(self, worker_id, **settings)
        return claimed

    return claim


def _complete_for_anybody(_right: Right) -> Right:
    def complete(self: TaskQueue, task: Task) -> None:
        values = (to_text(self.database.clock.now_ms()), task.id)
        with self.database.transaction(self.durability) as connection:
            connection.execute(
                "UPDATE task_queue SET status = 'completed', finished_at_utc = ? WHERE id = ?",
                values,
            ).close()

    return complete


DEFECTS = (
    Defect(
        name="double-claim",
        group="claiming",
        wrong="A held task is handed to a second worker, and both may complete it.",
        changes=(
            Change("core.tasks", "TaskQueue.claim", _claim_what_is_held),
            Change("core.tasks", "TaskQueue.complete", _complete_for_anybody),
        ),
        catches=(Catch("test_workload.py", "completed-once"),),
    ),
)
