"""A queue that is to be damaged: its tasks, what was acknowledged since, and its backup."""

import contextlib
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from core.backup import QueueBackup
from core.database import QueueDatabase
from core.paths import uri
from core.tasks import TaskQueue
from harness.ways.session import Session

TASKS_COUNT = 40
FILLING = "x" * 300
INSERT = "INSERT INTO task_queue (type, payload, idempotency_key) VALUES ('t', ?, ?)"
PAYLOAD = f'{{"filling":"{FILLING}"}}'
EMPTY = "{}"

Tasks = dict[str, str]
"""Payloads by the tasks' keys."""


@dataclass
class Stage:
    """A queue, and what was said to be in it.

    Attributes:
        path: of the queue, which nobody has open.
        in_backup: the tasks that its backup has.
        acknowledged: the tasks that it must have.
    """

    path: Path
    in_backup: Tasks
    acknowledged: Tasks = field(default_factory=dict)

    @property
    def backup(self) -> Path:
        """Its one backup."""
        return QueueBackup(self.path).list_backups()[0].path

    def put(self, session: Session, keys: Iterable[str]) -> None:
        """Have the session add a task for each key, each in a transaction of its own."""
        for key in keys:
            session.sql(INSERT, PAYLOAD, key)
            self.acknowledged[key] = PAYLOAD

    def told(self, keys: Iterable[str], payload: str = EMPTY) -> None:
        """Take down that somebody else was told that these tasks are in the queue."""
        self.acknowledged |= dict.fromkeys(keys, payload)


def new_stage(path: Path, *, journal: str = "wal") -> Stage:
    """Return a new queue with tasks and a backup.

    Args:
        path: where; its folder is made.
        journal: mode that the queue is left in, ``wal`` or ``delete``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    keys = [f"k{number}" for number in range(TASKS_COUNT)]
    with QueueDatabase(path, create=True) as database:
        tasks = TaskQueue(database, durability="normal")
        for key in keys:
            tasks.enqueue("t", {"filling": FILLING}, idempotency_key=key)
        QueueBackup(database).create_backup()
    with contextlib.closing(sqlite3.connect(uri(path, mode="rw"), uri=True)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}").fetchall()
    in_backup = dict.fromkeys(keys, PAYLOAD)
    return Stage(path, in_backup, dict(in_backup))
