"""A connection to a file that somebody else may have written, on which nothing of theirs runs.

SQLite's own list for such files (https://www.sqlite.org/security.html): limits, no trust in the
schema, checks of every cell, no memory map, and a judge of every action. On top of that the schema
is looked through (``strangers.py``) before any statement that could compute something.
"""

import contextlib
import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from .clock import Clock, Deadline
from .connection import Connect, Connection, Judge
from .defects import version_of
from .paths import wal_of
from .schema import META_TABLE
from .stopping import STEPS_BETWEEN_LOOKS
from .strangers import KNOWN_FUNCTIONS, Stranger, read_strangers

_MEGABYTE = 1 << 20
_GIGABYTE = 1 << 30
_VALUE_BYTES_MOST = 1_000_000_000
_LEAST_TIMEOUT_S = 600.0
# A check of every page and index reads some ten megabytes a second and more.
_SECONDS_A_MEGABYTE = 1.0
_SECONDS_A_GIGABYTE_OF_HOLE = 3.0
_BLOCK_BYTES = 512
"""Of ``st_blocks``: https://pubs.opengroup.org/onlinepubs/9699919799/basedefs/sys_stat.h.html."""
# SQLite before 3.42 counts json_extract, which the generated columns of every queue call, among
# the functions that no untrusted schema may call, and reads no such schema then. There the list of
# known functions alone keeps out what a connection's owner has registered on it.
_JSON_IS_HARMLESS = (3, 42, 0)

LIMITS = {
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_COLUMN: 500,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 2_000_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 32,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 256,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 10,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
"""What a schema and a statement may need, far above what a queue does; a value's length apart,
which the file's own length limits."""

_READING_PRAGMAS = frozenset({
    "application_id", "auto_vacuum", "foreign_key_check", "freelist_count", "index_info",
    "index_list", "integrity_check", "journal_mode", "page_count", "page_size", "quick_check",
    "schema_version", "table_info", "user_version",
})  # fmt: skip
_WRITING_PRAGMAS = frozenset({"fullfsync", "synchronous"})
_FUNCTIONS = KNOWN_FUNCTIONS | {"count", "glob", "like", "replace", "sum"}
"""Those of our own statements too."""
_READING = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_TRANSACTION)
_CHANGING = (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE)
_SCHEMA_TABLES = ("sqlite_master", "sqlite_schema")


@dataclass(frozen=True)
class Untrusted:
    """An open file of unknown origin.

    Attributes:
        connection: reads it, or, where that was asked for, writes to it.
        strangers: what is in its schema and might run code of its author's; none of it runs here,
            but nothing that computes the file's own expressions may be asked then.
        judge: says of every action whether it may be done.
    """

    connection: Connection
    strangers: tuple[Stranger, ...]
    judge: Judge

    @property
    def computes(self) -> bool:
        """Whether something in the file may act on a mere reader of it."""
        return any(stranger.computes for stranger in self.strangers)


@dataclass(frozen=True)
class _Guard:
    """Says of every action whether it may be done.

    Attributes:
        declared: triggers and views that may act.
        writing: whether tasks may be changed.
        attaching: whether a second file may be read beside this one.
    """

    declared: frozenset[str]
    writing: bool
    attaching: bool

    def judge(
        self,
        action: int,
        first: str | None,
        second: str | None,
        _database: str | None,
        inside: str | None,
    ) -> int:
        if inside is not None:
            allowed = inside in self.declared
        else:
            allowed = self._is_allowed(action, first, second)
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY

    def _is_allowed(self, action: int, first: str | None, second: str | None) -> bool:
        if action in _READING:
            return True
        if action == sqlite3.SQLITE_FUNCTION:
            return (second or "").lower() in _FUNCTIONS
        if action == sqlite3.SQLITE_PRAGMA:
            known = _READING_PRAGMAS | _WRITING_PRAGMAS if self.writing else _READING_PRAGMAS
            return (first or "").lower() in known
        if action == sqlite3.SQLITE_ATTACH:
            return self.attaching
        return self.writing and self._is_allowed_change(action, first)

    def _is_allowed_change(self, action: int, table: str | None) -> bool:
        # A table that is made is written into the schema by an INSERT and an UPDATE of SQLite's
        # own; nobody else's are let in there without a pragma that is not allowed.
        if action == sqlite3.SQLITE_CREATE_TABLE:
            return table == META_TABLE
        return action in _CHANGING or (
            action == sqlite3.SQLITE_CREATE_INDEX and (table or "").startswith("sqlite_autoindex_")
        )


