"""The driver program over our own core: one worker or producer in a process of its own.

Started by path, from any working directory; it imports the core of its own checkout.
"""

import argparse
import os
import sqlite3
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


# Backups and maintenance are loaded by who asks for them: most drivers are mere workers.
import core
from core.clock import SystemClock
from core.database import BUSY_TIMEOUT_MS, QueueDatabase
from core.errors import (
    BackupMissingError,
    CommitUnknownError,
    DatabaseBusyError,
    DatabaseHeldError,
    InvalidArgumentError,
    InvalidPayloadError,
    LeaseLostError,
    MaintenanceBusyError,
    QueueError,
)
from core.tasks import Task, TaskQueue
from harness.drivers.operations import OPERATIONS, request_problem
from harness.drivers.promises import core_capabilities
from harness.drivers.protocol import (
    LINE_BYTES,
    VERSION,
    ErrorCode,
    Message,
    ProtocolError,
    from_line,
    refusal,
    to_line,
)
from harness.inherited import planted_by_parent

Verb = Callable[[Message], Message]
_CODES: tuple[tuple[type[Exception], ErrorCode], ...] = (
    (LeaseLostError, ErrorCode.LEASE_LOST),
    (DatabaseBusyError, ErrorCode.BUSY),
    (MaintenanceBusyError, ErrorCode.BUSY),
    (DatabaseHeldError, ErrorCode.BUSY),
    (CommitUnknownError, ErrorCode.COMMIT_UNKNOWN),
    (InvalidArgumentError, ErrorCode.INVALID),
    (InvalidPayloadError, ErrorCode.INVALID),
    (BackupMissingError, ErrorCode.INVALID),
)
_SNAPSHOT = """
    SELECT id, idempotency_key, status, attempts, max_attempts, locked_by, payload
    FROM task_queue ORDER BY id
"""
_SOUND = ["ok"]


class CoreDriver:
    """Answers requests by calls of the core.

    The queue is opened by the first request that needs it: a file that is damaged can be restored.

    Args:
        path: the queue's file.
        clock: the worker's.
        durability: of enqueue, complete and fail.
        busy_timeout_ms: how long it waits for a lock.
    """

    def __init__(
        self,
        path: Path,
        clock: SystemClock,
        durability: str,
        busy_timeout_ms: int = BUSY_TIMEOUT_MS,
    ) -> None:
        self._path = path
        self._busy_timeout_ms = busy_timeout_ms
        self._clock = clock
        self._durability = durability
        self._opened: tuple[QueueDatabase, TaskQueue] | None = None
        self._verbs: dict[str, Verb] = {
            "hello": self._hello,
            "enqueue": self._enqueue,
            "claim": self._claim,
            "heartbeat": self._heartbeat,
            "complete": self._complete,
            "fail": self._fail,
            "reclaim": self._reclaim,
            "snapshot": self._snapshot,
            "backup": self._backup,
            "verify": self._verify,
            "restore": self._restore,
            "checkpoint": self._checkpoint,
            "vacuum": self._vacuum,
            "analyze": self._analyze,
            "integrity": self._integrity,
            "close": self._close,
        }

    def answer(self, request: Message) -> Message:
        """Return the answer to one request; an error of the core is an answer too."""
        number, op = request.get("id"), request.get("op")
        if type(number) is not int:
            return refusal(None, ErrorCode.INVALID, "a request needs an integer as its id")
        if not isinstance(op, str) or op not in OPERATIONS:
            return refusal(number, ErrorCode.UNSUPPORTED, f"there is no operation {op!r}")
        wrong = request_problem(op, request)
        if wrong is not None:
            return refusal(number, ErrorCode.INVALID, wrong)
        try:
            return {"id": number, "ok": True, **self._verbs[op](request)}
        except QueueError as error:
            return _refused(number, error)
        except (OSError, sqlite3.Error) as error:
            message = f"{type(error).__name__}: {error}"
            return refusal(number, ErrorCode.ERROR, message, unknown=True)

    def close(self) -> None:
        """Close the queue; harmless twice."""
        if self._opened is not None:
            self._opened[0].close()
            self._opened = None

    @property
    def database(self) -> QueueDatabase:
        """The queue, opened."""
        return self._open()[0]

    @property
    def queue(self) -> TaskQueue:
        """The tasks of the queue."""
        return self._open()[1]

    def _open(self, *, create: bool = False) -> tuple[QueueDatabase, TaskQueue]:
        if self._opened is None:
            database = QueueDatabase(
                self._path,
                create=create,
                clock=self._clock,
                busy_timeout_ms=self._busy_timeout_ms,
            )
            queue = TaskQueue(
                database, durability="normal" if self._durability == "normal" else "full"
            )
            self._opened = database, queue
        return self._opened

    # -- tasks -----------------------------------------------------------------------------

    def _hello(self, _request: Message) -> Message:
        if not self._path.exists():
            self._open(create=True)
        return {
            "protocol": VERSION,
            "driver": "queuedrill core",
            "pid": os.getpid(),
            "capabilities": asdict(core_capabilities(self._durability)),
        }

    def _enqueue(self, request: Message) -> Message:
        delay_ms = round(float(request.get("delay_s", 0)) * 1000)
        task_id = self.queue.enqueue(
            request["type"],
            request["payload"],
            priority=request.get("priority", 100),
            run_after=self._clock.now_ms() + delay_ms if delay_ms else None,
            max_attempts=request.get("max_attempts", 5),
            idempotency_key=request.get("key"),
        )
        return {"task_id": task_id}

    def _claim(self, request: Message) -> Message:
        task = self.queue.claim(request["worker"], lease_seconds=request["lease_s"])
        return {"task": None if task is None else _shown(task)}

    def _heartbeat(self, request: Message) -> Message:
        task = self.queue.heartbeat(_task_of(request), lease_seconds=request["lease_s"])
        return {"task": _shown(task)}

    def _complete(self, request: Message) -> Message:
        self.queue.complete(_task_of(request))
        return {}

    def _fail(self, request: Message) -> Message:
        status = self.queue.fail(
            _task_of(request),
            request["error"],
            retry_after_seconds=request.get("retry_after_s", 0.0),
        )
        return {"status": status}

    def _reclaim(self, request: Message) -> Message:
        return {"count": self._maintenance().cleanup_stale_leases(request["timeout_s"])}

    def _snapshot(self, _request: Message) -> Message:
        names = ("id", "key", "status", "attempts", "max_attempts", "worker", "payload")
        rows = self.database.connection().execute(_SNAPSHOT).fetchall()
        return {"tasks": [dict(zip(names, row, strict=True)) for row in rows]}

    # -- maintenance -----------------------------------------------------------------------

    def _backup(self, request: Message) -> Message:
        backups = core.QueueBackup(self.database, request["folder"])
        return {"path": str(backups.create_backup())}

    def _verify(self, request: Message) -> Message:
        found = core.QueueBackup(self._path).check_backup(request["path"])
        return {"sound": found.ok, "problems": [str(problem) for problem in found.problems]}

    def _restore(self, request: Message) -> Message:
        # The core refuses to restore under a connection, this process's own too.
        self.close()
        result = core.QueueBackup(self._path, clock=self._clock).restore_backup(request["path"])
        return {"tasks_lost": result.tasks_lost, "tasks_to_run_again": result.tasks_to_run_again}

    def _checkpoint(self, request: Message) -> Message:
        found = self._maintenance().checkpoint(
            request["mode"], timeout_seconds=request["timeout_s"]
        )
        return {"complete": found["complete"], "busy": found["busy"], "log": found["log"]}

    def _vacuum(self, request: Message) -> Message:
        self._maintenance().vacuum(timeout_seconds=request["timeout_s"])
        return {}

    def _analyze(self, _request: Message) -> Message:
        self._maintenance().analyze()
        return {}

    def _integrity(self, _request: Message) -> Message:
        rows = self._maintenance().integrity_check()
        return {"problems": [] if rows == _SOUND else rows}

    def _maintenance(self) -> "core.QueueMaintenance":
        return core.QueueMaintenance(self.database)

    def _close(self, _request: Message) -> Message:
        self.close()
        return {}


