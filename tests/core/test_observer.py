"""Looking at a database from a process that never connects to it."""

import contextlib
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest

import core
from core import QueueDatabase, observer
from core.errors import DatabaseIOError, NotEnoughSpaceError, OperationTimeoutError
from core.files import sha256
from core.paths import wal_of

HOLD = """
from core import QueueDatabase
with QueueDatabase(argv[0]) as database:
    with database.transaction() as connection:
        connection.execute("INSERT INTO task_queue (type, payload) VALUES ('t', '{}')")
    say("held")
    wait()
    if argv[1:] == ["die"]:
        import os
        os._exit(9)
"""


def listing(folder):
    """Return name, size, time and digest of all that lies in a folder that nobody has open."""
    return {
        file.name: (file.stat().st_size, file.stat().st_mtime_ns, sha256(file))
        for file in folder.iterdir()
        if file.is_file()
    }


@pytest.fixture
def crashed(spawn, queue_path):
    """Return a queue whose writer died with a committed row in the -wal."""
    child = spawn(HOLD, queue_path, "die")
    assert child.hear() == "held"
    child.release()
    child.finish()
    return queue_path


def test_unheld_database_is_said_to_be_unheld_and_stays_as_it_was(crashed):
    """Looking at a database that nobody has open finds nobody and changes nothing."""
    before = listing(crashed.parent)

    seen = observer.look(crashed)

    assert (seen.held, seen.holders) == (False, ())
    assert seen.walk.committed > 0
    assert listing(crashed.parent) == before


def test_holder_in_another_process_is_seen_and_named(spawn, queue_path):
    """A worker that has the queue open is seen, also between its transactions."""
    child = spawn(HOLD, queue_path)
    assert child.hear() == "held"

    seen = observer.look(queue_path)

    assert seen.held
    assert seen.walk is None
    if sys.platform == "linux":
        assert child.pid in {holder.pid for holder in seen.holders}
        assert f"process {child.pid}" in str(seen.holders[0])


def test_this_process_counts_as_a_holder_and_keeps_its_locks(spawn, queue_path):
    """A look while this process writes sees it, and does not drop the lock it holds."""
    with QueueDatabase(queue_path) as database, database.transaction() as connection:
        connection.execute("INSERT INTO task_queue (type, payload) VALUES ('t', '{}')")

        assert observer.look(queue_path).held

        rival = spawn(
            "import sqlite3\n"
            "try: sqlite3.connect(argv[0], timeout=0.0).execute('BEGIN IMMEDIATE')\n"
            "except sqlite3.OperationalError as error: say(error)\n",
            queue_path,
        )
        assert rival.hear() == "database is locked"


def test_copy_has_what_the_log_holds_and_leaves_the_source_alone(crashed, tmp_path):
    """The copy of a crashed queue holds its committed rows; the original keeps every byte."""
    before = listing(crashed.parent)

    copied = observer.copy_unheld(crashed, tmp_path / "scratch" / "copy")

    assert listing(crashed.parent) == before
    assert copied.sha256 == {
        crashed.name: sha256(crashed),
        wal_of(crashed).name: sha256(wal_of(crashed)),
    }
    assert copied.walk.committed > 0
    with contextlib.closing(sqlite3.connect(copied.path)) as connection:
        assert connection.execute("SELECT count(*) FROM task_queue").fetchone() == (1,)


def test_held_database_is_not_copied(spawn, queue_path, tmp_path):
    """A copy under a live worker could be a mixture, so none is made and nothing is left."""
    assert spawn(HOLD, queue_path).hear() == "held"

    assert observer.copy_unheld(queue_path, tmp_path / "copy") is None
    assert list((tmp_path / "copy").iterdir()) == []


def while_copying(monkeypatch, event):
    """Let something happen after the first file was copied."""
    copy = observer.copy

    def copying(source, target):
        copy(source, target)
        event()

    monkeypatch.setattr(observer, "copy", copying)


