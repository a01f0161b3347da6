"""One driver program that runs: asked, killed, suspended, and never waited for without a deadline.

Two threads stand between the harness and the pipes, so that neither a driver that does not read
nor one that does not answer can hang it. What a driver says is judged by the table of operations:
one wrong line ends the conversation with an error that names it.
"""

import contextlib
import itertools
import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import psutil

from harness.drivers.command import core_command
from harness.drivers.fields import shown
from harness.drivers.operations import (
    OPERATIONS,
    REQUEST_DEADLINE_S,
    answer_problem,
    request_problem,
)
from harness.drivers.process import DriverProcess, was_killed
from harness.drivers.protocol import (
    LINE_BYTES,
    VERSION,
    Capabilities,
    ErrorCode,
    Message,
    ProtocolError,
    from_line,
    start_of,
    to_line,
)

REQUEST_TIMEOUT_S = REQUEST_DEADLINE_S
_CLOSE_TIMEOUT_S = 2.0
_REAP_TIMEOUT_S = 10.0

__all__ = [
    "REQUEST_TIMEOUT_S",
    "Driver",
    "DriverError",
    "DriverGoneError",
    "DriverRefusedError",
    "DriverTimeoutError",
    "DriverWrongError",
    "Pending",
    "core_command",
    "was_killed",
]


class DriverError(Exception):
    """The driver did not do what it was asked; whether it was done is unknown."""

    unknown = True


class DriverGoneError(DriverError):
    """The driver ended, or was killed, before it answered."""


class DriverWrongError(DriverError):
    """The driver said something that the protocol does not allow; the message names the line."""


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
        super().__init__(f"{self.code}: {error.get('message', 'no message')}")


class Pending:
    """A request that was sent and is not answered yet.

    Attributes:
        operation: what was asked.
        said: the number and the start of the line that answered it; empty until then.
    """

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self.said = ""
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
            raise DriverTimeoutError(f"no answer to {self.operation} within {limit_s:g} s")
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


