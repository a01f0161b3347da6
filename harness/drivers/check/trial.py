"""One check of a driver: a queue of its own, the drivers that it starts, and what is wrong."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from harness.drivers.client import (
    Driver,
    DriverError,
    DriverGoneError,
    DriverRefusedError,
    Pending,
)
from harness.drivers.command import DriverCommand
from harness.drivers.last_words import last_words
from harness.drivers.protocol import Capabilities, ErrorCode, Message

LONG_S = 60.0
_SHORT_S = 1.0
_SHOWN_CHARACTERS = 60
_EXACT_IN_A_FLOAT = 2**53
HELD = ("leased", "processing")


class WrongError(Exception):
    """The driver does not do what the document says; the message says what, and its last line."""


@dataclass(frozen=True)
class Check:
    """One thing to try.

    Attributes:
        name: in kebab case.
        promise: what the document says, in one sentence.
        run: tries it; raises ``WrongError`` or ``DriverError`` where it is not so.
        needs: what has to be declared for it, or ``clock``.
    """

    name: str
    promise: str
    run: "Callable[[Trial], None]"
    needs: tuple[str, ...] = ()


class Trial:
    """A new queue and the drivers on it; all of them are gone at the end of the block.

    Args:
        command: of the driver.
        folder: an empty one.
        capabilities: what the driver declared.
    """

    def __init__(self, command: DriverCommand, folder: Path, capabilities: Capabilities) -> None:
        self.folder = folder
        self.database = folder / "queue.db"
        self.capabilities = capabilities
        self._command = command
        self._drivers: list[Driver] = []
        self._stderr_paths: list[Path] = []
        self._closing = contextlib.ExitStack()
        self._last: Pending | None = None

    @property
    def lease_s(self) -> float:
        """A lease whose end can be waited for: long where the clock can be set ahead."""
        return LONG_S if self._command.has_clock else _SHORT_S

    # -- drivers ---------------------------------------------------------------------------

    def start(self, *, ahead_s: float = 0.0) -> Driver:
        """Return a driver, its clock ahead by that many seconds."""
        name = str(len(self._stderr_paths) + 1)
        words = self._command.words(self.database, clock_offset_ms=round(ahead_s * 1000))
        self._stderr_paths.append(self.folder / f"{name}.stderr")
        driver = Driver(words, name=name, stderr_path=self._stderr_paths[-1])
        self._drivers.append(driver)
        self._closing.callback(_close, driver)
        return driver

    def later(self, seconds: float) -> Driver:
        """Return a driver to which it is so much later."""
        if self._command.has_clock:
            return self.start(ahead_s=seconds)
        threading.Event().wait(seconds)
        return self.start()

    def __enter__(self) -> "Trial":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exc: object) -> None:
        if kind is not None and not issubclass(kind, Exception):
            # Ctrl-C: whoever pressed it waits for no driver.
            for driver in self._drivers:
                driver.process.kill()
        self._closing.close()

    # -- asking ----------------------------------------------------------------------------

    def ask(self, driver: Driver, op: str, **fields: Any) -> Message:  # noqa: ANN401 - JSON
        """Return the answer to one operation.

        Raises:
            DriverError: there is none, or it was not done.
        """
        return self.settle(driver.send(op, **fields))

    def settle(self, pending: Pending) -> Message:
        """Return the answer to what was sent; it is the last line from now on."""
        self._last = pending
        return pending.wait()

    def enqueue(self, driver: Driver, payload: object = None, **fields: Any) -> int:  # noqa: ANN401
        """Put one task in; return its id."""
        answer = self.ask(driver, "enqueue", type="check", payload=payload, **fields)
        return int(answer["task_id"])

    def claim(self, driver: Driver, *, lease_s: float = LONG_S, worker: str = "w") -> Message:
        """Return a task that must be there."""
        task = self.claim_or_none(driver, lease_s=lease_s, worker=worker)
        return self.wrong("a task is due, and the claim has none") if task is None else task

    def claim_or_none(
        self, driver: Driver, *, lease_s: float = LONG_S, worker: str = "w"
    ) -> Message | None:
        """Return the next task, or None."""
        task: Message | None = self.ask(driver, "claim", worker=worker, lease_s=lease_s)["task"]
        return task

    def none_is_due(self, driver: Driver, why: str) -> None:
        """Require that a claim gets nothing."""
        task = self.claim_or_none(driver)
        self.require(task is None, f"a claim must get no task: {why}")

    def snapshot(self, driver: Driver) -> dict[int, Message]:
        """Return all tasks by their ids; to look for one that is not there is ``WrongError``."""
        tasks = self.ask(driver, "snapshot")["tasks"]
        by_id = _Tasks(self, {task["id"]: task for task in tasks})
        self.require(len(by_id) == len(tasks), "a snapshot has each task once")
        return by_id

    def payload_in(self, task: Message) -> object:
        """Return the payload of a task in a snapshot, where it is JSON in a text."""
        try:
            return json.loads(task["payload"])
        except ValueError:
            shown = task["payload"][:_SHOWN_CHARACTERS]
            self.wrong(f"the payload of task {task['id']} is JSON, and not {shown!r}")

    # -- judging ---------------------------------------------------------------------------

    def refused(self, pending: Pending, *codes: ErrorCode) -> None:
        """Require that what was sent is refused with one of the codes."""
        wanted = " or ".join(codes)
        try:
            self.settle(pending)
        except DriverRefusedError as error:
            self.require(error.code in codes, f"{pending.operation} must be refused with {wanted}")
        else:
            self.wrong(f"{pending.operation} must be refused with {wanted}, and was done")

    def require(self, condition: object, sentence: str) -> None:
        """Raise ``WrongError`` unless the condition holds."""
        if not condition:
            self.wrong(sentence)

    def wrong(self, sentence: str) -> NoReturn:
        """Raise ``WrongError`` with the last line that the driver said."""
        said = self._last.said if self._last is not None else ""
        raise WrongError(f"{sentence}; {said}" if said else sentence)

    @contextlib.contextmanager
    def naming_the_line(self) -> Iterator[None]:
        """Turn every error of a driver into a ``WrongError`` that says all that is known."""
        try:
            yield
        except DriverRefusedError as error:
            operation = self._last.operation if self._last is not None else "it"
            self.wrong(f"{operation} must be done, and was refused ({error})")
        except DriverError as error:
            # The file of its standard error goes with the trial: what matters is told here.
            what = (
                str(error).partition("; see ")[0] if isinstance(error, DriverGoneError) else error
            )
            raise WrongError(f"{what}{self._stderr()}") from error

    def _stderr(self) -> str:
        said = map(last_words, reversed(self._stderr_paths))
        last = next(filter(None, said), "")
        return f"; it said on stderr: ...{last}" if last else ""


class _Tasks(dict[int, Message]):
    """The tasks of a snapshot by their ids."""

    def __init__(self, trial: Trial, tasks: dict[int, Message]) -> None:
        super().__init__(tasks)
        self._trial = trial

    def __missing__(self, task_id: int) -> NoReturn:
        self._trial.wrong(f"the snapshot has no task {task_id}, and was to have every task")


def _close(driver: Driver) -> None:
    with contextlib.suppress(DriverError):
        driver.close()


def same(one: object, other: object) -> bool:
    """Return whether two JSON values are equal; ``1`` and ``1.0`` are, ``1`` and ``true`` not."""
    return _canonical(one) == _canonical(other)


def _canonical(value: object) -> str:
    return json.dumps(json.loads(json.dumps(value), parse_int=_plain_number), sort_keys=True)


def _plain_number(digits: str) -> float | int:
    number = int(digits)
    exact = abs(number) <= _EXACT_IN_A_FLOAT
    return float(number) if exact else number