def open_untrusted(
    name: str,
    path: Path,
    *,
    connect: Connect,
    deadline: Deadline,
    timeout_s: float = 0.0,
    writing: bool = False,
    attaching: bool = False,
    declared: Collection[str] | None = (),
) -> Untrusted:
    """Return the file open, with its schema looked through; the caller closes it.

    Args:
        name: the URI to open it by.
        path: the file itself, whose length bounds the values in it.
        connect: the door to SQLite.
        deadline: when to stop what a hostile file would keep at work without end.
        timeout_s: how long a statement waits for a lock, in seconds.
        writing: whether it will be written to.
        attaching: whether a second file will be read beside it.
        declared: names of triggers, tables and indexes that belong in the file, and may run what
            they hold; None where the whole schema is known to be the caller's own.

    Raises:
        sqlite3.Error: it cannot be opened, or its schema not be read.
        UnicodeDecodeError: likewise, and the message would quote a name that is no text.
    """
    connection = connect(name, timeout_s=timeout_s)
    try:
        connection.set_progress_handler(deadline.passed, STEPS_BETWEEN_LOOKS)
        _limit(connection, path, attaching=attaching)
        _set_up(connection, writing=writing)
        guard = _Guard(frozenset(declared or ()), writing, attaching)
        connection.set_authorizer(guard.judge)
        strangers = () if declared is None else read_strangers(connection, declared, LIMITS)
        return Untrusted(connection, strangers, guard.judge)
    except BaseException:
        connection.close()
        raise


def deadline_of(path: Path, timeout_s: float | None, clock: Clock) -> Deadline:
    """Return when a look through the file has to end, also where its caller sets no limit.

    That limit grows with the file, so that no sound one is refused, and ends for a hostile one, of
    which the most may be a hole.
    """
    if timeout_s is None:
        timeout_s = _LEAST_TIMEOUT_S
        if path.exists():
            facts = path.stat()
            held = min(facts.st_size, _BLOCK_BYTES * getattr(facts, "st_blocks", facts.st_size))
            timeout_s += _SECONDS_A_MEGABYTE * held / _MEGABYTE
            timeout_s += _SECONDS_A_GIGABYTE_OF_HOLE * facts.st_size / _GIGABYTE
    return Deadline(timeout_s, clock)


@contextlib.contextmanager
def unjudged(opened: Untrusted) -> Iterator[None]:
    """Let the body run what cannot be judged action by action; the schema is known by now.

    VACUUM attaches its copy, and SQLite's own virtual tables are made when they are first read.
    """
    connection = opened.connection
    connection.set_authorizer(None)
    attached = connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 1)
    try:
        yield
    finally:
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, attached)
        connection.set_authorizer(opened.judge)


def _limit(connection: Connection, path: Path, *, attaching: bool) -> None:
    for category, limit in LIMITS.items():
        connection.setlimit(category, limit)
    if attaching:
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 1)
    # No value is longer than the file that it is in, so nothing that claims to be is made room for.
    files = [file for file in (path, wal_of(path)) if file.exists()]
    length = max(_MEGABYTE, sum(file.stat().st_size for file in files))
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, min(length, _VALUE_BYTES_MOST))


def _set_up(connection: Connection, *, writing: bool) -> None:
    pragmas = ["cell_size_check = ON", "mmap_size = 0"]
    if tuple(map(int, version_of(connection).split("."))) >= _JSON_IS_HARMLESS:
        pragmas.append("trusted_schema = OFF")
    if not writing:
        pragmas.append("query_only = ON")
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}").close()
