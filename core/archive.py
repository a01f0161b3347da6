"""Archiving: finished tasks move, whole, from the queue into an archive of its own.

A batch is copied and synced there first, and deleted here only where it is still byte for byte
what was copied. Cut off anywhere, each task is in the queue, or in the archive, or in both until
the next run, which settles the copies that were left pending before it does anything else.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .archivefile import ArchiveFile, Pending, check_path
from .connection import Connection, roll_back
from .database import QueueDatabase
from .errors import ArchiveError, CommitUnknownError
from .leases import shown
from .schema import FINISHED, read_meta, write_meta
from .timestamps import parse
from .translation import translated
from .wholetask import UnreadableTaskError, WholeTask, WholeTaskReader, created_at_bytes

BATCH_TASKS = 100
ARCHIVE_FOLDER = "archive"
ARCHIVES_KEY = "archives"
"""Key in the queue's own table under which other archives than the usual one are named."""
_LOOK_TASKS = 5000
_FINISHED = ", ".join(f"'{status}'" for status in FINISHED)


@dataclass
class ArchiveResult:
    """What an archive run moved.

    Attributes:
        archive: path of the archive.
        moved: tasks that left the queue in this run.
        logs_moved: their log rows.
        settled: of the moved, those that an earlier run, cut off, had copied.
        left_unreadable: finished tasks that stay since their end, or their text, is unreadable.
        left_changed: tasks that stay since somebody changed them while they were copied.
        batches: transactions in which tasks were deleted.
        longest_lock_seconds: how long writers had to wait for one of them at most.
        seconds: how long the run took.
    """

    archive: Path
    moved: int = 0
    logs_moved: int = 0
    settled: int = 0
    left_unreadable: int = 0
    left_changed: int = 0
    batches: int = 0
    longest_lock_seconds: float = 0.0
    seconds: float = 0.0


def archive_path(database: Path) -> Path:
    """Return where the queue's archive is unless told otherwise."""
    return database.parent / ARCHIVE_FOLDER / f"{database.stem}-archive.db"


def known_archives(connection: Connection, database: Path) -> list[Path]:
    """Return where archives of the queue were made, whether they still are there or not."""
    noted: object = None
    with contextlib.suppress(ValueError, RecursionError):
        noted = json.loads(read_meta(connection, ARCHIVES_KEY) or "[]")
    others = noted if isinstance(noted, list) else []
    return [archive_path(database), *(Path(path) for path in others if _is_path(path))]


def _is_path(noted: object) -> bool:
    return isinstance(noted, str) and "\0" not in noted


def archive_finished(
    database: QueueDatabase, older_than_seconds: float, path: Path, batch_tasks: int
) -> ArchiveResult:
    """Move the finished tasks whose end is longer ago than the age; return what was moved.

    Raises:
        ArchiveError: the archive cannot be used, or another table refers to the tasks.
    """
    start_s = database.clock.monotonic_s()
    check_path(path, database.path)
    result = ArchiveResult(path)
    with (
        translated(database.path, database.busy_timeout_ms / 1000),
        ArchiveFile(path, database.path, connect=database.connect, clock=database.clock) as archive,
    ):
        reader = WholeTaskReader.of(database.connection())
        archive.take_columns(reader)
        mover = _Mover(database, archive, reader, batch_tasks, result)
        mover.settle()
        result.settled = result.moved
        mover.move(database.clock.now_ms() - round(older_than_seconds * 1000))
    result.seconds = database.clock.monotonic_s() - start_s
    return result


