"""The one door to SQLite: the small interface that core asks of a connection.

The standard library's ``sqlite3`` offers it as it is. Anything else that does (an adapter over
another binding, a recording or fault-injecting layer) is given as ``connect=``; its errors must
be those of ``sqlite3`` (PEP 249), with ``sqlite_errorcode`` set.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, cast

Parameters = Sequence[Any] | Mapping[str, Any]
Judge = Callable[[int, str | None, str | None, str | None, str | None], int]
"""Given an action's code, its two arguments, the database and the trigger or view that asks, says
``SQLITE_OK`` or ``SQLITE_DENY`` (https://www.sqlite.org/c3ref/set_authorizer.html)."""


class Cursor(Protocol):
    """Rows of one statement."""

    rowcount: int

    def fetchone(self) -> Any:
        """Return the next row or None."""

    def fetchmany(self, size: int, /) -> list[Any]:
        """Return at most so many of the rows that are left."""

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""

    def __iter__(self) -> Iterator[Any]:
        """Return the rows one by one."""

    def close(self) -> None:
        """Let the statement's locks go."""


class Connection(Protocol):
    """One connection in autocommit mode: transactions begin with BEGIN and in no other way."""

    @property
    def in_transaction(self) -> bool:
        """Whether BEGIN has been said and not yet ended."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Cursor:
        """Run one statement."""

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Cursor:
        """Run one statement for each set of parameters."""

    def backup(
        self,
        target: Any,
        *,
        pages: int = ...,
        progress: Callable[[int, int, int], object] | None = ...,
        sleep: float = ...,
    ) -> None:
        """Copy this database into the target connection's, so many pages a step."""

    def set_progress_handler(self, handler: Callable[[], int | None] | None, n: int) -> None:
        """Call the handler every n virtual-machine steps; a true answer interrupts."""

    def set_authorizer(self, judge: Judge | None, /) -> None:
        """Ask about every action of every statement before it runs."""

    def setlimit(self, category: int, limit: int, /) -> int:
        """Allow no more of the category (``sqlite3.SQLITE_LIMIT_...``); return the limit before."""

    def interrupt(self) -> None:
        """Stop what runs on this connection in another thread."""

    def close(self) -> None:
        """Close the connection."""


class Connect(Protocol):
    """Opens a connection by URI."""

    def __call__(self, uri: str, *, timeout_s: float) -> Connection:
        """Return a connection in autocommit mode that any one thread at a time may use.

        Args:
            uri: an SQLite URI file name.
            timeout_s: how long a statement waits for a lock, in seconds.
        """


def connect_stdlib(uri: str, *, timeout_s: float) -> Connection:
    """Return a connection of the standard library's ``sqlite3``."""
    return cast(
        Connection,
        sqlite3.connect(
            uri, uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False
        ),
    )


def roll_back(connection: Connection) -> None:
    """End the connection's transaction, if it is in one; nothing is raised.

    After some errors SQLite has rolled back by itself; the first error is the one to tell.
    """
    if connection.in_transaction:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK").close()


def scalar(connection: Connection, sql: str, parameters: Parameters = ()) -> Any:
    """Return the first column of the first row, or None; no statement is left open."""
    cursor = connection.execute(sql, parameters)
    try:
        row = cursor.fetchone()
    finally:
        # A half-read cursor keeps its read lock, and checkpoints starve behind it.
        cursor.close()
    return None if row is None else row[0]
