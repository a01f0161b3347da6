"""What opening a database does about a restore that was cut off: old whole or new whole.

The swap of files is written so that doing it again from any point ends in the new state; the
restore itself calls the same function.
"""

import contextlib
import logging
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from . import files, quarantine, staging
from .clock import Deadline, SystemClock
from .connection import Connect
from .errors import InterruptedRestoreError, MaintenanceBusyError
from .intent import RESTORE_KEY, RestoreIntent, intent_path, read_intent, remove_intent
from .locks import maintenance_lock
from .paths import sides, uri
from .schema import read_meta
from .translation import primary_code, system_translated, words_of
from .untrusted import open_untrusted

_log = logging.getLogger("queuedrill")
_OPEN_TIMEOUT_S = 5.0
_READ_TIMEOUT_S = 60.0
_NO_DATABASE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)


@dataclass(frozen=True)
class Recovery:
    """What became of a restore that was cut off.

    Attributes:
        state: "old" where nothing was restored, "new" where the restored state is in place,
            "lost" where the database was destroyed since: the old state is in quarantine.
        intent: the restore.
    """

    state: Literal["old", "new", "lost"]
    intent: RestoreIntent

    def __str__(self) -> str:
        """Return one sentence for people."""
        began = f"A restore of {self.intent.backup} that began at {self.intent.started_utc} UTC"
        if self.state == "old":
            return f"{began} was cut off before it took effect: the old state is in place."
        if self.state == "lost":
            return (
                f"{began} was cut off, and what is in the database's place now is no database: "
                f"what was there before is in {self.intent.quarantine} and can be brought back "
                "by undoing the restore."
            )
        return (
            f"{began} was cut off and is complete now: the restored state is in place; "
            f"what was there before is in {self.intent.quarantine}."
        )


def on_opening(database: Path, *, read_only: bool, connect: Connect) -> Recovery | None:
    """Bring a restore that was cut off to an end, if there is one; return what was done.

    Args:
        database: path of the database about to be opened.
        read_only: nothing may be written.
        connect: the door to SQLite.

    Raises:
        InterruptedRestoreError: it is still under way, or cannot be finished here.
        UnreadableDatabaseError: the system does not let this user look.
    """
    with system_translated(database):
        if not intent_path(database).exists():
            return None
    intent = _intent_or_error(database)
    if intent is None:
        return None
    if read_only:
        _leave(database, intent, "it was not finished, and this is a read-only opening")
        return None
    try:
        with maintenance_lock(database, "recovery"):
            return recover(database, connect=connect)
    except MaintenanceBusyError:
        _leave(database, intent, "it is under way now, in another process")
        return None


def refuse_swap(database: Path) -> None:
    """Return unless a restore is swapping the database's files.

    Asked before and after a connection is made: whoever began before the note was there is seen by
    the restore, and whoever began after it sees the note.

    Raises:
        InterruptedRestoreError: one is.
        UnreadableDatabaseError: the system does not let this user look.
    """
    with system_translated(database):
        if not intent_path(database).exists():
            return
    intent = _intent_or_error(database)
    if intent is not None:
        _leave(database, intent, "it is under way now, or was cut off since this queue was opened")


def recover(database: Path, *, connect: Connect) -> Recovery | None:
    """Bring the restore to an end; the caller holds the maintenance lock.

    Raises:
        InterruptedRestoreError: the note or the files do not allow it.
    """
    intent = _intent_or_error(database)
    if intent is None:
        return None
    try:
        return _bring_to_an_end(database, intent, connect)
    except OSError as error:
        raise InterruptedRestoreError(path=str(database), detail=str(error)) from error


def _bring_to_an_end(database: Path, intent: RestoreIntent, connect: Connect) -> Recovery:
    if intent.route == "swap":
        recovery = _recover_swap(database, intent)
    else:
        recovery = _recover_interface(database, intent, connect)
    if recovery.state == "old":
        # Nothing was taken from the database: what is there is a copy or empty.
        files.remove_tree(Path(intent.quarantine))
    if recovery.state == "lost":
        quarantine.keep(database, intent)
    files.remove_tree(Path(intent.staging))
    remove_intent(database)
    _log.warning("%s", recovery)
    return recovery


