"""Queues with one known defect each: what the checkers must call red, or they are blind.

Each defect shows by construction and not by luck: no race has to be won.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from core.task import Task
from core.tasks import LEASE_SECONDS, TaskQueue
from core.timestamps import to_text


class DoubleClaim(TaskQueue):
    """Hands out the first unfinished task, whoever holds it, and lets anybody finish it.

    It is what a claim does that reads and writes in two transactions, made certain.
    """

    def claim(
        self,
        worker_id: str,
        *,
        lease_seconds: float = LEASE_SECONDS,
        types: Sequence[str] | None = None,
    ) -> Task | None:
        """Return the first unfinished task, its holder notwithstanding."""
        with self.database.transaction("normal") as connection:
            connection.execute(
                "UPDATE task_queue SET status = 'queued', locked_by = NULL "
                "WHERE status IN ('leased', 'processing')"
            ).close()
        return super().claim(worker_id, lease_seconds=lease_seconds, types=types)

    def complete(self, task: Task) -> None:
        """Leave the task completed, whoever holds it or has completed it."""
        values = (to_text(self.database.clock.now_ms()), task.id)
        with self.database.transaction(self.durability) as connection:
            connection.execute(
                "UPDATE task_queue SET status = 'completed', finished_at_utc = ? WHERE id = ?",
                values,
            ).close()


class NoFencing(TaskQueue):
    """Believes whoever says that he holds a task: the holder in the file is not compared."""

    def heartbeat(self, task: Task, *, lease_seconds: float = LEASE_SECONDS) -> Task:
        """Extend the lease of whoever holds the task now."""
        return super().heartbeat(self._as_it_is(task), lease_seconds=lease_seconds)

    def complete(self, task: Task) -> None:
        """Complete the task in the name of whoever holds it now."""
        super().complete(self._as_it_is(task))

    def _as_it_is(self, task: Task) -> Task:
        rows = (
            self.database.connection()
            .execute(
                "SELECT locked_by, reserved_at_utc, attempts FROM task_queue WHERE id = ?",
                (task.id,),
            )
            .fetchall()
        )
        worker, reserved_at, attempts = rows[0]
        return replace(task, worker=worker or "", reserved_at=reserved_at or "", attempts=attempts)


DEFECTS: Mapping[str, type[TaskQueue]] = {"double-claim": DoubleClaim, "no-fencing": NoFencing}
"""By the names under which the trial driver knows them."""