class Driver:
    """A driver process. Use it in a ``with`` block: at its end the process is gone and reaped.

    Args:
        command: program and arguments.
        name: what it is called in histories.
        stderr_path: where what it says on stderr is kept.

    Attributes:
        name: as given.
        capabilities: what it declared.
        hello: all of its answer to hello.

    Raises:
        DriverError: it does not start, or its answer to hello is wrong.
    """

    def __init__(self, command: Sequence[str], *, name: str, stderr_path: Path) -> None:
        self.name = name
        self.stderr_path = stderr_path
        self._ids = itertools.count(1)
        self._pending: dict[int | None, Pending] = {}
        self._lock = threading.Lock()
        self._end_error: DriverError | None = None
        self._line_number = 0
        self._to_write: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        try:
            self.process = DriverProcess(command, stderr_path)
        except OSError as error:
            raise DriverGoneError(f"driver {name} cannot be started: {error}") from error
        self._threads = [
            threading.Thread(target=work, name=f"{work.__name__} {name}", daemon=True)
            for work in (self._read, self._write)
        ]
        for thread in self._threads:
            thread.start()
        try:
            self.hello = self.request("hello")
            self.capabilities = Capabilities.from_hello(self.hello)
        except BaseException:
            self.close()
            raise

    # -- asking ----------------------------------------------------------------------------

    def request(self, op: str, *, timeout_s: float | None = None, **fields: Any) -> Message:  # noqa: ANN401 - JSON
        """Return the answer to one operation.

        Raises:
            DriverError: as ``Pending.wait``.
        """
        return self.send(op, **fields).wait(timeout_s)

    def send(self, op: str, **fields: Any) -> Pending:  # noqa: ANN401 - JSON
        """Send one operation without waiting; the answer is had from what is returned."""
        wrong = request_problem(op, fields) if op in OPERATIONS else None
        assert wrong is None, wrong
        return self.send_unjudged({"op": op, **fields})

    def send_unjudged(self, message: Message) -> Pending:
        """Send a message with an id of its own, whatever its fields are; for trying a driver."""
        number = next(self._ids)
        return self.send_line(to_line({"id": number, **message}), number, str(message.get("op")))

    def send_line(self, line: bytes, number: int | None, op: str) -> Pending:
        """Send any bytes; for trying a driver.

        Args:
            line: ends with a line feed.
            number: id of the answer that is expected; None where the line has no id to be had.
            op: what its answer is judged as.
        """
        pending = Pending(op)
        with self._lock:
            if self._end_error is not None:
                pending.resolve(None, self._end_error)
                return pending
            self._pending[number] = pending
        self._to_write.put(line)
        return pending

    def end_input(self) -> None:
        """End the driver's input, after what was sent so far; nothing can be sent any more."""
        self._to_write.put(None)

    # -- the process -----------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self.process.pid

    @property
    def exit_status(self) -> int | None:
        """How the process ended, as ``subprocess`` has it, or None while it runs."""
        return self.process.exit_status

    def kill(self) -> int:
        """Kill the process (SIGKILL, TerminateProcess) and what it started; return how it ended.

        Raises:
            DriverTimeoutError: it is still there after a while.
        """
        self.process.kill()
        return self._reap()

    def suspend(self) -> None:
        """Stop the process where it is, its locks held and its lease running."""
        self.process.suspend()

    def resume(self) -> None:
        """Let a suspended process go on."""
        self.process.resume()

    def suspended(self) -> bool:
        """Return whether the system says that the process is stopped."""
        return self.process.suspended()

    def killed_by_signal(self) -> bool:
        """Return whether the process has ended by a kill and not by itself."""
        return was_killed(self.exit_status)

    def close(self) -> None:
        """End the process: by the end of its input, else by a kill; harmless twice."""
        self.end_input()
        self.process.wait(_CLOSE_TIMEOUT_S if self._reads() else 0)
        self.process.kill()
        self._reap()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # -- inside ----------------------------------------------------------------------------

    def _reads(self) -> bool:
        """Whether the process can notice the end of its input."""
        try:
            return not self.suspended()
        except psutil.Error:
            return True

    def _reap(self) -> int:
        status = self.process.wait(_REAP_TIMEOUT_S)
        if status is None:
            raise DriverTimeoutError(f"driver {self.name} does not end")
        self.end_input()
        for thread in self._threads:
            thread.join(_REAP_TIMEOUT_S)
        if any(thread.is_alive() for thread in self._threads):
            # Closing a pipe that a thread reads would wait for that thread.
            raise DriverTimeoutError(
                f"driver {self.name} has ended, and left a process behind that holds its pipes"
            )
        self.process.close_pipes()
        return status

    def _read(self) -> None:
        line = b""
        try:
            for line in self._lines():
                self._take(line)
        except ProtocolError as error:
            said = self._said(line)
            self._end(DriverWrongError(f"driver {self.name} said something wrong: {error}; {said}"))
        except (OSError, ValueError):
            self._end(self._gone())
        else:
            self._end(self._gone())

    def _lines(self) -> Iterator[bytes]:
        """Yield the lines that it says; the last one was cut off where it has no end."""
        while line := self.process.stdout.readline(LINE_BYTES + 1):
            self._line_number += 1
            if line.endswith(b"\n") or len(line) > LINE_BYTES:
                yield line

    def _take(self, line: bytes) -> None:
        if len(line) > LINE_BYTES:
            raise ProtocolError(f"a line is longer than {LINE_BYTES} bytes")
        answer = from_line(line)
        pending = self._asked(answer)
        try:
            self._judge(pending.operation, answer)
        except ProtocolError as error:
            said = self._said(line)
            wrong = f"driver {self.name} said something wrong: {error}; {said}"
            pending.resolve(None, DriverWrongError(wrong), said)
            raise
        pending.resolve(answer, None, self._said(line))

    def _asked(self, answer: Message) -> Pending:
        if "id" not in answer:
            raise ProtocolError("it lacks the field 'id'")
        number = answer["id"]
        # To Python true is 1, and so is 1.0.
        known = number is None or type(number) is int
        with self._lock:
            pending = self._pending.pop(number, None) if known else None
        if pending is None:
            raise ProtocolError(f"it answers id {shown(number)}, which nobody asked")
        return pending

    def _judge(self, op: str, answer: Message) -> None:
        if op == "hello" and answer.get("ok") is True and answer.get("protocol") != VERSION:
            raise ProtocolError(
                f"it speaks protocol {shown(answer.get('protocol'))}, this harness {VERSION}"
            )
        wrong = answer_problem(op, answer)
        if wrong is not None:
            raise ProtocolError(wrong)

    def _said(self, line: bytes) -> str:
        return f"line {self._line_number}: {start_of(line)}"

    def _end(self, error: DriverError) -> None:
        with self._lock:
            self._end_error = error
            left = list(self._pending.values())
            self._pending.clear()
        for pending in left:
            pending.resolve(None, error)

    def _gone(self) -> DriverGoneError:
        return DriverGoneError(f"driver {self.name} has ended; see {self.stderr_path}")

    def _write(self) -> None:
        stream = self.process.stdin
        # A broken pipe is seen by the reader as the end of the output.
        with contextlib.suppress(OSError, ValueError):
            while (line := self._to_write.get()) is not None:
                stream.write(line)
                stream.flush()
        with contextlib.suppress(OSError, ValueError):
            stream.close()


def _deadline_s(op: str) -> float:
    known = OPERATIONS.get(op)
    return REQUEST_DEADLINE_S if known is None else known.deadline_s
