"""Figures of a database: sizes, pages, and what of it is free."""

from pathlib import Path
from typing import TypedDict

from .connection import Connection, roll_back, scalar
from .database import QueueDatabase
from .paths import sides
from .translation import translated

_MEGABYTE = 1024 * 1024
_AUTO_VACUUM = {0: "none", 1: "full", 2: "incremental"}


class DatabaseStats(TypedDict):
    """Figures of a database; a megabyte is 1024 * 1024 bytes.

    total_size_mb: all pages, as SQLite counts them. database_size_mb, wal_size_mb, shm_size_mb:
    the files on disk. on_disk_mb: those together. page_count, page_size (bytes), freelist_count:
    pages. fragmentation_pct: free pages of all pages; half-empty pages do not show in it.
    wal_mode, journal_mode, auto_vacuum: as the file has them.
    """

    total_size_mb: float
    page_count: int
    page_size: int
    freelist_count: int
    fragmentation_pct: float
    wal_mode: bool
    wal_size_mb: float
    journal_mode: str
    auto_vacuum: str
    database_size_mb: float
    shm_size_mb: float
    on_disk_mb: float


def read_statistics(database: QueueDatabase) -> DatabaseStats:
    """Return the figures of this moment."""
    return statistics_of(
        database.connection(), database.path, timeout_s=database.busy_timeout_ms / 1000
    )


def statistics_of(connection: Connection, path: Path, *, timeout_s: float) -> DatabaseStats:
    """Return the figures of this moment, through a connection of the caller's.

    Args:
        connection: reads the database, or a copy of it.
        path: the database, whose files are measured.
        timeout_s: how long the connection waits for a lock, for the message.
    """
    with translated(path, timeout_s):
        connection.execute("BEGIN").close()
        try:
            # The first read takes the snapshot that both counts are of.
            pages = int(scalar(connection, "PRAGMA page_count"))
            free = int(scalar(connection, "PRAGMA freelist_count"))
        finally:
            roll_back(connection)
        page_size = int(scalar(connection, "PRAGMA page_size"))
        journal_mode = str(scalar(connection, "PRAGMA journal_mode")).lower()
        auto_vacuum = int(scalar(connection, "PRAGMA auto_vacuum"))
    wal, shm, _journal = (_size_mb(side) for side in sides(path))
    return DatabaseStats(
        total_size_mb=pages * page_size / _MEGABYTE,
        page_count=pages,
        page_size=page_size,
        freelist_count=free,
        fragmentation_pct=100 * free / pages if pages else 0.0,
        wal_mode=journal_mode == "wal",
        wal_size_mb=wal,
        journal_mode=journal_mode,
        auto_vacuum=_AUTO_VACUUM[auto_vacuum],
        database_size_mb=_size_mb(path),
        shm_size_mb=shm,
        on_disk_mb=_size_mb(path) + wal + shm,
    )


def _size_mb(file: Path) -> float:
    try:
        # The size alone: opening a live file would drop this process's locks on it.
        return file.stat().st_size / _MEGABYTE
    except FileNotFoundError:
        return 0.0
