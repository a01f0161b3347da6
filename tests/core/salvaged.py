"""Queues to be damaged and salvaged, and what is known to be true of them."""

import contextlib
import json
import sqlite3
import subprocess
import sys

from core import QueueDatabase
from core.salvage import salvage
from core.schema import create

FIELDS = (
    "id, type, priority, payload, compatibility, status, attempts, run_after_utc, locked_by, "
    "error_message, idempotency_key, created_at_utc, updated_at_utc"
)
MOMENT = "2026-01-02 03:04:05.678"
_INSERT = (
    "INSERT INTO task_queue (type, priority, payload, status, locked_by, lease_until_utc, "
    "idempotency_key, run_after_utc, created_at_utc, updated_at_utc) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
STATES = ("queued", "completed", "failed", "completed", "leased")
# Dies with its -wal or -journal in place; says nothing and is not waited for by anybody.
_DYING = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    connection.execute(statement).fetchall()
os._exit(0)
"""


@contextlib.contextmanager
def opened(path):
    """Open the file as any program would, deleted content left where it is."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete = OFF").fetchall()
        yield connection


def fill(path, count, *, first=1, filling=300):
    """Put tasks of every state into the queue, each with a log row; every 10th is large."""
    with opened(path) as connection:
        connection.execute("BEGIN")
        for number in range(first, first + count):
            status = STATES[number % len(STATES)]
            lease = ("worker", MOMENT) if status == "leased" else (None, None)
            size = 9000 if number % 10 == 0 else filling
            payload = json.dumps({"number": number, "format": "f", "filling": "x" * size})
            key = f"key-{number}" if number % 2 else None
            row = ("mail", number % 7, payload, status, *lease, key, MOMENT, MOMENT, MOMENT)
            task = connection.execute(_INSERT, row).lastrowid
            connection.execute(
                "INSERT INTO task_logs (task_id, at_utc, level, message) VALUES (?, ?, 'INFO', ?)",
                (task, MOMENT, f"log of {number}"),
            )
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def make(path, count=200, *, page_size=4096, encoding="UTF-8", **how):
    """Make a full queue that nobody has open; return its path."""
    if (page_size, encoding) == (4096, "UTF-8"):
        QueueDatabase(path, create=True).close()
    else:
        _make_odd(path, page_size, encoding)
    fill(path, count, **how)
    return path


def _make_odd(path, page_size, encoding):
    with opened(path) as connection:
        connection.execute(f"PRAGMA page_size = {page_size}")
        connection.execute(f"PRAGMA encoding = '{encoding}'")
        create(connection)


def tasks(path):
    """Return every task by id as it is after a release of all leases, as others read it."""
    with opened(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found = {}
        for row in connection.execute(f"SELECT {FIELDS} FROM task_queue"):
            values = dict(zip(FIELDS.split(", "), row, strict=True))
            if values["status"] == "leased" or values["status"] == "processing":
                values.update(status="queued", locked_by=None)
            # The release of a lease is a change of the task.
            values.pop("updated_at_utc")
            found[values["id"]] = values
        return found


def run(path, **how):
    """Salvage to ``out.db`` beside the file; see that the file is as it was; return the report."""
    before = {side: content(side) for side in _set_of(path)}
    report = salvage(path, path.with_name("out.db"), **how)
    assert {side: content(side) for side in _set_of(path)} == before
    return report


def _set_of(path):
    return [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm", "-journal")]


def content(path):
    """Return what is in a file, or None without one."""
    return path.read_bytes() if path.exists() else None


def page_size(path):
    """Return the bytes a page, from the header."""
    size = int.from_bytes(path.read_bytes()[16:18], "big")
    return 65536 if size == 1 else size


def overwrite(path, at, new):
    """Write over bytes of the file; they must have been others."""
    with path.open("r+b") as file:
        file.seek(at)
        assert file.read(len(new)) != new
        file.seek(at)
        file.write(new)


def zero_page(path, number):
    """Write zeros over a page."""
    size = page_size(path)
    overwrite(path, (number - 1) * size, bytes(size))


def ask(path, sql, *values):
    """Return the first column of all rows of one statement."""
    with opened(path) as connection:
        return [row[0] for row in connection.execute(sql, values)]


def root_of(path, name):
    """Return the page at which a table or index begins."""
    return ask(path, "SELECT rootpage FROM sqlite_master WHERE name = ?", name)[0]


def leaves_of(path, name):
    """Return the leaf pages of a table or index, in their order."""
    return ask(
        path, "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path", name
    )


def find(path, text):
    """Return where the only occurrence of the text begins."""
    bytes_ = path.read_bytes()
    assert bytes_.count(text.encode()) == 1, text
    return bytes_.index(text.encode())


def die_after(path, *statements):
    """Run the statements in a process that dies with its log in place."""
    subprocess.run([sys.executable, "-c", _DYING, str(path), *statements], timeout=60, check=True)
