"""What may be set up in the trial driver for one operation: a death, a failed commit, a look."""

import sqlite3

from core.connection import Connection, scalar
from harness.drivers.protocol import Message
from harness.drivers.steps import Steps, die, dies_at

COMMIT = "COMMIT"
UNSAID = -1
"""Dies when all is done and the answer is not said yet."""
SAID = -2
"""Dies the moment the answer is said."""


class Trap:
    """Is told what one operation does; this one lets everything pass.

    Attributes:
        armed: whether it is that operation's turn.
    """

    armed = False

    def before(self, connection: Connection, sql: str) -> None:
        """Note a statement before it runs."""

    def after(self, connection: Connection, sql: str) -> None:
        """Note a statement that has run."""

    def done(self, answer: Message) -> Message:
        """Note that the operation is done; return the answer that is to be said."""
        return answer

    def said(self) -> None:
        """Note that an answer has left the process."""


class Death(Trap):
    """Ends the process without a word at the chosen step.

    The moments before and after a statement count one each, so that an odd step is one before a
    statement and the last even one lies between COMMIT and the answer.

    Args:
        die_at: the step, from 1; or ``UNSAID``, or ``SAID``.
    """

    def __init__(self, die_at: int) -> None:
        self._die_at = die_at
        self._steps = Steps(dies_at(die_at))

    def before(self, connection: Connection, sql: str) -> None:
        """Count one step."""
        self._steps.armed = self.armed
        self._steps.before(connection, sql)

    def after(self, connection: Connection, sql: str) -> None:
        """Count one step."""
        self._steps.armed = self.armed
        self._steps.after(connection, sql)

    def done(self, answer: Message) -> Message:
        """Die where the answer is not to be said."""
        if self.armed and self._die_at == UNSAID:
            die()
        return answer

    def said(self) -> None:
        """Die where the answer is the last that is heard."""
        if self.armed and self._die_at == SAID:
            die()


class FailedCommit(Trap):
    """Has COMMIT fail once, as it does where the disk does not answer to a sync.

    What was written by then may be found by whoever recovers the -wal, or not.

    Args:
        done: whether the transaction is there all the same.
    """

    def __init__(self, *, done: bool) -> None:
        self._done = done
        self._failed = False

    def before(self, connection: Connection, sql: str) -> None:
        """Fail the operation's first commit."""
        if self.armed and sql == COMMIT and not self._failed:
            self._failed = True
            connection.execute(COMMIT if self._done else "ROLLBACK")
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error


class Synchronous(Trap):
    """Adds to the answer under which ``PRAGMA synchronous`` the operation was committed."""

    def __init__(self) -> None:
        self._seen: int | None = None

    def before(self, connection: Connection, sql: str) -> None:
        """Ask the connection, in the transaction that it is about to commit."""
        if self.armed and sql == COMMIT:
            self._seen = scalar(connection, "PRAGMA synchronous")

    def done(self, answer: Message) -> Message:
        """Say it."""
        return {**answer, "synchronous": self._seen} if self.armed else answer
