"""Faults of single tasks, on a queue that others may have open: done through SQLite.

SQLite itself has nothing to find: every row is one that it wrote.
"""

import abc
import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from harness.faults.fault import Sighting

_TIMEOUT_S = 10.0
_AWAY = -(2**40)
Rows = dict[int, tuple[Any, ...]]


class RowFault(abc.ABC):
    """A fault that changes some tasks.

    It is confirmed by another connection, which reads them before and after. They are put back at
    the end, unless somebody has changed them meanwhile.
    """

    name: ClassVar[str]
    asked: ClassVar[str]
    permitted: ClassVar[tuple[type[Exception], ...]] = ()

    @contextlib.contextmanager
    def inject(self, target: Path) -> Iterator[Sighting]:
        """Change the tasks for the body."""
        before = _rows(target, self.ids)
        with _transaction(target) as connection:
            self.change(connection)
        after = _rows(target, self.ids)
        try:
            yield Sighting(before != after, f"tasks {self.ids}: {_told(before)}, {_told(after)}")
        finally:
            if before != after and _rows(target, self.ids) == after:
                _put_back(target, self.ids, before)

    @property
    @abc.abstractmethod
    def ids(self) -> tuple[int, ...]:
        """The tasks that it changes."""

    @abc.abstractmethod
    def change(self, connection: sqlite3.Connection) -> None:
        """Do it, in one transaction."""


@dataclass(frozen=True)
class SwappedTasks(RowFault):
    """Two tasks have each other's content: a program that wrote to the wrong one.

    Simulated by an exchange of their ids. Survivable because a digest of each finished task is
    kept outside the file; to every check of SQLite's both rows are sound.

    Attributes:
        first: id of the one.
        second: id of the other.
    """

    name: ClassVar[str] = "swapped-tasks"
    asked: ClassVar[str] = "two tasks exchanged"
    first: int = 1
    second: int = 2

    @property
    def ids(self) -> tuple[int, ...]:
        """Both."""
        return (self.first, self.second)

    def change(self, connection: sqlite3.Connection) -> None:
        """Exchange their ids."""
        for new, old in ((_AWAY, self.first), (self.first, self.second), (self.second, _AWAY)):
            connection.execute("UPDATE task_queue SET id = ? WHERE id = ?", (new, old))


@dataclass(frozen=True)
class DeletedTask(RowFault):
    """A task is gone that nobody archived: a script that cleans up too much.

    Simulated by deleting it. Survivable because the record of finished tasks, outside the file,
    knows of it, and names it while there still are backups that have it.

    Attributes:
        task: its id.
    """

    name: ClassVar[str] = "deleted-task"
    asked: ClassVar[str] = "one task deleted"
    task: int = 1

    @property
    def ids(self) -> tuple[int, ...]:
        """The one."""
        return (self.task,)

    def change(self, connection: sqlite3.Connection) -> None:
        """Delete it."""
        connection.execute("DELETE FROM task_queue WHERE id = ?", self.ids)


@contextlib.contextmanager
def _transaction(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(
        sqlite3.connect(path.as_uri() + "?mode=rw", uri=True, timeout=_TIMEOUT_S)
    ) as connection:
        connection.isolation_level = None
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")


def _rows(path: Path, ids: tuple[int, ...]) -> Rows:
    """Return the stored values of the tasks that are there."""
    with _transaction(path) as connection:
        columns = _columns(connection)
        marks = ", ".join("?" for _id in ids)
        sql = f"SELECT {columns} FROM task_queue WHERE id IN ({marks})"
        return {row[0]: row for row in connection.execute(sql, ids).fetchall()}


def _columns(connection: sqlite3.Connection) -> str:
    # Generated ones are left out: nobody can write to them.
    rows = connection.execute("SELECT name FROM pragma_table_info('task_queue')").fetchall()
    return ", ".join(f'"{row[0]}"' for row in rows)


def _put_back(path: Path, ids: tuple[int, ...], before: Rows) -> None:
    with _transaction(path) as connection:
        columns = _columns(connection)
        connection.executemany("DELETE FROM task_queue WHERE id = ?", [(each,) for each in ids])
        for row in before.values():
            marks = ", ".join("?" for _value in row)
            connection.execute(f"INSERT INTO task_queue ({columns}) VALUES ({marks})", row)


def _told(rows: Rows) -> str:
    digest = hashlib.sha256(repr(rows).encode()).hexdigest()
    return f"{len(rows)} there, sha256 {digest[:12]}"
