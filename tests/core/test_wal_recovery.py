"""The walk of a log says what SQLite itself recovers, and no loss of a commit is passed over."""

import contextlib
import random
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wal_logs import (
    CANNOT_OPEN,
    FRAME,
    HEADER,
    Recovered,
    commits,
    copied,
    do,
    forged,
    make_log,
    recover,
    split,
    summed,
    turn_around,
)

from core import wal
from core.paths import wal_of
from core.walsum import FrameSums, checksum

PAGE_SIZES = [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536]
acts = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["commit", "commit", "rollback"]), st.integers(1, 40)),
        st.tuples(st.sampled_from(["restart", "passive"]), st.just(0)),
    ),
    min_size=1,
    max_size=12,
)
endings = st.one_of(st.none(), st.integers(10, 60))
FIELDS = {
    "header": range(HEADER.size),
    "page-number": range(4),
    "commit-mark": range(4, 8),
    "first-salt": range(8, 12),
    "second-salt": range(12, 16),
    "first-sum": range(16, 20),
    "second-sum": range(20, 24),
    "page": range(24, 24 + 512),
}
quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@contextlib.contextmanager
def left(page_size, done, ending):
    """Yield a database with its log, as a crash left both."""
    with tempfile.TemporaryDirectory() as folder:
        spill = [] if ending is None else [("spill", ending)]
        yield make_log(Path(folder) / "made", page_size, [*done, *spill])


def compared(path):
    """Return the walk, which says what SQLite recovers, and that."""
    walk = wal.walk(wal_of(path))
    recovered = recover(path, path.parent.parent / "recovered")
    if recovered == CANNOT_OPEN:
        assert (walk.damage, walk.committed) == ("header", 0)
        return walk, recovered
    assert walk.committed == recovered.frames
    if walk.committed:
        assert commits(wal_of(path).read_bytes())[walk.committed] == recovered.pages
    return walk, recovered


@quick
@given(st.sampled_from(PAGE_SIZES), acts, endings)
def test_walk_says_what_sqlite_recovers(page_size, done, ending):
    """Lives, rollbacks, and a transaction that was cut off: as many frames, and no alarm."""
    with left(page_size, done, ending) as path:
        walk, _recovered = compared(path)

        assert walk.damage == "none"
        assert walk.committed <= walk.valid <= walk.frames


@quick
@given(st.sampled_from(PAGE_SIZES[:4]), acts, endings, st.floats(0, 1), st.booleans())
def test_torn_tail_is_walked_as_sqlite_recovers_it(page_size, done, ending, part, zeroed):
    """Cut off, or zeros from there on: as many frames as SQLite's own recovery reads."""
    with left(page_size, done, ending) as path:
        log = bytearray(wal_of(path).read_bytes())
        cut = int(len(log) * part)
        log[cut:] = bytes(len(log) - cut) if zeroed else b""
        wal_of(path).write_bytes(log)

        compared(path)


@pytest.mark.parametrize("field", FIELDS)
@settings(parent=quick, max_examples=30)
@given(st.sampled_from(PAGE_SIZES[:3]), acts, endings, st.randoms(use_true_random=False))
def test_no_turned_bit_costs_a_commit_unsaid(field, page_size, done, ending, chance):
    """Wherever a bit turns: the walk says what SQLite recovers, and tells where that is less."""
    with left(page_size, done, ending) as path:
        before = wal.walk(wal_of(path))
        if not before.frames:
            return
        log = bytearray(wal_of(path).read_bytes())
        frame = 0 if field == "header" else chance.randrange(before.frames)
        start = 0 if field == "header" else HEADER.size + frame * (FRAME.size + page_size)
        log[start + chance.choice(FIELDS[field])] ^= 1 << chance.randrange(8)
        wal_of(path).write_bytes(log)

        walk, _recovered = compared(path)

        lost = before.committed - walk.committed
        assert lost >= 0
        if lost and walk.damage == "frame":
            assert walk.bad_frame == frame + 1
        elif lost:
            assert walk.damage == ("header" if field == "header" else "tail")
        elif frame >= before.valid and field not in {"header", "commit-mark"}:
            # What claims to be a commit, and has no checksum to ask, is told as one.
            assert walk.damage in {"none", "tail"}, "nothing was lost"


@quick
@given(acts, acts, st.sampled_from(PAGE_SIZES[:4]), st.integers(0, 2**32))
def test_log_of_the_other_byte_order_is_walked_as_sqlite_reads_and_writes_it(
    first, second, page_size, seed
):
    """A log of a machine with the other order, gone on with here, whole and with a turned bit."""
    with left(page_size, first, None) as path:
        turn_around(path, wal.walk(wal_of(path)).committed)
        compared(path)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
            for act, rows in second:
                do(connection, act, rows, page_size)
            grown = copied(path, path.parent.parent / "grown")
        walk, _recovered = compared(grown)
        assert walk.damage == "none"

        log = bytearray(wal_of(grown).read_bytes())
        if log:
            log[random.Random(seed).randrange(len(log))] ^= 1
            wal_of(grown).write_bytes(log)
            compared(grown)


