"""Judging a queue file without changing a byte of it or making a file beside it."""

import contextlib
import os
import signal
import sqlite3
import threading

import pytest

from core import QueueDatabase, connect_stdlib, errors
from core.connection import scalar
from core.files import sha256
from core.paths import sides, wal_of
from core.viewpoint import viewpoint

COUNT = "SELECT count(*) FROM task_queue"

WORKER = """
import os
from core import QueueDatabase
database = QueueDatabase(argv[0])
def insert(connection):
    connection.execute("INSERT INTO task_queue (type, payload) VALUES ('t', '{}')")
with database.transaction() as connection:
    insert(connection)
if argv[1] == "dead":
    say("there")
    wait()
    os._exit(9)
if argv[1] == "writing":
    connection = database.connection()
    connection.execute("BEGIN IMMEDIATE")
    insert(connection)
say("there")
wait()
if argv[1] == "writing":
    connection.execute("COMMIT")
database.close()
"""


def snapshot(folder):
    """Return names, sizes, times and digests of all files in the folder."""
    return {
        file.name: (file.stat().st_size, file.stat().st_mtime_ns, sha256(file))
        for file in folder.iterdir()
        if file.is_file()
    }


@pytest.fixture
def worker(spawn, queue_path):
    """Return a function that starts a worker on the queue in this state."""

    def start(state):
        child = spawn(WORKER, queue_path, state)
        assert child.hear() == "there"
        if state == "dead":
            child.release()
            child.finish()
        return child

    return start


def look(path, **options):
    """Return way, tasks seen and WAL mode from a viewpoint that is gone again."""
    with viewpoint(path, connect=connect_stdlib, **options) as view:
        facts = (view.way, scalar(view.connection, COUNT), view.in_wal_mode)
    assert view.undisturbed()
    return facts


def test_file_that_nobody_has_open_is_read_as_it_is(queue_path):
    """An unheld queue without a log is read itself; nothing appears and nothing changes."""
    before = snapshot(queue_path.parent)

    assert look(queue_path) == ("immutable", 0, True)
    assert snapshot(queue_path.parent) == before


def test_log_that_a_crash_left_is_read_from_a_copy(worker, queue_path, tmp_path):
    """What a dead worker committed is seen, the originals keep every byte, the copy is gone."""
    worker("dead")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    before = snapshot(queue_path.parent)

    assert look(queue_path, scratch=scratch) == ("copy", 1, True)
    assert snapshot(queue_path.parent) == before
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("state", ["idle", "writing"])
def test_queue_in_use_is_read_beside_its_worker(worker, queue_path, state):
    """Beside a live worker its committed rows are seen, and the -shm is as it was."""
    worker(state)
    before = snapshot(queue_path.parent)

    assert look(queue_path) == ("beside", 1, True)
    assert snapshot(queue_path.parent) == before


if os.name == "posix":

    def test_suspended_writer_is_read_beside(worker, queue_path):
        """A worker that stands still in the middle of a write makes nobody wait."""
        child = worker("writing")
        os.kill(child.pid, signal.SIGSTOP)
        before = snapshot(queue_path.parent)

        assert look(queue_path) == ("beside", 1, True)
        assert snapshot(queue_path.parent) == before


def test_worker_commits_while_it_is_looked_at(worker, queue_path):
    """A look that is under way delays no commit, and keeps to the state it began with."""
    child = worker("writing")
    with viewpoint(queue_path, connect=connect_stdlib) as view:
        view.connection.execute("BEGIN")
        assert scalar(view.connection, COUNT) == 1
        child.release()
        assert child.finish() == 0
        assert scalar(view.connection, COUNT) == 1
        view.connection.execute("ROLLBACK")

    with QueueDatabase(queue_path) as database:
        assert scalar(database.connection(), COUNT) == 2


