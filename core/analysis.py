"""ANALYZE: the query planner's statistics brought up to date."""

import contextlib

from .connection import Connection
from .database import QueueDatabase
from .errors import UnknownTableError
from .translation import translated

ROWS_LIMIT = 400
"""Rows read of each index: enough for a plan, and no writer notices
(https://www.sqlite.org/lang_analyze.html, section 4)."""


def analyze(database: QueueDatabase, table: str | None, analysis_limit: int) -> float:
    """Update the statistics on a connection of its own; return the seconds writers had to wait.

    Raises:
        UnknownTableError: there is no such table.
    """
    with (
        translated(database.path, database.busy_timeout_ms / 1000),
        contextlib.closing(database.open_connection(mode="rw")) as connection,
    ):
        what = "main" if table is None else f"main.{_quoted(database, connection, table)}"
        connection.execute(f"PRAGMA analysis_limit = {analysis_limit}").fetchall()
        connection.execute("BEGIN IMMEDIATE").close()
        start_s = database.clock.monotonic_s()
        connection.execute(f"ANALYZE {what}").close()
        connection.execute("COMMIT").close()
        return database.clock.monotonic_s() - start_s


def _quoted(database: QueueDatabase, connection: Connection, table: str) -> str:
    rows = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite^_%' "
        "ESCAPE '^' ORDER BY name"
    ).fetchall()
    names = [str(row[0]) for row in rows]
    # SQLite's names are the same in capitals, as far as ASCII goes.
    found = [name for name in names if isinstance(table, str) and name.lower() == table.lower()]
    if not found:
        raise UnknownTableError(table=table, path=str(database.path), known=", ".join(names))
    return '"' + found[0].replace('"', '""') + '"'
