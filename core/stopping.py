"""Long statements that can be watched, given a deadline, and stopped.

SQLite calls the progress handler every so many steps of its virtual machine; what it undoes when
told to stop, it undoes whole (https://www.sqlite.org/c3ref/progress_handler.html).
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .clock import Clock, Deadline
from .connection import Connection
from .errors import OperationTimeoutError
from .translation import primary_code

STEPS_BETWEEN_LOOKS = 1000
TELL_EVERY_S = 0.1

ProgressCallback = Callable[[float], object]
"""Told the seconds since the start, about ten times a second; an exception from it stops."""


@dataclass
class Watch:
    """What watches one statement.

    Attributes:
        started_s: when it began, on the monotonic clock.
        first_look_s: when the statement was first seen to work, or None: until then it may have
            waited for a lock.
    """

    operation: str
    deadline: Deadline
    clock: Clock
    progress: ProgressCallback | None
    started_s: float
    first_look_s: float | None = None
    _told_s: float | None = None
    _late: bool = False
    _raised: BaseException | None = None

    def look(self) -> bool:
        """Return whether the statement must stop; SQLite asks."""
        now_s = self.clock.monotonic_s()
        self.first_look_s = now_s if self.first_look_s is None else self.first_look_s
        self._late = self._late or self.deadline.passed()
        if self._late or self._raised is not None:
            return True
        try:
            self._tell(now_s)
        except BaseException as error:  # noqa: BLE001 - Ctrl-C too; raised again by ``end``
            # An exception cannot pass through SQLite: it is kept, and the statement stopped.
            self._raised = error
        return self._raised is not None

    def _tell(self, now_s: float) -> None:
        if self.progress is None:
            return
        if self._told_s is None or now_s - self._told_s >= TELL_EVERY_S:
            self._told_s = now_s
            self.progress(now_s - self.started_s)

    def end(self, cause: sqlite3.Error | None) -> None:
        """Raise what stopped the statement, if it was stopped here."""
        if self._raised is not None:
            raise self._raised
        if self._late:
            raise OperationTimeoutError(
                operation=self.operation, timeout_s=self.deadline.timeout_s or 0.0
            ) from cause
        if cause is not None and primary_code(cause) == sqlite3.SQLITE_INTERRUPT:
            # Nobody else stops it: Ctrl-C came on the way into ``look``, where SQLite's wrapper
            # swallows what is raised.
            raise KeyboardInterrupt from cause


@contextlib.contextmanager
def watched(
    connection: Connection,
    operation: str,
    deadline: Deadline,
    clock: Clock,
    progress: ProgressCallback | None = None,
) -> Iterator[Watch]:
    """Watch the statements of the body.

    Args:
        connection: which runs them.
        operation: what is done, for the message.
        deadline: when to stop.
        clock: where the time comes from.
        progress: told how long it has taken; an exception from it stops the statement.

    Raises:
        OperationTimeoutError: the deadline passed.
    """
    watch = Watch(operation, deadline, clock, progress, clock.monotonic_s())
    connection.set_progress_handler(watch.look, STEPS_BETWEEN_LOOKS)
    try:
        yield watch
    except sqlite3.Error as error:
        watch.end(error)
        raise
    else:
        watch.end(None)
    finally:
        connection.set_progress_handler(None, 0)
