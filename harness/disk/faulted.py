"""The verbs of the core that I/O faults strike: how each begins, what it does, and its answer.

Each has a queue of its own to work on, the same every time down to the clock, so that what it
leaves can be compared with what a run without a fault left.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.backup import QueueBackup
from core.clock import SystemClock
from core.connection import Connect
from core.database import QueueDatabase
from core.errors import LeaseLostError
from core.findings import Level
from core.health import check_health
from core.maintenance import QueueMaintenance
from core.paths import uri
from core.task import Task
from core.tasks import TaskQueue

DATABASE = "queue.db"
KEPT_COUNT = 2
_BEGINNING_MS = 1_790_000_000_000
_HOUR_MS = 3_600_000
_MAGIC_BYTES = 100
_FILLING = "x" * 400
_LONG_FILLING = "x" * 20_000
_WAITING_COUNT = 6


class StandingClock(SystemClock):
    """A clock whose wall time stands still, so that the same verb writes the same times."""

    def __init__(self, now_ms: int) -> None:
        super().__init__()
        self.moment_ms = now_ms

    def now_ms(self) -> int:
        """Return the moment at which it stands."""
        return self.moment_ms


@dataclass
class Bench:
    """A queue to be struck.

    Attributes:
        path: of the queue.
        connect: the door to SQLite.
        clock: stands still.
        worker: an opened queue, for verbs of a worker.
        task: that this worker holds.
        backup: on which the verb works.
    """

    path: Path
    connect: Connect
    clock: StandingClock = field(default_factory=lambda: StandingClock(_BEGINNING_MS))
    worker: QueueDatabase | None = None
    task: Task | None = None
    backup: Path | None = None

    def opened(self) -> QueueDatabase:
        """Return the queue, opened anew."""
        return QueueDatabase(
            self.path, connect=self.connect, clock=self.clock, busy_timeout_ms=1000
        )

    @property
    def tasks(self) -> TaskQueue:
        """The worker's tasks."""
        assert self.worker is not None
        return TaskQueue(self.worker)

    @property
    def held(self) -> Task:
        """The task that the worker holds."""
        assert self.task is not None
        return self.task

    @property
    def backups(self) -> QueueBackup:
        """The queue's backups."""
        return QueueBackup(self.path, connect=self.connect, clock=self.clock)

    def close(self) -> None:
        """Let the worker go."""
        if self.worker is not None:
            self.worker.close()


def make_queue(bench: Bench) -> None:
    """Leave a queue with tasks in every state, and three backups, made hours apart."""
    bench.clock.moment_ms = _BEGINNING_MS
    with QueueDatabase(
        bench.path, create=True, connect=bench.connect, clock=bench.clock
    ) as database:
        tasks = TaskQueue(database)
        for number in range(_WAITING_COUNT):
            tasks.enqueue("t", {"filling": _FILLING}, idempotency_key=f"first-{number}")
        for _number in range(2):
            done = tasks.claim("w")
            assert done is not None
            tasks.complete(done)
        assert tasks.claim("dead", lease_seconds=1.0) is not None
        for number in range(KEPT_COUNT + 1):
            QueueBackup(database).create_backup(f"number-{number}")
            bench.clock.moment_ms += _HOUR_MS
            tasks.enqueue("t", {"filling": _FILLING}, idempotency_key=f"later-{number}")


@dataclass(frozen=True)
class Verb:
    """One verb.

    Attributes:
        name: its name.
        run: what is struck; returns its answer in a form that can be compared.
        begin: what comes before, and is not struck.
        again: does it once more when the fault is gone; raises where that cannot be done.
        whole: whether it is one change, done whole or not at all.
        once: whether it may be done once only.
        cautious: whether an answer that is not the right one says less, and nothing that is not so.
    """

    name: str
    run: Callable[[Bench], object]
    begin: Callable[[Bench], None] = lambda _bench: None
    again: Callable[[Bench], object] | None = None
    whole: bool = True
    once: bool = False
    cautious: Callable[[Any, Any], bool] = lambda _right, _told: False


# -- a worker's ------------------------------------------------------------------------------


def _open_worker(bench: Bench) -> None:
    bench.worker = bench.opened()


