"""A program that forks while it has a queue open, and works on in both processes.

``raw`` goes on with the inherited connection, ``core`` with the same ``QueueDatabase``, which was
idle, ``core-inside`` with one that was in the middle of a transaction. It says the keys that were
acknowledged, one list a line, and who was refused, as objects. POSIX only.
"""

import json
import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.database import QueueDatabase
from core.errors import QueueError
from core.tasks import TaskQueue
from harness.inherited import planted_by_parent

_INSERT = "INSERT INTO task_queue (type, payload, idempotency_key) VALUES ('t', '{}', ?)"
_FEW, _MANY = 20, 60
_REFUSED_MS = 50


def _say(fact: object) -> None:
    os.write(1, json.dumps(fact).encode() + b"\n")


def _enqueue(tasks: TaskQueue, key: str) -> None:
    try:
        tasks.enqueue("t", {}, idempotency_key=key)
    except QueueError as error:
        _say({"refused": type(error).__name__})
    else:
        _say([key])


if sys.platform != "win32":

    def _raw(database: Path) -> None:
        connection = sqlite3.connect(database, isolation_level=None, timeout=5.0)
        connection.execute("BEGIN IMMEDIATE")
        # Read now, and kept in memory by both.
        connection.execute("SELECT count(*), max(payload) FROM task_queue NOT INDEXED").fetchall()
        listening, telling = os.pipe()
        if os.fork() == 0:
            # It believes that it has the lock, which is its parent's, and what it read is old then.
            os.read(listening, 1)
            _commit(connection, "child", _MANY)
            os._exit(0)
        _commit(connection, "parent", _FEW)
        os.write(telling, b"!")
        os.wait()
        # Nobody closes: that alone could delete the log under the other one.
        os._exit(0)

    def _commit(connection: sqlite3.Connection, name: str, count: int) -> None:
        keys = [f"{name}-{number}" for number in range(count)]
        connection.executemany(_INSERT, [(key,) for key in keys])
        connection.execute("COMMIT")
        _say(keys)

    def _core(database: Path) -> None:
        tasks = TaskQueue(QueueDatabase(database))
        _enqueue(tasks, "before")
        listening, telling = os.pipe()
        closed, closing = os.pipe()
        if os.fork() == 0:
            _in_child(tasks, telling, closed)
        os.read(listening, 1)
        # As if it were the last: whoever is, deletes the log.
        tasks.database.close()
        os.write(closing, b"!")
        os.wait()
        _enqueue(tasks, "parent-later")
        tasks.database.close()

    def _core_inside(database: Path) -> None:
        tasks = TaskQueue(QueueDatabase(database))
        listening, telling = os.pipe()
        closed, closing = os.pipe()
        with tasks.database.transaction() as connection:
            if os.fork() == 0:
                _in_child(tasks, telling, closed)
            os.read(listening, 1)
            connection.execute(_INSERT, ("parent",)).close()
        _say(["parent"])
        os.write(closing, b"!")
        os.wait()
        tasks.database.close()

    def _in_child(tasks: TaskQueue, telling: int, closed: int) -> None:
        """Ask for a task before and after the parent has let go, and end without closing."""
        try:
            tasks.database.busy_timeout_ms = _REFUSED_MS
            _enqueue(tasks, "child")
            os.write(telling, b"!")
            os.read(closed, 1)
            _enqueue(tasks, "child-later")
        finally:
            os._exit(0)

    MANNERS: dict[str, Callable[[Path], None]] = {
        "raw": _raw,
        "core": _core,
        "core-inside": _core_inside,
    }

    if __name__ == "__main__":
        with planted_by_parent():
            MANNERS[sys.argv[2]](Path(sys.argv[1]))
