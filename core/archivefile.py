"""The archive: a database of its own that finished tasks move into.

It holds each task whole: its columns under their own names in ``archived_tasks``, its history in
``archived_logs``. A copy is *pending* until it is known that the task has left the queue.
"""

import contextlib
import glob
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from . import files
from .clock import Clock
from .connection import Connect, Connection, roll_back, scalar
from .errors import ArchiveError, DatabaseError
from .paths import sides, uri
from .timestamps import to_text
from .translation import translated
from .wholetask import Row, WholeTask, WholeTaskReader, quoted

APPLICATION_ID = 0x51_44_41_52
FORMAT = 1
_TIMEOUT_S = 5.0
_SCHEMA = (
    "CREATE TABLE archive_about (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE archived_tasks (
        archive_id INTEGER PRIMARY KEY,
        archive_digest TEXT NOT NULL UNIQUE,
        archive_pending INTEGER NOT NULL,
        archived_at_utc TEXT NOT NULL
    )""",
    "CREATE INDEX archived_pending ON archived_tasks (archive_id) WHERE archive_pending = 1",
    """CREATE TABLE archived_logs (
        archive_id INTEGER NOT NULL REFERENCES archived_tasks (archive_id)
    )""",
    "CREATE INDEX archived_logs_of_task ON archived_logs (archive_id)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {FORMAT}",
)


@dataclass(frozen=True)
class Pending:
    """A copy of a task that may still be in the queue.

    Attributes:
        archive_id: the copy.
        task_id: the task's id in the queue.
        created_at: its ``created_at_utc`` as stored.
        digest: digest of the whole task as it was copied.
        logs: how many log rows it has.
    """

    archive_id: int
    task_id: int
    created_at: object
    digest: str
    logs: int


class ArchiveFile:
    """The archive of one queue, open.

    Args:
        path: the archive, made where missing.
        source: real path of the queue; an archive belongs to one queue.
        connect: the door to SQLite.
        clock: where the time comes from.

    Raises:
        ArchiveError: it is not an archive, another queue's, or cannot be used.
    """

    def __init__(self, path: Path, source: Path, *, connect: Connect, clock: Clock) -> None:
        self.path = path
        self._source = source
        self._connect = connect
        self._clock = clock
        with self._explained():
            self._clear_drafts()
            if not path.exists():
                self._create()
            self._connection = self._open(path)
        try:
            with self._explained():
                self._check()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the archive."""
        self._connection.close()

    # -- copies ----------------------------------------------------------------------------

    def take_columns(self, reader: WholeTaskReader) -> None:
        """Add the columns that the queue has and the archive has not."""
        wanted = {"archived_tasks": reader.task_columns, "archived_logs": reader.log_columns}
        with self._transaction() as connection:
            for table, columns in wanted.items():
                rows = connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
                known = {str(row[0]).lower() for row in rows.fetchall()}
                for column in columns:
                    # Without a type nothing is converted: what was stored is stored again.
                    if column.lower() not in known:
                        connection.execute(f"ALTER TABLE {table} ADD COLUMN {quoted(column)}")

    def add(self, tasks: list[WholeTask]) -> None:
        """Leave a copy of each task in the archive, pending; it survives a power cut."""
        now = to_text(self._clock.now_ms())
        with self._transaction() as connection:
            for task in tasks:
                known = scalar(
                    connection,
                    "SELECT archive_id FROM archived_tasks WHERE archive_digest = ?",
                    (task.digest,),
                )
                if known is None:
                    _insert(connection, task, now)
                else:
                    _set_pending(connection, known, pending=True)

    def pending(self, most: int) -> list[Pending]:
        """Return the oldest copies whose tasks may still be in the queue."""
        with self._explained():
            rows = self._connection.execute(
                "SELECT archive_id, id, created_at_utc, archive_digest, (SELECT count(*) FROM "
                "archived_logs AS l WHERE l.archive_id = t.archive_id) FROM archived_tasks AS t "
                "WHERE archive_pending = 1 ORDER BY archive_id LIMIT ?",
                (most,),
            ).fetchall()
        return [Pending(*row) for row in rows]

    def settle(self, gone: list[Pending], changed: list[Pending]) -> None:
        """Keep the copies of tasks that have left the queue; drop those that it has changed."""
        with self._transaction() as connection:
            for copy in gone:
                _set_pending(connection, copy.archive_id, pending=False)
            for copy in changed:
                for table in ("archived_logs", "archived_tasks"):
                    connection.execute(
                        f"DELETE FROM {table} WHERE archive_id = ?", (copy.archive_id,)
                    ).close()

    # -- the file --------------------------------------------------------------------------

    def _clear_drafts(self) -> None:
        """Delete what a run left that was cut off; the archive itself may have such a name too."""
        # The maintenance lock is held, so nobody is making another one.
        for leftover in self.path.parent.glob(f".{glob.escape(self.path.name[:100])}.*.draft*"):
            files.remove(leftover)

    def _create(self) -> None:
        files.make_folder(self.path.parent)
        with files.temporary_beside(self.path) as draft:
            files.create_empty(draft)
            with contextlib.closing(self._open(draft)) as connection:
                connection.execute("BEGIN IMMEDIATE").close()
                for statement in _SCHEMA:
                    connection.execute(statement).close()
                connection.execute(
                    "INSERT INTO archive_about VALUES ('source', ?)", (str(self._source),)
                ).close()
                connection.execute("COMMIT").close()
            files.sync_file(draft)
            files.publish(draft, self.path)

    def _open(self, path: Path) -> Connection:
        connection = self._connect(uri(path, mode="rw"), timeout_s=_TIMEOUT_S)
        try:
            # EXTRA syncs the folder after the rollback journal is deleted: a journal that a power
            # cut brings back would undo a copy whose task has left the queue
            # (https://www.sqlite.org/pragma.html#pragma_synchronous).
            for pragma in ("synchronous = EXTRA", "fullfsync = ON", "foreign_keys = ON"):
                connection.execute(f"PRAGMA {pragma}").close()
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self) -> None:
        if scalar(self._connection, "PRAGMA application_id") != APPLICATION_ID:
            raise self._error("that file is no archive of this program; choose another path")
        found = int(scalar(self._connection, "PRAGMA user_version"))
        if found > FORMAT:
            raise self._error(f"that archive has format {found}; this program knows {FORMAT}")
        source = scalar(self._connection, "SELECT value FROM archive_about WHERE key = 'source'")
        if os.path.normcase(str(source)) != os.path.normcase(str(self._source)):
            raise self._error(f'that is the archive of another queue ("{source}")')

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._explained():
            self._connection.execute("BEGIN IMMEDIATE").close()
            try:
                yield self._connection
                self._connection.execute("COMMIT").close()
            except BaseException:
                roll_back(self._connection)
                raise

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            with translated(self.path, _TIMEOUT_S):
                yield
        except (DatabaseError, sqlite3.Error, OSError) as error:
            raise self._error(str(error)) from error

    def _error(self, detail: str) -> ArchiveError:
        return ArchiveError(path=str(self._source), archive=str(self.path), detail=detail)