def _open_without_log(bench: Bench) -> None:
    """Open the queue in the journal mode that queues of the field may have."""
    with contextlib.closing(bench.connect(uri(bench.path, mode="rw"), timeout_s=0.0)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    _open_worker(bench)


def _hold(bench: Bench) -> None:
    _open_worker(bench)
    bench.task = bench.tasks.claim("w", lease_seconds=60.0)
    bench.clock.moment_ms += 1000


def _enqueue(bench: Bench) -> object:
    return bench.tasks.enqueue("t", {"filling": _LONG_FILLING}, idempotency_key="struck")


def _claim(bench: Bench) -> object:
    task = bench.tasks.claim("w", lease_seconds=60.0)
    return None if task is None else task.id


def _heartbeat(bench: Bench) -> object:
    return bench.tasks.heartbeat(bench.held, lease_seconds=90.0).lease_until_ms


def _complete(bench: Bench) -> object:
    bench.tasks.complete(bench.held)
    return None


def _fail(bench: Bench) -> object:
    return bench.tasks.fail(bench.held, "no luck", retry_after_seconds=60.0)


def _or_lost(verb: Callable[[Bench], object]) -> Callable[[Bench], object]:
    """Do it again where it may be done: who is refused then knows that it is."""

    def again(bench: Bench) -> object:
        with contextlib.suppress(LeaseLostError):
            return verb(bench)
        return None

    return again


# -- maintenance ---------------------------------------------------------------------------------


def _open(bench: Bench) -> object:
    with bench.opened() as database:
        return QueueMaintenance(database).get_database_stats()["page_count"]


def _of_maintenance(verb: Callable[[QueueMaintenance], object]) -> Callable[[Bench], object]:
    def run(bench: Bench) -> object:
        with bench.opened() as database:
            return verb(QueueMaintenance(database))

    return run


def _checkpoint(maintenance: QueueMaintenance) -> object:
    return maintenance.checkpoint("TRUNCATE")["complete"]


def _vacuum(maintenance: QueueMaintenance) -> object:
    return maintenance.vacuum(timeout_seconds=20.0).size_after_bytes


def _leave_log(bench: Bench) -> None:
    """Leave frames in the -wal, kept there by a connection that stays."""
    _open_worker(bench)
    bench.tasks.enqueue("t", {"filling": _FILLING}, idempotency_key="in-the-log")


def _leave_free_pages(bench: Bench) -> None:
    with bench.opened() as database, database.transaction() as connection:
        connection.execute("CREATE TABLE filling (x)").close()
        connection.execute("INSERT INTO filling VALUES (zeroblob(100000))").close()
        connection.execute("DROP TABLE filling").close()


def _health(bench: Bench) -> object:
    report = check_health(bench.path, connect=bench.connect, clock=bench.clock)
    return {finding.id: list(Level).index(finding.level) for finding in report.findings}


def _no_healthier(right: Any, told: Any) -> bool:  # noqa: ANN401 - both are answers of _health
    return right.keys() == told.keys() and all(told[name] >= right[name] for name in right)


# -- backups -------------------------------------------------------------------------------------


def _backup(bench: Bench) -> object:
    return bench.backups.create_backup("struck").name


def _choose(bench: Bench) -> None:
    bench.backup = bench.backups.list_backups()[0].path


def _choose_and_damage(bench: Bench) -> None:
    _choose(bench)
    assert bench.backup is not None
    content = bytearray(bench.backup.read_bytes())
    # In a payload, where SQLite itself sees nothing.
    content[content.rindex(_FILLING.encode())] ^= 1
    bench.backup.write_bytes(content)


def _verify(bench: Bench) -> object:
    assert bench.backup is not None
    return bench.backups.verify_backup(bench.backup)


def _prune(bench: Bench) -> object:
    return bench.backups.cleanup_old_backups(KEPT_COUNT)


def _restore(bench: Bench, *, live: bool = False) -> object:
    assert bench.backup is not None
    return bench.backups.restore_backup(bench.backup, live=live).tasks_restored


def _choose_beside_worker(bench: Bench) -> None:
    _choose(bench)
    _open_worker(bench)


def _choose_and_destroy(bench: Bench) -> None:
    _choose(bench)
    content = bench.path.read_bytes()
    bench.path.write_bytes(bytes(_MAGIC_BYTES) + content[_MAGIC_BYTES:])


def _restored(bench: Bench) -> None:
    _choose(bench)
    _restore(bench)


VERBS = {
    verb.name: verb
    for verb in (
        Verb("open", _open),
        Verb("enqueue", _enqueue, _open_worker),
        Verb("enqueue-journal", _enqueue, _open_without_log),
        Verb("claim", _claim, _open_worker),
        Verb("heartbeat", _heartbeat, _hold),
        Verb("complete", _complete, _hold, _or_lost(_complete)),
        Verb("fail", _fail, _hold, _or_lost(_fail)),
        Verb("reclaim", _of_maintenance(lambda each: each.cleanup_stale_leases(1))),
        Verb("checkpoint", _of_maintenance(_checkpoint), _leave_log),
        Verb("vacuum", _of_maintenance(_vacuum), _leave_free_pages),
        Verb("archive", _of_maintenance(lambda each: each.archive_finished(1).moved), whole=False),
        Verb("content", _of_maintenance(lambda each: each.check_content().tally.tasks)),
        Verb("health", _health, cautious=_no_healthier),
        Verb("backup", _backup),
        Verb("verify", _verify, _choose, cautious=lambda _right, _told: True),
        Verb("verify-damaged", _verify, _choose_and_damage),
        # A backup that cannot be looked at stays.
        Verb("prune", _prune, whole=False, cautious=lambda right, told: told < right),
        Verb("restore", _restore, _choose),
        Verb("restore-live", lambda bench: _restore(bench, live=True), _choose_beside_worker),
        Verb("restore-swap", _restore, _choose_and_destroy),
        Verb(
            "undo",
            lambda bench: bench.backups.undo_restore().tasks_restored,
            _restored,
            # The undoing of an undo brings back what was there before.
            once=True,
        ),
    )
}
"""All that are struck, by name."""
