"""The tables of a queue, their version, and what a file that is opened holds of them.

New files get the layout of the queues in the field, and a partial index that keeps a claim's cost
flat as the backlog grows. A field file has user_version 0 and is used as it is.
"""

from dataclasses import dataclass
from typing import Any

from .connection import Connection, scalar

APPLICATION_ID = 0x51_44_52_4C
"""In the header of files that this program made: https://www.sqlite.org/pragma.html."""
SCHEMA_VERSION = 1
WAITING_INDEX = "queuedrill_waiting"
META_TABLE = "queuedrill_meta"

QUEUED = "queued"
LEASED = "leased"
PROCESSING = "processing"
COMPLETED = "completed"
FAILED = "failed"
DEAD_LETTER = "dead_letter"
HELD = (LEASED, PROCESSING)
"""Workers in the field write ``leased`` when they claim, the runbook ``processing``."""
FINISHED = (COMPLETED, FAILED, DEAD_LETTER)
STATUSES = (QUEUED, *HELD, *FINISHED)

TASK_COLUMNS = (
    "id",
    "type",
    "priority",
    "payload",
    "compatibility",
    "status",
    "attempts",
    "max_attempts",
    "run_after_utc",
    "lease_until_utc",
    "reserved_at_utc",
    "processing_started_utc",
    "finished_at_utc",
    "locked_by",
    "error_message",
    "idempotency_key",
    "created_at_utc",
    "updated_at_utc",
)
"""The stored columns of task_queue; ``region`` and ``format`` are generated from them."""
LOG_COLUMNS = ("log_id", "task_id", "at_utc", "level", "message", "details")
WORKER_COLUMNS = ("worker_id", "capabilities", "heartbeat_utc")
EXPECTED_COLUMNS = {
    "task_queue": TASK_COLUMNS,
    "workers": WORKER_COLUMNS,
    "task_logs": LOG_COLUMNS,
}

EXPECTED_INDEXES = (
    ("task_queue", ("status", "priority", "run_after_utc"), False),
    ("task_queue", ("type", "status"), False),
    ("task_queue", ("region",), False),
    ("task_queue", ("format",), False),
    ("task_queue", ("idempotency_key",), True),
    ("task_logs", ("task_id", "at_utc"), False),
)
"""Table, leading columns, and whether it must be unique; names differ from file to file."""

STATEMENTS = (
    """CREATE TABLE task_queue (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        type TEXT NOT NULL,
        priority INTEGER NOT NULL DEFAULT 100,
        payload TEXT NOT NULL,
        compatibility TEXT NOT NULL DEFAULT '{}',
        status TEXT NOT NULL DEFAULT 'queued',
        attempts INTEGER NOT NULL DEFAULT 0,
        max_attempts INTEGER NOT NULL DEFAULT 5,
        run_after_utc DATETIME NOT NULL DEFAULT (datetime('now')),
        lease_until_utc DATETIME,
        reserved_at_utc DATETIME,
        processing_started_utc DATETIME,
        finished_at_utc DATETIME,
        locked_by TEXT,
        error_message TEXT,
        idempotency_key TEXT,
        created_at_utc DATETIME NOT NULL DEFAULT (datetime('now')),
        updated_at_utc DATETIME NOT NULL DEFAULT (datetime('now')),
        region TEXT GENERATED ALWAYS AS (json_extract(compatibility, '$.region')) VIRTUAL,
        format TEXT GENERATED ALWAYS AS (json_extract(payload, '$.format')) VIRTUAL
    )""",
    """CREATE TABLE workers (
        worker_id TEXT PRIMARY KEY,
        capabilities TEXT NOT NULL,
        heartbeat_utc DATETIME NOT NULL DEFAULT (datetime('now'))
    )""",
    """CREATE TABLE task_logs (
        log_id INTEGER PRIMARY KEY AUTOINCREMENT,
        task_id INTEGER NOT NULL REFERENCES task_queue (id),
        at_utc DATETIME NOT NULL DEFAULT (datetime('now')),
        level TEXT NOT NULL,
        message TEXT,
        details TEXT
    )""",
    "CREATE INDEX ix_task_status_prio_time ON task_queue (status, priority, run_after_utc, id)",
    "CREATE INDEX ix_task_type_status ON task_queue (type, status)",
    "CREATE INDEX ix_task_region ON task_queue (region)",
    "CREATE INDEX ix_task_format ON task_queue (format)",
    """CREATE UNIQUE INDEX uq_task_idempotency ON task_queue (idempotency_key)
        WHERE idempotency_key IS NOT NULL""",
    "CREATE INDEX ix_logs_task ON task_logs (task_id, at_utc)",
    f"CREATE INDEX {WAITING_INDEX} ON task_queue (priority, id) WHERE status = 'queued'",
)
META_STATEMENT = (
    f"CREATE TABLE IF NOT EXISTS {META_TABLE} (key TEXT PRIMARY KEY, value TEXT NOT NULL)"
)


