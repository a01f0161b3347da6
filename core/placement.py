"""Puts a staged set in the database's place: through SQLite, or by a swap of files.

Where the target still opens, SQLite's backup interface writes the new pages as one transaction of
the target: live connections see the restored rows on both platforms, and a kill leaves the old
state. A target that no longer opens is swapped, which nobody may be holding then.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import observer
from .clock import Deadline
from .connection import Connect, Connection, scalar
from .copying import (
    STEP_PAGES,
    CopyProgress,
    ProgressCallback,
    copy_into_new_file,
    copy_pages,
)
from .errors import (
    DatabaseBusyError,
    DatabaseCorruptError,
    DatabaseError,
    DatabaseHeldError,
    NotADatabaseError,
    OperationTimeoutError,
    UnsettledError,
)
from .holders import Holder
from .paths import sides, uri
from .translation import is_busy, translated

_LOCK_WAIT_S = 1.0
_LOSING_DAMAGE = ("frame", "header")


@dataclass(frozen=True)
class Target:
    """What is in the database's place now.

    Attributes:
        opens: whether SQLite can open and write it.
        page_size: bytes a page, 0 where it does not open.
    """

    opens: bool
    page_size: int


def examine(database: Path, connect: Connect) -> Target:
    """Return whether the target still opens.

    Raises:
        DatabaseError: it is a database, and something else is wrong (a lock, a right, the disk).
    """
    if not database.is_file() or database.stat().st_size == 0:
        return Target(opens=False, page_size=0)
    try:
        with translated(database, _LOCK_WAIT_S):
            connection = connect(uri(database, mode="rw"), timeout_s=_LOCK_WAIT_S)
            with contextlib.closing(connection):
                connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
                return Target(opens=True, page_size=int(scalar(connection, "PRAGMA page_size")))
    except (DatabaseCorruptError, NotADatabaseError):
        return Target(opens=False, page_size=0)
    except sqlite3.Error:
        # A statement that simple fails on a file that SQLite does not read.
        return Target(opens=False, page_size=0)


def find_target(database: Path, connect: Connect, *, live: bool, timeout_s: float) -> Target:
    """Return what is in the database's place, nobody else having it open unless live.

    A target without a header, or with a -wal that is damaged or of another database, counts as
    one that does not open: opening it would already change the set, which is to be kept as it is.

    Args:
        database: path of the database.
        connect: the door to SQLite.
        live: whether others may have it open.
        timeout_s: how long looking may take, which reads all of a -wal that was left behind.

    Raises:
        DatabaseHeldError: somebody has it open.
        OperationTimeoutError: looking took longer.
        DatabaseError: it is a database, and something else is wrong.
    """
    seen = observer.look(database, timeout_s=max(timeout_s, observer.DEFAULT_TIMEOUT_S))
    if seen.held and not live:
        raise held_error(database, seen.holders, live_would_do=_opens(database, connect))
    if seen.held:
        target = examine(database, connect)
        if not target.opens:
            raise held_error(database, seen.holders, live_would_do=False)
        return target
    if seen.journal is None or _has_unsafe_log(seen):
        return Target(opens=False, page_size=0)
    return examine(database, connect)


def _has_unsafe_log(seen: observer.Seen) -> bool:
    if seen.walk is None or seen.walk.frames == 0:
        return False
    return seen.journal == "rollback" or seen.walk.damage in _LOSING_DAMAGE


def _opens(database: Path, connect: Connect) -> bool:
    try:
        return examine(database, connect).opens
    except DatabaseBusyError:
        # Whoever locks it has opened it.
        return True
    except DatabaseError:
        return False


def require_untouched(database: Path, names: tuple[str, ...], timeout_s: float) -> None:
    """Return if nobody has the database open, and its set still is these files.

    The note of the restore is there by now, so that no opening of ours follows this look.

    Args:
        database: path of the database.
        names: of the set's files when it was looked at.
        timeout_s: how long looking may take.

    Raises:
        DatabaseHeldError: somebody has it open; it names them as far as the system tells.
        UnsettledError: somebody had it open in between.
    """
    seen = observer.look(database, timeout_s=max(timeout_s, observer.DEFAULT_TIMEOUT_S))
    if seen.held:
        raise held_error(database, seen.holders, live_would_do=False)
    if names != present(database):
        detail = "it was opened while the restore was made ready"
        raise UnsettledError(path=str(database), detail=detail)


def present(database: Path) -> tuple[str, ...]:
    """Return the names of the files of the database's set that are there; itself comes first."""
    return tuple(file.name for file in (database, *sides(database)) if file.exists())


