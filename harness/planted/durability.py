"""Defects of durability: what was said to be done is not, or is done and said not to be."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from core.connection import Connection
from core.database import Durability, QueueDatabase
from core.errors import CommitUnknownError, DatabaseBusyError
from core.task import Task
from core.tasks import TaskQueue
from harness.drivers.protocol import Message
from harness.planted.defect import Catch, Change, Defect

Right = Any
"""The right part, which the wrong one may call."""

_VERBS = ("enqueue", "claim", "heartbeat", "complete", "fail")
_NORMAL, _OFF = 1, 0


class _Postponed:
    """Commits that are made once their answers are said."""

    def __init__(self) -> None:
        self.wanted = False
        self.open: list[Connection] = []

    @contextlib.contextmanager
    def during(self, op: object) -> Iterator[None]:
        self.wanted = op in _VERBS
        try:
            yield
        finally:
            self.wanted = False

    def commit(self) -> None:
        while self.open:
            self.open.pop().execute("COMMIT")


_postponed = _Postponed()


def _answer_first(right: Right) -> Right:
    def answer(self: Any, request: Message) -> Any:  # noqa: ANN401 - as the right one
        with _postponed.during(request.get("op")):
            return right(self, request)

    return answer


def _commit_later(right: Right) -> Right:
    def commit(self: QueueDatabase, connection: Connection) -> None:
        if _postponed.wanted:
            _postponed.open.append(connection)
        else:
            right(self, connection)

    return commit


def _say_then_commit(right: Right) -> Right:
    def write(answer: Message) -> None:
        right(answer)
        _postponed.commit()

    return write


def _synchronous(full: int, normal: int) -> Right:
    def make(_right: Mapping[str, int]) -> Mapping[str, int]:
        return {"full": full, "normal": normal}

    return make


def _set_once(right: Right) -> Right:
    """Set what belongs to the connection when it is first used, and leave it so."""

    def begin(self: QueueDatabase, slot: Any, durability: Durability) -> None:  # noqa: ANN401 - a private class
        first: Durability = "normal" if slot.synchronous == _NORMAL else "full"
        right(self, slot, durability if slot.synchronous is None else first)

    return begin


def _swallow_busy(right: Right) -> Right:
    def verb(self: TaskQueue, task: Task, *arguments: Any, **settings: Any) -> Any:  # noqa: ANN401 - as the right one
        try:
            return right(self, task, *arguments, **settings)
        except DatabaseBusyError:
            return task

    return verb


def _insert_again(right: Right) -> Right:
    """Put a task in once more without its key, where the key is taken."""

    def insert(connection: Connection, row: dict[str, object], now_ms: int) -> int:
        rows = connection.execute(
            "SELECT 1 FROM task_queue WHERE idempotency_key = ?", (row["idempotency_key"],)
        ).fetchall()
        key = None if rows else row["idempotency_key"]
        return int(right(connection, {**row, "idempotency_key": key}, now_ms))

    return insert


def _share(right: Right) -> Right:
    """Give all threads of the process one connection."""

    def slot(self: Any) -> Any:  # noqa: ANN401 - a private class
        own = right(self)
        first = vars(self).get("_first")
        if first is None or not first.open:
            first = self._first = own
        own.connection = first.connection
        return own

    return slot


def _join(right: Right) -> Right:
    def begin(self: QueueDatabase, slot: Any, durability: Durability) -> None:  # noqa: ANN401 - a private class
        if not slot.connection.in_transaction:
            right(self, slot, durability)

    return begin


def _commit_if_any(right: Right) -> Right:
    """Commit as Python's own ``commit()`` does: in silence where no transaction is open."""

    def commit(self: QueueDatabase, connection: Connection) -> None:
        try:
            right(self, connection)
        except CommitUnknownError as error:
            if "no transaction is active" not in str(error):
                raise

    return commit


