"""A place to judge a queue file from without changing a byte of it or making a file beside it.

There are three, since SQLite itself would write: opening a file whose -wal was left behind replays
it, a plain read-only connection marks the -shm, and one to a file that nobody has open makes both.

- Nobody has it open, and there is no log: the file itself, as ``immutable=1``, which takes no lock
  and trusts that nobody writes; so what was true before is checked again afterwards.
- Nobody has it open, and there is a log: a copy of both.
- Somebody has it open: beside them, with ``readonly_shm=1`` (https://www.sqlite.org/uri.html),
  which leaves the -shm as it is.
"""

import contextlib
import tempfile
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from . import observer
from .clock import Deadline, SystemClock
from .connection import Connect, Connection, scalar
from .database import require_file
from .errors import UnsettledError
from .files import remove_tree
from .observer import Seen
from .paths import sides, uri
from .strangers import Stranger
from .translation import opening, translated
from .untrusted import Untrusted, open_untrusted
from .wal import WalWalk

Way = Literal["immutable", "copy", "beside"]
State = tuple[tuple[int, int, int] | None, ...]

_BUSY_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Viewpoint:
    """Where a database is looked at from.

    Attributes:
        path: the database that is judged.
        way: how.
        opened: the open file, which cannot be written to, and of which nothing runs.
        seen: what was seen of it from outside.
        walk: the frames of its -wal, or None while somebody has it open.
        state: of the files when the look began.
    """

    path: Path
    way: Way
    opened: Untrusted
    seen: Seen
    walk: WalWalk | None
    state: State

    @property
    def connection(self) -> Connection:
        """Reads it."""
        return self.opened.connection

    @property
    def strangers(self) -> tuple[Stranger, ...]:
        """What in its schema nobody declared."""
        return self.opened.strangers

    @property
    def in_wal_mode(self) -> bool:
        """Whether the file is in WAL mode; an immutable connection itself does not say."""
        if self.way == "immutable":
            return self.seen.journal == "wal"
        return bool(scalar(self.connection, "PRAGMA journal_mode") == "wal")

    @property
    def delays_writers(self) -> bool:
        """Whether a long read here would make writers wait: in a rollback journal mode it does."""
        return self.way == "beside" and not self.in_wal_mode

    @property
    def busy_timeout_s(self) -> float:
        """How long its connection waits for a lock, in seconds."""
        return _BUSY_TIMEOUT_S

    @property
    def judged(self) -> str:
        """One sentence that says which file was looked at, and how."""
        if self.way == "copy":
            return f"a copy of {self.path} and its log, made while nobody had it open"
        if self.way == "immutable":
            return f"{self.path} itself, read-only, while nobody wrote to it"
        holders = ", ".join(map(str, self.seen.holders)) or "another process"
        return f"{self.path} itself, read-only, beside {holders}"

    def undisturbed(self) -> bool:
        """Return whether what was read without locks was read of one moment.

        Ask once the viewpoint is gone: this process's own connection would count as a holder.
        """
        if self.way != "immutable":
            return True
        if state_of(self.path) != self.state:
            return False
        return self.seen.held or not observer.look(self.path).held


@contextlib.contextmanager
def viewpoint(
    path: Path,
    *,
    connect: Connect,
    scratch: Path | None = None,
    copying: bool = False,
    timeout_s: float = observer.DEFAULT_TIMEOUT_S,
    declared: Collection[str] = (),
) -> Iterator[Viewpoint]:
    """Yield a place to judge the database from; it is gone at the end.

    Args:
        path: absolute path of the database.
        connect: the door to SQLite.
        scratch: folder for a copy; the system's temporary folder unless told otherwise.
        copying: make a copy also where none is needed.
        timeout_s: how long the look from outside may take, how long the copy, and how long reading.
        declared: names of triggers, tables and indexes that belong in the queue.

    Raises:
        DatabaseMissingError, NotAFileError, EmptyDatabaseError: there is nothing to look at.
        NotADatabaseError, DatabaseCorruptError, UnreadableDatabaseError: SQLite refuses the file.
        DatabaseBusyError: a lock was held all the time.
        UnsettledError: there is no place from which nothing would change.
        NotEnoughSpaceError: a copy is needed and has no room.
        OperationTimeoutError, DatabaseIOError: the look from outside failed.

    Locks: none, or shared beside others; in WAL mode no writer waits for it.
    On a live queue: safe.
    """
    require_file(path)
    state = state_of(path)
    seen = observer.look(path, timeout_s=timeout_s)
    way = "copy" if copying and not seen.held else _choose(path, seen)

    def opened(file: Path, name: str) -> AbstractContextManager[Untrusted]:
        deadline = Deadline(timeout_s, SystemClock())
        return _opened(path, file, name, connect=connect, deadline=deadline, declared=declared)

    if way == "copy":
        # The copy is opened for writing: a log can only be replayed by somebody who may write.
        with (
            _copied(path, scratch, timeout_s) as copied,
            opened(copied.path, uri(copied.path)) as copy,
        ):
            yield Viewpoint(path, way, copy, seen, copied.walk, state)
    elif way == "immutable":
        with opened(path, uri(path, mode="ro", immutable=1)) as itself:
            yield Viewpoint(path, way, itself, seen, seen.walk, state)
    else:
        with opened(path, uri(path, mode="ro", readonly_shm=1)) as itself:
            yield Viewpoint(path, way, itself, seen, None, state)


def state_of(path: Path) -> State:
    """Return sizes, times and identities of the database and what lies beside it, unopened."""
    return tuple(_facts(file) for file in (path, *sides(path)))


def has_log(path: Path) -> bool:
    """Return whether a -wal or -journal with content lies beside the database."""
    logs = (side for side in sides(path) if not side.name.endswith("-shm"))
    return any(facts is not None and facts[0] > 0 for facts in map(_facts, logs))


def _choose(path: Path, seen: Seen) -> Way:
    if not seen.held:
        return "copy" if has_log(path) else "immutable"
    wal, shm, _journal = sides(path)
    if seen.journal == "rollback" or (shm.exists() and wal.exists()):
        return "beside"
    if has_log(path):
        raise UnsettledError(
            path=str(path),
            detail=f"{', '.join(map(str, seen.holders)) or 'another process'} has it open without "
            "sharing its log, and reading beside it would make files",
        )
    # Open, but not through SQLite, or by a connection that has not read yet. A connection beside
    # it would be the first to read, and would make a -wal and a -shm.
    return "immutable"


@contextlib.contextmanager
def _copied(path: Path, scratch: Path | None, timeout_s: float) -> Iterator[observer.Copied]:
    folder = Path(tempfile.mkdtemp(prefix="queuedrill-health-", dir=scratch))
    try:
        copied = observer.copy_unheld(path, folder, timeout_s=timeout_s)
        if copied is None:
            raise UnsettledError(path=str(path), detail="it was opened while it was copied")
        yield copied
    finally:
        remove_tree(folder)


@contextlib.contextmanager
def _opened(
    path: Path,
    file: Path,
    name: str,
    *,
    connect: Connect,
    deadline: Deadline,
    declared: Collection[str],
) -> Iterator[Untrusted]:
    with opening(path, _BUSY_TIMEOUT_S):
        opened = open_untrusted(
            name,
            file,
            connect=connect,
            deadline=deadline,
            timeout_s=_BUSY_TIMEOUT_S,
            declared=declared,
        )
    with translated(path, _BUSY_TIMEOUT_S), contextlib.closing(opened.connection):
        yield opened


def _facts(file: Path) -> tuple[int, int, int] | None:
    try:
        facts = file.stat()
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns, facts.st_ino
