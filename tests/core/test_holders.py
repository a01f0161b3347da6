"""Who has a database open."""

import os
import sys

import pytest

from core import holders, observer
from core.holders import Holder, find_holders

OPEN = """
import sqlite3
connection = sqlite3.connect(argv[0], isolation_level=None)
connection.execute("PRAGMA journal_mode = " + argv[1]).fetchall()
connection.execute("SELECT * FROM sqlite_master").fetchall()
if argv[2] == "writing":
    connection.execute("BEGIN IMMEDIATE")
say("open")
wait()
"""


if os.name == "posix":

    @pytest.mark.parametrize(
        ("journal", "activity"), [("WAL", "idle"), ("WAL", "writing"), ("DELETE", "writing")]
    )
    def test_holder_is_found_by_its_lock_alone(spawn, queue_path, journal, activity):
        """Where the system shows no open files, the lock itself tells who holds it."""
        child = spawn(OPEN, queue_path, journal, activity)
        assert child.hear() == "open"

        assert holders._locking(queue_path) == {child.pid}


@pytest.mark.parametrize("activity", ["idle", "writing"])
@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_connection_is_seen_in_both_journal_modes(spawn, queue_path, journal, activity):
    """A connection is seen whether it writes or waits, with a -wal or without."""
    assert spawn(OPEN, queue_path, journal, activity).hear() == "open"

    assert observer.look(queue_path).held


def test_suspended_process_is_still_a_holder(spawn, queue_path):
    """A process that stands still keeps its locks, so it is seen."""
    child = spawn(OPEN, queue_path, "WAL", "writing")
    assert child.hear() == "open"
    if os.name == "posix":
        import signal  # noqa: PLC0415 - SIGSTOP is POSIX only

        os.kill(child.pid, signal.SIGSTOP)

    assert observer.look(queue_path).held


def test_dead_process_holds_nothing(spawn, queue_path):
    """A killed worker is no holder any more."""
    child = spawn(OPEN, queue_path, "WAL", "writing")
    assert child.hear() == "open"
    child.kill()

    assert not observer.look(queue_path).held


def test_reader_of_another_file_is_no_holder(spawn, queue_path, tmp_path):
    """Only this database counts, not its neighbours."""
    assert spawn(OPEN, tmp_path / "other.db", "WAL", "idle").hear() == "open"

    assert not observer.look(queue_path).held


def test_no_file_has_no_holder(tmp_path):
    """A missing file or a folder is held by nobody."""
    assert find_holders(tmp_path / "missing.db") == (False, [])
    assert find_holders(tmp_path) == (False, [])


@pytest.mark.parametrize(
    ("holder", "text"),
    [
        (Holder(None, ""), "another process"),
        (Holder(7, ""), "process 7"),
        (Holder(7, "worker --all"), "process 7 (worker --all)"),
    ],
)
def test_holder_is_said_as_far_as_it_is_known(holder, text):
    """A process that cannot be named is still spoken of."""
    assert str(holder) == text


if sys.platform == "linux":

    @pytest.mark.parametrize("mode", ["WAL", "DELETE"])
    def test_writer_is_told_from_those_who_merely_have_it_open(spawn, queue_path, mode):
        """Whoever holds the writer lock is named, among others that only read."""
        idle = spawn(OPEN, queue_path, mode, "idle")
        assert idle.hear() == "open"
        assert observer.look(queue_path).writer is None
        writer = spawn(OPEN, queue_path, mode, "writing")
        assert writer.hear() == "open"

        seen = observer.look(queue_path)

        assert seen.writer.pid == writer.pid
        assert {holder.pid for holder in seen.holders} == {idle.pid, writer.pid}

    def test_idle_process_without_any_lock_is_seen_by_its_open_file(spawn, queue_path):
        """A program that merely has the file open counts, since it may be about to write."""
        child = spawn("file = open(argv[0], 'rb')\nsay('open')\nwait()\n", queue_path)
        assert child.hear() == "open"

        assert {holder.pid for holder in observer.look(queue_path).holders} == {child.pid}
