"""What was asked of a queue and what came of it, written down as it happens.

The controlling process keeps it, outside the database and on its own monotonic clock. Every
operation is on disk before it is sent and again when it is answered; one that was never answered
is unknown: it may have been done.
"""

import hashlib
import itertools
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, Self

_Facts = dict[str, Any]


class Outcome(StrEnum):
    """What came of an operation: done, surely not done, or nobody knows."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One operation of one worker.

    Attributes:
        number: in the order of the invocations, from 1.
        worker: who asked for it.
        op: the operation's name in the driver protocol; also ``restore``, ``release``, ``fault``.
        invoked_s: when it was asked for, in seconds since the history began.
        returned_s: when the answer came, or None if none did.
        outcome: what came of it.
        key: the producer's own name for the task, or None.
        task_id: the queue's name for it, or None.
        fence: the token by which the queue tells one holding of the task from another, or None.
        facts: what else was asked and answered.
        error: why it was not done.
    """

    number: int
    worker: str
    op: str
    invoked_s: float
    returned_s: float | None = None
    outcome: Outcome = Outcome.UNKNOWN
    key: str | None = None
    task_id: int | None = None
    fence: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether it was acknowledged."""
        return self.outcome is Outcome.OK


class Promises(Protocol):
    """Takes acknowledged operations."""

    def add(self, operation: Operation) -> None:
        """Keep it."""


class Ticket:
    """An operation that was asked for; say once what came of it."""

    def __init__(self, history: "History", operation: Operation) -> None:
        self._history = history
        self._operation = operation

    def ok(self, **learned: Any) -> Operation:  # noqa: ANN401 - attributes of Operation
        """Write down that it was acknowledged, and what the answer told."""
        return self._end(Outcome.OK, "", learned)

    def failed(self, error: str) -> Operation:
        """Write down that it was surely not done."""
        return self._end(Outcome.FAILED, error, {})

    def unknown(self, error: str) -> Operation:
        """Write down that nobody knows whether it was done."""
        return self._end(Outcome.UNKNOWN, error, {})

    def _end(self, outcome: Outcome, error: str, learned: _Facts) -> Operation:
        facts = {**self._operation.facts, **learned.pop("facts", {})}
        done = replace(self._operation, outcome=outcome, error=error, facts=facts, **learned)
        return self._history.end(done)


class History:
    """The record of one scenario; any thread may write to it.

    Args:
        path: a new file, one JSON object a line.
        promises: every acknowledgement is added to it before anybody sees it, or None.
    """

    def __init__(self, path: Path, promises: "Promises | None" = None) -> None:
        self.path = path
        self._promises = promises
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._operations: dict[int, Operation] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("x", encoding="utf-8", newline="\n")
        self._zero_s = time.monotonic()

    def now_s(self) -> float:
        """Return seconds since the history began."""
        return time.monotonic() - self._zero_s

    def begin(
        self,
        worker: str,
        op: str,
        *,
        key: str | None = None,
        task_id: int | None = None,
        fence: str | None = None,
        **facts: Any,  # noqa: ANN401 - JSON
    ) -> Ticket:
        """Write down that the operation is about to be asked for."""
        with self._lock:
            operation = Operation(
                number=next(self._numbers),
                worker=worker,
                op=op,
                invoked_s=self.now_s(),
                key=key,
                task_id=task_id,
                fence=fence,
                facts=facts,
            )
            self._keep("invoke", operation)
        return Ticket(self, operation)

    def end(self, operation: Operation) -> Operation:
        """Write down what came of the operation; its time of return is now."""
        with self._lock:
            done = replace(operation, returned_s=self.now_s())
            self._keep("return", done)
        if done.ok and self._promises is not None:
            # Outside the lock: a sync takes its time, and nobody else has to wait for it.
            self._promises.add(done)
        return done

    def operations(self) -> tuple[Operation, ...]:
        """Return what was written so far, in the order of the invocations."""
        with self._lock:
            return tuple(self._operations[number] for number in sorted(self._operations))

    def close(self) -> None:
        """Close the file; harmless twice."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _keep(self, event: str, operation: Operation) -> None:
        self._operations[operation.number] = operation
        self._file.write(json.dumps({"event": event, **asdict(operation)}) + "\n")
        # To the system at once: it survives this process's death.
        self._file.flush()


def read_history(path: Path) -> tuple[Operation, ...]:
    """Return the operations of a history file; a last line that was torn off is left out."""
    operations: dict[int, Operation] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            facts = json.loads(line)
        except ValueError:
            continue
        del facts["event"]
        facts["outcome"] = Outcome(facts["outcome"])
        operations[facts["number"]] = Operation(**facts)
    return tuple(operations[number] for number in sorted(operations))


def digest_of(payload: object) -> str:
    """Return a short digest of a payload's JSON, the same for equal payloads."""
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True, slots=True)
class FinalTask:
    """A task as the queue has it at the end.

    Attributes:
        id: the queue's name for it.
        key: the producer's.
        status: as the queue has it.
        attempts: so far.
        max_attempts: its limit.
        digest: of its payload.
        history_rows: how many entries its history has, or None where the queue does not show it.
    """

    id: int
    key: str | None
    status: str
    attempts: int
    max_attempts: int
    digest: str
    history_rows: int | None = None


def final_tasks(tasks: Sequence[Mapping[str, Any]]) -> tuple[FinalTask, ...]:
    """Return the tasks of a driver's ``snapshot``."""
    return tuple(
        FinalTask(
            id=int(task["id"]),
            key=task["key"],
            status=str(task["status"]),
            attempts=int(task["attempts"]),
            max_attempts=int(task["max_attempts"]),
            digest=_digest_of_text(task["payload"]),
            history_rows=task.get("history_rows"),
        )
        for task in tasks
    )


def _digest_of_text(payload: object) -> str:
    try:
        return digest_of(json.loads(str(payload)))
    except ValueError:
        return "no JSON"
