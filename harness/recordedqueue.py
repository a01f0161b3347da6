"""A queue of finished tasks whose content is recorded, and where it can be damaged."""

import contextlib
import random
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.clock import Clock
from core.content import ContentResult
from core.database import QueueDatabase
from core.maintenance import QueueMaintenance
from core.tasks import Task, TaskQueue
from harness.outcome import Inconclusive

_FILLING = "x" * 700
_LEASE_S = 86_400.0
_PAGE_SIZE_AT = 16
_ROW_BYTES_MOST = 1000
_EVERY = "SELECT id, status FROM task_queue NOT INDEXED ORDER BY id"
Told = Mapping[str, list[int]]
"""Ids of tasks that differ, by what is told to be the matter with them."""


@dataclass(frozen=True)
class RecordedQueue:
    """A queue, all of whose tasks are completed and in the file itself.

    Attributes:
        path: the queue.
        before: bytes of the file when the last half of the tasks was held and not yet completed.
        ids: of all tasks.
    """

    path: Path
    before: bytes
    ids: range

    def check(self, clock: Clock | None = None) -> ContentResult:
        """Compare and record, as the command does."""
        return check(self.path, clock)


def make_recorded(path: Path, count: int) -> RecordedQueue:
    """Complete so many new tasks of an empty queue, and have them recorded."""
    with QueueDatabase(path) as database:
        tasks = TaskQueue(database, durability="normal")
        for number in range(count):
            tasks.enqueue("t", {"filling": _FILLING}, idempotency_key=f"task-{number:04d}")
        held = [task for _number in range(count) if (task := _claim(tasks))]
        for task in held[: count // 2]:
            tasks.complete(task)
        QueueMaintenance(database).checkpoint("TRUNCATE")
        database.close()
        before = path.read_bytes()
        for task in held[count // 2 :]:
            tasks.complete(task)
        QueueMaintenance(database).checkpoint("TRUNCATE")
        QueueMaintenance(database).check_content()
    return RecordedQueue(path, before, range(1, count + 1))


def check(path: Path, clock: Clock | None = None) -> ContentResult:
    """Compare finished tasks with their record, and record them; nothing stays open."""
    with QueueDatabase(path, read_only=True, clock=clock) as database:
        return QueueMaintenance(database).check_content()


def told(result: ContentResult) -> Told:
    """Return which tasks differ, by what is the matter."""
    return {
        kind: [number for first, last in ids.ranges for number in range(first, last + 1)]
        for kind, ids in result.tally.differences.items()
    }


def _claim(tasks: TaskQueue) -> Task | None:
    return tasks.claim("holder", lease_seconds=_LEASE_S)


# -- where damage can be done ----------------------------------------------------------------


def place_in_payload(queue: RecordedQueue, number: int, chance: random.Random) -> int:
    """Return the offset in the file of some byte inside the payload of a task.

    Raises:
        Inconclusive: the payload does not lie in one piece in the file.
    """
    content, filling = queue.path.read_bytes(), _FILLING.encode()
    # Its key stands behind the payload in the row, and once more in its index.
    for place in _places(content, f"task-{number - 1:04d}".encode()):
        start = content.rfind(filling, max(0, place - _ROW_BYTES_MOST), place)
        if start >= 0:
            return start + chance.randrange(len(filling))
    raise Inconclusive(f"the payload of task {number} does not lie in one piece in the file")


@dataclass(frozen=True)
class WrittenPage:
    """A page of the table that was written when its tasks were completed.

    Attributes:
        number: of it, from 1.
        before: what it held before.
        held: ids of the tasks that it had as held then.
    """

    number: int
    before: bytes
    held: list[int]


def written_page(queue: RecordedQueue, chance: random.Random) -> WrittenPage:
    """Return one of the pages without whose last write all tasks are still there.

    Raises:
        Inconclusive: there is none.
    """
    content = queue.path.read_bytes()
    size = int.from_bytes(content[_PAGE_SIZE_AT : _PAGE_SIZE_AT + 2], "big")
    found: list[WrittenPage] = []
    for place in range(size, min(len(content), len(queue.before)), size):
        before, after = queue.before[place : place + size], content[place : place + size]
        if before != after and _FILLING.encode() in before:
            lost = content[:place] + before + content[place + size :]
            held = _held_with(lost, len(queue.ids))
            found += [WrittenPage(place // size + 1, before, held)] if held else []
    if not found:
        raise Inconclusive("no page of the table was written when its tasks were completed")
    return chance.choice(found)


def _places(content: bytes, needle: bytes) -> Iterator[int]:
    place = content.find(needle)
    while place >= 0:
        yield place
        place = content.find(needle, place + 1)


def _held_with(content: bytes, count: int) -> list[int]:
    """Return the ids of the tasks that are held in such a file, if all of its tasks are there."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "queue.db"
        path.write_bytes(content)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            try:
                rows = connection.execute(
                    "SELECT id, status FROM task_queue NOT INDEXED"
                ).fetchall()
            except sqlite3.DatabaseError:
                return []
    if [number for number, _status in rows] != list(range(1, count + 1)):
        return []
    return [number for number, status in rows if status == "leased"]
