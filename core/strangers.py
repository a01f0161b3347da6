"""What in a file's schema would run code of whoever wrote the file.

A trigger acts when its table is written to; a view computes when it is read; generated columns,
CHECK, DEFAULT and indexes compute when a row is checked or written. The text of the schema is
judged by SQLite's own parser: each statement is made again in an empty database in memory, where
an authorizer is told what it makes and which functions it calls.
"""

import contextlib
import re
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from .connection import Connection, connect_stdlib
from .schema import EXPECTED_COLUMNS, META_TABLE

OBJECTS_MOST = 1000
_OWN_TABLES = frozenset({*EXPECTED_COLUMNS, META_TABLE})
_INTERNAL = {
    "sqlite_sequence": "CREATE TABLE sqlite_sequence(name,seq)",
    "sqlite_stat1": "CREATE TABLE sqlite_stat1(tbl,idx,stat)",
    "sqlite_stat4": "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)",
}
_NAMES_OF_SQLITE = ("pragma_", "dbstat", "json_")
_SHOWN_MOST = 200

KNOWN_FUNCTIONS = frozenset({
    "->", "->>", "abs", "char", "coalesce", "date", "datetime", "hex", "iif", "ifnull",
    "json_array_length", "json_extract", "json_type", "json_valid", "julianday", "length", "lower",
    "max", "min", "nullif", "quote", "round", "strftime", "substr", "substring", "time", "typeof",
    "unicode", "unixepoch", "upper",
})  # fmt: skip
"""Functions that a schema may call: each takes a time in proportion to what it is given, and tells
nothing of the machine. LIKE, GLOB, replace and trim do not: one call of them can take for ever, and
inside of a call no deadline is looked at."""

_Row = tuple[str, str, str, int, str]


@dataclass(frozen=True)
class Stranger:
    """Something in a schema that nobody declared, and that could run code of its author's.

    Attributes:
        kind: what it is: trigger, view, virtual table, expression or object.
        name: its name.
        detail: what is strange about it.
    """

    kind: str
    name: str
    detail: str

    @property
    def computes(self) -> bool:
        """Whether it may act on a mere reader; a trigger waits for a writer."""
        return self.kind != "trigger"

    def __str__(self) -> str:
        """Return all of it in one line."""
        return f'{self.kind} "{self.name[:_SHOWN_MOST]}" {self.detail[:_SHOWN_MOST]}'


def read_strangers(
    connection: Connection, declared: Collection[str], limits: Mapping[int, int]
) -> tuple[Stranger, ...]:
    """Return what in the schema nobody declared; nothing of it is run.

    Args:
        connection: to the file.
        declared: names of triggers, tables and indexes that belong in it.
        limits: by category of SQLite's, for the database in memory.

    Raises:
        sqlite3.Error: the schema cannot be read.
    """
    rows = [_shown(row) for row in connection.execute(_SCHEMA, (OBJECTS_MOST + 1,)).fetchall()]
    if len(rows) > OBJECTS_MOST:
        return (Stranger("object", rows[-1][1], f"is one of more than {OBJECTS_MOST}"),)
    with _Trial.opened(limits) as trial:
        found = [(row, trial.judge(*row)) for row in rows]
    return tuple(
        stranger
        for row, stranger in found
        if stranger is not None and not _is_declared(row, declared)
    )


_WORD = re.compile(r"\w+", re.ASCII)
# Tables come first: an index is made on one.
_SCHEMA = """SELECT CAST(type AS BLOB), CAST(name AS BLOB), CAST(tbl_name AS BLOB), rootpage,
    CAST(sql AS BLOB) FROM sqlite_master ORDER BY type <> 'table' LIMIT ?"""


def _shown(row: tuple[object, ...]) -> _Row:
    kind, name, table, root, sql = (
        cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell for cell in row
    )
    return str(kind), str(name), str(table), root if isinstance(root, int) else 0, str(sql or "")


def _is_declared(row: _Row, declared: Collection[str]) -> bool:
    """Return whether it is expected; what a queue's own tables are is not for anybody to say."""
    kind, name, table, root, _sql = row
    if name.lower() in _OWN_TABLES and (kind != "table" or root == 0):
        return False
    return name in declared or (kind == "index" and table in declared)


