"""VACUUM and its small brother: free pages given back to the disk."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import files
from .checkpoint import checkpoint
from .clock import Deadline
from .connection import Connection, scalar
from .database import QueueDatabase
from .errors import NotEnoughSpaceError, VacuumNotPossibleError
from .stopping import ProgressCallback, watched
from .translation import translated

TIMEOUT_SECONDS = 600.0
_MEGABYTE = 1024 * 1024
_CHECKPOINT_TIMEOUT_S = 1.0
_PAGES_IN_ONE_TRANSACTION = 500
_INCREMENTAL = 2


@dataclass(frozen=True)
class VacuumResult:
    """What a VACUUM gained, and what it cost.

    Attributes:
        size_before_bytes: pages of the database before, in bytes.
        size_after_bytes: pages of it afterwards.
        seconds: how long it took, waiting for the lock included.
        writer_lock_seconds: how long writers were kept out.
        file_shrunk: whether the file itself has the new size; while somebody reads an old
            snapshot it cannot, and the next complete checkpoint makes it so.
    """

    size_before_bytes: int
    size_after_bytes: int
    seconds: float
    writer_lock_seconds: float
    file_shrunk: bool

    @property
    def freed_mb(self) -> float:
        """Megabytes (of 1024 * 1024 bytes) given back."""
        return (self.size_before_bytes - self.size_after_bytes) / _MEGABYTE


def vacuum(
    database: QueueDatabase,
    timeout_seconds: float,
    progress: ProgressCallback | None,
    *,
    free_bytes: Callable[[Path], int] = files.free_bytes,
) -> VacuumResult:
    """Rewrite the database without free pages on a connection of its own.

    Args:
        database: the queue.
        timeout_seconds: how long it may wait for the lock and work.
        progress: told the seconds so far; an exception from it stops VACUUM.
        free_bytes: says how many bytes are free on a folder's disk.
    """
    clock = database.clock
    deadline = Deadline(timeout_seconds, clock)
    wait_s = min(timeout_seconds, database.busy_timeout_ms / 1000)
    with (
        translated(database.path, wait_s),
        contextlib.closing(database.open_connection(mode="rw", timeout_s=wait_s)) as connection,
    ):
        # In memory the copy would take as much of that as the file is long.
        connection.execute("PRAGMA temp_store = FILE").close()
        before = _size_bytes(connection)
        _check_space(database.path, before, free_bytes)
        with watched(connection, "VACUUM", deadline, clock, progress) as watch:
            connection.execute("VACUUM").close()
        end_s = clock.monotonic_s()
        after = _size_bytes(connection)
    result = checkpoint(database, "TRUNCATE", _CHECKPOINT_TIMEOUT_S)
    return VacuumResult(
        size_before_bytes=before,
        size_after_bytes=after,
        seconds=end_s - watch.started_s,
        writer_lock_seconds=end_s - (watch.first_look_s or watch.started_s),
        file_shrunk=result["complete"],
    )


def incremental_vacuum(database: QueueDatabase, pages: int | None) -> int:
    """Give free pages at the end of the file back; return how many.

    Raises:
        VacuumNotPossibleError: the file does not keep the map that this needs.
    """
    with translated(database.path):
        mode = int(scalar(database.connection(), "PRAGMA auto_vacuum"))
    if mode != _INCREMENTAL:
        raise VacuumNotPossibleError(
            path=str(database.path),
            detail="incremental vacuuming needs auto_vacuum = INCREMENTAL, which a full VACUUM "
            "must introduce (https://www.sqlite.org/pragma.html#pragma_auto_vacuum)",
        )
    freed = 0
    while pages is None or freed < pages:
        most = _PAGES_IN_ONE_TRANSACTION if pages is None else pages - freed
        step = _free_some(database, min(most, _PAGES_IN_ONE_TRANSACTION))
        freed += step
        if step == 0:
            break
    return freed


def _free_some(database: QueueDatabase, pages: int) -> int:
    with database.transaction("normal") as connection:
        before = int(scalar(connection, "PRAGMA freelist_count"))
        for _ in range(min(pages, before)):
            # One page is freed for each step of the statement, and sqlite3 takes only one.
            connection.execute("PRAGMA incremental_vacuum(1)").fetchall()
        return before - int(scalar(connection, "PRAGMA freelist_count"))


def _size_bytes(connection: Connection) -> int:
    pages = int(scalar(connection, "PRAGMA page_count"))
    return pages * int(scalar(connection, "PRAGMA page_size"))


def _check_space(path: Path, size: int, free_bytes: Callable[[Path], int]) -> None:
    """Refuse where the copy, and the log that takes it back, would not fit.

    One copy goes to the folder for temporary files, and one beside the database
    (https://www.sqlite.org/lang_vacuum.html): twice the size where both are on one disk.
    """
    temporary = temporary_folder()
    shared = path.parent.stat().st_dev == temporary.stat().st_dev
    needed = 2 * size if shared else size
    for folder in (path.parent, temporary):
        free = free_bytes(folder)
        if free < needed:
            raise NotEnoughSpaceError(
                operation="VACUUM",
                needed_mb=needed / _MEGABYTE,
                free_mb=free / _MEGABYTE,
                folder=str(folder),
            )


def temporary_folder() -> Path:
    """Return the folder in which SQLite keeps temporary files.

    https://www.sqlite.org/tempfiles.html, section 5; on Windows it asks the system, as Python does.
    """
    if os.name == "nt":
        return Path(tempfile.gettempdir())
    told = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"))
    for name in (*told, "/var/tmp", "/usr/tmp", "/tmp"):  # noqa: S108 - SQLite's own list
        if name and Path(name).is_dir() and os.access(name, os.W_OK | os.X_OK):
            return Path(name)
    return Path.cwd()
