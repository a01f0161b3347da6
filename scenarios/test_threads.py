"""Threads of one process at one queue: what one of them does wrong is its own affair.

Claim: the threads of a process may share a QueueDatabase; a thread whose operation fails undoes
nothing of what another one is about to commit.
Faults: failing-thread.
Method: one thread stands still between its statements and its commit, by a door to SQLite; another
one fails and rolls back meanwhile; then the first goes on, and the file is compared with what it
was told.
A failure means: in a service with several threads, acknowledged tasks are gone now and then.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.connection import Connection
from core.database import QueueDatabase
from core.errors import QueueError
from core.maintenance import QueueMaintenance
from core.task import Task
from core.tasks import TaskQueue
from harness.door import watched
from harness.drivers.traps import COMMIT
from harness.evidence import Evidence
from harness.outcome import Inconclusive
from harness.waiting import wait_for

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

BUSY_MS = 100
WAIT_S = 20.0
Verb = Callable[[TaskQueue, Task], object]
VERBS: dict[str, tuple[Verb, str]] = {
    "enqueue": (lambda tasks, _task: tasks.enqueue("new", {}), "queued"),
    "complete": (lambda tasks, task: tasks.complete(task), "completed"),
    "fail": (lambda tasks, task: tasks.fail(task, "for trial"), "queued"),
}
"""What the first thread does with the task that it holds, and what becomes of a task by it."""


class Pause:
    """Holds one thread up at its commit.

    Attributes:
        reached: set when it stands still.
        over: set to let it go on.
    """

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.over = threading.Event()
        self._thread: int | None = None

    def mine(self) -> None:
        """Say that the thread that calls this is the one to be held up."""
        self._thread = threading.get_ident()

    def before(self, _connection: Connection, sql: str) -> None:
        """Wait at the commit of that thread."""
        if sql == COMMIT and threading.get_ident() == self._thread:
            self.reached.set()
            wait_for(self.over, "the end of the other thread", timeout_s=WAIT_S)

    def after(self, _connection: Connection, _sql: str) -> None:
        """Let pass."""


@pytest.fixture
def pause() -> Pause:
    """Where the first thread stands still."""
    return Pause()


@pytest.fixture
def tasks(queue_path: Path, pause: Pause) -> Iterator[TaskQueue]:
    """The queue that the threads share."""
    with QueueDatabase(queue_path, connect=watched(pause), busy_timeout_ms=BUSY_MS) as database:
        yield TaskQueue(database)


@pytest.mark.parametrize("verb", VERBS)
def test_thread_that_fails_undoes_nothing_of_another(
    verb: str, tasks: TaskQueue, pause: Pause, queue_path: Path, evidence: Evidence
) -> None:
    """What a thread is told is done, is done, though another one failed while it was committing."""
    ask, becomes = VERBS[verb]
    kind = "new" if verb == "enqueue" else "held"
    held, lost = _held(tasks, "held"), _held(tasks, "lost")
    QueueMaintenance(tasks.database).release_lease(lost.id)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(_paused, pause, ask, tasks, held)
        try:
            wait_for(pause.reached, f"the commit of {verb}", timeout_s=WAIT_S)
            error = pool.submit(_complete, tasks, lost).result(WAIT_S)
        finally:
            pause.over.set()
        told = first.exception(WAIT_S)

    evidence.fault(
        "failing-thread",
        "a thread fails while another one is about to commit",
        error is not None,
        f"it was told {error!r}",
        f"the other one was told {told!r}",
    )
    evidence.require(told is None, f"{verb} was refused for another thread's failure: {told!r}")
    seen = _status(queue_path, kind)
    evidence.require(
        seen == becomes, f"{verb} was acknowledged, and its task is {seen}, not {becomes}"
    )


def _held(tasks: TaskQueue, kind: str) -> Task:
    """Return a new task, claimed."""
    tasks.enqueue(kind, {})
    task = tasks.claim("worker", types=[kind])
    if task is None:
        raise Inconclusive(f"the task {kind!r} could not be claimed")
    return task


def _paused(pause: Pause, ask: Verb, tasks: TaskQueue, held: Task) -> None:
    pause.mine()
    ask(tasks, held)


def _complete(tasks: TaskQueue, lost: Task) -> QueueError | None:
    """Return the error of completing a task that was lost, or of not getting the lock for it."""
    try:
        tasks.complete(lost)
    except QueueError as error:
        return error
    return None


def _status(queue_path: Path, kind: str) -> str:
    with QueueDatabase(queue_path, read_only=True) as database:
        rows = database.connection().execute(
            "SELECT status FROM task_queue WHERE type = ?", (kind,)
        )
        found = [str(row[0]) for row in rows.fetchall()]
    return found[0] if found else "missing"
