"""All that a queue says, read the ways that its workers read it: by its tables and its indexes."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from core.connection import Connection, scalar

_TABLES = ("task_queue", "task_logs", "workers")
# An index that covers what is asked is read alone: what it says is what workers are handed.
_BY_INDEX = {
    "ix_task_status_prio_time": "status, priority, run_after_utc, id",
    "ix_task_type_status": "type, status, id",
    "uq_task_idempotency": "idempotency_key, id",
    "queuedrill_waiting": "priority, id",
    "ix_task_region": "region, id",
    "ix_task_format": "format, id",
}
_ONLY = {
    "uq_task_idempotency": "idempotency_key IS NOT NULL",
    "queuedrill_waiting": "status = 'queued'",
}
_OF_LOGS = "SELECT task_id, at_utc, log_id FROM task_logs INDEXED BY ix_logs_task ORDER BY 1, 2, 3"
_SETTINGS = ("application_id", "user_version", "encoding", "auto_vacuum", "journal_mode")


@dataclass(frozen=True)
class Content:
    """What a queue says.

    Attributes:
        rows: digest of all rows, by table and by index.
        settings: what the header says that a program goes by, and the schema.
        tasks: digest of the tasks alone.
    """

    rows: str
    settings: str
    tasks: str


def read(connection: Connection) -> Content:
    """Return all that the queue says.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    digests = [_digest(connection, sql) for sql in _questions()]
    settings = [str(scalar(connection, f"PRAGMA {name}")) for name in _SETTINGS]
    schema = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    return Content(
        rows=" ".join(digests),
        settings=repr((settings, sorted(map(tuple, schema)))),
        tasks=digests[0],
    )


def _digest(connection: Connection, sql: str) -> str:
    whole = hashlib.sha256()
    for row in connection.execute(sql):
        whole.update(repr(tuple(row)).encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _questions() -> Iterator[str]:
    yield from (f"SELECT rowid, * FROM {table} ORDER BY rowid" for table in _TABLES)
    for index, columns in _BY_INDEX.items():
        condition = _ONLY.get(index, "TRUE")
        yield (
            f"SELECT {columns} FROM task_queue INDEXED BY {index} WHERE {condition}"
            f" ORDER BY {columns}"
        )
    yield _OF_LOGS
