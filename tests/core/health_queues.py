"""Queues with one thing wrong, as the tests of health need them."""

from core import ManualClock
from core.files import sha256
from core.health import check_health
from core.timestamps import to_text

NOW_MS = 1_762_353_022_000  # 2025-11-05 14:30:22 UTC
SECOND_MS, HOUR_MS = 1000, 3_600_000

DIE_WITH_LOG = """
import os
from core import QueueDatabase
database = QueueDatabase(argv[0])
for number in range(int(argv[1])):
    with database.transaction() as connection:
        connection.execute("INSERT INTO task_queue (type, payload) VALUES ('t', '{}')")
say("written")
wait()
os._exit(9)
"""
WORK = """
from core import QueueDatabase
database = QueueDatabase(argv[0])
with database.transaction() as connection:
    connection.execute("INSERT INTO task_queue (type, payload) VALUES ('t', '{}')")
say("there")
wait()
database.close()
"""


def clock():
    """Return a clock that stands at the tests' moment."""
    return ManualClock(NOW_MS)


def checked(path, **options):
    """Return the report on the queue at the tests' moment."""
    return check_health(path, **{"clock": clock(), **options})


def snapshot(folder):
    """Return names, sizes, times and digests of all that lies below the folder."""
    return {
        str(file.relative_to(folder)): (file.stat().st_mtime_ns, sha256(file))
        for file in folder.rglob("*")
        if file.is_file()
    }


def task(**columns):
    """Return a statement that adds a task with these columns, as of the tests' moment."""
    now = to_text(NOW_MS)
    row = {
        "type": "t",
        "payload": "{}",
        "run_after_utc": now,
        "created_at_utc": now,
        "updated_at_utc": now,
        **columns,
    }
    marks = ", ".join("?" for _column in row)
    return (f"INSERT INTO task_queue ({', '.join(row)}) VALUES ({marks})", *row.values())


def held(**columns):
    """Return a statement that adds a task held under a live lease."""
    lease = to_text(NOW_MS + 60 * SECOND_MS)
    return task(
        **{
            "status": "leased",
            "locked_by": "w1",
            "reserved_at_utc": to_text(NOW_MS - 60 * SECOND_MS),
            "lease_until_utc": lease,
            **columns,
        }
    )


def stale(**columns):
    """Return a statement that adds a task whose holder is long dead."""
    return held(lease_until_utc=to_text(NOW_MS - HOUR_MS), **columns)


def crash(spawn, path, tasks):
    """Leave a -wal with so many committed tasks."""
    child = spawn(DIE_WITH_LOG, path, tasks)
    assert child.hear() == "written"
    child.kill()
