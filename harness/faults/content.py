"""Faults of the content: a file whose structure is sound and whose rows are not.

Like the faults of the files, they strike a database that nobody else has open.
"""

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from core.paths import sides
from harness.faults.damage import FileFault

_OTHER_TYPE = "another-type"


@dataclass(frozen=True)
class LostRows(FileFault):
    """Tasks are missing, and nothing else is wrong: pages of an older state, a copy cut short.

    Simulated by deleting the last task. Survivable because a backup is compared by its tasks with
    those that the queue had; SQLite's own checks are content.
    """

    name: ClassVar[str] = "lost-rows"
    asked: ClassVar[str] = "the last task missing, the structure sound"
    permitted: ClassVar[tuple[type[Exception], ...]] = ()

    def damage(self, database: Path) -> None:
        """Delete the last task."""
        with _changed(database) as copy:
            _execute(copy, "DELETE FROM task_queue WHERE id = (SELECT max(id) FROM task_queue)")


@dataclass(frozen=True)
class StaleIndex(FileFault):
    """An index tells of a row what it is no more: a write that was lost, a bug, a torn copy.

    Simulated by changing a row while SQLite does not know of the index. Survivable because
    ``integrity_check`` compares every index with its table; ``quick_check`` does not
    (https://www.sqlite.org/pragma.html#pragma_quick_check).

    Attributes:
        index: its name; its first column is a task's type.
    """

    name: ClassVar[str] = "stale-index"
    asked: ClassVar[str] = "one row changed in the table and not in an index"
    index: str = "ix_task_type_status"

    def damage(self, database: Path) -> None:
        """Change the first task's type behind the back of the index."""
        with _changed(database) as copy:
            row = _forget(copy, self.index)
            _execute(
                copy,
                "UPDATE task_queue SET type = ? WHERE id = (SELECT min(id) FROM task_queue)",
                _OTHER_TYPE,
            )
            _edit_schema(copy, "INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", *row)


@dataclass(frozen=True)
class LaggingIndexes(FileFault):
    """Several indexes lack a row that their table has: damage in more than one place.

    Simulated by adding a task while SQLite does not know of them. Survivable because
    ``integrity_check`` names each of them, if it is heard to its end.

    Attributes:
        indexes: their names.
    """

    name: ClassVar[str] = "lagging-indexes"
    asked: ClassVar[str] = "one row added to the table and not to several indexes"
    indexes: tuple[str, ...] = ("ix_task_type_status", "ix_task_region")

    def damage(self, database: Path) -> None:
        """Add a task behind the back of the indexes."""
        with _changed(database) as copy:
            rows = [_forget(copy, index) for index in self.indexes]
            sql = "INSERT INTO task_queue (type, payload) VALUES (?, '{}')"
            _execute(copy, sql, _OTHER_TYPE)
            for row in rows:
                _edit_schema(copy, "INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", *row)


@contextlib.contextmanager
def _changed(database: Path) -> Iterator[Path]:
    """Yield a copy of the set to work on; write it back as one file, in place."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / database.name
        for file in (database, *sides(database)):
            if file.exists():
                shutil.copyfile(file, copy.with_name(file.name))
        yield copy
        for side in sides(database):
            side.unlink(missing_ok=True)
        database.write_bytes(copy.read_bytes())


def _forget(copy: Path, index: str) -> tuple[object, ...]:
    """Return the index's row of the schema, which is gone from there; its pages stay."""
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        sql = "SELECT * FROM sqlite_master WHERE name = ?"
        (row,) = connection.execute(sql, (index,)).fetchall()
    _edit_schema(copy, "DELETE FROM sqlite_master WHERE name = ?", index)
    return tuple(row)


def _edit_schema(copy: Path, sql: str, *values: object) -> None:
    _execute(copy, sql, *values, before="PRAGMA writable_schema = ON")


def _execute(copy: Path, sql: str, *values: object, before: str = "") -> None:
    """Run one statement on a connection of its own, which folds the -wal in when it closes."""
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute(before)
        connection.execute(sql, values)
