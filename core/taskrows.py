"""Tasks read one after the other, each with a digest of what it holds.

The digest is taken of the columns as they are stored, types and bytes: text that is no UTF-8, or
holds a NUL, is digested whole, and a text that turned into a blob of the same bytes is told.
"""

import hashlib
import marshal
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

from .connection import Connection
from .schema import COMPLETED, DEAD_LETTER
from .wholetask import quoted

SETTLED = (COMPLETED, DEAD_LETTER)
"""What no worker takes up again; a ``failed`` task is tried again by some programs of the field."""
DIGEST_BYTES = 8
UPDATED = "updated_at_utc"
_SLICE_ROWS = 500
_KNOWN = (b"completed", 1, -2, 0.5, None, 2**40)
# Of this one https://docs.python.org/3/library/marshal.html says no more than that it is old:
# neither references nor short forms, so equal values have equal bytes.
_MARSHAL_VERSION = 2


class TaskRow(NamedTuple):
    """One task as it is stored.

    Attributes:
        key: what the rows are ordered by.
        id: the task.
        updated: bytes of its ``updated_at_utc``.
        values: of the columns asked for.
    """

    key: int
    id: int
    updated: bytes | None
    values: tuple[Any, ...]


def content_columns(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that no longer change once a task is settled.

    Its ``updated_at_utc`` does: who enqueues with an idempotency key that is there writes it anew.
    """
    return tuple(name for name in columns if name not in {"id", UPDATED})


def digest(values: tuple[Any, ...]) -> bytes:
    """Return the digest of a task's values."""
    content = marshal.dumps(values, _MARSHAL_VERSION)
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


def probe() -> str:
    """Return the digest of known values: equal wherever digests can be compared."""
    return digest(_KNOWN).hex()


def read_rows(
    connection: Connection,
    columns: Sequence[str],
    *,
    table: str = "task_queue",
    key: str = "id",
) -> Generator[TaskRow]:
    """Yield every task in the order of the key, no more than one slice of them in memory.

    Each slice is a statement of its own, so outside of a transaction no lock outlasts a slice.

    Args:
        connection: which reads.
        columns: whose values are wanted.
        table: where the tasks are.
        key: its integer primary key.
    """
    # Not by an index: what an index holds a second time says nothing of the row.
    sql = (
        f"SELECT {key}, id, CAST({_stored(UPDATED)} AS BLOB), {', '.join(map(_stored, columns))} "
        f"FROM {table} NOT INDEXED WHERE {key} > ? ORDER BY {key} LIMIT {_SLICE_ROWS}"
    )
    last = -(2**63)
    while True:
        count = 0
        cursor = connection.execute(sql, (last,))
        try:
            for row in cursor:
                last = row[0]
                count += 1
                yield TaskRow(last, row[1], row[2], row[3:])
        finally:
            cursor.close()
        if count < _SLICE_ROWS:
            return


def read_row(connection: Connection, columns: Sequence[str], task_id: int) -> TaskRow | None:
    """Return one task as ``read_rows`` yields it, or None where there is none with this id."""
    sql = (
        f"SELECT id, id, CAST({_stored(UPDATED)} AS BLOB), {', '.join(map(_stored, columns))} "
        "FROM task_queue NOT INDEXED WHERE id = ?"
    )
    rows = connection.execute(sql, (task_id,)).fetchall()
    return TaskRow(rows[0][0], rows[0][1], rows[0][2], rows[0][3:]) if rows else None


def _stored(column: str) -> str:
    name = quoted(column)
    return (
        f"CASE typeof({name}) WHEN 'text' THEN CAST({name} AS BLOB) "
        f"WHEN 'blob' THEN CAST('blob ' || hex({name}) AS BLOB) ELSE {name} END"
    )