def check_path(path: Path, source: Path) -> None:
    """Return if an archive can be there.

    Raises:
        ArchiveError: it is a folder, or the queue itself.
    """
    if path in (source, *sides(source)):
        raise ArchiveError(
            path=str(source), archive=str(path), detail="the archive must be a file of its own"
        )
    if path.exists() and not files.is_regular(path):
        raise ArchiveError(path=str(source), archive=str(path), detail="that is no regular file")


def _insert(connection: Connection, task: WholeTask, now: str) -> None:
    own = (("archive_digest", task.digest), ("archive_pending", 1), ("archived_at_utc", now))
    rows = _insert_row(connection, "archived_tasks", own + task.row, " RETURNING archive_id")
    for log in task.logs:
        _insert_row(connection, "archived_logs", (("archive_id", rows[0][0]), *log), "")


def _insert_row(connection: Connection, table: str, row: Row, returning: str) -> list[Any]:
    names = ", ".join(quoted(name) for name, _ in row)
    marks = ", ".join("?" for _ in row)
    return connection.execute(
        f"INSERT INTO {table} ({names}) VALUES ({marks}){returning}",
        tuple(value for _, value in row),
    ).fetchall()


def _set_pending(connection: Connection, archive_id: int, *, pending: bool) -> None:
    connection.execute(
        "UPDATE archived_tasks SET archive_pending = ? WHERE archive_id = ?",
        (int(pending), archive_id),
    ).close()
