"""The tasks of a backup or an archive, as the checkers take those of a queue."""

import contextlib
from pathlib import Path

from core.connection import connect_stdlib
from core.paths import uri
from harness.history import FinalTask, final_tasks

_NAMES = ("id", "key", "status", "attempts", "max_attempts", "payload")
_COLUMNS = "id, idempotency_key, status, attempts, max_attempts, payload"


def tasks_in_backup(backup: Path) -> tuple[FinalTask, ...]:
    """Return the tasks of a backup, which nobody writes; no file is left beside it.

    Raises:
        sqlite3.Error: it cannot be read, or is no queue.
    """
    return _tasks(uri(backup, mode="ro", immutable=1), "task_queue ORDER BY id")


def tasks_in_archive(archive: Path) -> tuple[FinalTask, ...]:
    """Return the tasks of an archive, those included that are copied and still pending.

    Raises:
        sqlite3.Error: it cannot be read, or is no archive.
    """
    return _tasks(uri(archive, mode="ro"), "archived_tasks ORDER BY archive_id")


def _tasks(address: str, source: str) -> tuple[FinalTask, ...]:
    connection = connect_stdlib(address, timeout_s=5.0)
    with contextlib.closing(connection):
        rows = connection.execute(f"SELECT {_COLUMNS} FROM {source}").fetchall()
    return final_tasks([dict(zip(_NAMES, row, strict=True)) for row in rows])
