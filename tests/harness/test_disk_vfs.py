"""The watched file system: every call is told, and what a watcher raises SQLite sees."""

import contextlib
import sqlite3
from collections import Counter

import pytest

from core.database import QueueDatabase
from core.maintenance import QueueMaintenance
from core.tasks import TaskQueue
from harness.disk.binding import apsw_door
from harness.disk.vfs import Kind, failure, watched_files


class Watching:
    """Keeps all calls, and fails those that it is told to."""

    def __init__(self):
        self.calls, self.made, self.failing = [], [], {}

    def before(self, call):
        """Keep it, or fail it."""
        self.calls.append(call)
        if call.kind in self.failing:
            raise failure(self.failing[call.kind])

    def after(self, call):
        """Keep it."""
        self.made.append(call)


@pytest.fixture
def watching():
    """A watcher that lets all pass."""
    return Watching()


@pytest.fixture
def queue(tmp_path, watching):
    """An open queue whose file calls are watched."""
    path = tmp_path / "queue.db"
    QueueDatabase(path, create=True).close()
    with (
        watched_files(watching) as name,
        QueueDatabase(path, connect=apsw_door(name), busy_timeout_ms=0) as database,
    ):
        yield database


def test_every_kind_of_call_is_told_before_and_after(queue, watching):
    """A task, a checkpoint and the end of the last connection make calls of every kind."""
    TaskQueue(queue).enqueue("t", {"n": 1})
    QueueMaintenance(queue).checkpoint("TRUNCATE")
    queue.close()
    assert set(Counter(call.kind for call in watching.calls)) == set(Kind)
    assert watching.calls == watching.made


def test_what_is_told_of_writes_makes_the_file_again(queue, watching, tmp_path):
    """Offsets and data are those that reach the disk."""
    TaskQueue(queue).enqueue("t", {"n": 1})
    wal = tmp_path / "queue.db-wal"
    again = bytearray(wal.stat().st_size)
    for call in watching.calls:
        if call.kind is Kind.WRITE and call.path == wal:
            again[call.offset : call.offset + len(call.data)] = call.data
    assert bytes(again) == wal.read_bytes()


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (Kind.WRITE, sqlite3.SQLITE_IOERR_WRITE),
        (Kind.WRITE, sqlite3.SQLITE_FULL),
        (Kind.SYNC, sqlite3.SQLITE_IOERR_FSYNC),
    ],
)
def test_call_that_is_failed_is_not_made_and_sqlite_sees_the_code(queue, watching, kind, code):
    """The code comes out as it was given, and the file is as it was."""
    connection = queue.connection()
    connection.execute("PRAGMA synchronous = FULL")
    watching.made.clear()
    watching.failing[kind] = code
    with pytest.raises(sqlite3.Error) as caught:
        connection.execute("CREATE TABLE other (a)")
    assert caught.value.sqlite_errorcode == code
    assert kind not in {call.kind for call in watching.made}
    watching.failing.clear()
    connection.execute("CREATE TABLE other (a)")
    assert QueueMaintenance(queue).integrity_check() == ["ok"]


def test_file_system_is_gone_after_the_body(tmp_path, watching):
    """A name that was registered once cannot be opened through later."""
    with watched_files(watching) as name:
        pass
    with (
        pytest.raises(sqlite3.Error, match="no such vfs"),
        contextlib.closing(apsw_door(name)(f"file:{(tmp_path / 'x').as_posix()}", timeout_s=0.0)),
    ):
        pass
