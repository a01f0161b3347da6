"""One thread's connection to a queue, and whether it still leads to the file that has its name."""

import os
import threading
import weakref
from pathlib import Path

from . import forks
from .connection import Connection, scalar
from .errors import DatabaseMovedError
from .paths import wal_of


def file_at(path: Path) -> forks.File:
    """Return which file the path leads to; None on Windows, where none goes that is open."""
    if os.name == "nt":
        return None
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


class Slot:
    """One thread's connection; it is closed when the thread or the database goes.

    Python's ``sqlite3`` crashes when a connection is closed while another thread is in the middle
    of a statement on it, so a transaction holds ``in_use`` and closing waits for that.

    Args:
        connection: that thread's.
        file: the database's, looked at before it was opened.
        log: the -wal's, or None where there is none.
    """

    def __init__(self, connection: Connection, file: forks.File, log: forks.File) -> None:
        self.connection = connection
        self.file = file
        self.log = log
        self.pid = os.getpid()
        self.synchronous: int | None = None
        self._has_wal: bool | None = None
        self.in_use = threading.RLock()
        opened = forks.opened(self, file)
        self._close = weakref.finalize(self, _close_in_owner, connection, opened)

    @property
    def open(self) -> bool:
        """Whether this process can use it."""
        return self._close.alive and self.pid == os.getpid()

    @property
    def has_wal(self) -> bool:
        """Whether it writes ahead; nobody else can change that while it is open."""
        if self._has_wal is None:
            self._has_wal = scalar(self.connection, "PRAGMA journal_mode") == "wal"
        return self._has_wal

    def refuse_moved(self, path: Path) -> None:
        """Return unless the file or its log was deleted or replaced under the connection.

        SQLite itself goes on and writes to a file without a name
        (https://www.sqlite.org/howtocorrupt.html, section 2.5), and to such a log, into which all
        goes in WAL mode. As long as one connection is open nobody deletes that but by mistake.

        Raises:
            DatabaseMovedError: it was.
        """
        if file_at(path) != self.file or self._log_is_gone(path):
            raise DatabaseMovedError(path=str(path))

    def _log_is_gone(self, path: Path) -> bool:
        if self.log is None or file_at(wal_of(path)) == self.log:
            return False
        # This connection may have left WAL mode itself: then SQLite has deleted the log.
        return bool(scalar(self.connection, "PRAGMA journal_mode") == "wal")

    def close_if_idle(self) -> None:
        """Close it, unless it is in the middle of a transaction."""
        if self.open and not self.connection.in_transaction:
            self._close()

    def close(self, wait_s: float) -> None:
        """Close it; where a transaction outlasts the wait, that is left to the transaction's end.

        Nothing else knows the slot by then, and it closes when the last that does lets go of it.
        """
        if self.pid != os.getpid():
            self._close()
        elif self.in_use.acquire(timeout=wait_s):
            try:
                self._close()
            finally:
                self.in_use.release()


def _close_in_owner(connection: Connection, opened: forks.Opened) -> None:
    # A connection carried over a fork must not be closed by the child: that would drop the
    # parent's locks (https://www.sqlite.org/howtocorrupt.html, section 2.7).
    if os.getpid() == opened.pid:
        connection.close()
        forks.closed(opened)
