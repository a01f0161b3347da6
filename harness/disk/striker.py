"""One I/O fault: at which call it strikes, and what the caller gets in the place of an answer.

It strikes at call n of its kind, once or from then on, as SQLite's own tests do it
(https://www.sqlite.org/testing.html, section 3.2): the caller of this module goes on with n + 1
until a run passes in which nothing struck.
"""

import errno
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import apsw

from harness.disk.syscalls import SystemCall
from harness.disk.vfs import Call, Kind, failure


class Mode(StrEnum):
    """How long a fault lasts."""

    ONCE = "once"
    FROM_THEN_ON = "from then on"


@dataclass(frozen=True)
class SqliteFault:
    """What SQLite is told by its file system.

    Attributes:
        of: the call that fails.
        code: the result that SQLite gets (https://www.sqlite.org/rescode.html).
    """

    of: Kind
    code: int


@dataclass(frozen=True)
class CoreFault:
    """What the core is told by the operating system.

    Attributes:
        of: the calls that fail.
        number: the error number.
    """

    of: frozenset[str]
    number: int


_ALL = frozenset((
    *("open", "create", "write", "sync", "link", "rename", "unlink"),
    *("mkdir", "rmdir", "list"),
))  # fmt: skip
SQLITE_FAULTS: Mapping[str, SqliteFault] = {
    "disk full": SqliteFault(Kind.WRITE, apsw.SQLITE_FULL),
    "error on write": SqliteFault(Kind.WRITE, apsw.SQLITE_IOERR_WRITE),
    "error on read": SqliteFault(Kind.READ, apsw.SQLITE_IOERR_READ),
    "error on sync": SqliteFault(Kind.SYNC, apsw.SQLITE_IOERR_FSYNC),
    "error on truncate": SqliteFault(Kind.TRUNCATE, apsw.SQLITE_IOERR_TRUNCATE),
    "error on file size": SqliteFault(Kind.SIZE, apsw.SQLITE_IOERR_FSTAT),
    "error on delete": SqliteFault(Kind.DELETE, apsw.SQLITE_IOERR_DELETE),
    "cannot open": SqliteFault(Kind.OPEN, apsw.SQLITE_CANTOPEN),
}
CORE_FAULTS: Mapping[str, CoreFault] = {
    "ENOSPC": CoreFault(
        frozenset(("create", "write", "sync", "link", "rename", "mkdir")), errno.ENOSPC
    ),
    "EIO": CoreFault(_ALL, errno.EIO),
    "EACCES": CoreFault(_ALL - {"write", "sync"}, errno.EACCES),
}
INTERRUPT = "interrupt"
KINDS = (*SQLITE_FAULTS, INTERRUPT, *CORE_FAULTS)
"""All faults by name."""


class Striker:
    """Watches the calls of SQLite and of the core, and strikes when it is armed.

    Args:
        interrupt: stops whatever statement is under way.

    Attributes:
        counts: calls of each kind since it was armed last.
        struck: the first call that was struck, for people; empty where none was.
    """

    def __init__(self, interrupt: Callable[[], None]) -> None:
        self.counts: Counter[str] = Counter()
        self.struck = ""
        self._interrupt = interrupt
        self._kind, self._mode, self._at = "", Mode.ONCE, 0
        self._armed = False

    @property
    def armed(self) -> bool:
        """Whether calls are counted, and may be struck."""
        return self._armed

    def arm(self, kind: str, mode: Mode, at: int) -> None:
        """Strike at call ``at`` of this kind, counted from 1; at none where that is 0."""
        self.counts.clear()
        self.struck = ""
        self._kind, self._mode, self._at = kind, mode, at
        self._armed = True

    def disarm(self) -> None:
        """Let all pass from now on."""
        self._armed = False

    # -- SQLite's ---------------------------------------------------------------------------

    def before(self, call: Call) -> None:
        """Count a call of SQLite's, and fail it where it is its turn."""
        if not self._armed or call.kind is Kind.CLOSE:
            return
        if self._is_turn(INTERRUPT, str(call)):
            self._interrupt()
        for name, fault in SQLITE_FAULTS.items():
            if fault.of is call.kind and self._is_turn(name, str(call)):
                raise failure(fault.code)

    def after(self, call: Call) -> None:
        """Let it be: only what has not happened yet can be struck."""

    # -- the core's -------------------------------------------------------------------------

    def system(self, call: SystemCall) -> None:
        """Count a call of the core's, and fail it where it is its turn."""
        if not self._armed:
            return
        for name, fault in CORE_FAULTS.items():
            if call.kind in fault.of and self._is_turn(name, str(call)):
                raise OSError(fault.number, os.strerror(fault.number), call.path)

    def _is_turn(self, kind: str, call: str) -> bool:
        self.counts[kind] += 1
        if kind != self._kind or not self._at:
            return False
        number = self.counts[kind]
        strikes = number == self._at or (number > self._at and self._mode is Mode.FROM_THEN_ON)
        if strikes and not self.struck:
            self.struck = f"{kind} at call {number}, {call}"
        return strikes
