"""What came back, beside the newest backup: a witness that the damage did not touch."""

import contextlib
import sqlite3
from pathlib import Path

from .catalog import BackupInfo, read_catalog
from .clock import Clock, Deadline
from .connection import Connect, Connection, scalar
from .paths import uri
from .salvagereport import Compared
from .schema import read_layout
from .stopping import watched

# What no worker ever changes.
_FIXED = ("type", "payload", "compatibility", "idempotency_key", "created_at_utc")
_SAME = " AND ".join(f"CAST(new.{name} AS BLOB) IS CAST(old.{name} AS BLOB)" for name in _FIXED)
_PAIRS = "main.task_queue AS old JOIN salvaged.task_queue AS new ON new.id = old.id"


def newest_backup(folder: Path, source: Path) -> BackupInfo | None:
    """Return the newest backup of the damaged file in the folder, sound or not."""
    with contextlib.suppress(OSError):
        return next((info for info in read_catalog(folder, source) if info.ours), None)
    return None


def compare_with_backup(
    draft: Path, backup: Path, connect: Connect, deadline: Deadline, clock: Clock
) -> tuple[Compared, list[int]]:
    """Return how the tasks in both compare, and the ids of those that differ.

    A backup that cannot be read tells nothing, and says so.

    Raises:
        OperationTimeoutError: the deadline passed.
    """
    try:
        connection = connect(uri(backup.absolute(), mode="ro", immutable=1), timeout_s=0.0)
        with (
            contextlib.closing(connection),
            watched(connection, "comparing with the backup", deadline, clock),
        ):
            return _compare(connection, draft, backup)
    except sqlite3.Error as error:
        return Compared(backup, 0, 0, str(error)), []


def _compare(connection: Connection, draft: Path, backup: Path) -> tuple[Compared, list[int]]:
    layout = read_layout(connection)
    if not layout.is_queue or "task_queue" not in layout.tables:
        return Compared(backup, 0, 0, "it holds no queue"), []
    connection.execute("ATTACH ? AS salvaged", (uri(draft, mode="ro", immutable=1),))
    rows = connection.execute(f"SELECT new.id FROM {_PAIRS} WHERE NOT ({_SAME}) ORDER BY 1")
    differing = [row[0] for row in rows]
    both = int(scalar(connection, f"SELECT count(*) FROM {_PAIRS}"))
    there = int(scalar(connection, "SELECT count(*) FROM main.task_queue"))
    return Compared(backup, both - len(differing), there - both), differing
