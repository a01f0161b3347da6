"""The walk of a write-ahead log's frames, against what SQLite itself recovers."""

import contextlib
import shutil
import sqlite3

import pytest

from core import wal
from core.paths import sides, wal_of

FRAME_HEADER_BYTES = 24
WAL_HEADER_BYTES = 32
PAGE_BYTES = 4096
FRAME_BYTES = FRAME_HEADER_BYTES + PAGE_BYTES
ROWS_COUNT = 12

# Dies without closing, so that the -wal stays behind.
CRASH = """
import os, sqlite3
connection = sqlite3.connect(argv[0], isolation_level=None)
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("PRAGMA wal_autocheckpoint = 0")
connection.execute("CREATE TABLE t (x)")
for number in range(int(argv[1])):
    connection.execute("INSERT INTO t VALUES (?)", (number,))
say("written")
wait()
"""


@pytest.fixture
def crashed(spawn, tmp_path):
    """Return a database whose writer was killed, its -wal left behind."""
    path = tmp_path / "crashed" / "q.db"
    path.parent.mkdir()
    child = spawn(CRASH, path, ROWS_COUNT)
    assert child.hear() == "written"
    child.kill()
    return path


def rows_after_recovery(path):
    """Return how many rows SQLite finds in a copy of the database."""
    folder = path.parent.parent / "recovered"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for file in (path, wal_of(path)):
        shutil.copy(file, folder)
    with contextlib.closing(sqlite3.connect(folder / path.name)) as connection:
        return connection.execute("SELECT count(*) FROM t").fetchone()[0]


def flip(path, offset):
    """Change one bit of the file."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))


def frame_offset(number):
    """Return where the frame with this number, from 1, begins."""
    return WAL_HEADER_BYTES + (number - 1) * FRAME_BYTES


def test_whole_log_is_walked_to_its_end(crashed):
    """Every frame of an undamaged log is valid and committed, as SQLite recovers it."""
    walk = wal.walk(wal_of(crashed))

    assert walk.damage == "none"
    assert walk.frames == walk.valid == walk.committed > ROWS_COUNT
    assert walk.bad_frame is None
    assert walk.salt == wal.salt_of(wal_of(crashed))
    assert rows_after_recovery(crashed) == ROWS_COUNT


def test_flipped_bit_in_any_frame_but_the_last_strands_what_lies_behind(crashed):
    """Damage in a frame is told with the commits that recovery would silently drop."""
    whole = wal.walk(wal_of(crashed))
    for number in range(1, whole.frames):
        flip(wal_of(crashed), frame_offset(number) + FRAME_HEADER_BYTES + 5)

        walk = wal.walk(wal_of(crashed))

        assert (walk.damage, walk.bad_frame) == ("frame", number)
        assert walk.valid == number - 1
        assert walk.stranded == whole.frames - number
        assert walk.stranded_commits >= 1
        flip(wal_of(crashed), frame_offset(number) + FRAME_HEADER_BYTES + 5)
    assert wal.walk(wal_of(crashed)) == whole


def test_rows_that_sqlite_drops_are_the_stranded_commits_and_the_bad_one(crashed):
    """SQLite's own recovery loses exactly what the walk says, without a word."""
    bad = wal.walk(wal_of(crashed)).frames - 4
    flip(wal_of(crashed), frame_offset(bad) + FRAME_HEADER_BYTES)

    walk = wal.walk(wal_of(crashed))

    assert rows_after_recovery(crashed) == ROWS_COUNT - walk.stranded_commits - 1


def test_damaged_last_frame_is_told_as_a_tail(crashed):
    """A torn last write is told apart from damage in the middle."""
    frames = wal.walk(wal_of(crashed)).frames
    flip(wal_of(crashed), frame_offset(frames) + FRAME_HEADER_BYTES)

    walk = wal.walk(wal_of(crashed))

    assert (walk.damage, walk.bad_frame, walk.stranded) == ("tail", frames, 0)
    assert rows_after_recovery(crashed) == ROWS_COUNT - 1


@pytest.mark.parametrize("offset", [0, 4, 9, 13, 17, 21, 25, 30])
def test_damaged_header_is_told_wherever_the_bit_lies(crashed, offset):
    """Any flipped bit of the header makes SQLite ignore the whole log, and the walk says so."""
    flip(wal_of(crashed), offset)

    assert wal.walk(wal_of(crashed)).damage == "header"


def test_log_cut_short_inside_a_frame_is_walked_as_far_as_it_goes(crashed):
    """A truncated log is read up to its last whole frame, as SQLite does."""
    size = wal_of(crashed).stat().st_size
    with wal_of(crashed).open("r+b") as file:
        file.truncate(size - PAGE_BYTES // 2)

    walk = wal.walk(wal_of(crashed))

    assert walk.valid == walk.frames
    assert rows_after_recovery(crashed) == ROWS_COUNT - 1


def test_frames_of_an_earlier_life_are_no_damage(tmp_path):
    """What an earlier life of the log left behind its end is not taken for damage."""
    path = tmp_path / "q.db"
    kept = tmp_path / "kept"
    kept.mkdir()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("CREATE TABLE t (x)")
        for number in range(20):
            connection.execute("INSERT INTO t VALUES (?)", (number,))
        connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        connection.execute("INSERT INTO t VALUES ('second life')")
        shutil.copy(wal_of(path), kept)

    walk = wal.walk(kept / wal_of(path).name)

    assert walk.damage == "none"
    assert walk.valid < walk.frames
    assert walk.stranded == 0


@pytest.mark.parametrize("content", [None, b""])
def test_missing_or_empty_log_is_undamaged(tmp_path, content):
    """Where there is nothing, nothing is damaged."""
    path = tmp_path / "q.db-wal"
    if content is not None:
        path.write_bytes(content)

    assert wal.walk(path).damage == "none"
    assert wal.salt_of(path) is None


@pytest.mark.parametrize("content", [b"short", b"\0" * 100, b"garbage!" * 2000])
def test_garbage_in_the_place_of_a_log_is_told_as_a_damaged_header(tmp_path, content):
    """Whatever lies there, the walk ends and says what it is."""
    path = tmp_path / "q.db-wal"
    path.write_bytes(content)

    assert wal.walk(path).damage == "header"


def test_walk_leaves_the_log_as_it_was(crashed):
    """Walking writes nothing and makes no file."""
    before = {file.name: file.read_bytes() for file in crashed.parent.iterdir()}

    wal.walk(wal_of(crashed))

    assert {file.name: file.read_bytes() for file in crashed.parent.iterdir()} == before
    assert all(file.name in before for file in sides(crashed)[:1])


# A page cache of two pages: pages reach the -wal, some of them twice, before the commit.
HALF = """
import sqlite3
connection = sqlite3.connect(argv[0], isolation_level=None)
connection.execute("PRAGMA cache_size = 2")
connection.execute("BEGIN IMMEDIATE")
connection.executemany("INSERT INTO t VALUES (?)", [("x" * 1000,)] * 200)
say("in transaction")
wait()
"""


def test_frames_of_a_transaction_that_was_never_committed_are_no_damage(crashed, spawn):
    """A writer killed inside a large transaction leaves frames without checksums, and no loss."""
    before = wal.walk(wal_of(crashed))
    child = spawn(HALF, crashed)
    assert child.hear() == "in transaction"
    child.kill()
    walk = wal.walk(wal_of(crashed))
    assert walk.size_bytes > before.size_bytes
    assert (walk.damage, walk.committed) == ("none", before.committed)
    assert rows_after_recovery(crashed) == ROWS_COUNT
