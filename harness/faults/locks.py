"""Faults of locks: somebody holds what others wait for."""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from core.connection import connect_stdlib
from core.errors import DatabaseBusyError
from core.paths import uri
from core.translation import is_busy
from harness.faults.fault import Sighting
from harness.faults.helper import helper


@dataclass(frozen=True)
class RivalWriter:
    """Another program sits on the writer lock: a long import, a forgotten transaction.

    Simulated by a second connection inside BEGIN IMMEDIATE. Survivable because readers are not
    kept off in WAL mode, and every wait for the lock has an end.
    """

    name: ClassVar[str] = "rival-writer"
    asked: ClassVar[str] = "the writer lock held by another connection"
    permitted: ClassVar[tuple[type[Exception], ...]] = (DatabaseBusyError,)

    @contextlib.contextmanager
    def inject(self, target: Path) -> Iterator[Sighting]:
        """Hold the lock for the body; confirmed by a third connection that does not get it."""
        with contextlib.closing(connect_stdlib(uri(target, mode="rw"), timeout_s=1.0)) as rival:
            rival.execute("BEGIN IMMEDIATE").close()
            try:
                yield _tried(target)
            finally:
                rival.execute("ROLLBACK").close()


@dataclass(frozen=True)
class StuckReader:
    """A program reads and never ends: a forgotten cursor, a report that takes all night.

    Simulated by a second connection inside a read transaction. Survivable because writers are not
    kept off in WAL mode; but the -wal cannot begin anew, and a checkpoint cannot pass the reader
    (https://www.sqlite.org/wal.html, section 6).
    """

    name: ClassVar[str] = "stuck-reader"
    asked: ClassVar[str] = "an old snapshot held by another connection"
    permitted: ClassVar[tuple[type[Exception], ...]] = (DatabaseBusyError,)

    @contextlib.contextmanager
    def inject(self, target: Path) -> Iterator[Sighting]:
        """Hold the snapshot for the body; confirmed by a checkpoint that cannot end the -wal."""
        with contextlib.closing(connect_stdlib(uri(target, mode="rw"), timeout_s=1.0)) as reader:
            reader.execute("BEGIN").close()
            reader.execute("SELECT count(*) FROM sqlite_master").fetchall()
            try:
                yield _truncated(target)
            finally:
                reader.execute("ROLLBACK").close()


@dataclass(frozen=True)
class RivalProcess:
    """Another process sits on the writer lock for a while: an import, a report, an editor.

    Simulated by a helper process inside BEGIN IMMEDIATE. Survivable because the workers wait for
    the lock, and where they give up, what they were told is that nothing was done.

    Attributes:
        held_s: for how long, in seconds; it lets go by itself.
    """

    name: ClassVar[str] = "rival-process"
    asked: ClassVar[str] = "the writer lock held by another process for a while"
    permitted: ClassVar[tuple[type[Exception], ...]] = (DatabaseBusyError,)
    held_s: float = 1.0

    @contextlib.contextmanager
    def inject(self, target: Path) -> Iterator[Sighting]:
        """Have the lock held; confirmed by a third connection that does not get it."""
        with helper("lock_holder.py", target, "write", self.held_s) as process:
            said = process.line()
            sighting = _tried(target)
            sighting.confirmed = sighting.confirmed and said == "held"
            sighting.evidence += f"; process {process.pid} said {said!r}"
            yield sighting


@dataclass(frozen=True)
class SnapshotProcess:
    """Another process reads one old state for long: checkpoints starve, and the -wal grows.

    Simulated by a helper process inside a read transaction. Survivable because workers go on, and
    because the -wal begins anew once the reader is gone
    (https://www.sqlite.org/wal.html, section 6).

    Attributes:
        held_s: for how long at most, in seconds; else until the body ends.
    """

    name: ClassVar[str] = "snapshot-process"
    asked: ClassVar[str] = "an old snapshot held by another process, so that the -wal grows"
    permitted: ClassVar[tuple[type[Exception], ...]] = (DatabaseBusyError,)
    held_s: float = 60.0

    @contextlib.contextmanager
    def inject(self, target: Path) -> Iterator[Sighting]:
        """Have the snapshot held; confirmed by a checkpoint that cannot end the -wal."""
        with helper("lock_holder.py", target, "read", self.held_s) as process:
            said = process.line()
            sighting = _truncated(target)
            sighting.confirmed = sighting.confirmed and said == "held"
            sighting.evidence += f"; process {process.pid} said {said!r}"
            yield sighting


@dataclass(frozen=True)
class PassingOpener:
    """Somebody opens the queue with a tool of his own, looks, and is gone.

    Simulated by helper processes that read the file through SQLite and leave, in order or without
    closing anything. Survivable because the locks of a process end with it, and no other process
    loses its own by that.

    Attributes:
        count: how many come, one after the other.
    """

    name: ClassVar[str] = "passing-opener"
    asked: ClassVar[str] = "other processes open the file, read it and exit"
    permitted: ClassVar[tuple[type[Exception], ...]] = (DatabaseBusyError,)
    count: int = 4

    @contextlib.contextmanager
    def inject(self, target: Path) -> Iterator[Sighting]:
        """Have them come and go; confirmed by what each has read, and by how it ended."""
        seen = [_opened(target, ("abrupt", "orderly")[number % 2]) for number in range(self.count)]
        confirmed = all(said.endswith(" tasks") and status == 0 for said, status in seen)
        told = ", ".join(f"{said!r} status {status}" for said, status in seen)
        yield Sighting(confirmed and bool(seen), f"{len(seen)} processes: {told}")


def _opened(database: Path, manner: str) -> tuple[str, int]:
    with helper("opener.py", database, manner) as process:
        return process.line(), process.end()


def _truncated(database: Path) -> Sighting:
    with contextlib.closing(connect_stdlib(uri(database, mode="rw"), timeout_s=0.0)) as third:
        busy, log, done = third.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0]
    told = f"a third connection's checkpoint returned busy {busy}, {done} of {log} frames"
    return Sighting(busy == 1, told)


def _tried(database: Path) -> Sighting:
    with contextlib.closing(connect_stdlib(uri(database, mode="rw"), timeout_s=0.0)) as third:
        try:
            third.execute("BEGIN IMMEDIATE").close()
        except sqlite3.Error as error:
            return Sighting(is_busy(error), f"a third connection was told: {error}")
        third.execute("ROLLBACK").close()
    return Sighting(False, "a third connection got the lock")