def _take_for_busy(right: Right) -> Right:
    def commit(self: QueueDatabase, connection: Connection) -> None:
        try:
            right(self, connection)
        except CommitUnknownError as error:
            raise DatabaseBusyError(path=str(self.path), waited_s=0.0) from error

    return commit


_POWER_CUT = "test_power_cut.py::test_power_cut_at_any_moment_costs_nothing_acknowledged"
_SYNCED = "test_acknowledgement.py::test_acknowledged_verb_is_synced_before_its_answer"

DEFECTS = (
    Defect(
        name="acknowledged-before-commit",
        group="durability",
        wrong="What a worker was told is done is lost where the process dies the moment after.",
        changes=(
            Change("harness.drivers.core_driver", "CoreDriver.answer", _answer_first),
            Change("harness.drivers.core_driver", "write", _say_then_commit),
            Change("core.database", "QueueDatabase._commit", _commit_later),
        ),
        catches=(
            Catch(
                "test_acknowledgement.py::test_killed_at_its_answer_has_done_what_it_said",
                "is not done",
            ),
        ),
    ),
    Defect(
        name="synchronous-off",
        group="durability",
        wrong="A power cut costs acknowledged tasks, and may destroy the whole file.",
        changes=(Change("core.database", "_SYNCHRONOUS", _synchronous(_OFF, _OFF)),),
        catches=(
            Catch(_SYNCED, "not synced before"),
            Catch(f"{_POWER_CUT}[complete]", "the queue is neither"),
        ),
    ),
    Defect(
        name="synchronous-normal",
        group="durability",
        wrong="A power cut undoes the tasks that were acknowledged last.",
        changes=(Change("core.database", "_SYNCHRONOUS", _synchronous(_NORMAL, _NORMAL)),),
        catches=(
            Catch(_SYNCED, "not synced before"),
            Catch(f"{_POWER_CUT}[enqueue]", "was acknowledged and is lost"),
        ),
    ),
    Defect(
        name="synchronous-set-once",
        group="durability",
        wrong="A worker's first claim makes all its completions ones that a power cut undoes.",
        changes=(Change("core.database", "QueueDatabase._begin", _set_once),),
        catches=(
            Catch(f"{_SYNCED}[complete]", "not synced before"),
            Catch(f"{_POWER_CUT}[complete]", "was acknowledged and is lost"),
        ),
    ),
    Defect(
        name="busy-swallowed",
        group="durability",
        wrong="A worker that did not get the lock is told that its task is completed.",
        changes=tuple(
            Change("core.tasks", f"TaskQueue.{verb}", _swallow_busy)
            for verb in ("heartbeat", "complete")
        ),
        catches=(
            Catch(
                "test_rivals.py::test_rival_writer_beyond_the_busy_timeout_is_told_and_nothing_was_done",
                "not told that nothing was done",
            ),
        ),
    ),
    Defect(
        name="retry-doubles",
        group="durability",
        wrong="A producer that asks again, since no answer came, puts its task in twice.",
        changes=(Change("core.tasks", "_insert", _insert_again),),
        catches=(
            Catch(
                "test_acknowledgement.py::test_enqueue_without_an_answer_is_asked_again_and_is_one_task",
                "ran 2 times",
            ),
        ),
    ),
    Defect(
        name="shared-connection",
        group="durability",
        wrong="A thread that fails undoes what another thread is told is done.",
        changes=(
            Change("core.database", "QueueDatabase._slot", _share),
            Change("core.database", "QueueDatabase._begin", _join),
            Change("core.database", "QueueDatabase._commit", _commit_if_any),
        ),
        catches=(Catch("test_threads.py", "was acknowledged, and its task is"),),
    ),
    Defect(
        name="commit-error-not-done",
        group="durability",
        wrong="A commit that failed is said not to be done, and may be: what it put in runs twice.",
        changes=(Change("core.database", "QueueDatabase._commit", _take_for_busy),),
        catches=(
            Catch(
                "test_acknowledgement.py::test_failed_commit_is_told_as_unknown",
                "not that it is unknown",
            ),
        ),
    ),
)