def _by_its_kind(kind: str, name: str, table: str, root: int) -> Stranger | None:
    if kind == "trigger":
        return Stranger(kind, name, f"acts when {table} is written to")
    if kind == "table" and root == 0:
        return Stranger("virtual table", name, "is computed, not stored")
    if kind == "view" and name.lower() in _OWN_TABLES:
        return Stranger(kind, name, "stands in the place of a table of the queue")
    if name.lower().startswith(_NAMES_OF_SQLITE):
        return Stranger(kind, name, "has a name that SQLite itself uses")
    return None


@dataclass
class _Trial:
    """An empty database in memory, in which the statements of a schema are made again."""

    connection: Connection
    made: list[tuple[int, str]] = field(default_factory=list)
    called: set[str] = field(default_factory=set)
    reading: bool = False

    @classmethod
    @contextlib.contextmanager
    def opened(cls, limits: Mapping[int, int]) -> Iterator["_Trial"]:
        """Yield one; no file is made, so it needs no door."""
        with contextlib.closing(connect_stdlib("file::memory:", timeout_s=0.0)) as connection:
            trial = cls(connection)
            for category, limit in limits.items():
                connection.setlimit(category, limit)
            connection.set_authorizer(trial._take_note)
            yield trial

    def judge(self, kind: str, name: str, table: str, root: int, sql: str) -> Stranger | None:
        """Return what is strange about one row of the schema, or None."""
        if kind == "index" and not sql:
            # SQLite made it for a PRIMARY KEY or UNIQUE.
            return None
        if name in _INTERNAL and kind == "table":
            known = " ".join(sql.split()) == _INTERNAL[name]
            return None if known else Stranger(kind, name, "is not as SQLite makes it")
        return _by_its_kind(kind, name, table, root) or self._judge_statement(kind, name, sql)

    def _judge_statement(self, kind: str, name: str, sql: str) -> Stranger | None:
        self.made.clear()
        self.called.clear()
        try:
            self.reading = False
            self.connection.execute(sql).close()
            self.reading = True
            if kind == "table":
                self._call_defaults(name)
        except (sqlite3.Error, sqlite3.Warning, ValueError, MemoryError) as error:
            return Stranger("object", name, f"cannot be made again ({error})")
        if (_MAKES.get(kind), name) not in self.made:
            return Stranger("object", name, f"is no {kind}, though it says so")
        unknown = sorted(self.called - KNOWN_FUNCTIONS)
        if unknown:
            return Stranger("expression", name, f"computes with {', '.join(unknown)}")
        return None

    def _call_defaults(self, table: str) -> None:
        """Take note of what the DEFAULTs call: making a table asks about all but them."""
        quoted = table.replace('"', '""')
        columns = self.connection.execute(f'PRAGMA table_xinfo("{quoted}")').fetchall()
        for default in (column[4] for column in columns):
            # A word alone is a text, or a moment of SQLite's own.
            if default is not None and not _WORD.fullmatch(default):
                self.connection.execute(f"EXPLAIN SELECT ({default}\n)").close()

    def _take_note(
        self,
        action: int,
        first: str | None,
        second: str | None,
        _database: str | None,
        _inside: str | None,
    ) -> int:
        if action in _MAKES.values():
            self.made.append((action, first or ""))
        elif action == sqlite3.SQLITE_FUNCTION:
            self.called.add((second or "").lower())
        elif action not in (_READING if self.reading else _MAKING):
            # A table made of a SELECT would be made by running it.
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK


_MAKES = {
    "table": sqlite3.SQLITE_CREATE_TABLE,
    "index": sqlite3.SQLITE_CREATE_INDEX,
    "view": sqlite3.SQLITE_CREATE_VIEW,
}
# What SQLite itself does to make a table, an index or a view.
_MAKING = (
    sqlite3.SQLITE_INSERT,
    sqlite3.SQLITE_UPDATE,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_REINDEX,
    sqlite3.SQLITE_TRANSACTION,
)
_READING = (sqlite3.SQLITE_READ, sqlite3.SQLITE_SELECT, sqlite3.SQLITE_PRAGMA)
