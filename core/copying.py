"""A consistent copy of a live database through SQLite's backup interface.

The source pins one snapshot first and then steps: commits of others restart nothing, no writer
waits, and every step gives progress and a chance to stop. Without the pin, a stepped backup starts
again at every foreign commit (https://www.sqlite.org/c3ref/backup_finish.html).
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .clock import Deadline
from .connection import Connect, Connection, roll_back
from .errors import DatabaseError, OperationTimeoutError
from .files import create_empty, sync_file
from .paths import uri
from .translation import translated

STEP_PAGES = 500
_BUSY_SLEEP_S = 0.05
# A new file is only written to: what cannot be read, or is damaged, is the source.
_OF_SOURCE = (
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_SHORT_READ,
)


@dataclass(frozen=True)
class CopyProgress:
    """How far a copy is.

    Attributes:
        done_pages: pages copied.
        total_pages: pages of the snapshot.
    """

    done_pages: int
    total_pages: int


ProgressCallback = Callable[[CopyProgress], object]


@contextlib.contextmanager
def pinned(source: Connection) -> Iterator[None]:
    """Hold one snapshot of the source for the body.

    Locks: shared; the -wal cannot start again from its beginning meanwhile.
    """
    source.execute("BEGIN")
    try:
        # BEGIN alone takes no snapshot; the first read does.
        source.execute("SELECT count(*) FROM sqlite_master").fetchall()
        yield
    finally:
        roll_back(source)


def copy_into_new_file(
    source: Connection,
    target: Path,
    *,
    connect: Connect,
    deadline: Deadline,
    progress: ProgressCallback | None = None,
) -> None:
    """Copy the source into a new file of its owner alone, whole and synced.

    Args:
        source: a connection with a pinned snapshot.
        target: a name that is free. On an error what is left there is the caller's to remove.
        connect: the door to SQLite.
        deadline: when to give up.
        progress: told after every step; an exception from it stops the copy.

    Raises:
        FileExistsError: the name is taken.
        OperationTimeoutError: the deadline passed.
        DiskFullError: the target's disk is full.
        sqlite3.Error: the source cannot be read; the caller knows which file that is.
    """
    create_empty(target)
    with _translated_unless_of_source(target):
        connection = connect(uri(target, mode="rw"), timeout_s=0.0)
        try:
            # A draft needs no journal: it is thrown away unless it becomes whole, and is synced
            # once below.
            connection.execute("PRAGMA journal_mode = OFF").fetchall()
            connection.execute("PRAGMA synchronous = OFF").close()
            copy_pages(source, connection, deadline=deadline, progress=progress)
        finally:
            connection.close()
    sync_file(target)


@contextlib.contextmanager
def _translated_unless_of_source(target: Path) -> Iterator[None]:
    try:
        with translated(target):
            yield
    except DatabaseError as error:
        cause = error.__cause__
        if getattr(cause, "sqlite_errorcode", None) in _OF_SOURCE:
            assert isinstance(cause, sqlite3.Error)
            raise cause from None
        raise


def copy_pages(
    source: Connection,
    target: Connection,
    *,
    deadline: Deadline,
    progress: ProgressCallback | None = None,
    pages: int = STEP_PAGES,
) -> None:
    """Replace the target's content by the source's, in one transaction of the target.

    An error, a deadline or an exception from ``progress`` rolls the target back, until all pages
    are written: the last step commits before it is told.

    Raises:
        OperationTimeoutError: the deadline passed, a lock of the target's holders included;
            ``Connection.backup`` alone would wait for it for ever.
    """

    def after_step(status: int, remaining: int, total: int) -> None:
        if progress is not None and status in (sqlite3.SQLITE_OK, sqlite3.SQLITE_DONE):
            progress(CopyProgress(total - remaining, total))
        if status != sqlite3.SQLITE_DONE and deadline.passed():
            raise OperationTimeoutError(operation="the copy", timeout_s=deadline.timeout_s or 0.0)

    source.backup(target, pages=pages, progress=after_step, sleep=_BUSY_SLEEP_S)
