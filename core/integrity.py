"""The integrity check of the whole database, every page and every index entry."""

import contextlib
import sqlite3

from .clock import Clock, Deadline
from .connection import Connection
from .database import QueueDatabase
from .errors import DatabaseCorruptError, NotADatabaseError
from .stopping import ProgressCallback, watched
from .translation import is_busy, primary_code, translated

SOUND = ["ok"]
_ROWS_MOST = 1_000_000
_NOT_A_FINDING = (sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CANTOPEN)


def integrity_check(
    database: QueueDatabase, timeout_seconds: float | None, progress: ProgressCallback | None
) -> list[str]:
    """Return ["ok"], or what is wrong, on a connection of its own.

    Corruption that SQLite reports as an error, not as a row, is returned as text too.
    """
    deadline = Deadline(timeout_seconds, database.clock)
    try:
        connection = database.open_connection()
    except (DatabaseCorruptError, NotADatabaseError) as error:
        return [str(error)]
    with translated(database.path), contextlib.closing(connection):
        connection.execute("PRAGMA cell_size_check = ON").close()
        return integrity_of(connection, deadline, database.clock, progress)


def integrity_of(
    connection: Connection, deadline: Deadline, clock: Clock, progress: ProgressCallback | None
) -> list[str]:
    """Return ["ok"], or what is wrong, through a connection of the caller's that checks cells.

    Raises:
        OperationTimeoutError: the deadline has passed.
        sqlite3.Error: it could not be done, which is no finding.
    """
    with watched(connection, "the integrity check", deadline, clock, progress):
        return _rows(connection)


def _rows(connection: Connection) -> list[str]:
    found: list[str] = []
    try:
        # Closed by name: a half-read cursor that an error keeps alive would keep its read lock.
        with contextlib.closing(
            connection.execute(f"PRAGMA integrity_check({_ROWS_MOST})")
        ) as rows:
            for row in rows:
                # SQLite may put several findings into one row.
                found += str(row[0]).splitlines()
    except sqlite3.Error as error:
        if is_busy(error) or primary_code(error) in _NOT_A_FINDING:
            raise
        found.append(str(error))
    # Nothing at all is no proof of anything.
    return found or ["the integrity check returned nothing"]
