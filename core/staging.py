"""The new state, made ready in a folder of its own before anything is replaced.

Leases are released here, so that a kill later cannot leave them; the restore's id is written
here, so that the next opening can tell the old state from the new one.
"""

import contextlib
import re
import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import files, schema
from .clock import Deadline
from .connection import Connect, Connection, scalar
from .errors import BackupInvalidError, DatabaseCorruptError, NotADatabaseError
from .intent import RESTORE_KEY
from .leases import release_every_lease
from .paths import sides, uri
from .timestamps import to_text
from .translation import INSTEAD, primary_code, translate, translated
from .untrusted import Untrusted, open_untrusted, unjudged


@dataclass(frozen=True)
class Staged:
    """A new set, whole and synced.

    Attributes:
        path: the staged database, under the final name.
        names: the set's file names; the database is the last.
        opens: whether SQLite can open it (a destroyed file that an undo brings back cannot).
        tasks: how many tasks are in it.
        leases_released: how many were held, and are queued now.
    """

    path: Path
    names: tuple[str, ...]
    opens: bool
    tasks: int
    leases_released: int


def staging_folder(database: Path, restore_id: str) -> Path:
    """Return the folder in which the restore makes its new set ready."""
    return database.with_name(f".{database.name}.restore-{restore_id}")


def is_folder_of(database: Path, folder: Path) -> bool:
    """Return whether the path is one that ``staging_folder`` gives for this database."""
    name = rf"\.{re.escape(database.name)}\.restore-[0-9a-f]{{16}}"
    return (
        folder.parent == database.parent and re.fullmatch(name, folder.name, re.ASCII) is not None
    )


def clear_leftovers(database: Path) -> None:
    """Remove what restores that were cut off before they began left; the caller holds the lock."""
    for folder in list(database.parent.iterdir()):
        if is_folder_of(database, folder):
            files.remove_tree(folder)


def stage_backup(
    backup: Path,
    staged: Path,
    *,
    restore_id: str,
    page_size: int,
    now_ms: int,
    connect: Connect,
    deadline: Deadline,
    declared: Collection[str] = (),
) -> Staged:
    """Return the backup's state ready to be put in place, every lease released.

    Args:
        backup: a verified backup.
        staged: path of the copy, in a folder of its own.
        restore_id: written into it.
        page_size: bytes a page that the target has, 0 if it does not matter.
        now_ms: the moment of release, UTC milliseconds.
        connect: the door to SQLite.
        deadline: when to give up.
        declared: names of triggers, tables and indexes that belong in the queue.

    Raises:
        BackupInvalidError: what was copied is not what was verified: something in it would run.
        DatabaseError: the copy could not be changed.
        OSError: it could not be written.
    """
    files.make_folder(staged.parent)
    files.copy(backup, staged)
    released, tasks = 0, 0
    with translated(staged), _open_alone(staged, connect, deadline, declared) as opened:
        connection = opened.connection
        if opened.strangers:
            raise BackupInvalidError(path=str(backup), detail=str(opened.strangers[0]))
        released = _release_leases(connection, restore_id, now_ms)
        tasks = int(scalar(connection, "SELECT count(*) FROM task_queue"))
        _adopt_page_size(opened, page_size)
    _finish(staged, connect)
    return Staged(staged, (staged.name,), opens=True, tasks=tasks, leases_released=released)