def swap_in(database: Path, intent: RestoreIntent) -> None:
    """Put the old set into quarantine and the staged set in its place; again from any point.

    No file of the old set ever lies beside one of the new: the old set is gone, and its folder
    synced, before the first new file comes. The database itself goes first and comes last, so
    that in between there is no database, and never a mixture. A file that a power cut has left
    under both of its names loses the first one.

    Raises:
        PermissionError: on Windows, somebody has the database open; nothing was moved then.
    """
    staged, kept = Path(intent.staging), Path(intent.quarantine)
    for name in intent.old:
        if not (kept / name).exists() or files.is_one_file(database.parent / name, kept / name):
            _move(database.parent / name, kept / name)
    for name in intent.new:
        _move(staged / name, database.parent / name)


def _move(source: Path, target: Path) -> None:
    """Move the file if it is there; end a move that is half done."""
    if files.is_one_file(source, target):
        files.remove(source)
    elif source.exists():
        files.move(source, target)


def _recover_swap(database: Path, intent: RestoreIntent) -> Recovery:
    staged, kept = Path(intent.staging), Path(intent.quarantine)
    waiting = [name for name in intent.new if (staged / name).exists()]
    moved = [name for name in intent.old if (kept / name).exists()]
    if intent.old and not moved and (waiting or database.exists()):
        # With nothing left to put in, it was done already and the quarantine taken away since.
        return Recovery("old" if waiting else "new", intent)
    _refuse_stranger(database, intent)
    if not all(name in waiting or (database.parent / name).exists() for name in intent.new):
        raise InterruptedRestoreError(
            path=str(database),
            detail=f"the restored state is gone from {staged}; the old one is in {kept}: move its "
            f"files back and remove {intent_path(database)}",
        )
    swap_in(database, intent)
    return Recovery("new", intent)


def _refuse_stranger(database: Path, intent: RestoreIntent) -> None:
    """Refuse where a database has appeared that is of neither set."""
    kept = Path(intent.quarantine) / database.name
    staged = Path(intent.staging) / database.name
    moved = kept.exists() or database.name not in intent.old
    known = files.is_one_file(database, kept) or files.is_one_file(database, staged)
    if moved and staged.exists() and database.exists() and not known:
        raise InterruptedRestoreError(
            path=str(database),
            detail=f"a new database was made in its place meanwhile; move it away. The old one is "
            f"in {intent.quarantine}, the restored one in {intent.staging}",
        )


def _recover_interface(database: Path, intent: RestoreIntent, connect: Connect) -> Recovery:
    if not database.is_file() or database.stat().st_size == 0:
        return Recovery("lost", intent)
    try:
        opened = open_untrusted(
            uri(database, mode="rw"),
            database,
            connect=connect,
            deadline=Deadline(_READ_TIMEOUT_S, SystemClock()),
            timeout_s=_OPEN_TIMEOUT_S,
            declared=None,
        )
        with contextlib.closing(opened.connection) as connection:
            restored = read_meta(connection, RESTORE_KEY) == intent.restore_id
    except UnicodeDecodeError:
        return Recovery("lost", intent)
    except (sqlite3.Error, MemoryError) as error:
        if isinstance(error, sqlite3.Error) and primary_code(error) in _NO_DATABASE:
            return Recovery("lost", intent)
        raise InterruptedRestoreError(path=str(database), detail=words_of(error)) from error
    return Recovery("new" if restored else "old", intent)


def _leave(database: Path, intent: RestoreIntent, why: str) -> None:
    """Allow the opening where SQLite's own locks and journal decide; refuse it in a swap."""
    if intent.route == "swap":
        raise InterruptedRestoreError(path=str(database), detail=why)


def _intent_or_error(database: Path) -> RestoreIntent | None:
    try:
        intent = read_intent(database)
    except (OSError, ValueError) as error:
        raise InterruptedRestoreError(path=str(database), detail=str(error)) from error
    if intent is not None and not _is_of(database, intent):
        detail = f"{intent_path(database)} names what no restore of this queue would; look into it"
        raise InterruptedRestoreError(path=str(database), detail=detail)
    return intent


def _is_of(database: Path, intent: RestoreIntent) -> bool:
    """Return whether a restore of this database can have written the note.

    What the note names is moved and removed, perhaps by root: whoever may write to the queue's
    folder could else have him remove any other.
    """
    names = {file.name for file in (database, *sides(database))}
    return (
        names.issuperset((*intent.old, *intent.new))
        and staging.is_folder_of(database, Path(intent.staging))
        and quarantine.is_folder_of(database, Path(intent.quarantine))
    )