def test_database_that_is_held_from_the_start_is_not_even_read(
    spawn, queue_path, tmp_path, monkeypatch
):
    """Somebody who has it open is met before the first byte is copied."""
    assert spawn(HOLD, queue_path).hear() == "held"
    copied = []
    while_copying(monkeypatch, lambda: copied.append(1))

    with pytest.raises(observer.HeldMeanwhileError):
        observer._copy_once(queue_path, tmp_path)
    assert copied == []


def test_copy_under_a_worker_that_came_meanwhile_is_thrown_away(
    spawn, queue_path, tmp_path, monkeypatch
):
    """A program that opens the file while it is copied is met after the last byte."""
    folder = tmp_path / "copy"
    folder.mkdir()
    source = "file = open(argv[0], 'rb')\nsay('there')\nwait()\n"
    while_copying(monkeypatch, lambda: spawn(source, queue_path).hear())

    with pytest.raises(observer.HeldMeanwhileError):
        observer._copy_once(queue_path, folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("touched", ["queue.db", "queue.db-wal"])
def test_copy_of_a_file_that_changed_meanwhile_is_thrown_away(
    crashed, tmp_path, monkeypatch, touched
):
    """A writer that came and went between two looks is noticed by what it left."""
    folder = tmp_path / "copy"
    folder.mkdir()
    file = crashed.with_name(touched)

    def write():
        if not (folder / "queue.db-wal").exists():
            with file.open("ab") as opened:
                opened.write(b"more")

    while_copying(monkeypatch, write)

    with pytest.raises(observer.HeldMeanwhileError):
        observer._copy_once(crashed, folder)
    assert list(folder.iterdir()) == []


def test_copy_overwrites_nothing(crashed, tmp_path):
    """A scratch folder that already holds such a file is refused, and keeps its content."""
    folder = tmp_path / "copy"
    folder.mkdir()
    (folder / crashed.name).write_bytes(b"kept")

    with pytest.raises(DatabaseIOError, match="FileExistsError"):
        observer.copy_unheld(crashed, folder)

    assert (folder / crashed.name).read_bytes() == b"kept"


def test_copy_without_space_is_refused_before_it_begins(crashed, tmp_path, monkeypatch):
    """A disk that cannot take the copy is told in numbers."""
    monkeypatch.setattr(observer, "free_bytes", lambda _folder: 1000)

    with pytest.raises(NotEnoughSpaceError, match=r"0\.0 MB"):
        observer.copy_unheld(crashed, tmp_path / "copy")


def test_look_ends_at_its_deadline(queue_path):
    """A look that takes too long is stopped and says so."""
    with pytest.raises(OperationTimeoutError, match="looking at"):
        observer.look(queue_path, timeout_s=0.0)


def test_journal_mode_is_read_from_the_header(queue_path, tmp_path):
    """The mode that the file itself names is told without connecting; no database names none."""
    plain = tmp_path / "plain.db"
    with contextlib.closing(sqlite3.connect(plain)) as connection:
        connection.execute("CREATE TABLE t (x)")
    (tmp_path / "text.db").write_bytes(b"no database" * 10)
    (tmp_path / "later.db").write_bytes(queue_path.read_bytes()[:18] + b"\x03" * 82)

    assert observer.look(queue_path).journal == "wal"
    assert observer.look(plain).journal == "rollback"
    assert observer.look(tmp_path / "text.db").journal is None
    assert observer.look(tmp_path / "later.db").journal is None
    assert observer.look(tmp_path).journal is None


def test_missing_database_is_held_by_nobody(tmp_path):
    """Looking at nothing finds nothing and makes nothing."""
    seen = observer.look(tmp_path / "missing.db")

    assert (seen.held, seen.walk.frames) == (False, 0)
    assert list(tmp_path.iterdir()) == []


def test_look_works_from_a_copy_of_the_package_under_another_name(spawn, queue_path, tmp_path):
    """An application that vendors the core under its own name can look, too."""
    shutil.copytree(Path(core.__file__).parent, tmp_path / "vendored" / "their_queue")

    child = spawn(
        "sys.path.insert(0, argv[0])\n"
        "from pathlib import Path\n"
        "from their_queue import observer\n"
        "say(observer.look(Path(argv[1])).held)\n",
        tmp_path / "vendored",
        queue_path,
    )

    assert child.hear() == "False"
