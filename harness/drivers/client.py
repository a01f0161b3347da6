"""One driver program that runs: asked, killed, suspended, and never waited for without a deadline.

Two threads stand between the harness and the pipes, so that neither a driver that does not read
nor one that does not answer can hang it; a third one sees what no line tells. What a driver says
is judged by the table of operations: one wrong line ends the conversation with an error that names
it.
"""

import contextlib
import itertools
import queue
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import psutil

from harness.drivers.command import core_command
from harness.drivers.fields import shown
from harness.drivers.lines import Lines
from harness.drivers.operations import (
    OPERATIONS,
    REQUEST_DEADLINE_S,
    answer_problem,
    request_problem,
)
from harness.drivers.pending import (
    DriverError,
    DriverGoneError,
    DriverLeftError,
    DriverRefusedError,
    DriverTimeoutError,
    DriverWrongError,
    Pending,
)
from harness.drivers.process import DriverProcess, ended_by_itself, how_it_ended, was_killed
from harness.drivers.protocol import (
    LINE_BYTES,
    VERSION,
    Capabilities,
    Message,
    ProtocolError,
    from_line,
    start_of,
    to_line,
)

REQUEST_TIMEOUT_S = REQUEST_DEADLINE_S
STDERR_BYTES = 256 * 2**20
"""A driver that says more on its standard error is ended: it would fill the disk."""
_CLOSE_TIMEOUT_S = 2.0
_REAP_TIMEOUT_S = 10.0
_LOOK_EVERY_S = 0.25
# Between the end of a pipe and that of its process, and the other way round.
_GRACE_S = 1.0

__all__ = [
    "REQUEST_TIMEOUT_S",
    "Driver",
    "DriverError",
    "DriverGoneError",
    "DriverLeftError",
    "DriverRefusedError",
    "DriverTimeoutError",
    "DriverWrongError",
    "Pending",
    "core_command",
    "was_killed",
]


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
        self._may_end = False
        self._reaped = threading.Event()
        self._to_write: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        try:
            self.process = DriverProcess(command, stderr_path)
        except (OSError, ValueError) as error:
            raise DriverGoneError(
                f"driver {name} cannot be started ({error}). Its command has to begin with a "
                "program: a name that is in PATH, or a path"
            ) from error
        self._lines = Lines(self.process.stdout)
        self._reader, *_others = self._threads = [
            threading.Thread(target=work, name=f"{work.__name__} {name}", daemon=True)
            for work in (self._read, self._write, self._watch)
        ]
        try:
            for thread in self._threads:
                thread.start()
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
        pending = Pending(op, self.name, self._so_far)
        self._may_end = self._may_end or op == "close"
        with self._lock:
            if self._end_error is not None:
                pending.resolve(None, self._end_error)
                return pending
            self._pending[number] = pending
        self._to_write.put(line)
        return pending

    def end_input(self) -> None:
        """End the driver's input, after what was sent so far; nothing can be sent any more."""
        self._may_end = True
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
        try:
            self.process.wait(_CLOSE_TIMEOUT_S if self._reads() else 0)
        except BaseException:
            # Ctrl-C ends the waiting, and the process with it.
            self.process.kill()
            self.process.wait(_GRACE_S)
            raise
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
        self._reaped.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(_REAP_TIMEOUT_S)
        if any(thread.is_alive() for thread in self._threads):
            # Closing a pipe that a thread reads would wait for that thread.
            raise DriverTimeoutError(self._left_behind())
        self.process.close_pipes()
        return status

    def _read(self) -> None:
        line = b""
        try:
            for line in self._lines:
                self._take(line)
        except ProtocolError as error:
            self._end(DriverWrongError(self._wrong(error, line)))
        except (OSError, ValueError):
            self._end(self._gone())
        else:
            self._end(self._gone())

    def _take(self, line: bytes) -> None:
        if len(line) > LINE_BYTES:
            raise ProtocolError(f"a line is longer than {LINE_BYTES} bytes")
        answer = from_line(line)
        pending = self._asked(answer)
        try:
            self._judge(pending.operation, answer)
        except ProtocolError as error:
            pending.resolve(None, DriverWrongError(self._wrong(error, line)), self._said(line))
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
        return f"line {self._lines.number}: {start_of(line)}"

    def _wrong(self, error: ProtocolError, line: bytes) -> str:
        return f"driver {self.name} said something wrong: {error}; {self._said(line)}"

    def _so_far(self) -> str:
        """What is known of it while it does not answer."""
        with contextlib.suppress(psutil.Error):
            if self.suspended():
                return "its process is suspended"
        return self._lines.unfinished()

    def _end(self, error: DriverError) -> None:
        """End the conversation; the first reason counts."""
        with self._lock:
            self._end_error = self._end_error or error
            left = list(self._pending.values())
            self._pending.clear()
        for pending in left:
            pending.resolve(None, self._end_error)

    def _gone(self) -> DriverGoneError:
        """What the end of its output means."""
        status = self.process.wait(_GRACE_S)
        if status is None:
            return self._left("has closed its standard output, and still runs")
        fact = f"has ended ({how_it_ended(status)})"
        begun = self._lines.unfinished()
        fact += f", and its {begun}" if begun else ""
        if self._may_end or not ended_by_itself(status):
            return DriverGoneError(self._told(fact))
        return self._left(fact)

    def _left(self, fact: str) -> DriverLeftError:
        return DriverLeftError(self._told(fact))

    def _left_behind(self) -> str:
        return f"driver {self.name} has ended, and left a process behind that holds its pipes"

    def _told(self, fact: str) -> str:
        return f"driver {self.name} {fact}; see {self.stderr_path}"

    def _watch(self) -> None:
        """See what no line tells, until the process is reaped."""
        while not self._reaped.wait(_LOOK_EVERY_S):
            if _size(self.stderr_path) > STDERR_BYTES:
                said = f"has said more than {STDERR_BYTES} bytes on its standard error"
                self._end(DriverWrongError(self._told(said)))
                self.process.kill()
            if self.exit_status is not None:
                self._look_after_its_end()
                return

    def _look_after_its_end(self) -> None:
        """Its output ends with it, unless something that it started still holds the pipe."""
        self._reader.join(_GRACE_S)
        if self._reader.is_alive():
            self.process.kill()
            self._reader.join(_GRACE_S)
        if self._reader.is_alive():
            self._end(DriverLeftError(self._left_behind()))

    def _write(self) -> None:
        stream = self.process.stdin
        try:
            while (line := self._to_write.get()) is not None:
                stream.write(line)
                stream.flush()
        except (OSError, ValueError):
            # Of a process that has ended the reader tells, once it has read what that said.
            if self.process.wait(_GRACE_S) is None:
                self._end(self._left("has closed its standard input, and still runs"))
        with contextlib.suppress(OSError, ValueError):
            stream.close()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
