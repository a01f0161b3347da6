"""Queues with finished tasks, and what happens to them, for the tests of the content check."""

import contextlib
import sqlite3

from maintained import rival

from core import QueueDatabase, QueueMaintenance
from core.schema import TASK_COLUMNS
from core.timestamps import to_text

NOW_MS = 1_795_492_800_000  # 2026-11-24 04:00:00 UTC
FILLING = "x" * 300
HOUR_S = 3600


def finish(path, count, *, status="completed", at_ms=NOW_MS - 60_000):
    """Put in so many finished tasks, as another program does."""
    now = to_text(at_ms)
    with rival(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO task_queue (type, payload, status, finished_at_utc, created_at_utc, "
            "updated_at_utc, run_after_utc) VALUES ('t', ?, ?, ?, ?, ?, ?)",
            [(f'"{number} {FILLING}"', status, now, now, now, now) for number in range(count)],
        )
        connection.execute("COMMIT")


def run(path, sql, *values):
    """Run one statement as another program does."""
    with rival(path) as connection:
        connection.execute(sql, values).fetchall()


def fold(path):
    """Bring the -wal into the file, and close it."""
    run(path, "PRAGMA wal_checkpoint(TRUNCATE)")


def check(path, clock, *, connect=None, **how):
    """Compare and record, as the command does; return the result."""
    door = {} if connect is None else {"connect": connect}
    with QueueDatabase(path, read_only=True, clock=clock, **door) as database:
        return QueueMaintenance(database).check_content(**how)


def told(result):
    """Return the ranges of what differs, by what is the matter."""
    return {kind: ids.ranges for kind, ids in result.tally.differences.items()}


def flip(path, needle):
    """Turn one bit in the middle of the first place that holds the bytes."""
    content = bytearray(path.read_bytes())
    place = content.index(needle)
    content[place + len(needle) // 2] ^= 1
    path.write_bytes(content)


def is_sound(path):
    """Return whether SQLite's own check is content."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def leaf_pages(path):
    """Return each page's bytes by its number, of a file that nobody has open."""
    content = path.read_bytes()
    size = int.from_bytes(content[16:18], "big")
    return {
        number: content[(number - 1) * size : number * size]
        for number in range(1, len(content) // size + 1)
    }


def put_page(path, number, content):
    """Write one page, as a disk does."""
    with path.open("r+b") as file:
        file.seek((number - 1) * len(content))
        file.write(content)


CHANGEABLE = [name for name in TASK_COLUMNS if name not in {"id", "updated_at_utc", "status"}]
