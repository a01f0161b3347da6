"""What a row of each table of a queue looks like, to know one by its values alone.

A column of TEXT affinity never holds a number (https://www.sqlite.org/datatype3.html), so a row of
one table is never taken for one of another, wherever its page was found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .records import RawText, Value
from .schema import EXPECTED_COLUMNS

_TEXT = (str, RawText, bytes)
_NUMBER = (int, float)
_TIME = (str, RawText, bytes, int, float)
_COLUMNS_LEAST = 3
ID_MOST = 2**53
"""No queue ever gives as many; after one that is near 2**63, SQLite gives none any more
(https://www.sqlite.org/autoinc.html)."""


@dataclass(frozen=True)
class Column:
    """A column as a file has it.

    Attributes:
        name: as the file spells it.
        declared: its declared type.
        key: whether it is the INTEGER PRIMARY KEY, whose value is the row's id.
        stored: whether its values are in the records; those of a virtual column are not.
        generated: whether SQLite computes it.
    """

    name: str
    declared: str = ""
    key: bool = False
    stored: bool = True
    generated: bool = False


@dataclass(frozen=True)
class _Rule:
    kinds: tuple[type, ...]
    needed: bool = True


_TASK_RULES = {
    "type": _Rule(_TEXT),
    "priority": _Rule(_NUMBER),
    "payload": _Rule(_TEXT),
    "compatibility": _Rule(_TEXT),
    "status": _Rule(_TEXT),
    "attempts": _Rule(_NUMBER),
    "max_attempts": _Rule(_NUMBER),
    "run_after_utc": _Rule(_TIME),
    "lease_until_utc": _Rule(_TIME, needed=False),
    "reserved_at_utc": _Rule(_TIME, needed=False),
    "processing_started_utc": _Rule(_TIME, needed=False),
    "finished_at_utc": _Rule(_TIME, needed=False),
    "locked_by": _Rule(_TEXT, needed=False),
    "error_message": _Rule(_TEXT, needed=False),
    "idempotency_key": _Rule(_TEXT, needed=False),
    "created_at_utc": _Rule(_TIME),
    "updated_at_utc": _Rule(_TIME),
}
_LOG_RULES = {
    "task_id": _Rule(_NUMBER),
    "at_utc": _Rule(_TIME),
    "level": _Rule(_TEXT),
    "message": _Rule(_TEXT, needed=False),
    "details": _Rule(_TEXT, needed=False),
}
_WORKER_RULES = {
    "worker_id": _Rule(_TEXT),
    "capabilities": _Rule(_TEXT),
    "heartbeat_utc": _Rule(_TIME),
}
_RULES: Mapping[str, Mapping[str, _Rule]] = {
    "task_queue": _TASK_RULES,
    "task_logs": _LOG_RULES,
    "workers": _WORKER_RULES,
}
KEYS = {"task_queue": "id", "task_logs": "log_id", "workers": None}
"""The INTEGER PRIMARY KEY of each table, if it has one."""
CORE: Mapping[str, frozenset[str]] = {
    "task_queue": frozenset({"type", "payload", "status"}),
    "task_logs": frozenset({"task_id", "level"}),
    "workers": frozenset({"worker_id"}),
}
"""What every row of a table has, however old it is."""

EXPECTED: Mapping[str, tuple[Column, ...]] = {
    table: tuple(Column(name, key=name == KEYS[table]) for name in names)
    for table, names in EXPECTED_COLUMNS.items()
}
"""The columns of each table where the file no longer says which it has."""


@dataclass(frozen=True)
class Row:
    """A row as a file holds it.

    Attributes:
        table: whose it is.
        id: its rowid, which is the id of a task or log row.
        values: by column, as far as they are stored.
    """

    table: str
    id: int
    values: Mapping[str, Value]


def row_of(
    table: str, columns: Sequence[Column], rowid: int, values: Sequence[Value], *, strict: bool
) -> Row | None:
    """Return the values as a row of the table, or None where they are none.

    Args:
        table: one of a queue's.
        columns: as the file has them.
        rowid: of the row.
        values: of its record; short ones are of rows older than the last columns.
        strict: whether numbers must be numbers too. A program may have put text into a column of
            numbers; where a row was found without its table, that is no row.
    """
    stored = [column for column in columns if column.stored]
    if not _COLUMNS_LEAST <= len(values) <= len(stored) or not 1 <= rowid <= ID_MOST:
        return None
    named = dict(zip((column.name for column in stored), values, strict=False))
    key = KEYS[table]
    if key is not None and named.pop(key, None) is not None and strict:
        # SQLite writes NULL there, since the rowid says it, and does not look at it again.
        return None
    if not CORE[table] <= named.keys():
        return None
    rules = _RULES[table]
    fits = all(
        _fits(rules[name], value, strict=strict) for name, value in named.items() if name in rules
    )
    return Row(table, rowid, named) if fits else None


def _fits(rule: _Rule, value: Value, *, strict: bool) -> bool:
    if value is None:
        return not rule.needed
    if rule.kinds is _TEXT or strict:
        return isinstance(value, rule.kinds)
    return True