@dataclass(frozen=True)
class Layout:
    """What a database holds of a queue.

    Attributes:
        missing: expected tables, or ``table.column``, that are not there.
        version: the queue schema's version; 0 for a field file.
        tables: all tables that are there.
        triggers: triggers that are there; a queue has none of its own.
        indexes: all named indexes that are there.
        empty: whether there is nothing at all in it.
    """

    missing: tuple[str, ...]
    version: int
    tables: tuple[str, ...]
    triggers: tuple[str, ...]
    indexes: tuple[str, ...]
    empty: bool

    @property
    def is_queue(self) -> bool:
        """Whether the task table is there with every column that a queue needs."""
        return not any(item.startswith("task_queue") for item in self.missing)

    @property
    def has_waiting_index(self) -> bool:
        """Whether claims can name the partial index of waiting tasks."""
        return WAITING_INDEX in self.indexes


def read_layout(connection: Connection) -> Layout:
    """Return what the database holds of a queue.

    Locks: shared, for a moment.
    """
    rows = connection.execute("SELECT type, name FROM sqlite_master ORDER BY name").fetchall()
    named = {kind: tuple(row[1] for row in rows if row[0] == kind) for kind in _KINDS}
    ours = scalar(connection, "PRAGMA application_id") == APPLICATION_ID
    return Layout(
        missing=tuple(_missing(connection, named["table"])),
        version=int(scalar(connection, "PRAGMA user_version")) if ours else 0,
        tables=named["table"],
        triggers=named["trigger"],
        indexes=named["index"],
        empty=not rows,
    )


_KINDS = ("table", "trigger", "index")


def _missing(connection: Connection, tables: tuple[str, ...]) -> list[str]:
    missing = []
    for table, columns in EXPECTED_COLUMNS.items():
        if table not in tables:
            missing.append(table)
            continue
        found = {row[1] for row in told_of(connection, "table_info", table)}
        missing += [f"{table}.{column}" for column in columns if column not in found]
    return missing


def told_of(connection: Connection, pragma: str, name: str) -> list[Any]:
    """Return the rows of a pragma about a table or index; none where there is no such one.

    It is a statement and no function in FROM: a table of the pragma's name would stand before that.
    """
    quoted = name.replace('"', '""')
    rows: list[Any] = connection.execute(f'PRAGMA {pragma}("{quoted}")').fetchall()
    return rows


def indexes_missing(connection: Connection) -> list[str]:
    """Return the expected indexes that are not there under any name, as ``table (columns)``.

    Locks: shared, for a moment.
    """
    found = {
        (table, str(index[1]), bool(index[2])): [
            column[2] for column in told_of(connection, "index_info", index[1])
        ]
        for table in sorted({table for table, _columns, _unique in EXPECTED_INDEXES})
        for index in told_of(connection, "index_list", table)
    }
    return [
        f"an index on {table} ({', '.join(wanted)})"
        for table, wanted, must_be_unique in EXPECTED_INDEXES
        if not any(
            key[0] == table
            and key[2] >= must_be_unique
            and (tuple(columns) == wanted if must_be_unique else _leads(columns, wanted))
            for key, columns in found.items()
        )
    ]


def _leads(columns: list[str], wanted: tuple[str, ...]) -> bool:
    return tuple(columns[: len(wanted)]) == wanted


def create(connection: Connection) -> None:
    """Put the tables of a new queue into an empty database; the caller holds the transaction."""
    for statement in (*STATEMENTS, META_STATEMENT):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def count_by_status(connection: Connection) -> dict[str, int]:
    """Return the number of tasks in each status; what is no UTF-8 in it is replaced.

    Locks: shared, while it counts (an index is read, not the payloads).
    """
    # Bytes come back as they are, also where another client has written what is no text.
    rows = connection.execute(
        "SELECT CAST(status AS BLOB), count(*) FROM task_queue GROUP BY status"
    ).fetchall()
    counts: dict[str, int] = {}
    for stored, count in rows:
        status = (stored or b"").decode("utf-8", "replace")
        counts[status] = counts.get(status, 0) + int(count)
    return counts


def read_meta(connection: Connection, key: str) -> str | None:
    """Return a value of this program's own table, or None."""
    known = scalar(
        connection, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (META_TABLE,)
    )
    if known is None:
        return None
    value = scalar(connection, f"SELECT value FROM {META_TABLE} WHERE key = ?", (key,))
    return None if value is None else str(value)


def write_meta(connection: Connection, key: str, value: str) -> None:
    """Keep a value in this program's own table; the caller holds the transaction."""
    connection.execute(META_STATEMENT)
    connection.execute(
        f"INSERT OR REPLACE INTO {META_TABLE} (key, value) VALUES (?, ?)",
        (key, value),
    )
