"""What SQLite itself, and nothing of the core's, says of a queue that was damaged."""

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from core.paths import sides
from harness.ways.stage import Tasks

_PROBLEMS_MOST = 2


def harm_to(path: Path, acknowledged: Tasks, *, payloads: bool = True) -> str:
    """Return what is wrong with a queue, or nothing; it is left as it is.

    A copy of the file, its -wal and its -journal is opened, as the next program would open them.
    No process but others may have the queue open.

    Args:
        path: of the queue.
        acknowledged: the tasks that it must have, and no other.
        payloads: whether their payloads are known and compared.
    """
    with _copy(path) as copy:
        try:
            with contextlib.closing(sqlite3.connect(copy)) as connection:
                return "; ".join(_wrong(connection, acknowledged, payloads=payloads))
        except sqlite3.Error as error:
            return f"SQLite does not open it: {error}"


def tasks_of(path: Path) -> Tasks:
    """Return the tasks of a sound queue that nobody has open."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return _tasks(connection)


def _wrong(connection: sqlite3.Connection, acknowledged: Tasks, *, payloads: bool) -> Iterator[str]:
    rows = connection.execute(f"PRAGMA integrity_check({_PROBLEMS_MOST})").fetchall()
    problems = [str(row[0]).replace("\n", ", ") for row in rows if row[0] != "ok"]
    if problems:
        yield f"integrity_check: {', '.join(problems)}"
    try:
        there = _tasks(connection)
    except sqlite3.Error as error:
        yield f"its tasks cannot be read: {error}"
        return
    lost = [key for key in acknowledged if key not in there]
    if lost:
        yield f"{len(lost)} of {len(acknowledged)} acknowledged tasks are gone"
    changed = [key for key, payload in acknowledged.items() if there.get(key, payload) != payload]
    if changed and payloads:
        yield f"{len(changed)} tasks are not what was acknowledged"
    if foreign := there.keys() - acknowledged.keys():
        yield f"{len(foreign)} tasks are there that nobody acknowledged"


def _tasks(connection: sqlite3.Connection) -> Tasks:
    # NOT INDEXED: the table is asked, and not an index that may say something else.
    sql = "SELECT idempotency_key, payload FROM task_queue NOT INDEXED"
    return {str(key): str(payload) for key, payload in connection.execute(sql)}


@contextlib.contextmanager
def _copy(path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="queuedrill-") as folder:
        for file in (path, *sides(path)):
            if file.exists() and not file.name.endswith("-shm"):
                shutil.copyfile(file, Path(folder) / file.name)
        yield Path(folder) / path.name