@dataclass
class _Mover:
    database: QueueDatabase
    archive: ArchiveFile
    reader: WholeTaskReader
    batch_tasks: int
    result: ArchiveResult
    _batch: list[int] = field(default_factory=list)

    def move(self, before_ms: int) -> None:
        for task_id in self._due(before_ms):
            self._batch.append(task_id)
            if len(self._batch) == self.batch_tasks:
                self._move_batch()
        self._move_batch()

    def _due(self, before_ms: int) -> Iterator[int]:
        last = -(2**63)
        while True:
            rows = (
                self.database.connection()
                .execute(
                    f"SELECT id, CAST(finished_at_utc AS BLOB) FROM task_queue "
                    f"WHERE status IN ({_FINISHED}) AND id > ? ORDER BY id LIMIT ?",
                    (last, _LOOK_TASKS),
                )
                .fetchall()
            )
            for task_id, finished_at in rows:
                finished_ms = parse(shown(finished_at))
                self.result.left_unreadable += finished_ms is None
                if finished_ms is not None and finished_ms < before_ms:
                    yield task_id
            if len(rows) < _LOOK_TASKS:
                return
            last = rows[-1][0]

    def _move_batch(self) -> None:
        if self._batch:
            self.archive.add(self._read_batch())
            self.settle()
            self._batch.clear()

    def _read_batch(self) -> list[WholeTask]:
        connection = self.database.connection()
        # One snapshot, so that each task and its history are of one moment.
        connection.execute("BEGIN").close()
        try:
            return [task for task_id in self._batch if (task := self._read(connection, task_id))]
        finally:
            roll_back(connection)

    def _read(self, connection: Connection, task_id: int) -> WholeTask | None:
        try:
            task = self.reader.read(connection, task_id)
        except UnreadableTaskError:
            self.result.left_unreadable += 1
            return None
        # Somebody may have requeued or deleted it since it was found.
        return task if task is not None and dict(task.row)["status"] in FINISHED else None

    def settle(self) -> None:
        """Delete from the queue what the archive has; drop copies of what was changed since."""
        while pending := self.archive.pending(self.batch_tasks):
            gone, changed = self._delete(pending)
            self.archive.settle(gone, changed)

    def _delete(self, pending: list[Pending]) -> tuple[list[Pending], list[Pending]]:
        gone: list[Pending] = []
        changed: list[Pending] = []
        deleted: list[Pending] = []
        try:
            with self.database.transaction() as connection:
                start_s = self.database.clock.monotonic_s()
                for copy in pending:
                    state = self._compare(connection, copy)
                    if state == "same":
                        self.reader.delete(connection, copy.task_id)
                        deleted.append(copy)
                    (changed if state == "changed" else gone).append(copy)
                if deleted:
                    self._note_archive(connection)
        except (sqlite3.IntegrityError, CommitUnknownError) as error:
            # A reference may be checked only at COMMIT, before that writes anything.
            if not isinstance(error.__cause__ or error, sqlite3.IntegrityError):
                raise
            raise ArchiveError(
                path=str(self.database.path),
                archive=str(self.archive.path),
                detail="another table refers to the tasks, so they cannot leave "
                f"({error.__cause__ or error})",
            ) from error
        lock_s = self.database.clock.monotonic_s() - start_s
        self.result.longest_lock_seconds = max(self.result.longest_lock_seconds, lock_s)
        self.result.batches += 1
        self.result.moved += len(deleted)
        self.result.logs_moved += sum(copy.logs for copy in deleted)
        self.result.left_changed += len(changed)
        return gone, changed

    def _note_archive(self, connection: Connection) -> None:
        """Say in the queue where its tasks went, unless that is where everybody looks."""
        if self.archive.path == archive_path(self.database.path):
            return
        known = known_archives(connection, self.database.path)
        if self.archive.path not in known:
            others = [str(path) for path in (*known[1:], self.archive.path)]
            write_meta(connection, ARCHIVES_KEY, json.dumps(others))

    def _compare(self, connection: Connection, copy: Pending) -> str:
        """Return "same", "changed", or "gone" where the queue has no such task any more."""
        try:
            task = self.reader.read(connection, copy.task_id)
        except UnreadableTaskError:
            same = created_at_bytes(connection, copy.task_id) == str(copy.created_at).encode()
            return "changed" if same else "gone"
        if task is None or task.created_at != copy.created_at:
            return "gone"
        return "same" if task.digest == copy.digest else "changed"
