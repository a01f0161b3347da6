"""The rows of a queue counted, so that it can be told later whether all of them are there."""

from dataclasses import dataclass

from .connection import Connection, scalar
from .database import QueueDatabase
from .translation import translated


@dataclass(frozen=True)
class RowCounts:
    """Rows at one moment.

    Attributes:
        tasks: how many tasks there are.
        last_task: the highest id among them.
        logs: how many log rows there are; 0 without the table.
        last_log: the highest id among them.
    """

    tasks: int
    last_task: int
    logs: int
    last_log: int


def count_rows(database: QueueDatabase) -> RowCounts:
    """Return the rows of this moment.

    Locks: shared, while it counts.
    On a live queue: safe.
    """
    with translated(database.path, database.busy_timeout_ms / 1000):
        connection = database.connection()
        tasks = _last(connection, "task_queue", "id")
        logs = _last(connection, "task_logs", "log_id") if _has_logs(database) else 0
        return _count(connection, tasks, logs)


def count_same_rows(database: QueueDatabase, before: RowCounts) -> RowCounts:
    """Return how many there are now up to the last rows of before.

    Workers add rows and change them; they remove none, so fewer means that some are missing.
    """
    with translated(database.path, database.busy_timeout_ms / 1000):
        return _count(database.connection(), before.last_task, before.last_log)


def _has_logs(database: QueueDatabase) -> bool:
    return not any(item.startswith("task_logs") for item in database.layout.missing)


def _last(connection: Connection, table: str, key: str) -> int:
    return int(scalar(connection, f"SELECT max({key}) FROM {table}") or 0)


def _count(connection: Connection, last_task: int, last_log: int) -> RowCounts:
    tasks = scalar(connection, "SELECT count(*) FROM task_queue WHERE id <= ?", (last_task,))
    logs = 0
    if last_log:
        logs = scalar(connection, "SELECT count(*) FROM task_logs WHERE log_id <= ?", (last_log,))
    return RowCounts(int(tasks), last_task, int(logs), last_log)
