"""What came back, beside the newest backup: a witness that the damage did not touch."""

import contextlib
import sqlite3
from pathlib import Path

from .catalog import BackupInfo, read_catalog
from .clock import Deadline
from .connection import Connect, Connection, scalar
from .errors import OperationTimeoutError
from .paths import uri
from .salvagereport import Compared
from .schema import read_layout
from .translation import INSTEAD
from .untrusted import open_untrusted

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
    draft: Path, backup: Path, connect: Connect, deadline: Deadline
) -> tuple[Compared, list[int]]:
    """Return how the tasks in both compare, and the ids of those that differ.

    A backup that cannot be read, or in which something would run, tells nothing, and says so.

    Raises:
        OperationTimeoutError: the deadline passed.
    """
    try:
        return _compare(draft, backup, connect, deadline)
    except (sqlite3.Error, *INSTEAD) as error:
        if deadline.passed():
            raise OperationTimeoutError(
                operation="the comparison with the backup", timeout_s=deadline.timeout_s or 0.0
            ) from error
        return Compared(backup, 0, 0, str(error)), []


def _compare(
    draft: Path, backup: Path, connect: Connect, deadline: Deadline
) -> tuple[Compared, list[int]]:
    opened = open_untrusted(
        uri(backup.absolute(), mode="ro", immutable=1),
        backup,
        connect=connect,
        deadline=deadline,
        attaching=True,
    )
    with contextlib.closing(opened.connection) as connection:
        if opened.computes:
            return Compared(backup, 0, 0, str(opened.strangers[0])), []
        if not read_layout(connection).is_queue:
            return Compared(backup, 0, 0, "it holds no queue"), []
        connection.execute("ATTACH ? AS salvaged", (uri(draft, mode="ro", immutable=1),))
        return _compare_attached(connection, backup)


def _compare_attached(connection: Connection, backup: Path) -> tuple[Compared, list[int]]:
    rows = connection.execute(f"SELECT new.id FROM {_PAIRS} WHERE NOT ({_SAME}) ORDER BY 1")
    differing = [row[0] for row in rows]
    both = int(scalar(connection, f"SELECT count(*) FROM {_PAIRS}"))
    there = int(scalar(connection, "SELECT count(*) FROM main.task_queue"))
    return Compared(backup, both - len(differing), there - both), differing
