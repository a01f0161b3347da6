"""Which backup still has the finished tasks that differ, as they were recorded."""

import contextlib
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from .connection import Connect, Connection, connect_stdlib
from .contentrecord import Entry, OpenEntry, RecordReader
from .paths import uri
from .taskrows import digest, read_row

TASKS_MOST = 1000
BACKUPS_MOST = 20


@dataclass(frozen=True)
class Holding:
    """A backup, and how much it has of what differs.

    Attributes:
        backup: its path.
        tasks: of those looked for, those that it has as they were recorded.
        wanted: how many were looked for.
    """

    backup: Path
    tasks: int
    wanted: int


def backup_with(
    record: Path, backups: Iterable[Path], *, connect: Connect = connect_stdlib
) -> Holding | None:
    """Return the backup that has most of the differing tasks, the first of those that have as many.

    The digests that were recorded prove each task, so the backup itself need not be proved.

    Args:
        record: of the tasks, as the comparison left it; its first thousand differences count.
        backups: newest first; the first twenty are looked into.
        connect: the door to SQLite.

    Returns:
        None where nothing differs, or none has any.

    Raises:
        FileNotFoundError, UnreadableRecordError: the record cannot be used.
        OSError: the system does not read it now.
    """
    with contextlib.closing(RecordReader(record)) as reader:
        columns, wanted = reader.head.columns, _differing(reader)
    best: Holding | None = None
    for backup in islice(backups, BACKUPS_MOST if wanted else 0):
        # One that cannot be read has none that anybody could fetch.
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(
                connect(uri(backup, mode="ro", immutable=1), timeout_s=0.0)
            ) as connection,
        ):
            tasks = sum(_has(connection, columns, entry) for entry in wanted)
            if tasks > (best.tasks if best else 0):
                best = Holding(backup, tasks, len(wanted))
        if best is not None and best.tasks == len(wanted):
            break
    return best


def _differing(reader: RecordReader) -> list[Entry]:
    with contextlib.closing(reader.entries()) as entries:
        differing = (each.entry for each in entries if isinstance(each, OpenEntry))
        return list(islice(differing, TASKS_MOST))


def _has(connection: Connection, columns: tuple[str, ...], entry: Entry) -> bool:
    row = read_row(connection, columns, entry.id)
    return row is not None and digest(row.values) == entry.digest
