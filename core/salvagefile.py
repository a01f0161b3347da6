"""The new file that a salvage fills: our schema, what came back, and what was set aside.

Nothing of the damaged file's schema is in it but the names of further columns, quoted. What cannot
be a task of a queue, or is one that another row contradicts, goes to a table of its own with the
reason, so that a person can decide; nothing that was read is thrown away in silence.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace

from . import schema
from .connection import Connection, scalar
from .records import RawText, Value
from .tableshape import KEYS, Column, Row
from .timestamps import parse
from .translation import primary_code
from .wholetask import quoted

SET_ASIDE = "salvage_set_aside"
TASKS = "task_queue"
LOGS = "task_logs"
KEY = "idempotency_key"
_ASIDE_TABLE = f"""CREATE TABLE {SET_ASIDE} (
    table_name TEXT NOT NULL, row_id INTEGER NOT NULL, reason TEXT NOT NULL,
    page INTEGER, content TEXT NOT NULL
)"""
_SAFE_TYPES = ("TEXT", "INTEGER", "REAL", "BLOB", "NUMERIC", "DATETIME")
_FURTHER_MOST = 200
_ERROR = "salvage_error"
# Names that mean something else in our tables.
_TAKEN = ("region", "format", "rowid", "oid", "_rowid_")
# What a row does itself: a constraint, malformed JSON in an index's expression, a value too large.
_OF_THE_ROW = (
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_TOOBIG,
)
Parameters = list[int | float | str | bytes | None]


def bound(values: Sequence[Value]) -> tuple[str, Parameters]:
    """Return the placeholders of the values, and what is bound to them.

    Text that is none is bound byte for byte, and is text again in the table.
    """
    holders = ("CAST(? AS TEXT)" if isinstance(value, RawText) else "?" for value in values)
    given = [value.content if isinstance(value, RawText) else value for value in values]
    return ", ".join(holders), given


class SalvageFile:
    """The draft of the new file, in one transaction.

    Args:
        connection: to an empty database.
        columns: of the tables of the damaged file.

    Attributes:
        ids: of the rows that are in each table.
        bereft: keys of tasks that are in the table without them, since another task has the same.
        aside: how many rows were set aside, by reason.
    """

    def __init__(self, connection: Connection, columns: Mapping[str, Sequence[Column]]) -> None:
        self.connection = connection
        self.ids: dict[str, set[int]] = {table: set() for table in schema.EXPECTED_COLUMNS}
        self.aside: dict[str, int] = {}
        self.bereft: dict[int, Value] = {}
        self._names: dict[str, dict[str, str]] = {}
        connection.execute("BEGIN IMMEDIATE")
        schema.create(connection)
        connection.execute(_ASIDE_TABLE)
        for table, names in schema.EXPECTED_COLUMNS.items():
            self._names[table] = self._add_columns(table, names, columns[table])

    def add(self, row: Row, page: int) -> bool:
        """Put the row into its table; return whether it is there.

        A task that is there already stays if it is the newer one, and the other is set aside.
        """
        if row.id in self.ids[row.table]:
            return self._settle(row, page)
        try:
            self._insert_or_bereave(row)
        except sqlite3.Error as error:
            if primary_code(error) not in _OF_THE_ROW:
                raise
            self.set_aside(row.table, row.id, "refused", page, {**row.values, _ERROR: str(error)})
            return False
        self.ids[row.table].add(row.id)
        return True

    def set_aside(
        self, table: str, row_id: int, reason: str, page: int | None, values: Mapping[str, Value]
    ) -> None:
        """Keep what was read of a row outside of its table."""
        self.aside[reason] = self.aside.get(reason, 0) + 1
        content = json.dumps({name: _shown(value) for name, value in values.items()})
        self.connection.execute(
            f"INSERT INTO {SET_ASIDE} (table_name, row_id, reason, page, content) "
            "VALUES (?, ?, ?, ?, ?)",
            (table, row_id, reason, page, content),
        )

    def take_out(self, table: str, row_id: int, reason: str) -> None:
        """Set a row aside that was put into its table."""
        self.set_aside(table, row_id, reason, None, self.values_of(table, row_id))
        self.connection.execute(f"DELETE FROM {table} WHERE {_key(table)} = ?", (row_id,))
        self.ids[table].discard(row_id)

    def values_of(self, table: str, row_id: int) -> dict[str, Value]:
        """Return the row as it is in the draft."""
        names = [name for name in self._names[table].values() if name != KEYS[table]]
        columns = ", ".join(
            f"typeof({quoted(name)}), CAST({quoted(name)} AS BLOB)" for name in names
        )
        (found,) = self.connection.execute(
            f"SELECT {columns} FROM {table} WHERE {_key(table)} = ?", (row_id,)
        ).fetchall()
        pairs = zip(found[::2], found[1::2], strict=True)
        return {name: _read(*pair) for name, pair in zip(names, pairs, strict=True)}

    def count(self, table: str) -> int:
        """Return how many rows the table has."""
        return int(scalar(self.connection, f"SELECT count(*) FROM {table}"))

    def keep_sequence(self, table: str, highest: int) -> None:
        """Have the next id of the table lie above all that were ever given."""
        known = scalar(self.connection, "SELECT seq FROM sqlite_sequence WHERE name = ?", (table,))
        if known is None:
            self.connection.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (table, highest))
        elif highest > known:
            self.connection.execute(
                "UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (highest, table)
            )

    def _add_columns(
        self, table: str, own: Sequence[str], found: Sequence[Column]
    ) -> dict[str, str]:
        """Add what the damaged table has beyond ours; return our name of each of its columns."""
        names = {name: name for name in own}
        taken = {name.lower() for name in (*own, *_TAKEN)}
        for column in found[: len(own) + _FURTHER_MOST]:
            if column.name in names or column.generated:
                continue
            name = column.name
            while name.lower() in taken:
                name = f"salvaged_{name}"
            taken.add(name.lower())
            names[column.name] = name
            kind = column.declared.upper() if column.declared.upper() in _SAFE_TYPES else ""
            self.connection.execute(f"ALTER TABLE {table} ADD COLUMN {quoted(name)} {kind}")
        return names

    def give_key(self, task_id: int) -> None:
        """Give a task the key that it had, and take it from the one that has it."""
        key = self.bereft.pop(task_id)
        (other,) = self.connection.execute(
            f"SELECT id FROM {TASKS} WHERE {KEY} = ?", (key,)
        ).fetchone()
        self.connection.execute(f"UPDATE {TASKS} SET {KEY} = NULL WHERE id = ?", (other,))
        self.connection.execute(f"UPDATE {TASKS} SET {KEY} = ? WHERE id = ?", (key, task_id))
        self.bereft[other] = key

    def _insert_or_bereave(self, row: Row) -> None:
        """Insert the row; a task whose key another one has comes in without it."""
        try:
            self._insert(row)
        except sqlite3.IntegrityError:
            if row.values.get(KEY) is None:
                raise
            self._insert(replace(row, values={**row.values, KEY: None}))
            self.bereft[row.id] = row.values[KEY]

    def _insert(self, row: Row) -> None:
        ours = self._names[row.table]
        known = {ours[name]: value for name, value in row.values.items() if name in ours}
        key = KEYS[row.table]
        if key is not None:
            known[key] = row.id
        holders, parameters = bound(list(known.values()))
        names = ", ".join(map(quoted, known))
        self.connection.execute(f"INSERT INTO {row.table} ({names}) VALUES ({holders})", parameters)

    def _settle(self, row: Row, page: int) -> bool:
        """Keep the newer of two rows with one id, and set the other aside unless they are equal."""
        there = self.values_of(row.table, row.id)
        ours = self._names[row.table]
        new = {ours[name]: value for name, value in row.values.items() if name in ours}
        if all(_same(value, there.get(name)) for name, value in new.items()):
            return True
        if _changed_ms(new) <= _changed_ms(there):
            self.set_aside(row.table, row.id, "another-version", page, row.values)
            return True
        self.take_out(row.table, row.id, "another-version")
        return self.add(row, page)


def _key(table: str) -> str:
    return KEYS[table] or "rowid"


def _changed_ms(values: Mapping[str, Value]) -> int:
    moment = parse(values.get("updated_at_utc"))
    return -1 if moment is None else moment


def _same(one: Value, other: Value) -> bool:
    return one == other or (one is not None and other is not None and _bytes(one) == _bytes(other))


def _bytes(value: Value) -> bytes:
    if isinstance(value, RawText):
        return value.content
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


def _read(kind: str, content: bytes | None) -> Value:
    if content is None or kind == "blob":
        return content
    text = content.decode()
    if kind == "integer":
        return int(text)
    return float(text) if kind == "real" else text


def _shown(value: Value) -> object:
    if isinstance(value, RawText):
        return {"text_hex": value.content.hex()}
    return {"hex": value.hex()} if isinstance(value, bytes) else value
