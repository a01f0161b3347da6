"""A program that works on a queue and ends as a killed one does: what it wrote stays beside it.

``log``: tasks are enqueued, and nobody folds the -wal in. ``restarted``: the -wal that lies there
is folded in first, so that a new life of it begins in the same file. ``journal``: a transaction is
cut off after its pages went to the file, and the rollback journal stays hot.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from core.clock import ManualClock
from core.connection import Connection
from core.database import QueueDatabase
from core.tasks import TaskQueue

LOG, RESTARTED, JOURNAL = "log", "restarted", "journal"


def main(path: str, what: str, count: int, now_ms: int) -> None:
    """Do it to so many tasks, say so, and be gone without a word to SQLite."""
    database = QueueDatabase(Path(path), clock=ManualClock(now_ms))
    {LOG: _log, RESTARTED: _restarted, JOURNAL: _journal}[what](database, count)
    sys.stdout.write("done\n")
    sys.stdout.flush()
    os._exit(0)


def _log(database: QueueDatabase, count: int) -> None:
    database.connection().execute("PRAGMA wal_autocheckpoint = 0").close()
    tasks = TaskQueue(database, durability="normal")
    for number in range(count):
        tasks.enqueue("logged", {"number": number, "text": "in the log " * 8})


def _restarted(database: QueueDatabase, count: int) -> None:
    database.connection().execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
    _log(database, count)


def _journal(database: QueueDatabase, count: int) -> None:
    connection = database.connection()
    for pragma in ("cache_size = 16", "cache_spill = 1", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}").close()
    connection.execute("BEGIN IMMEDIATE").close()
    _change_much(connection, count)


def _change_much(connection: Connection, count: int) -> None:
    """Change more pages than the cache holds: SQLite writes them, the old ones are journaled."""
    connection.execute(
        "UPDATE task_queue SET payload = replace(payload, 'number', 'NUMBER'), attempts = 3"
        " WHERE id <= ?",
        (count,),
    ).close()
    connection.execute(
        "INSERT INTO task_queue (type, payload) SELECT 'cut off', payload FROM task_queue"
        " WHERE id <= ?",
        (count,),
    ).close()


if __name__ == "__main__":
    run: Callable[[str, str, int, int], None] = main
    run(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
