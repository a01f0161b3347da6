"""A record is what was written into it, and a process's own calls make one that is whole."""

import contextlib
import os
from itertools import pairwise

import pytest

from core import files, primitives
from core.database import QueueDatabase
from core.locks import maintenance_lock
from harness.disk.binding import apsw_door
from harness.disk.record import Entry, RecordWriter, What, marks, read_record
from harness.disk.recording import Recording
from harness.disk.vfs import watched_files
from tests.harness.disk_entries import base, base_folder, disk_after, mark, rename, write

POSIX = pytest.mark.skipif(os.name == "nt", reason="there no folder is synced")


def facts(entries):
    """What is compared of entries."""
    return [vars(entry) for entry in entries]


@pytest.fixture
def folder(tmp_path):
    """The folder that is recorded."""
    folder = tmp_path.resolve() / "recorded"
    folder.mkdir()
    return folder


@pytest.fixture
def recorded(folder, tmp_path):
    """Returns the entries of what a body does, but for the base."""

    @contextlib.contextmanager
    def recorded():
        entries = []
        with (tmp_path / "record").open("wb") as stream:
            recording = Recording(folder, stream)
            with recording.of_core():
                yield recording, entries
        entries += read_record(tmp_path / "record")

    return recorded


def told(entries):
    """What happened, in words."""
    return [(entry.what.value, entry.path) for entry in entries if entry.what is not What.BASE]


def test_record_is_read_as_it_was_written(tmp_path):
    """Binary content, names and marks come back."""
    entries = [
        *(base_folder("f"), base("f/x", bytes(range(256)))),
        *(write("f/x", b"\n{\n", 7), rename("f/x", "f/y"), mark("begun", "one", promised=True)),
    ]
    with (tmp_path / "record").open("wb") as stream:
        writer = RecordWriter(stream)
        for entry in entries:
            writer.add(entry)

    read = read_record(tmp_path / "record")
    assert facts(read) == facts(entries)
    assert marks(read, "begun") == [{"kind": "begun", "label": "one", "promised": True}]
    assert marks(read, "acknowledged") == []


@pytest.mark.parametrize("missing", [1, 3, 40])
def test_entry_that_was_cut_off_is_none(tmp_path, missing):
    """A process that dies while it writes leaves the entries before."""
    with (tmp_path / "record").open("wb") as stream:
        for entry in (base("f"), write("f", b"xyz")):
            RecordWriter(stream).add(entry)
    content = (tmp_path / "record").read_bytes()
    (tmp_path / "record").write_bytes(content[:-missing])
    assert facts(read_record(tmp_path / "record")) == facts([base("f")])


def core_at_work(folder):
    """Use every function of files.py that changes something."""
    files.make_folder(folder / "a" / "b")
    files.write_new(folder / "a" / "note", b"one")
    files.write_replacing(folder / "a" / "note", b"two")
    files.copy(folder / "a" / "note", folder / "a" / "b" / "copy")
    files.move(folder / "a" / "note", folder / "moved")
    files.sync_file(folder / "moved")
    files.remove(folder / "a" / "b" / "copy")
    files.write_new(folder / "a" / "b" / "gone", b"x")
    files.remove_tree(folder / "a")


def test_record_of_the_core_makes_the_folder_again(folder, recorded, monkeypatch):
    """All that the core does to files is in it, and nothing else."""
    # A copy is written piece by piece.
    monkeypatch.setattr(files, "_CHUNK_BYTES", 2)
    (folder / "there").write_bytes(b"before")
    with recorded() as (_recording, entries):
        core_at_work(folder)
        files.copy(folder / "there", folder / "copied")

    disk = disk_after(*entries)
    assert dict(disk.left(disk.loose).contents) == {
        "copied": b"before",
        "moved": b"two",
        "there": b"before",
    }
    kinds = {entry.what for entry in entries}
    assert kinds >= {What.CREATE, What.WRITE, What.SYNC, What.RENAME, What.UNLINK}
    assert kinds >= {What.MAKE_FOLDER, What.REMOVE_FOLDER}


