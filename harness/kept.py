"""A queue with a past and backups, on which every verb that keeps a queue has something to do."""

from dataclasses import dataclass, field
from pathlib import Path

from core.archive import archive_path
from core.backup import QueueBackup
from core.clock import ManualClock, SystemClock
from core.database import QueueDatabase
from core.manifest import manifest_path
from core.schema import HELD, QUEUED
from core.tasks import Task, TaskQueue
from harness.leftovers import asked_of_copy, lay_out, read_folder
from harness.outcome import Inconclusive

_AGE_S = 86_400.0
_LEASE_S = 60.0
_BEFORE_COUNT = 7
_AFTER_COUNT = 2
_FREED_COUNT = 12
_FILLING = "x" * 3000
_FREED = "freed-"
_LONGEST = 100
_TASKS = """SELECT idempotency_key, status, locked_by, attempts, payload,
    (SELECT count(*) FROM task_logs WHERE task_id = t.id) FROM task_queue AS t"""
_ANY_ARCHIVED = "SELECT 1 FROM archived_tasks LIMIT 1"
_ARCHIVED = """SELECT idempotency_key, status, locked_by, attempts, payload,
    (SELECT count(*) FROM archived_logs AS l WHERE l.archive_id = t.archive_id)
    FROM archived_tasks AS t"""
Row = tuple[str, str | None, int, str, int]
"""Status, holder, attempts, payload, and rows of history."""
Rows = dict[str, Row]


@dataclass
class KeptQueue:
    """A queue whose last worker was killed, so that its newest tasks are in the -wal alone.

    Attributes:
        path: the queue, in a folder of its own.
        backups: names of those that are there, the oldest first.
        tasks: by their keys.
        in_oldest: those of the oldest backup, by theirs.
    """

    path: Path
    backups: list[str]
    tasks: Rows
    in_oldest: Rows
    _sound: dict[tuple[bytes, ...], bool] = field(default_factory=dict)

    @property
    def oldest(self) -> Path:
        """The oldest backup."""
        return QueueBackup(self.path).folder / self.backups[0]

    def listed(self) -> list[str]:
        """Return the names of the backups that are listed now, the oldest first."""
        return sorted(info.path.name for info in QueueBackup(self.path).list_backups())

    def half(self) -> list[str]:
        """Return the names of those that are listed now, and are not proved or not sound."""
        backups = QueueBackup(self.path)
        return [
            info.path.name
            for info in backups.list_backups()
            if info.manifest is None or not self._is_sound(backups, info.path)
        ]

    def _is_sound(self, backups: QueueBackup, backup: Path) -> bool:
        """Verify it; one whose bytes are as they were only once."""
        content = (backup.name.encode(), backup.read_bytes(), manifest_path(backup).read_bytes())
        if content not in self._sound:
            self._sound[content] = backups.verify_backup(backup)
        return self._sound[content]


def make_kept_queue(path: Path) -> KeptQueue:
    """Return a queue with tasks of each kind, some of its pages free, and two backups.

    Args:
        path: where nothing is yet.
    """
    clock = ManualClock(SystemClock().now_ms() - round(_AGE_S * 1000))
    with QueueDatabase(path, create=True, clock=clock) as database:
        tasks = TaskQueue(database, durability="normal")
        for number in range(_FREED_COUNT):
            tasks.enqueue("t", {"filling": _FILLING}, idempotency_key=f"{_FREED}{number}")
        with database.transaction() as connection:
            connection.execute("DELETE FROM task_queue").close()
        _work(tasks)
        backups = QueueBackup(database, clock=clock)
        oldest = backups.create_backup()
        clock.advance_s(1)
        names = [oldest.name, backups.create_backup().name]
        for number in range(_AFTER_COUNT):
            tasks.enqueue("t", {"number": number}, idempotency_key=f"after-{number}")
        tasks.complete(_claimed(tasks))
        left = read_folder(path.parent, path)
    lay_out(left, path.parent)
    if not path.with_name(f"{path.name}-wal").stat().st_size:
        raise Inconclusive("nothing is in the -wal alone")
    return KeptQueue(path, names, tasks_of(path), tasks_of(oldest))


def _work(tasks: TaskQueue) -> None:
    for number in range(_BEFORE_COUNT):
        tasks.enqueue("t", {"number": number}, idempotency_key=f"before-{number}")
    tasks.complete(_claimed(tasks))
    tasks.fail(_claimed(tasks), "no luck", retry_after_seconds=_LONGEST * _AGE_S)
    for _number in range(2):
        _claimed(tasks)


def _claimed(tasks: TaskQueue) -> Task:
    task = tasks.claim("worker", lease_seconds=_LEASE_S)
    assert task is not None
    return task


def tasks_of(path: Path) -> Rows:
    """Return the tasks of a queue that nobody has open, as a stranger to it reads them."""
    return _rows(path, _TASKS)


def archived_by(path: Path) -> Rows:
    """Return the tasks in the queue's archive; it has no columns before it has the first."""
    archive = archive_path(path)
    if not archive.exists() or not asked_of_copy(archive, _ANY_ARCHIVED):
        return {}
    return _rows(archive, _ARCHIVED)


def _rows(path: Path, sql: str) -> Rows:
    return {
        str(key): (str(status), holder, int(attempts), str(payload), int(logs))
        for key, status, holder, attempts, payload, logs in asked_of_copy(path, sql)
    }


def released(tasks: Rows, *, attempts: int = 0) -> Rows:
    """Return the tasks as they are once each was taken from its holder, which is written down.

    Args:
        tasks: by their keys.
        attempts: how many that counts for.
    """
    return {
        key: (QUEUED, None, row[2] + attempts, row[3], row[4] + 1) if row[0] in HELD else row
        for key, row in tasks.items()
    }
