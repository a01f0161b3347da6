"""The operations whose power is cut: a queue made ready for each, and its record."""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.backup import QueueBackup
from core.connection import connect_stdlib
from core.database import QueueDatabase
from core.paths import sides, uri
from core.tasks import TaskQueue
from harness.disk.left import BACKUPS, DATABASE, Finder
from harness.disk.model import Disk
from harness.disk.promised import Promised
from harness.disk.record import Entry, read_record
from harness.disk.sweep import Sweep, lay_out
from harness.equipment import memory_folder
from harness.faults.helper import helper
from harness.outcome import Inconclusive

_PROGRAM = Path(__file__).parents[1] / "drivers" / "recorded_verb.py"
_TASKS_COUNT = 3
_BACKUPS_COUNT = 3
_HEADER_BYTES = 100
_CHECKPOINT_PAGES = 12


def _with_tasks(folder: Path) -> None:
    with QueueDatabase(folder / DATABASE, create=True) as database:
        tasks = TaskQueue(database, durability="normal")
        for number in range(_TASKS_COUNT):
            tasks.enqueue("t", {"number": number})


def _in_rollback_mode(folder: Path) -> None:
    _with_tasks(folder)
    connection = connect_stdlib(uri(folder / DATABASE, mode="rw"), timeout_s=0.0)
    with contextlib.closing(connection):
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()


def _with_backups(count: int) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        _with_tasks(folder)
        backups = QueueBackup(folder / DATABASE, folder / BACKUPS)
        for _number in range(count):
            backups.create_backup()

    return prepare


def _gone_on_since_its_backup(folder: Path) -> None:
    """Leave a queue with a held task in its backup, and newer ones in the -wal of a dead worker."""
    _with_tasks(folder)
    path = folder / DATABASE
    with QueueDatabase(path) as database:
        tasks = TaskQueue(database)
        tasks.claim("worker")
        QueueBackup(database, folder / BACKUPS).create_backup()
        tasks.enqueue("t", {"newer": True})
        # Who ends in order folds the -wal in; one that is killed leaves it.
        left = {file: file.read_bytes() for file in (path, sides(path)[0])}
    for file, content in left.items():
        file.write_bytes(content)


def _destroyed_since_its_backup(folder: Path) -> None:
    _gone_on_since_its_backup(folder)
    with (folder / DATABASE).open("r+b") as file:
        file.write(bytes(_HEADER_BYTES))


def _restored(folder: Path) -> None:
    _gone_on_since_its_backup(folder)
    QueueBackup(folder / DATABASE, folder / BACKUPS).restore_newest()


def _empty(_folder: Path) -> None:
    """Leave nothing."""


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        name: of it.
        verb: of the program that is recorded.
        prepare: makes its queue.
        settings: of the verb.
    """

    name: str
    verb: str
    prepare: Callable[[Path], None]
    settings: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    @contextlib.contextmanager
    def recorded(self, scratch: Path) -> Iterator["Recorded"]:
        """Yield its record, made by a process that alone has the queue open.

        Args:
            scratch: where the record stays; the queue is gone at the end of the body.

        Raises:
            Inconclusive: it failed, or the record does not make the folder again.
        """
        with tempfile.TemporaryDirectory(prefix="queuedrill-", dir=memory_folder()) as name:
            folder, file = Path(name).resolve() / "queue", scratch / f"{self.name}.record"
            folder.mkdir()
            self.prepare(folder)
            settings = json.dumps(dict(self.settings))
            with helper(_PROGRAM, folder, file, self.verb, settings) as process:
                ended = process.line()
            if ended != "done":
                raise Inconclusive(f"{self.name}, run untouched, ended so: {ended or 'not at all'}")
            record = read_record(file)
            _require_whole(record, folder)
            yield Recorded(self, record, folder)


_WORK = {"rounds": 3, "checkpoint_pages": _CHECKPOINT_PAGES}
OPERATIONS: Mapping[str, Operation] = {
    each.name: each
    for each in (
        Operation("enqueue", "enqueue", _with_tasks, _WORK),
        Operation("complete", "complete", _with_tasks, _WORK),
        Operation("fail", "fail", _with_tasks, _WORK),
        Operation("enqueue-rollback", "enqueue", _in_rollback_mode, {"rounds": 2}),
        Operation("complete-rollback", "complete", _in_rollback_mode, {"rounds": 2}),
        Operation("backup", "backup", _with_backups(1)),
        Operation("prune", "prune", _with_backups(_BACKUPS_COUNT), {"keep": 1}),
        Operation("restore", "restore", _gone_on_since_its_backup),
        Operation("restore-live", "restore", _gone_on_since_its_backup, {"live": True}),
        Operation("restore-swap", "restore", _destroyed_since_its_backup),
        Operation("undo", "undo", _restored),
        Operation("create", "create", _empty),
    )
}
"""All that promise to survive a power cut, by name."""
UNSYNCED = Operation("enqueue-unsynced", "enqueue", _with_tasks, {**_WORK, "unsynced": True})
"""One whose connections were set to sync nothing when they were opened."""
NORMAL = Operation(
    "enqueue-normal",
    "enqueue",
    _with_tasks,
    {"rounds": 24, "checkpoint_pages": 40, "normal": True},
)
"""One that promises no more than that the file stays sound."""


@dataclass(frozen=True)
class Recorded:
    """An operation and its record.

    Attributes:
        operation: what was recorded.
        record: of it, run to its end.
        folder: where it was recorded, and where the states are laid out: a backup says of which
            queue it is by the queue's path.
    """

    operation: Operation
    record: tuple[Entry, ...]
    folder: Path

    def promised(self) -> Promised:
        """Return what has to be there after a cut."""
        before, after = Disk(), Disk()
        for entry in self.record:
            after.follow(entry)
            if entry.what == "base":
                before.follow(entry)
        finder = Finder(self.folder)
        found = []
        for disk in (before, after):
            lay_out(disk.left(disk.loose), self.folder)
            found.append(finder.look())
        return Promised.by(self.record, *found)

    def sweep(self, promised: Promised | None = None) -> Sweep:
        """Return what cuts its power.

        Args:
            promised: what has to be there afterwards; found out by default.
        """
        return Sweep(self.record, (promised or self.promised()).wrong, self.folder)


def new_disk(*, lies: bool = False) -> Disk:
    """Return a disk as this system has them.

    Args:
        lies: whether it says that it synced, and does not.
    """
    # Windows has no call that syncs a folder, and its file system keeps a journal of names.
    return Disk(names_are_kept=os.name == "nt", lies=lies)


def _require_whole(record: tuple[Entry, ...], folder: Path) -> None:
    """Return if the record makes again what lies in the folder.

    Raises:
        Inconclusive: something was done to it that is not in the record.
    """
    disk = Disk()
    for entry in record:
        disk.follow(entry)
    made = disk.left(disk.loose).contents
    there = {
        path.relative_to(folder).as_posix(): None if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
        if not path.name.endswith(("-shm", "-maintenance.lock"))
    }
    differ = [path for path in {**made, **there} if made.get(path, 0) != there.get(path, 0)]
    if differ:
        raise Inconclusive(f"the record does not make {sorted(differ)[:3]} again")
