"""SQLite's errors, said in ours: what happened, to which file, and the cure."""

import contextlib
import errno
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from .errors import (
    DatabaseBusyError,
    DatabaseCorruptError,
    DatabaseError,
    DatabaseIOError,
    DiskFullError,
    InterruptedOperationError,
    NotADatabaseError,
    QueueError,
    ReadOnlyDatabaseError,
    UnreadableDatabaseError,
)

_LEAVES: dict[int, type[DatabaseError]] = {
    sqlite3.SQLITE_CORRUPT: DatabaseCorruptError,
    sqlite3.SQLITE_NOTADB: NotADatabaseError,
    sqlite3.SQLITE_FORMAT: NotADatabaseError,
    sqlite3.SQLITE_CANTOPEN: UnreadableDatabaseError,
    sqlite3.SQLITE_PERM: UnreadableDatabaseError,
    sqlite3.SQLITE_AUTH: UnreadableDatabaseError,
    sqlite3.SQLITE_READONLY: ReadOnlyDatabaseError,
    sqlite3.SQLITE_FULL: DiskFullError,
    sqlite3.SQLITE_IOERR: DatabaseIOError,
    sqlite3.SQLITE_INTERRUPT: InterruptedOperationError,
}
_REFUSALS: dict[int | None, type[DatabaseError]] = {
    errno.EACCES: UnreadableDatabaseError,
    errno.EPERM: UnreadableDatabaseError,
    errno.EROFS: UnreadableDatabaseError,
    errno.ENOENT: UnreadableDatabaseError,
    errno.ENOTDIR: UnreadableDatabaseError,
    errno.ELOOP: UnreadableDatabaseError,
    errno.ENAMETOOLONG: UnreadableDatabaseError,
    errno.EINVAL: UnreadableDatabaseError,
    errno.ENOSPC: DiskFullError,
    errno.EDQUOT: DiskFullError,
    errno.EFBIG: DiskFullError,
}
INSTEAD = (UnicodeDecodeError, MemoryError)
"""What Python raises in the place of an error of SQLite's: one whose message quotes a name that is
no text, and one that says that there is no memory for what a file claims to hold."""
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
# What SQLite says, with a code of no meaning, of a header with a schema format above 4
# (https://www.sqlite.org/fileformat2.html#schema_format_number).
_UNKNOWN_FORMAT = "unsupported file format"
# What Python's sqlite3 says, with no code at all, of text in a row that is no UTF-8.
_NO_TEXT = re.compile(r"Could not decode to UTF-8 column '([^']*)'")


def primary_code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code of the error, 0 if it has none.

    Extended codes keep the primary one in their lowest byte (https://www.sqlite.org/rescode.html).
    """
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """Return whether the error says that a lock was not had."""
    return primary_code(error) in _BUSY


def translate(error: sqlite3.Error, path: Path, waited_s: float) -> DatabaseError | None:
    """Return our error for SQLite's, or None where the statement itself is at fault.

    Args:
        error: what SQLite raised.
        path: the database that it was about.
        waited_s: how long the connection waits for locks, in seconds.
    """
    code = primary_code(error)
    if code in _BUSY:
        return DatabaseBusyError(path=str(path), waited_s=waited_s)
    if found := _NO_TEXT.match(str(error)):
        detail = f"column {found[1]} holds text that is no UTF-8"
        return DatabaseCorruptError(path=str(path), detail=detail)
    leaf = NotADatabaseError if str(error) == _UNKNOWN_FORMAT else _LEAVES.get(code)
    return None if leaf is None else leaf(path=str(path), detail=str(error))


def words_of(error: Exception) -> str:
    """Return what SQLite or the system says, or what Python says in its place."""
    if isinstance(error, UnicodeDecodeError):
        return "what SQLite says of it is no text, so some name in it is none"
    if isinstance(error, MemoryError):
        return "SQLite had no memory for it: the machine has none left, or the file claims too much"
    return str(error)


@contextlib.contextmanager
def translated(path: Path, waited_s: float = 0.0) -> Iterator[None]:
    """Raise SQLite's errors of the body as ours, with the original as their cause.

    Args:
        path: the database that the body is about.
        waited_s: how long its connections wait for locks, in seconds.
    """
    try:
        yield
    except sqlite3.Error as error:
        ours = translate(error, path, waited_s)
        if ours is None:
            raise
        raise ours from error
    except UnicodeDecodeError as error:
        raise DatabaseCorruptError(path=str(path), detail=words_of(error)) from error
    except MemoryError as error:
        raise UnreadableDatabaseError(path=str(path), detail=words_of(error)) from error


@contextlib.contextmanager
def opening(path: Path, waited_s: float = 0.0) -> Iterator[None]:
    """Raise SQLite's errors of the body as ours; what is wrong with no lock or disk, the file is.

    Its statements are our own, so that one which cannot be prepared tells of a file that SQLite
    does not read: of a later format, or with a schema that is none.

    Args:
        path: the database that the body opens.
        waited_s: how long its connections wait for locks, in seconds.
    """
    try:
        with translated(path, waited_s):
            yield
    except sqlite3.Error as error:
        raise DatabaseCorruptError(path=str(path), detail=str(error)) from error


@contextlib.contextmanager
def system_translated(path: Path) -> Iterator[None]:
    """Raise what the operating system refuses in the body as ours, with the original as its cause.

    Args:
        path: what the body is about.
    """
    try:
        yield
    except QueueError:
        # Some of ours are of the system's kind too.
        raise
    except OSError as error:
        leaf = _REFUSALS.get(error.errno, DatabaseIOError)
        raise leaf(path=str(path), detail=error.strerror or str(error)) from error
