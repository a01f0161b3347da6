"""A process that forks while it has a queue open loses nothing, and neither does its child."""

import contextlib
import os
import sqlite3
import threading

import pytest

from core import QueueDatabase, forks
from core.connection import scalar

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing can be forked off here")

INSERT = "INSERT INTO task_queue (type, payload) VALUES (?, '{}')"

# Says what became of it in the child, tells the parent, and goes on when the parent has closed.
FORK = """
import os, threading
from core import QueueDatabase, errors
database = QueueDatabase(argv[0], busy_timeout_ms=200)

def insert(name):
    try:
        with database.transaction() as connection:
            connection.execute("INSERT INTO task_queue (type, payload) VALUES (?, '{}')", (name,))
    except errors.QueueError as error:
        return type(error).__name__
    return name

there, told = threading.Event(), threading.Event()
def other():
    insert("thread")
    there.set()
    told.wait(60)
thread = threading.Thread(target=other, daemon=True)
if argv[1] == "thread":
    thread.start()
    there.wait(60)

def in_child():
    first = insert("child")
    os.write(telling, b"!")
    os.read(closed, 1)
    say(first, insert("child-later"))
    os._exit(0)

listening, telling = os.pipe()
closed, closing = os.pipe()
say(insert("parent"))
if argv[1] == "transaction":
    with database.transaction() as connection:
        if os.fork() == 0:
            in_child()
        os.read(listening, 1)
        connection.execute("INSERT INTO task_queue (type, payload) VALUES ('inside', '{}')")
else:
    if os.fork() == 0:
        in_child()
    os.read(listening, 1)
database.close()
os.write(closing, b"!")
os.wait()
told.set()
say(insert("parent-later"))
database.close()
"""


def types(path):
    """Return the types of all tasks, in their order."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT type FROM task_queue ORDER BY id")]


def test_idle_connection_is_not_handed_down(spawn, queue_path):
    """The child keeps its tasks when the parent closes as if it were the last."""
    child = spawn(FORK, queue_path, "idle")

    assert [child.hear() for _line in range(3)] == ["parent", "child child-later", "parent-later"]
    assert types(queue_path) == ["parent", "child", "child-later", "parent-later"]


@pytest.mark.parametrize(
    ("how", "kept"),
    [
        ("thread", ["thread", "parent", "parent-later"]),
        ("transaction", ["parent", "inside", "parent-later"]),
    ],
)
def test_child_that_inherits_a_connection_is_refused(how, kept, spawn, queue_path):
    """No lock would hold there: it is told so, before and after its parent has closed."""
    child = spawn(FORK, queue_path, how)

    assert [child.hear() for _line in range(3)] == [
        "parent",
        "ForkedError ForkedError",
        "parent-later",
    ]
    assert types(queue_path) == kept


def test_fork_leaves_a_transaction_and_other_threads_alone(queue_path):
    """Only what the forking thread has idle is closed: this process goes on with all else."""
    with QueueDatabase(queue_path) as database, database.transaction() as connection:
        forks._before_fork()
        assert database.connection() is connection
        connection.execute(INSERT, ("inside",)).close()
        threading.Thread(target=forks._before_fork).start()

    idle = database.connection()
    thread = threading.Thread(target=forks._before_fork)
    thread.start()
    thread.join()
    assert database.connection() is idle
    forks._before_fork()
    assert database.connection() is not idle
    assert scalar(database.connection(), "SELECT count(*) FROM task_queue") == 1
    database.close()


def test_connection_to_another_file_is_no_hindrance(queue_path, tmp_path, monkeypatch):
    """Who inherits one queue in a transaction may open another."""
    other = tmp_path / "other.db"
    QueueDatabase(other, create=True).close()
    with QueueDatabase(queue_path) as database, database.transaction():
        monkeypatch.setattr(forks.os, "getpid", lambda: 1)
        QueueDatabase(other).close()
