"""How faults are brought about in a process that alone owns the files."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import apsw

from harness.disk.binding import apsw_door
from harness.disk.striker import CORE_FAULTS, Mode, Striker
from harness.disk.syscalls import SystemCalls
from harness.disk.trial import CountingDoor
from harness.disk.vfs import watched_files


class StruckCalls:
    """Strikes the calls of SQLite to its file system, and those of the core to the system.

    Args:
        folder: whose files are struck.
        vfs: name of the watched file system.
        striker: its watcher.
    """

    def __init__(self, folder: Path, vfs: str, striker: Striker) -> None:
        self.connect = CountingDoor(apsw_door(vfs))
        self._striker = striker
        self._system = SystemCalls(str(folder), striker.system)

    @property
    def struck(self) -> str:
        """The call that was struck since the last arming, for people."""
        return self._striker.struck

    @property
    def counts(self) -> dict[str, int]:
        """Calls of each kind since the last arming."""
        return dict(self._striker.counts)

    def open_connections(self) -> int:
        """Return how many connections are open."""
        return self.connect.count()

    @contextlib.contextmanager
    def arming(self, kind: str, mode: str, at: int) -> Iterator[None]:
        """Strike in the body."""
        listening = self._system.listening() if kind in (*CORE_FAULTS, "") else _nothing()
        self._striker.arm(kind, Mode(mode), at)
        try:
            with listening:
                yield
        finally:
            self._striker.disarm()


@contextlib.contextmanager
def struck_calls(folder: Path) -> Iterator[StruckCalls]:
    """Yield the means for one process; all its connections must be closed by the end."""
    striker = Striker(lambda: _interrupt(means.connect))
    with watched_files(striker, syncing=False) as vfs:
        means = StruckCalls(folder, vfs, striker)
        yield means


def _interrupt(door: CountingDoor) -> None:
    for connection in door.open:
        # One that is opened or closed at this moment has nothing to stop.
        with contextlib.suppress(sqlite3.Error, apsw.Error):
            connection.interrupt()


def _nothing() -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()
