"""Taking tasks away from holders that are gone, so that they run again."""

from dataclasses import dataclass

from .attempts import Ending, Outcome, end_attempt
from .connection import scalar
from .database import QueueDatabase
from .errors import TaskNotHeldError
from .leases import HeldTask, StaleLeases, read_held, shown, stale_leases
from .translation import translated

TIMEOUT_SECONDS = 300.0
_TASKS_IN_ONE_TRANSACTION = 200
_STATUS = "SELECT CAST(status AS BLOB) FROM task_queue WHERE id = ?"


@dataclass(frozen=True)
class ReleasedLeases:
    """What became of the tasks whose holders are gone.

    Attributes:
        requeued: tasks that may be claimed again.
        dead_lettered: tasks whose attempts were used up.
        unreadable: ids of held tasks whose lease has no readable end. They were left alone, since
            nothing says that their holder is gone; ``release_lease`` frees one of them.
    """

    requeued: int
    dead_lettered: int
    unreadable: tuple[int, ...]

    @property
    def released(self) -> int:
        """How many tasks were taken from their holders."""
        return self.requeued + self.dead_lettered


def release_stale(database: QueueDatabase, timeout_seconds: float) -> ReleasedLeases:
    """Take every task away whose lease ran out longer ago than the timeout.

    Each is moved whole with its history, some hundreds a transaction, and only if no heartbeat
    came since its lease was read.
    """
    now_ms = database.clock.now_ms()
    with translated(database.path, database.busy_timeout_ms / 1000):
        judged: StaleLeases = stale_leases(database.connection(), now_ms, timeout_seconds)
    outcomes: list[Outcome | None] = []
    for start in range(0, len(judged.stale), _TASKS_IN_ONE_TRANSACTION):
        batch = judged.stale[start : start + _TASKS_IN_ONE_TRANSACTION]
        with database.transaction() as connection:
            outcomes += [
                end_attempt(
                    connection,
                    database.layout,
                    held.token,
                    _ran_out(held, now_ms),
                    now_ms,
                    unless_extended=held,
                )
                for held in batch
            ]
    return ReleasedLeases(
        requeued=outcomes.count("queued"),
        dead_lettered=outcomes.count("dead_letter"),
        unreadable=tuple(held.id for held in judged.unreadable),
    )


def release_one(database: QueueDatabase, task_id: int) -> Outcome:
    """Take one task away from its holder, whatever its lease says; return what became of it.

    Raises:
        TaskNotHeldError: nobody holds it.
    """
    with database.transaction() as connection:
        now_ms = database.clock.now_ms()
        held = read_held(connection, task_id)
        if not held:
            status = shown(scalar(connection, _STATUS, (task_id,)))
            raise TaskNotHeldError(
                task_id=task_id, path=str(database.path), status=status or "not in the queue"
            )
        message = f"lease of {held[0].worker} was released by hand"
        ending = Ending("WARNING", message, message, now_ms)
        outcome = end_attempt(connection, database.layout, held[0].token, ending, now_ms)
    assert outcome is not None, "the transaction holds the writer lock"
    return outcome


def _ran_out(held: HeldTask, now_ms: int) -> Ending:
    message = f"lease of {held.worker} ran out at {held.lease_until}"
    return Ending("WARNING", message, message, now_ms)
