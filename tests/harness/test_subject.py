"""The given file is looked at once, whatever state it is in, and nothing on its disk changes."""

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.backup import QueueBackup
from core.database import QueueDatabase
from core.health import FINDING_IDS
from core.paths import wal_of
from core.tasks import TaskQueue
from harness.footprint import changes, take_footprint
from harness.outcome import Inconclusive
from harness.subject import look_at, look_once

TASKS_COUNT = 30
# Puts tasks in until its input ends.
WRITER = """
import sqlite3, sys, threading
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
number = 0
while not ended.is_set():
    connection.execute("INSERT INTO task_queue (type, payload) VALUES ('t', ?)", (str(number),))
    number += 1
    if number == 5:
        print("writing", flush=True)
"""
CRASH = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for number in range(10):
    connection.execute("INSERT INTO task_queue (type, payload) VALUES ('t', '{}')")
os._exit(9)
"""


@pytest.fixture
def path(tmp_path):
    """A queue with tasks and one backup, in a folder of its own, which nobody has open."""
    path = tmp_path / "live" / "queue.db"
    with QueueDatabase(path, create=True) as database:
        tasks = TaskQueue(database, durability="normal")
        for number in range(TASKS_COUNT):
            tasks.enqueue("t", {"number": number})
        QueueBackup(database).create_backup()
    return path


@pytest.fixture
def folder(tmp_path):
    """Where the look keeps what it needs."""
    folder = tmp_path / "shared"
    folder.mkdir()
    return folder


@pytest.fixture
def writer(path):
    """A process that writes to the queue all the time."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"writing\n"
    yield process
    process.communicate(timeout=30)


def count(path):
    """The number of tasks in a copy."""
    with QueueDatabase(path) as database:
        return database.connection().execute("SELECT count(*) FROM task_queue").fetchone()[0]


def test_a_queue_that_nobody_holds_is_judged_and_copied(path, folder):
    """Every finding is there, the copy has every task, and nothing has changed."""
    subject = look_at(path, None, folder)
    assert [each.id for each in subject.findings] == list(FINDING_IDS)
    assert subject.finding("file.opens").level == "OK"
    assert (subject.held, subject.changes) == (False, ())
    assert subject.judged.startswith("a copy of")
    assert count(subject.copy) == TASKS_COUNT


def test_a_log_that_was_left_behind_is_copied_and_not_replayed(path, folder):
    """What a dead writer committed is in the copy, and its -wal stays where it is, as it is."""
    assert subprocess.run([sys.executable, "-c", CRASH, str(path)], check=False).returncode == 9
    before = wal_of(path).read_bytes()
    subject = look_at(path, None, folder)
    assert count(subject.copy) == TASKS_COUNT + 10
    assert subject.changes == ()
    assert wal_of(path).read_bytes() == before


def test_a_queue_in_use_is_judged_beside_its_writer(path, folder, writer):
    """A writer goes on, the look says that it is there, and the copy is of one moment."""
    subject = look_at(path, None, folder)
    assert writer.poll() is None
    assert subject.held
    assert subject.finding("file.opens").level == "OK"
    assert count(subject.copy) >= TASKS_COUNT
    assert subject.changes == ()


def test_a_queue_in_use_without_wal_is_not_copied(path, folder):
    """Where a long read would make workers wait, there is no copy, and it is said why."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    subject = look_at(path, None, folder)
    connection.close()
    assert subject.copy is None
    assert "WAL" in subject.no_copy


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100])
def test_what_is_no_database_is_a_finding(content, folder, tmp_path):
    """A file of another kind is judged, not stumbled over, and left as it is."""
    path = tmp_path / "queue.db"
    path.write_bytes(content)
    subject = look_at(path, None, folder)
    assert subject.finding("file.opens").level == "CRITICAL"
    assert subject.changes == ()
    assert path.read_bytes() == content


def test_limits_travel_with_their_finding(path, folder):
    """A figure comes with its limits and the side on which they lie."""
    subject = look_at(path, None, folder)
    disk, size = subject.finding("disk.free"), subject.finding("database.size")
    assert (disk.bounds.kind, disk.bounds.critical, disk.bounds.unit) == ("min", 5, "GB")
    assert (size.bounds.kind, size.bounds.warning) == ("max", 500)
    assert subject.finding("file.opens").bounds is None


def test_only_one_process_looks_and_all_see_the_same(path, folder):
    """Whoever comes second waits, and reads what the first one saw."""
    looks = []
    both = threading.Barrier(4, timeout=30)

    def look(where):
        looks.append(where)
        return look_at(path, None, where)

    def take_part(_number):
        both.wait()
        return look_once(folder, look)

    with ThreadPoolExecutor(4) as pool:
        subjects = list(pool.map(take_part, range(4)))
    assert len(looks) == 1
    assert all(subject == subjects[0] for subject in subjects)


def test_a_look_that_failed_is_inconclusive_for_the_others(folder):
    """The process that looked gets its error, the others learn why there is no answer."""

    def look(_where):
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        look_once(folder, look)
    with pytest.raises(Inconclusive, match="the disk is gone"):
        look_once(folder, look)


def test_every_kind_of_change_is_told(path):
    """New and missing files, other contents and touched backups are told apart."""
    backups = path.parent / "backups"
    before = take_footprint(path, backups)
    assert changes(before, take_footprint(path, backups), content=True) == []

    path.write_bytes(path.read_bytes() + b"x")
    path.with_name("queue.db-odd").touch()
    (backups / "stranger").touch()
    after = take_footprint(path, backups)
    assert changes(before, after, content=True) == [
        "queue.db has another content",
        "queue.db-odd is new",
        "stranger in the backup folder was touched",
    ]
    assert "queue.db has another content" not in changes(before, after, content=False)
    assert changes(after, before, content=True)[1] == "queue.db-odd is gone"


def test_a_live_queue_in_the_backup_folder_is_no_change(path):
    """Where queue and backups share a folder, the queue may change as it likes."""
    before = take_footprint(path, path.parent)
    path.write_bytes(path.read_bytes() + b"x")
    assert changes(before, take_footprint(path, path.parent), content=False) == []


def test_a_footprint_that_cannot_be_taken_is_an_error(tmp_path):
    """A folder that is not there is said, and no empty answer given."""
    with pytest.raises(OSError, match="footprint"):
        take_footprint(tmp_path / "none" / "queue.db", tmp_path)
