"""The sound files that are made wrong: small queues of several shapes, with all kinds of tasks."""

import contextlib
import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.backup import QueueBackup
from core.clock import ManualClock
from core.contentrecord import record_path
from core.database import QueueDatabase
from core.maintenance import QueueMaintenance
from core.manifest import manifest_path
from core.paths import sides
from core.tasks import TaskQueue
from harness.fuzz.notes import sealed

NOW_MS = 1_770_000_000_000
PAGE_SIZES = (512, 1024, 4096)
_TASKS_COUNT = 24
_FREED_COUNT = 6
_LONG = 3000
_VALUE_BYTES_MOST = 1_000_000
_PATTERN_MOST = 10
_STEPS, _LOOKS_MOST = 1000, 300
_WRITABLE = ("PRAGMA writable_schema = ON",)


@dataclass(frozen=True)
class Sound:
    """One queue, as its backup lies in a folder.

    Attributes:
        page_size: bytes a page.
        database: the backup's content.
        manifest: its manifest's.
        wal: a -wal of the queue, as a killed worker leaves it.
        under_wal: the database that lies under that -wal.
        record: what its finished tasks held.
    """

    page_size: int
    database: bytes
    manifest: bytes
    wal: bytes
    under_wal: bytes
    record: bytes


def make_stock(folder: Path, source: Path) -> list[Sound]:
    """Return sound queues of several shapes.

    Args:
        folder: an empty folder, to make them in.
        source: the queue that their manifests name.
    """
    return [_make(folder / str(size), source, size) for size in PAGE_SIZES]


def _make(folder: Path, source: Path, page_size: int) -> Sound:
    folder.mkdir()
    path = folder / "queue.db"
    clock = ManualClock(NOW_MS)
    with QueueDatabase(path, create=True, clock=clock) as database:
        _set_page_size(database, page_size)
    with QueueDatabase(path, clock=clock) as database:
        _fill(TaskQueue(database, durability="normal"))
        made = QueueBackup(database).create_backup()
        QueueMaintenance(database).check_content()
        TaskQueue(database).enqueue("late", {"left": "in the log"})
        wal = path.with_name("queue.db-wal").read_bytes()
        under = path.read_bytes()
    record = record_path(path).read_bytes()
    facts = json.loads(manifest_path(made).read_bytes())
    facts.pop("seal")
    return Sound(
        page_size=page_size,
        database=made.read_bytes(),
        manifest=sealed({**facts, "source": str(source)}),
        wal=wal,
        under_wal=under,
        record=record.replace(str(path).encode(), str(source).encode()),
    )


def _set_page_size(database: QueueDatabase, page_size: int) -> None:
    connection = database.connection()
    for statement in ("journal_mode = DELETE", f"page_size = {page_size}"):
        connection.execute(f"PRAGMA {statement}").fetchall()
    connection.execute("VACUUM").close()
    connection.execute("PRAGMA journal_mode = WAL").fetchall()


def _fill(tasks: TaskQueue) -> None:
    for number in range(_TASKS_COUNT):
        payload = {"number": number, "format": "f", "text": "x" * (number % 5) * 40}
        tasks.enqueue(f"t{number % 3}", payload, idempotency_key=f"k{number}")
    tasks.enqueue("long", {"text": "y" * _LONG})
    for number in range(_FREED_COUNT):
        task = tasks.claim(f"w{number}", lease_seconds=60)
        assert task is not None
        if number % 3 == 0:
            tasks.complete(task)
        elif number % 3 == 1:
            tasks.fail(task, "no luck")


def with_statements(content: bytes, scratch: Path, statements: list[tuple[Any, ...]]) -> bytes:
    """Return the database with these statements run on it, as far as SQLite runs them.

    Args:
        content: of a database.
        scratch: a name that is free.
        statements: each SQL, and what it binds.
    """
    scratch.write_bytes(content)
    try:
        with contextlib.closing(sqlite3.connect(scratch, isolation_level=None)) as connection:
            # What is planted by one of them may be set off by the next.
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _VALUE_BYTES_MOST)
            connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, _PATTERN_MOST)
            connection.set_progress_handler(iter([0] * _LOOKS_MOST + [1]).__next__, _STEPS)
            for sql, *values in (("PRAGMA journal_mode = OFF",), *statements):
                with contextlib.suppress(sqlite3.Error, MemoryError, UnicodeDecodeError):
                    connection.execute(sql, values).fetchone()
                    connection.execute(*_WRITABLE)
        return scratch.read_bytes()
    finally:
        for file in (scratch, *sides(scratch)):
            file.unlink(missing_ok=True)
