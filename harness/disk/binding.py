"""apsw behind the small interface that core asks of a connection.

apsw brings an SQLite of its own and lets a file system be written in Python, which the standard
library's ``sqlite3`` does not. Two SQLite libraries must not have one file open in one process
(https://www.sqlite.org/howtocorrupt.html, section 2.3), so a process that opens a queue through
this door opens it through no other.
"""

import contextlib
import functools
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import apsw

from core.connection import Connect, Connection, Cursor, Judge

_RESULT_MASK = 0xFF
_RAISED: dict[int, type[sqlite3.Error]] = {
    sqlite3.SQLITE_INTERNAL: sqlite3.InternalError,
    sqlite3.SQLITE_NOTFOUND: sqlite3.InternalError,
    sqlite3.SQLITE_ERROR: sqlite3.OperationalError,
    sqlite3.SQLITE_PERM: sqlite3.OperationalError,
    sqlite3.SQLITE_ABORT: sqlite3.OperationalError,
    sqlite3.SQLITE_BUSY: sqlite3.OperationalError,
    sqlite3.SQLITE_LOCKED: sqlite3.OperationalError,
    sqlite3.SQLITE_READONLY: sqlite3.OperationalError,
    sqlite3.SQLITE_INTERRUPT: sqlite3.OperationalError,
    sqlite3.SQLITE_IOERR: sqlite3.OperationalError,
    sqlite3.SQLITE_FULL: sqlite3.OperationalError,
    sqlite3.SQLITE_CANTOPEN: sqlite3.OperationalError,
    sqlite3.SQLITE_PROTOCOL: sqlite3.OperationalError,
    sqlite3.SQLITE_EMPTY: sqlite3.OperationalError,
    sqlite3.SQLITE_SCHEMA: sqlite3.OperationalError,
    sqlite3.SQLITE_TOOBIG: sqlite3.DataError,
    sqlite3.SQLITE_CONSTRAINT: sqlite3.IntegrityError,
    sqlite3.SQLITE_MISMATCH: sqlite3.IntegrityError,
    sqlite3.SQLITE_MISUSE: sqlite3.InterfaceError,
    sqlite3.SQLITE_RANGE: sqlite3.InterfaceError,
}
"""The class that Python's own module raises for a primary result code; DatabaseError for others."""
_CHANGING = ("INSERT", "UPDATE", "DELETE", "REPLACE")
_WAITED = (apsw.BusyError, apsw.LockedError)


def apsw_door(vfs: str | None = None) -> Connect:
    """Return a door whose connections are apsw's.

    Args:
        vfs: name of a registered file system; None for SQLite's own.
    """

    def connect(uri: str, *, timeout_s: float) -> Connection:
        with raised_as_stdlib():
            flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
            connection = apsw.Connection(uri, flags=flags, vfs=vfs)
            connection.set_busy_timeout(round(timeout_s * 1000))
        return ApswConnection(connection)

    return connect


@contextlib.contextmanager
def raised_as_stdlib() -> Iterator[None]:
    """Raise apsw's errors of the body as ``sqlite3`` would, extended result code included."""
    try:
        yield
    except apsw.NoMemError as error:
        raise MemoryError(str(error)) from error
    except apsw.Error as error:
        raise as_stdlib(error) from error


def as_stdlib(error: apsw.Error) -> sqlite3.Error:
    """Return the error that ``sqlite3`` would have raised.

    Args:
        error: apsw's; one that SQLite did not give has no code, and is a ProgrammingError.
    """
    code = getattr(error, "extendedresult", None)
    if code is None:
        return sqlite3.ProgrammingError(str(error))
    raised = _RAISED.get(code & _RESULT_MASK, sqlite3.DatabaseError)(_text(error))
    raised.sqlite_errorcode = code
    raised.sqlite_errorname = _name(code)
    return raised


def _text(error: apsw.Error) -> str:
    # apsw puts the name of its class in front of what SQLite said.
    return str(error).removeprefix(f"{type(error).__name__}: ")


def _name(code: int) -> str:
    names: dict[Any, Any] = apsw.mapping_extended_result_codes
    return str(names.get(code) or apsw.mapping_result_codes.get(code) or code)