def held_error(
    database: Path, holders: tuple[Holder, ...], *, live_would_do: bool
) -> DatabaseHeldError:
    """Return the error that names who has the database open."""
    names = [
        f"this process ({holder.pid}); close its QueueDatabase first"
        if holder.pid == os.getpid()
        else str(holder)
        for holder in holders
    ]
    cure = "Stop it first, or restore under the live workers with live=True or --live."
    if not live_would_do:
        cure = "Its files have to be replaced, so stop everything that has it open first."
    return DatabaseHeldError(
        path=str(database), holders=", ".join(names) or "another process", cure=cure
    )


@dataclass
class InterfacePlacement:
    """Writes the staged state into the target through SQLite's backup interface.

    Attributes:
        database: the target.
        staged: the new state.
        quarantined: where the copy of the old state goes.
        connect: the door to SQLite.
        deadline: when to give up; the target is then as it was.
        begin: called once the old state is in quarantine and before anything is replaced.
        progress: told of the pages written.
    """

    database: Path
    staged: Path
    quarantined: Path
    connect: Connect
    deadline: Deadline
    begin: Callable[[], object]
    progress: ProgressCallback | None = None

    def alone(self) -> None:
        """Replace the state while nobody else can read or write.

        Raises:
            DatabaseHeldError: somebody has the database open.
        """
        with self._opened(self.staged) as new, self._opened(self.database) as target:
            self._lock_out(target)
            self._quarantine(target)
            self.begin()
            copy_pages(new, target, deadline=self.deadline, progress=self.progress)
        # The restored state is in place. A target in another journal mode gets the one that
        # workers expect, unless somebody has opened it by now: then health says so.
        with contextlib.suppress(DatabaseError), self._opened(self.database) as target:
            target.execute("PRAGMA journal_mode = WAL").fetchall()

    def live(self) -> None:
        """Replace the state under open connections; they see it at their next transaction.

        Raises:
            OperationTimeoutError: the writer lock was not had in time.
        """
        with self._opened(self.staged) as new, self._opened(self.database) as target:
            if scalar(target, "PRAGMA journal_mode") == "wal":
                self._live_in_wal(new, target)
            else:
                self._live_in_rollback(new, target)

    def _live_in_wal(self, new: Connection, target: Connection) -> None:
        pages = int(scalar(new, "PRAGMA page_count"))
        copy_pages(
            new,
            target,
            deadline=self.deadline,
            progress=_Once(self._quarantine_under_lock, self.progress),
            # At least two steps: after the first one the writer lock is held and nothing is
            # committed yet.
            pages=max(1, min(STEP_PAGES, pages // 2)),
        )

    def _live_in_rollback(self, new: Connection, target: Connection) -> None:
        # Here the first step of a copy locks out readers too, so the quarantine comes before it,
        # under a lock that outlives its transaction and keeps out writers.
        target.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        while not self._has_writer_lock(target):
            if self.deadline.passed():
                raise OperationTimeoutError(
                    operation="waiting for the writers", timeout_s=self.deadline.timeout_s or 0.0
                )
        self._quarantine(target)
        self.begin()
        copy_pages(new, target, deadline=self.deadline, progress=self.progress)

    def _has_writer_lock(self, target: Connection) -> bool:
        """Return whether the lock was had within the busy timeout; it is kept then."""
        try:
            target.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            if not is_busy(error):
                raise
            return False
        target.execute("COMMIT")
        return True

    @contextlib.contextmanager
    def _opened(self, path: Path) -> Iterator[Connection]:
        with translated(path, _LOCK_WAIT_S):
            connection = self.connect(uri(path, mode="rw"), timeout_s=_LOCK_WAIT_S)
            with contextlib.closing(connection):
                # A rollback journal that a power cut brings back would undo the restore.
                connection.execute("PRAGMA synchronous = EXTRA").close()
                connection.execute("PRAGMA fullfsync = ON").close()
                yield connection

    def _lock_out(self, target: Connection) -> None:
        # In this locking mode the lock outlives the transaction, and it meets every connection
        # that has read the file (https://www.sqlite.org/pragma.html#pragma_locking_mode).
        target.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        if not self._has_writer_lock(target):
            target.close()
            holders = observer.look(self.database).holders
            raise held_error(self.database, holders, live_would_do=True)

    def _quarantine_under_lock(self) -> None:
        with self._opened(self.database) as reader:
            self._quarantine(reader)
        self.begin()

    def _quarantine(self, source: Connection) -> None:
        copy_into_new_file(source, self.quarantined, connect=self.connect, deadline=self.deadline)


class _Once:
    """Calls one thing at the first step and passes every step on."""

    def __init__(self, first: Callable[[], None], then: ProgressCallback | None) -> None:
        self._first: Callable[[], None] | None = first
        self._then = then

    def __call__(self, progress: CopyProgress) -> None:
        first, self._first = self._first, None
        if first is not None:
            first()
        if self._then is not None:
            self._then(progress)
