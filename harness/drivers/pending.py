"""A request that was sent to a driver, and how it can end: answered, or with an error."""

import threading
from collections.abc import Callable

from harness.drivers.operations import OPERATIONS, REQUEST_DEADLINE_S
from harness.drivers.protocol import ErrorCode, Message

_MESSAGE_CHARACTERS = 2000


class DriverError(Exception):
    """The driver did not do what it was asked; whether it was done is unknown."""

    unknown = True


class DriverGoneError(DriverError):
    """The driver ended, or was killed, before it answered."""


class DriverWrongError(DriverError):
    """The driver did what the protocol does not allow; the message names the line, or the fact."""


class DriverLeftError(DriverGoneError, DriverWrongError):
    """The driver ended or closed a pipe though nobody had asked it to, and nobody killed it."""


class DriverTimeoutError(DriverError, TimeoutError):
    """The driver did not answer within the deadline."""


class DriverRefusedError(DriverError):
    """The driver answered that it did not do it.

    Attributes:
        code: why, for programs.
        unknown: whether it may have been done all the same.
    """

    def __init__(self, error: Message) -> None:
        self.code = str(error.get("code", ErrorCode.ERROR.value))
        self.unknown = error.get("outcome") != "failed"
        message = str(error.get("message", "no message"))
        shown = message[:_MESSAGE_CHARACTERS] + "..." * (len(message) > _MESSAGE_CHARACTERS)
        super().__init__(f"{self.code}: {shown}")


class Pending:
    """A request that was sent and is not answered yet.

    Args:
        operation: what was asked.
        driver: name of who was asked, for the errors.
        so_far: says what is known of a driver that does not answer, or nothing.

    Attributes:
        operation: as given.
        said: the number and the start of the line that answered it; empty until then.
    """

    def __init__(
        self, operation: str, driver: str = "", so_far: Callable[[], str] = lambda: ""
    ) -> None:
        self.operation = operation
        self.said = ""
        self._driver = driver
        self._so_far = so_far
        self._done = threading.Event()
        self._answer: Message | None = None
        self._error: DriverError | None = None

    def answered(self) -> bool:
        """Return whether an answer, or the driver's end, has come."""
        return self._done.is_set()

    def wait(self, timeout_s: float | None = None) -> Message:
        """Return the answer.

        Args:
            timeout_s: seconds from now; None for the operation's own deadline.

        Raises:
            DriverTimeoutError: none came in that many seconds.
            DriverGoneError: the driver ended before.
            DriverWrongError: the driver said something wrong before, or this answer is wrong.
            DriverRefusedError: the answer is that it was not done.
        """
        limit_s = _deadline_s(self.operation) if timeout_s is None else timeout_s
        if not self._done.wait(limit_s):
            what = f"driver {self._driver} has not answered {self.operation} within {limit_s:g} s"
            known = self._so_far()
            raise DriverTimeoutError(f"{what}; {known}" if known else what)
        if self._error is not None:
            raise self._error
        assert self._answer is not None
        if not self._answer["ok"]:
            raise DriverRefusedError(self._answer["error"])
        return self._answer

    def resolve(
        self, answer: Message | None, error: DriverError | None = None, said: str = ""
    ) -> None:
        """Hand over the answer or the reason why none will come; the first one counts."""
        if not self._done.is_set():
            self._answer, self._error, self.said = answer, error, said
            self._done.set()


def _deadline_s(op: str) -> float:
    known = OPERATIONS.get(op)
    return REQUEST_DEADLINE_S if known is None else known.deadline_s
