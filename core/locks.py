"""The maintenance lock: two maintenance runs on one database never overlap.

It is an operating-system lock on a file beside the database, so it ends with the process that
holds it, however that dies. The file stays; deleting a lock file would let two holders in.
"""

import contextlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from .clock import Clock, Deadline, SystemClock
from .errors import DatabaseMissingError, MaintenanceBusyError
from .files import adopt_access, read_note
from .primitives import OWNER_ONLY_FILE
from .timestamps import to_text
from .translation import system_translated

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_SUFFIX = "-maintenance.lock"
_POLL_S = 0.05
# Locked bytes cannot be read by others on Windows; the holder's name lies before them.
_LOCKED_BYTE = 1 << 20
# Nobody who may write to the folder can make root write to another file.
_FLAGS = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


def lock_path(database: Path) -> Path:
    """Return the path of the database's maintenance lock file."""
    return database.with_name(database.name + _SUFFIX)


@contextlib.contextmanager
def maintenance_lock(
    database: Path, verb: str, *, wait_s: float = 0.0, clock: Clock | None = None
) -> Iterator[None]:
    """Hold the database's maintenance lock for the body.

    Args:
        database: path of the database.
        verb: what is being done, for the message that a second run gets.
        wait_s: how long to wait for another run, in seconds.
        clock: where the time comes from.

    Raises:
        MaintenanceBusyError: another run held it all that time.
        DatabaseMissingError: the database's folder is not there.
        UnreadableDatabaseError, DatabaseIOError: the lock's file cannot be made or opened.
    """
    clock = clock or SystemClock()
    path = lock_path(database)
    descriptor = _open(path, database)
    try:
        _wait_for(descriptor, path, database, wait_s, clock)
        _write_holder(descriptor, verb, clock)
        yield
    finally:
        # Closing releases the lock on both platforms.
        os.close(descriptor)


def is_held(database: Path) -> bool:
    """Return whether a maintenance run is at work on the database now."""
    try:
        descriptor = os.open(lock_path(database), _FLAGS)
    except OSError:
        return False
    try:
        return not _try_lock(descriptor)
    finally:
        os.close(descriptor)


def _open(path: Path, database: Path) -> int:
    with system_translated(path):
        with contextlib.suppress(FileNotFoundError):
            return os.open(path, _FLAGS)
        try:
            return _make(path, database)
        except FileNotFoundError as error:
            raise DatabaseMissingError(path=str(database)) from error
        except FileExistsError:
            # Another run was a moment faster.
            return os.open(path, _FLAGS)


def _make(path: Path, database: Path) -> int:
    descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, OWNER_ONLY_FILE)
    try:
        # As SQLite does with its own files: a run by root keeps the queue's user out of nothing.
        adopt_access(path, like=database if database.is_file() else database.parent)
        # A queue that is read-only is backed up all the same.
        path.chmod(stat.S_IMODE(path.stat().st_mode) | OWNER_ONLY_FILE)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _wait_for(descriptor: int, path: Path, database: Path, wait_s: float, clock: Clock) -> None:
    deadline = Deadline(wait_s, clock)
    while not _try_lock(descriptor):
        if deadline.passed():
            raise MaintenanceBusyError(path=str(database), holder=_read_holder(path))
        clock.wait_s(min(_POLL_S, deadline.remaining_s()))


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _write_holder(descriptor: int, verb: str, clock: Clock) -> None:
    holder = {"pid": os.getpid(), "verb": verb, "since_utc": to_text(clock.now_ms())}
    # The lock is held all the same, and on a full disk it is maintenance that makes room.
    with contextlib.suppress(OSError):
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(holder).encode())


def _read_holder(path: Path) -> str:
    try:
        holder = json.loads(read_note(path))
        return f"{holder['verb']} by process {holder['pid']} since {holder['since_utc']} UTC"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "holder unknown"
