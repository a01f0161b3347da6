"""A program that does one operation of the core on a queue that it alone has open, and records it.

All that it writes, names and syncs goes into the record, SQLite's calls and the core's own, with
marks of what it was told is done. Says ``done`` at its end, or why it failed.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.backup import QueueBackup
from core.connection import Connect, Connection
from core.database import Durability, QueueDatabase
from core.tasks import TaskQueue
from harness.disk.binding import apsw_door
from harness.disk.left import BACKUPS, DATABASE, content_of
from harness.disk.promised import ACKNOWLEDGED, BEGUN
from harness.disk.recording import Recording
from harness.disk.vfs import watched_files
from harness.inherited import planted_by_parent

LEASE_S = 600.0


@dataclass
class Stage:
    """Where the operation is done.

    Attributes:
        folder: of the queue.
        connect: the door to SQLite.
        recording: takes the marks.
        settings: of the operation.
    """

    folder: Path
    connect: Connect
    recording: Recording
    settings: dict[str, object]

    @property
    def path(self) -> Path:
        """Path of the queue."""
        return self.folder / DATABASE

    @property
    def backups(self) -> QueueBackup:
        """Its backups."""
        return QueueBackup(self.path, self.folder / BACKUPS, connect=self.connect)

    @property
    def rounds(self) -> int:
        """How often it is done."""
        return int(str(self.settings.get("rounds", 1)))

    @contextmanager
    def tasks(self) -> Iterator[TaskQueue]:
        """Open the queue for the body, and end what the last connection leaves."""
        durability: Durability = "normal" if self.settings.get("normal") else "full"
        with QueueDatabase(self.path, connect=self.connect) as database:
            pages = self.settings.get("checkpoint_pages", 1000)
            database.connection().execute(f"PRAGMA wal_autocheckpoint = {pages}").fetchall()
            yield TaskQueue(database, durability=durability)

    @contextmanager
    def told(
        self, label: str, tasks: TaskQueue | None = None, *, promised: bool = True
    ) -> Iterator[dict[str, object]]:
        """Mark the beginning and the end of the body; yield what the end says besides.

        Args:
            label: of what is done.
            tasks: of which the content is said at the end.
            promised: whether it is to survive a power cut.
        """
        self.recording.mark(BEGUN, label)
        said: dict[str, object] = {"promised": promised}
        yield said
        if tasks is not None:
            said["content"] = content_of(tasks.database.connection())
        self.recording.mark(ACKNOWLEDGED, label, **said)


def _enqueue(stage: Stage) -> None:
    with stage.tasks() as tasks:
        promised = tasks.durability == "full"
        for number in range(stage.rounds):
            with stage.told(f"enqueue {number}", tasks, promised=promised):
                tasks.enqueue("t", {"number": number}, idempotency_key=f"new-{number}")


def _end(stage: Stage, verb: str) -> None:
    with stage.tasks() as tasks:
        for number in range(stage.rounds):
            with stage.told(f"claim {number}", tasks, promised=False):
                task = tasks.claim("worker", lease_seconds=LEASE_S)
            assert task is not None, "there are as many tasks as rounds"
            with stage.told(f"{verb} {number}", tasks, promised=tasks.durability == "full"):
                if verb == "complete":
                    tasks.complete(task)
                else:
                    tasks.fail(task, "for trial", retry_after_seconds=LEASE_S)


def _backup(stage: Stage) -> None:
    for number in range(stage.rounds):
        with stage.told(f"backup {number}") as said:
            said["listed"] = stage.backups.create_backup(f"made{number}").name


def _prune(stage: Stage) -> None:
    with stage.told("retention"):
        stage.backups.cleanup_old_backups(int(str(stage.settings["keep"])))


def _restore(stage: Stage) -> None:
    with stage.told("restore") as said:
        stage.backups.restore_newest(live=bool(stage.settings.get("live")))
        said["restored"] = True


def _undo(stage: Stage) -> None:
    with stage.told("undo") as said:
        stage.backups.undo_restore()
        said["restored"] = True


def _create(stage: Stage) -> None:
    with stage.told("create") as said:
        QueueDatabase(stage.path, create=True, connect=stage.connect).close()
        said["restored"] = True


VERBS: dict[str, Callable[[Stage], None]] = {
    "enqueue": _enqueue,
    "complete": lambda stage: _end(stage, "complete"),
    "fail": lambda stage: _end(stage, "fail"),
    "backup": _backup,
    "prune": _prune,
    "restore": _restore,
    "undo": _undo,
    "create": _create,
}


def _stage(
    folder: Path, connect: Connect, recording: Recording, settings: dict[str, object]
) -> Stage:
    def unsynced(uri: str, *, timeout_s: float) -> Connection:
        # As an application may open it that wants to be fast.
        connection = connect(uri, timeout_s=timeout_s)
        connection.execute("PRAGMA synchronous = OFF").close()
        return connection

    door = unsynced if settings.get("unsynced") else connect
    return Stage(folder, door, recording, settings)


def main(folder: Path, record: Path, verb: str, settings: str) -> str:
    """Do the operation; return how it ended."""
    with planted_by_parent(), record.open("wb") as stream:
        recording = Recording(folder, stream)
        with recording.of_core(), watched_files(recording) as vfs:
            stage = _stage(folder, apsw_door(vfs), recording, json.loads(settings))
            try:
                VERBS[verb](stage)
            except Exception as error:  # noqa: BLE001 - said, and judged by who asked
                return f"failed {type(error).__name__}: {error}"
    return "done"


if __name__ == "__main__":
    said = main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]), sys.argv[3], sys.argv[4])
    sys.stdout.buffer.write(f"{' '.join(said.split())}\n".encode())