def _shown(task: Task) -> Message:
    return {**asdict(task), "token": [task.worker, task.reserved_at, task.attempts]}


def _task_of(request: Mapping[str, Message]) -> Task:
    given = request["task"]
    try:
        return Task(**{name: value for name, value in given.items() if name != "token"})
    except TypeError as error:
        raise InvalidArgumentError(
            what="task", value=given, cure=f"Give it back as it was claimed ({error})."
        ) from error


def _refused(number: int, error: QueueError) -> Message:
    code = next((code for kind, code in _CODES if isinstance(error, kind)), ErrorCode.ERROR)
    unknown = code in (ErrorCode.ERROR, ErrorCode.COMMIT_UNKNOWN)
    return refusal(number, code, str(error), unknown=unknown)


def main() -> int:
    """Answer requests until the input ends or ``close`` is asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", required=True, type=Path)
    parser.add_argument("--clock-offset-ms", type=int, default=0)
    parser.add_argument("--durability", choices=("full", "normal"), default="full")
    parser.add_argument("--busy-timeout-ms", type=int, default=BUSY_TIMEOUT_MS)
    given = parser.parse_args()
    clock = SystemClock(given.clock_offset_ms)
    with planted_by_parent():
        serve(CoreDriver(given.db, clock, given.durability, given.busy_timeout_ms))
    return 0


def serve(driver: CoreDriver) -> None:
    """Answer every line of the input, up to its end or to ``close``."""
    try:
        while line := sys.stdin.buffer.readline(LINE_BYTES + 1):
            request = _read(line)
            write(driver.answer(request))
            if request.get("op") == "close":
                break
    finally:
        driver.close()


def _read(line: bytes) -> Message:
    try:
        return from_line(line)
    except ProtocolError as error:
        # It has no id, and is answered so.
        return {"op": f"nothing ({error})"}


def write(answer: Message) -> None:
    """Say one answer."""
    sys.stdout.buffer.write(to_line(answer))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    # Under its own name: what is planted into that module is planted into the one that runs.
    from harness.drivers.core_driver import main as main_of_module

    sys.exit(main_of_module())
