"""A task with all that is stored of it, log rows included: read, compared, deleted as one."""

import hashlib
import sqlite3
from dataclasses import dataclass
from typing import Any

from .connection import Connection, scalar

Row = tuple[tuple[str, Any], ...]
"""Column names with their values, as stored."""


class UnreadableTaskError(Exception):
    """The task holds text that is no UTF-8, which cannot be copied faithfully."""


@dataclass(frozen=True)
class WholeTask:
    """A task and its history.

    Attributes:
        id: the task.
        row: its stored columns.
        logs: the stored columns of its log rows, oldest first.
    """

    id: int
    row: Row
    logs: tuple[Row, ...]

    @property
    def created_at(self) -> object:
        """Its ``created_at_utc`` as stored: with the id it tells tasks apart after a restore."""
        return dict(self.row)["created_at_utc"]

    @property
    def digest(self) -> str:
        """SHA-256 of all of it: equal digests mean that nothing was changed."""
        # ascii() says the same in every version of Python; types and values are told apart.
        content = ascii((sorted(self.row), [sorted(log) for log in self.logs]))
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class WholeTaskReader:
    """Reads whole tasks of one queue, with whatever columns it has.

    Attributes:
        task_columns: stored columns of task_queue, generated ones left out.
        log_columns: stored columns of task_logs; empty where there is no such table.
    """

    task_columns: tuple[str, ...]
    log_columns: tuple[str, ...]

    @classmethod
    def of(cls, connection: Connection) -> "WholeTaskReader":
        """Return the reader for the queue as it is now."""
        return cls(_columns(connection, "task_queue"), _columns(connection, "task_logs"))

    def read(self, connection: Connection, task_id: int) -> WholeTask | None:
        """Return the task, or None where there is none with this id.

        Raises:
            UnreadableTaskError: some of it is no UTF-8.
        """
        try:
            rows = _rows(connection, "task_queue", self.task_columns, "id", task_id)
            if not rows:
                return None
            logs = (
                _rows(connection, "task_logs", self.log_columns, "task_id", task_id)
                if self.log_columns
                else []
            )
        except sqlite3.OperationalError as error:
            if "decode" not in str(error):
                raise
            raise UnreadableTaskError(str(error)) from error
        return WholeTask(task_id, rows[0], tuple(logs))

    def delete(self, connection: Connection, task_id: int) -> None:
        """Delete the task and its log rows in the caller's transaction."""
        if self.log_columns:
            connection.execute("DELETE FROM task_logs WHERE task_id = ?", (task_id,)).close()
        connection.execute("DELETE FROM task_queue WHERE id = ?", (task_id,)).close()


def quoted(name: str) -> str:
    """Return a column's name as SQL can hold it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def _columns(connection: Connection, table: str) -> tuple[str, ...]:
    # table_info leaves generated columns out (https://www.sqlite.org/pragma.html#pragma_table_xinfo).
    # Asked as a pragma: the table of that name is one that a file of unknown origin may not use.
    rows = connection.execute(f"PRAGMA table_info({quoted(table)})").fetchall()
    return tuple(str(row[1]) for row in rows)


def created_at_bytes(connection: Connection, task_id: int) -> bytes | None:
    """Return the bytes of a task's ``created_at_utc``, which need be no UTF-8."""
    found: bytes | None = scalar(
        connection, "SELECT CAST(created_at_utc AS BLOB) FROM task_queue WHERE id = ?", (task_id,)
    )
    return found


def _rows(
    connection: Connection, table: str, columns: tuple[str, ...], key: str, value: int
) -> list[Row]:
    names = ", ".join(map(quoted, columns))
    cursor = connection.execute(f"SELECT {names} FROM {table} WHERE {key} = ? ORDER BY 1", (value,))
    try:
        return [tuple(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    finally:
        cursor.close()
