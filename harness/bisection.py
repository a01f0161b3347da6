"""What anybody can bring back with SQLite alone: rows by their ids, in ever smaller ranges.

The least that a salvage is held against. Where SQLite refuses a range of ids, it is asked for each
half; where it does not open the file at all, nothing comes back.
"""

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from core.connection import Connection, connect_stdlib, scalar
from core.paths import uri

Rows = dict[int, tuple[object, ...]]


def bisected(database: Path, columns: Sequence[str]) -> Rows:
    """Return the tasks that come back, by id; the file is opened as nobody else's.

    Args:
        database: a damaged file, or a copy of one, that nobody writes.
        columns: which to read of each task, after its id.
    """
    found: Rows = {}
    with contextlib.suppress(sqlite3.Error):
        connection = connect_stdlib(uri(database, mode="ro", immutable=1), timeout_s=0.0)
        with contextlib.closing(connection):
            highest = _highest(connection)
            _read(connection, ", ".join(("id", *columns)), 1, highest, found)
    return found


def _highest(connection: Connection) -> int:
    """Return the highest id that any way tells: the table's end may be what is damaged."""
    for sql in ("SELECT seq FROM sqlite_sequence WHERE name = 'task_queue'", _LAST):
        with contextlib.suppress(sqlite3.Error):
            return int(scalar(connection, sql) or 0)
    return 0


_LAST = "SELECT max(id) FROM task_queue"


def _read(connection: Connection, columns: str, low: int, high: int, found: Rows) -> None:
    if low > high:
        return
    try:
        rows = connection.execute(
            f"SELECT {columns} FROM task_queue NOT INDEXED WHERE id BETWEEN ? AND ?", (low, high)
        ).fetchall()
    except sqlite3.Error:
        if low < high:
            middle = (low + high) // 2
            _read(connection, columns, low, middle, found)
            _read(connection, columns, middle + 1, high, found)
    else:
        found.update((row[0], row[1:]) for row in rows)