def stage_set(
    sources: list[Path],
    staged: Path,
    *,
    restore_id: str,
    page_size: int,
    connect: Connect,
    deadline: Deadline,
) -> Staged:
    """Return a quarantined set ready to be put back, as it was.

    A set that SQLite opens becomes one file (its -wal is folded in); one that it cannot open stays
    as it is, file by file.

    Args:
        sources: the set's files.
        staged: path of the database's copy, in a folder of its own.
        restore_id: written into it, where it opens.
        page_size: bytes a page that the target has, 0 if it does not matter.
        connect: the door to SQLite.
        deadline: when to give up.

    Raises:
        DatabaseError: the disk is full, or fails.
        OSError: it could not be written.
    """
    files.make_folder(staged.parent)
    for source in sources:
        if not source.name.endswith("-shm"):
            files.copy(source, staged.parent / source.name)
    if not staged.exists():
        # Nothing but a log was left.
        return _stage_as_it_is(sources, staged)
    try:
        with _open_alone(staged, connect, deadline, None) as opened:
            connection = opened.connection
            _mark(connection, restore_id)
            tasks = int(scalar(connection, "SELECT count(*) FROM task_queue"))
            _adopt_page_size(opened, page_size)
        _finish(staged, connect)
    except INSTEAD:
        return _stage_as_it_is(sources, staged)
    except sqlite3.Error as error:
        ours = translate(error, staged, 0.0)
        as_it_is = isinstance(ours, DatabaseCorruptError | NotADatabaseError) or ours is None
        # What is not allowed is what a trigger or a view would do: it comes back unread.
        if not as_it_is and primary_code(error) != sqlite3.SQLITE_AUTH:
            assert ours is not None
            # The disk does not let it be opened now; that says nothing of the set.
            raise ours from error
        return _stage_as_it_is(sources, staged)
    return Staged(staged, (staged.name,), opens=True, tasks=tasks, leases_released=0)


def _stage_as_it_is(sources: list[Path], staged: Path) -> Staged:
    for file in (staged, *sides(staged)):
        files.remove(file)
    wanted = [source for source in sources if not source.name.endswith("-shm")]
    for source in wanted:
        files.copy(source, staged.parent / source.name)
    names = sorted((source.name for source in wanted), key=len, reverse=True)
    return Staged(staged, tuple(names), opens=False, tasks=0, leases_released=0)


@contextlib.contextmanager
def _open_alone(
    staged: Path, connect: Connect, deadline: Deadline, declared: Collection[str] | None
) -> Iterator[Untrusted]:
    """Yield the copy, open to be written to; none of its triggers acts unless declared."""
    opened = open_untrusted(
        uri(staged, mode="rw"),
        staged,
        connect=connect,
        deadline=deadline,
        writing=True,
        declared=declared,
    )
    with contextlib.closing(opened.connection) as connection:
        # One file, so that it can be renamed and copied as one.
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
        connection.execute("PRAGMA synchronous = FULL").close()
        yield opened


def _mark(connection: Connection, restore_id: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    schema.write_meta(connection, RESTORE_KEY, restore_id)
    connection.execute("COMMIT")


def _release_leases(connection: Connection, restore_id: str, now_ms: int) -> int:
    connection.execute("BEGIN IMMEDIATE")
    schema.write_meta(connection, RESTORE_KEY, restore_id)
    missing = schema.read_layout(connection).missing
    released = release_every_lease(
        connection,
        now=to_text(now_ms),
        message="lease released by a restore",
        logged=not any(item.startswith("task_logs") for item in missing),
    )
    connection.execute("COMMIT")
    return released


def _adopt_page_size(opened: Untrusted, page_size: int) -> None:
    # The backup interface cannot write into a WAL database of another page size
    # (https://www.sqlite.org/c3ref/backup_finish.html).
    if page_size and int(scalar(opened.connection, "PRAGMA page_size")) != page_size:
        with unjudged(opened):
            opened.connection.execute(f"PRAGMA page_size = {page_size}").close()
            opened.connection.execute("VACUUM").close()


def _finish(staged: Path, connect: Connect) -> None:
    """Put the file into WAL mode, as workers expect it, and sync it."""
    with contextlib.closing(connect(uri(staged, mode="rw"), timeout_s=0.0)) as connection:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
    leftovers = [side.name for side in sides(staged) if side.exists()]
    assert not leftovers, f"the last connection leaves one file, not {leftovers}"
    files.sync_file(staged)
    files.sync_folder(staged.parent)