@POSIX
def test_every_state_of_the_core_s_work_has_notes_whole_or_not_at_all(folder, recorded):
    """What ``write_new`` has returned for is certain, name and content."""
    with recorded() as (recording, entries):
        files.write_new(folder / "note", b"whole")
        recording.mark("acknowledged", "note")
    disk = disk_after(*entries)
    assert disk.left([]).contents["note"] == b"whole"
    assert told(entries)[-2:] == [("sync-folder", "."), ("mark", ".")]


def test_primitives_are_themselves_again_afterwards(folder, recorded):
    """Nothing is recorded once the body has ended."""
    before = {name: value for name, value in vars(primitives).items() if callable(value)}
    with recorded() as (_recording, entries):
        assert primitives.sync is not before["sync"]
    files.write_new(folder / "later", b"x")
    assert {name: value for name, value in vars(primitives).items() if callable(value)} == before
    assert told(entries) == []


def test_every_primitive_that_changes_something_is_recorded(recorded):
    """One that is added has to be thought of here."""
    own = {
        name
        for name, value in vars(primitives).items()
        if callable(value) and getattr(value, "__module__", "") == primitives.__name__
    }
    with recorded():
        replaced = {
            name for name in own if vars(primitives)[name].__module__ != primitives.__name__
        }
    assert replaced == own


def test_what_lies_elsewhere_and_the_lock_are_left_out(folder, recorded, tmp_path):
    """The -shm and the lock's file are made anew by whoever comes next."""
    with recorded() as (_recording, entries):
        files.write_new(tmp_path / "elsewhere", b"x")
        with maintenance_lock(folder / "queue.db", "trial"):
            files.remove(folder / "queue.db-shm")
        (folder / "queue.db-shm").touch()
        files.remove(folder / "queue.db-shm", sync=False)
    assert told(entries) == []


def sqlite_at_work(folder, recorded, mode):
    """Commit once in this journal mode, and close; return the entries."""
    path = folder / "queue.db"
    QueueDatabase(path, create=True).close()
    with (
        recorded() as (recording, entries),
        watched_files(recording) as vfs,
        QueueDatabase(path, connect=apsw_door(vfs)) as queue,
    ):
        queue.connection().execute(f"PRAGMA journal_mode = {mode}").fetchall()
        with queue.transaction() as connection:
            connection.execute("INSERT INTO task_queue (type, payload) VALUES ('t', '{}')")
    return entries


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_record_of_sqlite_makes_the_folder_again(folder, recorded, mode):
    """Files that it makes, writes, cuts, syncs and deletes."""
    entries = sqlite_at_work(folder, recorded, mode)
    disk = disk_after(*entries)
    (folder / "queue.db-maintenance.lock").unlink(missing_ok=True)
    there = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert dict(disk.left(disk.loose).contents) == there


@POSIX
@pytest.mark.parametrize(
    ("mode", "journal"), [("WAL", "queue.db-wal"), ("DELETE", "queue.db-journal")]
)
def test_first_sync_of_a_new_journal_syncs_its_folder_too(folder, recorded, mode, journal):
    """As SQLite's own VFS does it: the name of a new journal is certain with its content."""
    made, followed = 0, []
    said = told(sqlite_at_work(folder, recorded, mode))
    for now, then in pairwise(said):
        made += now == ("create", journal)
        if now == ("sync", journal):
            followed.append((made, then == ("sync-folder", ".")))
    firsts = [place for place, (one, _synced) in enumerate(followed)
              if place == 0 or followed[place - 1][0] != one]  # fmt: skip
    assert firsts
    assert [place for place, (_one, synced) in enumerate(followed) if synced] == firsts


@POSIX
def test_deletion_of_a_journal_is_synced_where_sqlite_asks_for_it(folder, recorded):
    """Under synchronous EXTRA a rollback journal that is gone stays gone."""
    said = told(sqlite_at_work(folder, recorded, "DELETE"))
    last = [place for place, (what, path) in enumerate(said)
            if what == "unlink" and path.endswith("-journal")][-1]  # fmt: skip
    assert said[last + 1] == ("sync-folder", ".")


def test_entries_are_told_in_words():
    """A failure names them."""
    assert str(write("f", b"xy", 3)) == "the write of bytes 3 to 5 of f"
    assert str(rename("f", "g")) == "the rename of f to g"
    assert str(Entry(What.SYNC_FOLDER)) == "the sync folder of ."
    assert str(mark("acknowledged", "one")) == "acknowledged: one"
