"""What a damaged file says of its own tables, taken as a claim and never run on the file.

Its CREATE statements are read by SQLite in an empty database in memory, one statement each of the
plain forms alone, with an end: views, triggers and virtual tables of the file never come to life.
"""

import contextlib
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .connection import Connect, Connection
from .records import BadRecordError, Value, decode
from .schema import EXPECTED_COLUMNS
from .tableshape import CORE, EXPECTED, Column
from .treewalk import Found, TreeWalk

SCHEMA = "sqlite_schema"
SEQUENCE = "sqlite_sequence"
TASKS = "task_queue"
_NAME = r"""(?:"(?:[^"]|"")*"|\[[^\]]*\]|`(?:[^`]|``)*`|'(?:[^']|'')*'|\w+)"""
_TABLE = re.compile(rf"\s*CREATE\s+TABLE\s+{_NAME}\s*\(", re.I)
_INDEX = re.compile(rf"\s*CREATE\s+(?:UNIQUE\s+)?INDEX\s+{_NAME}\s+ON\s+{_NAME}\s*\(", re.I)
_SQL_MOST = 100_000
_STEPS = 1000
_LOOKS_MOST = 1000
_ROW_COLUMNS = 5
_VIRTUAL = 2
_GENERATED = (2, 3)
_KINDS = ("table", "index", "view", "trigger")
_Statements = dict[tuple[str, str], tuple[int, str]]
"""Where each begins, and its CREATE statement, by kind and name."""


@dataclass(frozen=True)
class Index:
    """An index on tasks.

    Attributes:
        name: of the index.
        root: page where its tree begins.
        columns: of its entries, in their order; None for an expression and for the rowid.
        full: whether it has an entry for every task.
    """

    name: str
    root: int
    columns: tuple[str | None, ...]
    full: bool


@dataclass
class FileTables:
    """The tables of a file.

    Attributes:
        roots: where the tree of each table begins, all of the file's.
        indexes: indexes on tasks that can be read.
        other_indexes: where the trees of all others begin, by name.
        columns: of the tables that a queue has.
        told: the tables of a queue whose columns the file itself told.
    """

    roots: dict[str, int] = field(default_factory=dict)
    indexes: list[Index] = field(default_factory=list)
    other_indexes: dict[str, int] = field(default_factory=dict)
    columns: dict[str, tuple[Column, ...]] = field(default_factory=lambda: dict(EXPECTED))
    told: set[str] = field(default_factory=set)


def read_tables(walk: TreeWalk, encoding: str, connect: Connect) -> FileTables:
    """Return what the file's schema says, as far as it can still be read.

    Args:
        walk: through the file; the pages of the schema are claimed.
        encoding: of its text.
        connect: the door to SQLite, for the empty database in memory.
    """
    rows = list(_rows(walk.table(1, SCHEMA), encoding))
    if not any(name == TASKS for _kind, name, *_more in rows):
        rows += _rows(walk.loose(), encoding)
    tables = FileTables()
    statements: _Statements = {}
    for kind, name, table, root, sql in rows:
        if kind == "table" and root > 0:
            tables.roots.setdefault(name, root)
        elif kind == "index" and root > 0 and (table != TASKS or not sql):
            tables.other_indexes.setdefault(name, root)
        if root > 0 and sql:
            statements.setdefault((kind, name), (root, sql))
    with _sandbox(connect) as sandbox:
        _take_columns(sandbox, statements, tables)
        _take_indexes(sandbox, statements, tables)
    return tables


def _rows(found: Iterator[Found], encoding: str) -> Iterator[tuple[str, str, str, int, str]]:
    for each in found:
        try:
            values = decode(each.cell.payload, encoding)
        except BadRecordError:
            continue
        row = _row(values)
        if row is not None:
            yield row


def _row(values: list[Value]) -> tuple[str, str, str, int, str] | None:
    if len(values) != _ROW_COLUMNS:
        return None
    kind, name, table, root, sql = values
    if not (isinstance(kind, str) and isinstance(name, str) and isinstance(table, str)):
        return None
    if kind not in _KINDS or not isinstance(root, int):
        return None
    return kind, name, table, root, sql if isinstance(sql, str) else ""


def _take_columns(sandbox: Connection, statements: _Statements, tables: FileTables) -> None:
    for name in EXPECTED_COLUMNS:
        _root, sql = statements.get(("table", name), (0, ""))
        if not (_TABLE.match(sql) and _runs(sandbox, sql)):
            continue
        rows = sandbox.execute(
            "SELECT name, type, pk, hidden FROM pragma_table_xinfo(?)", (name,)
        ).fetchall()
        if CORE[name] <= {row[0] for row in rows}:
            tables.columns[name] = tuple(_column(*row) for row in rows)
            tables.told.add(name)


def _column(name: str, declared: str, key: int, hidden: int) -> Column:
    return Column(
        name,
        declared,
        # https://www.sqlite.org/lang_createtable.html#rowids_and_the_integer_primary_key
        key=key == 1 and declared.upper() == "INTEGER",
        stored=hidden != _VIRTUAL,
        generated=hidden in _GENERATED,
    )


def _take_indexes(sandbox: Connection, statements: _Statements, tables: FileTables) -> None:
    for (kind, name), (root, sql) in statements.items():
        if kind != "index" or name in tables.other_indexes:
            continue
        columns = _columns_of_index(sandbox, name, sql) if TASKS in tables.told else None
        if columns is None:
            tables.other_indexes[name] = root
        else:
            tables.indexes.append(Index(name, root, columns, _is_full(sandbox, name)))


def _columns_of_index(sandbox: Connection, name: str, sql: str) -> tuple[str | None, ...] | None:
    if not (_INDEX.match(sql) and _runs(sandbox, sql)):
        return None
    rows = sandbox.execute("SELECT name FROM pragma_index_xinfo(?)", (name,)).fetchall()
    return tuple(row[0] for row in rows) or None


def _is_full(sandbox: Connection, name: str) -> bool:
    rows = sandbox.execute(
        "SELECT 1 FROM pragma_index_list(?) WHERE name = ? AND partial = 0", (TASKS, name)
    ).fetchall()
    return bool(rows)


def _runs(sandbox: Connection, sql: str) -> bool:
    if len(sql) > _SQL_MOST:
        return False
    try:
        sandbox.execute(sql).close()
    except (sqlite3.Error, ValueError):
        return False
    return True


@contextlib.contextmanager
def _sandbox(connect: Connect) -> Iterator[Connection]:
    with contextlib.closing(connect("file::memory:", timeout_s=0.0)) as connection:
        connection.set_progress_handler(_ending(), _STEPS)
        yield connection


def _ending() -> Callable[[], bool]:
    """Return a handler that stops whatever runs longer than any statement here may."""
    left = iter(range(_LOOKS_MOST))
    return lambda: next(left, None) is None