class ApswCursor:
    """Rows of one statement, which has run as far as its first row.

    Attributes:
        rowcount: rows that it changed; -1 where it is one that changes none.
    """

    def __init__(self, cursor: apsw.Cursor, rowcount: int) -> None:
        self._cursor = cursor
        self.rowcount = rowcount

    def fetchone(self) -> Any:  # noqa: ANN401 - as SQLite's
        """Return the next row or None."""
        with raised_as_stdlib():
            return self._cursor.fetchone()

    def fetchmany(self, size: int, /) -> list[Any]:
        """Return at most so many of the rows that are left."""
        with raised_as_stdlib():
            return list(islice(self._cursor, size))

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        with raised_as_stdlib():
            return list(self._cursor)

    def __iter__(self) -> Iterator[Any]:
        while (row := self.fetchone()) is not None:
            yield row

    def close(self) -> None:
        """Let the statement's locks go."""
        with raised_as_stdlib():
            self._cursor.close(True)


class ApswConnection:
    """One connection of apsw in autocommit mode.

    Args:
        connection: apsw's; closed with this one.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    @property
    def in_transaction(self) -> bool:
        """Whether BEGIN has been said and not yet ended."""
        return self._connection.in_transaction

    def execute(self, sql: str, parameters: Any = (), /) -> Cursor:  # noqa: ANN401 - as SQLite's
        """Run one statement."""
        with raised_as_stdlib():
            cursor = self._connection.cursor()
            cursor.execute(sql, parameters)
        return ApswCursor(cursor, self._connection.changes() if _changes_rows(sql) else -1)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Cursor:
        """Run one statement for each set of parameters."""
        before = self._connection.total_changes()
        with raised_as_stdlib():
            cursor = self._connection.cursor()
            cursor.executemany(sql, parameters)
        return ApswCursor(cursor, self._connection.total_changes() - before)

    def backup(
        self,
        target: Any,  # noqa: ANN401 - as SQLite's
        *,
        pages: int = -1,
        progress: Callable[[int, int, int], object] | None = None,
        sleep: float = 0.25,
    ) -> None:
        """Copy this database into the target connection's, so many pages a step.

        A step that was not let in is taken again after ``sleep`` seconds, without end: as in
        ``sqlite3`` it is the progress call that ends it, by raising.
        """
        with raised_as_stdlib():
            copy = target.raw.backup("main", self._connection, "main")
            try:
                while not copy.done:
                    status = _step(copy, pages or -1)
                    if progress is not None:
                        progress(status, copy.remaining, copy.page_count)
                    if status in (apsw.SQLITE_BUSY, apsw.SQLITE_LOCKED):
                        time.sleep(sleep)
            finally:
                _finish(copy)

    @property
    def raw(self) -> apsw.Connection:
        """Apsw's own connection."""
        return self._connection

    def set_progress_handler(self, handler: Callable[[], int | None] | None, n: int) -> None:
        """Call the handler every n virtual-machine steps; a true answer interrupts."""
        if handler is None:
            self._connection.set_progress_handler(None)
        else:
            # apsw takes nothing but a truth value for an answer.
            self._connection.set_progress_handler(lambda: bool(handler()), n)

    def set_authorizer(self, judge: Judge | None, /) -> None:
        """Ask about every action of every statement before it runs."""
        self._connection.authorizer = judge

    def setlimit(self, category: int, limit: int, /) -> int:
        """Allow no more of the category; return the limit before."""
        return self._connection.limit(category, limit)

    def interrupt(self) -> None:
        """Stop what runs on this connection in another thread."""
        self._connection.interrupt()

    def close(self) -> None:
        """Close the connection.

        What fails on the way (a last checkpoint, the -wal that is to go) SQLite tells nobody, but
        apsw hands on what a file system written in Python raised.
        """
        try:
            self._connection.close(True)
        except apsw.Error as error:
            if self._is_open():
                raise as_stdlib(error) from error

    def _is_open(self) -> bool:
        try:
            return self._connection.in_transaction in (True, False)
        except apsw.ConnectionClosedError:
            return False


def _changes_rows(sql: str) -> bool:
    # By the first word, as sqlite3 itself does.
    return sql.lstrip()[:7].partition(" ")[0].upper() in _CHANGING


def _finish(copy: apsw.Backup) -> None:
    # What fails here a step has told already. apsw returns from it with the exception of a file
    # system written in Python still set, which Python turns into a SystemError; of a call that it
    # has made a short cut for it would do so at the next one, wherever that is.
    with contextlib.suppress(apsw.Error, SystemError):
        functools.partial(copy.close, True)()


def _step(copy: apsw.Backup, pages: int) -> int:
    try:
        copy.step(pages)
    except _WAITED as error:
        return as_stdlib(error).sqlite_errorcode & _RESULT_MASK
    return apsw.SQLITE_DONE if copy.done else apsw.SQLITE_OK
