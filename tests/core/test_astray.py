"""Who works on a file that has the queue's name no longer."""

import os
import shutil
import sys

import pytest
from health_queues import checked

from core import astray
from core.findings import Level
from core.paths import sides, wal_of

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux shows which files a process has open"
)

WORK = """
import sqlite3
connection = sqlite3.connect(argv[0], isolation_level=None)
connection.execute(f"PRAGMA journal_mode = {argv[1]}").fetchall()
connection.execute("INSERT INTO task_queue (type, payload) VALUES ('t', '{}')")
say("there")
wait()
"""
READ = """
file = open(argv[0], "rb")
say("there")
wait()
"""


@pytest.fixture
def worker(spawn, queue_path):
    """Return a function that starts a worker on the queue in this journal mode."""

    def start(mode="WAL"):
        child = spawn(WORK, queue_path, mode)
        assert child.hear() == "there"
        return child

    return start


def pids(path):
    """Return the ids of the processes that are found."""
    return [holder.pid for holder in astray.find_astray(path)]


def test_worker_on_the_queue_is_not_astray(worker, queue_path):
    """Whoever has the file open that has the name is where he should be."""
    worker()

    assert pids(queue_path) == []
    assert checked(queue_path).finding("file.holders").level is Level.OK


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_worker_on_a_deleted_queue_is_named(mode, worker, queue_path):
    """The finding is critical and names the process, whatever else can be said of no file."""
    child = worker(mode)
    queue_path.unlink()

    finding = checked(queue_path).finding("file.holders")

    assert pids(queue_path) == [child.pid]
    assert (finding.level, finding.observed) == (Level.CRITICAL, 1)
    assert f"process {child.pid}" in finding.message


@pytest.mark.parametrize("how", ["os.replace", "rename"])
def test_worker_on_a_queue_that_was_replaced_is_named(how, worker, queue_path):
    """Another file has the name by now, and the old one has none or another."""
    copy = queue_path.with_name("copy.db")
    shutil.copyfile(queue_path, copy)
    child = worker()
    if how == "rename":
        queue_path.rename(queue_path.with_name("old.db"))
    copy.replace(queue_path)

    assert pids(queue_path) == [child.pid]


def test_worker_whose_log_alone_was_deleted_is_named(worker, queue_path):
    """What it commits goes into a log that nobody will find."""
    child = worker()
    wal_of(queue_path).unlink()

    assert pids(queue_path) == [child.pid]


def test_whoever_only_reads_is_not_astray(spawn, queue_path):
    """A program that copies the log, or reads a file that is deleted meanwhile, loses nothing."""
    wal_of(queue_path).write_bytes(b"")
    assert spawn(READ, wal_of(queue_path)).hear() == "there"
    assert spawn(READ, queue_path).hear() == "there"
    queue_path.unlink()

    assert pids(queue_path) == []


def test_worker_on_another_queue_is_not_astray(worker, queue_path, tmp_path):
    """The log of a queue in another folder is not this one's."""
    worker()

    assert pids(tmp_path / "elsewhere" / queue_path.name) == []


def test_nobody_is_found_once_the_worker_is_gone(worker, queue_path):
    """What a process had open goes with it."""
    child = worker()
    for file in (queue_path, *sides(queue_path)):
        file.unlink(missing_ok=True)
    assert pids(queue_path) == [child.pid]
    child.kill()

    assert pids(queue_path) == []


def test_process_that_is_about_to_close_is_not_named(queue_path, monkeypatch):
    """One look may meet a process between two of its files; who is named was seen twice."""
    looks = iter([{os.getpid()}, set()])
    monkeypatch.setattr(astray, "_look", lambda _database: next(looks))

    assert astray.find_astray(queue_path) == []


def test_system_that_does_not_show_it_is_said(queue_path, tmp_path, monkeypatch):
    """Without /proc nothing can be seen, which is said and not judged."""
    monkeypatch.setattr(astray, "_PROC", tmp_path / "no-proc")

    finding = checked(queue_path).finding("file.holders")

    assert astray.find_astray(queue_path) is None
    assert (finding.level, finding.observed) == (Level.OK, "not visible")