def test_sqlite_itself_writes_logs_of_both_orders(tmp_path):
    """The test above is of what it says: a log that was turned around keeps its order."""
    path = make_log(tmp_path / "made", 1024, [("commit", 5)])
    turn_around(path, wal.walk(wal_of(path)).committed)
    before = wal.walk(wal_of(path))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
        do(connection, "commit", 5, 1024)
        grown = copied(path, tmp_path / "grown")

    log = wal_of(grown).read_bytes()

    assert HEADER.unpack_from(log)[0] & 1 == 1
    assert wal.walk(wal_of(grown)).committed > before.committed


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (1, 3_007_001, CANNOT_OPEN),
        (2, 1, 0),
        (2, 256, 0),
        (2, 131_072, 0),
        (2, 1536, 0),
        (0, 0x377F0684, 0),
        (3, 77, None),
        (4, 5, 0),
    ],
    ids=["version", "size-1", "size-256", "size-131072", "no-power", "magic", "sequence", "salt"],
)
def test_header_that_another_program_forged_is_judged_as_sqlite_does(
    tmp_path, place, value, expected
):
    """A header with a checksum that fits is still believed only where SQLite believes it."""
    path = make_log(tmp_path / "made", 1024, [("commit", 5), ("commit", 5)])
    frames = wal.walk(wal_of(path)).committed
    header, rest = split(wal_of(path).read_bytes())
    header[place] = value
    wal_of(path).write_bytes(forged(header, rest))

    walk, recovered = compared(path)

    sound = place in {3, 4}
    assert (walk.damage == "header") is not sound
    if expected == CANNOT_OPEN:
        assert recovered == CANNOT_OPEN
    else:
        assert recovered == Recovered(frames if expected is None else expected, recovered.pages)


def test_frame_of_page_zero_ends_the_log_though_its_checksum_fits(tmp_path):
    """There is no page 0: SQLite stops at such a frame, and so does the walk."""
    path = make_log(tmp_path / "made", 1024, [("commit", 5), ("commit", 5)])
    header, frames = split(wal_of(path).read_bytes())
    frames[-2][0][0] = 0
    wal_of(path).write_bytes(forged(header, frames))

    walk, _recovered = compared(path)

    assert (walk.damage, walk.bad_frame) == ("frame", len(frames) - 1)


def lose_last_commit(path, change):
    """Change the frame of the last commit; return the walk of before."""
    before = wal.walk(wal_of(path))
    log = bytearray(wal_of(path).read_bytes())
    size = FRAME.size + split(log)[0][2]
    start = HEADER.size + (before.committed - 1) * size
    change(log, start)
    wal_of(path).write_bytes(log)
    return before


@pytest.mark.parametrize("rows", [10, 60])
@pytest.mark.parametrize("half", [8, 12])
def test_turned_bit_in_the_salt_of_the_last_commit_is_told(tmp_path, rows, half):
    """A commit whose salt is damaged is not taken for what an earlier life left behind."""
    path = make_log(tmp_path / "made", 512, [("commit", 5), ("commit", 5), ("spill", rows)])

    def turn(log, start):
        log[start + half + 1] ^= 4

    before = lose_last_commit(path, turn)
    walk, _recovered = compared(path)

    assert walk.committed < before.committed
    assert (walk.damage, walk.bad_frame) == ("frame", before.committed)


def test_turned_salt_of_the_very_last_frame_is_told(tmp_path):
    """Also where nothing follows: a torn or turned last commit is a tail."""
    path = make_log(tmp_path / "made", 512, [("commit", 5), ("commit", 5)])

    def turn(log, start):
        log[start + 9] ^= 4

    before = lose_last_commit(path, turn)
    walk, _recovered = compared(path)

    assert walk.committed < before.committed
    assert (walk.damage, walk.bad_frame) == ("tail", before.committed)


@pytest.mark.parametrize("big", [False, True])
def test_commit_mark_that_turned_into_none_is_told(tmp_path, big):
    """A last commit whose mark of one bit is gone is not taken for one that never was."""
    path = make_log(tmp_path / "made", 512, [("commit", 5), ("commit", 5), ("spill", 60)])
    header, frames = split(wal_of(path).read_bytes())
    before = wal.walk(wal_of(path))
    header[0] |= big
    frames[before.committed - 1][0][1] = 64
    log = bytearray(forged(header, frames))
    wal_of(path).write_bytes(log)
    assert wal.walk(wal_of(path)).committed == before.committed
    start = HEADER.size + (before.committed - 1) * (FRAME.size + 512)
    log[start + 4 : start + 8] = bytes(4)
    wal_of(path).write_bytes(log)

    walk, _recovered = compared(path)

    assert walk.committed < before.committed
    assert (walk.damage, walk.bad_frame) == ("frame", before.committed)


# -- checksums -------------------------------------------------------------------------------


@settings(parent=quick, max_examples=200)
@given(
    st.builds(FrameSums, st.sampled_from(PAGE_SIZES[:4]), st.sampled_from("<>")),
    st.integers(1, 9),
    st.integers(0, 2**32),
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    st.booleans(),
)
def test_sums_of_many_frames_are_those_of_word_after_word(sums, count, seed, start, high):
    """Side by side or one behind the other: the sums are the same, of the highest words too."""
    size, order = FRAME.size + sums.page_size, sums.order
    content = b"\xff" * size * count if high else random.Random(seed).randbytes(size * count)

    for number, own in enumerate(sums.own(content)):
        frame = content[number * size : (number + 1) * size]
        expected = summed(frame[24:], summed(frame[:8], start, order), order)
        assert checksum(frame[24:], checksum(frame[:8], start, order), order) == expected
        start = sums.after(start, own)
        assert start == expected


def test_log_that_is_cut_while_it_is_walked_ends_there(tmp_path):
    """A file that grows shorter under the walk is walked as far as it goes."""
    path = make_log(tmp_path / "made", 512, [("commit", 5)] * 5)
    whole = wal.walk(wal_of(path))
    log = wal_of(path).read_bytes()
    # In the middle of a frame, and of a word.
    wal_of(path).write_bytes(log[: len(log) // 2 + 3])
    with wal_of(path).open("rb") as file:
        walk = wal._walk_open(file, len(log))

    assert 0 < walk.valid < whole.valid