def test_viewpoint_cannot_write(worker, queue_path):
    """Whatever the way, a statement that writes is refused."""
    for prepare in ("immutable", "copy", "beside"):
        if prepare == "copy":
            worker("dead")
        if prepare == "beside":
            worker("idle")
        with viewpoint(queue_path, connect=connect_stdlib) as view:
            assert view.way == prepare
            with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
                view.connection.execute("DELETE FROM task_queue")
            view.connection.set_authorizer(None)
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                view.connection.execute("DELETE FROM task_queue")


def test_open_file_that_is_not_read_through_sqlite_makes_no_log(spawn, queue_path):
    """Beside a program that merely has the file open, no -wal and no -shm appear."""
    assert spawn("file = open(argv[0], 'rb')\nsay('there')\nwait()\n", queue_path).hear() == "there"

    assert look(queue_path) == ("immutable", 0, True)
    assert not any(side.exists() for side in sides(queue_path))


def test_log_that_is_not_shared_is_not_opened(spawn, worker, queue_path):
    """Beside a program that keeps a left-over log busy, nothing is opened and nothing appears."""
    worker("dead")
    sides(queue_path)[1].unlink()
    assert spawn("file = open(argv[0], 'rb')\nsay('there')\nwait()\n", queue_path).hear() == "there"
    before = snapshot(queue_path.parent)

    with (
        pytest.raises(errors.UnsettledError, match="has it open"),
        viewpoint(queue_path, connect=connect_stdlib),
    ):
        pass

    assert snapshot(queue_path.parent) == before


def test_change_under_an_immutable_look_is_noticed(queue_path):
    """What is read without locks is known to be of one moment, or known not to be."""
    with viewpoint(queue_path, connect=connect_stdlib) as view:
        thread = threading.Thread(target=insert_and_close, args=(queue_path,))
        thread.start()
        thread.join()

    assert view.way == "immutable"
    assert not view.undisturbed()


def insert_and_close(path):
    """Do what a short-lived worker does."""
    with QueueDatabase(path) as database, database.transaction() as connection:
        connection.execute("INSERT INTO task_queue (type, payload) VALUES ('t', '{}')")


def test_holder_that_came_meanwhile_is_noticed(spawn, queue_path):
    """A program that opened the file while it was read unlocked is noticed before it writes."""
    with viewpoint(queue_path, connect=connect_stdlib) as view:
        child = spawn("file = open(argv[0], 'rb')\nsay('there')\nwait()\n", queue_path)
        assert child.hear() == "there"

    assert not view.undisturbed()


def test_hot_journal_is_rolled_back_in_a_copy_and_left_where_it_lies(spawn, queue_path):
    """A write that a crash tore in a rollback journal is undone for the look, not in the file."""
    child = spawn(
        "import sqlite3\n"
        "connection = sqlite3.connect(argv[0], isolation_level=None)\n"
        "connection.execute('PRAGMA journal_mode = DELETE')\n"
        "connection.execute('PRAGMA cache_size = 1')\n"
        "connection.execute('BEGIN')\n"
        "for number in range(2000):\n"
        "    connection.execute('INSERT INTO task_queue (type, payload) VALUES (?, ?)',"
        " ('t', '\"' + 'x' * 500 + '\"'))\n"
        "say('torn')\n"
        "wait()\n",
        queue_path,
    )
    assert child.hear() == "torn"
    child.kill()
    before = snapshot(queue_path.parent)

    assert look(queue_path) == ("copy", 0, False)
    assert snapshot(queue_path.parent) == before


def test_rollback_journal_mode_in_use_is_said_to_delay_writers(spawn, queue_path):
    """Without WAL a long read would make writers wait, and whoever looks is told so."""
    with contextlib.closing(sqlite3.connect(queue_path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    assert spawn(WORKER, queue_path, "idle").hear() == "there"

    with viewpoint(queue_path, connect=connect_stdlib) as view:
        assert view.way == "beside"
        assert view.delays_writers
    assert not wal_of(queue_path).exists()
