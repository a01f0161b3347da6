"""What the -shm of a dead writer tells of a log that somebody took away."""

import os
import sqlite3

import pytest
from health_queues import checked, crash

from core import observer, wal, walindex
from core.findings import Level
from core.health import check_health
from core.paths import shm_of, wal_of

TASKS_COUNT = 5
WAL_HEADER_BYTES = 32
FRAME_BYTES = 24 + 4096

CHECKPOINT_AND_DIE = """
import os, sqlite3
connection = sqlite3.connect(argv[0], isolation_level=None)
connection.execute("INSERT INTO task_queue (type, payload) VALUES ('t', '{}')")
connection.execute(f"PRAGMA wal_checkpoint({argv[1]})").fetchall()
for _ in range(int(argv[2])):
    connection.execute("INSERT INTO task_queue (type, payload) VALUES ('later', '{}')")
say("there")
wait()
"""


@pytest.fixture
def crashed(spawn, queue_path):
    """Return a queue whose writer was killed with tasks in its log."""
    crash(spawn, queue_path, TASKS_COUNT)
    return queue_path


@pytest.fixture
def checkpointed(spawn, queue_path):
    """Return a function that leaves a queue whose writer died some tasks after a checkpoint."""

    def leave(mode, later):
        child = spawn(CHECKPOINT_AND_DIE, queue_path, mode, later)
        assert child.hear() == "there"
        child.kill()
        return queue_path

    return leave


def found(path):
    """Return the finding about the index of the log."""
    return checked(path).finding("wal.index")


def test_index_says_of_a_log_what_its_walk_says(crashed):
    """Frames and salt are those of the log beside it, and the observing process tells the same."""
    index = walindex.read_index(shm_of(crashed))
    walk = wal.walk(wal_of(crashed))

    assert (index.frames, index.salt) == (walk.committed, walk.salt)
    assert (index.backfilled, index.only_in_log) == (0, index.frames)
    assert observer.look(crashed).index == index
    assert found(crashed).level is Level.OK


def test_deleted_log_is_found_with_what_it_took_along(crashed):
    """The -shm tells of frames that are in no file: critical, with how many and the cure."""
    frames = wal.walk(wal_of(crashed)).committed
    wal_of(crashed).unlink()

    finding = found(crashed)

    assert (finding.level, finding.observed) == (Level.CRITICAL, frames)
    assert "was deleted or moved" in finding.message
    assert finding.command == f'queuedrill restore --db "{crashed}"'


def test_log_that_was_cut_between_two_frames_is_found(crashed):
    """A log that ends with a whole frame looks whole; its index knows better."""
    frames = wal.walk(wal_of(crashed)).committed
    os.truncate(wal_of(crashed), WAL_HEADER_BYTES + (frames - 2) * FRAME_BYTES)

    finding = found(crashed)

    assert checked(crashed).finding("wal.frames").level is not Level.CRITICAL
    assert finding.level is Level.CRITICAL
    assert finding.observed >= 2
    assert "cannot be read to its end" in finding.message


def test_log_of_another_life_is_a_warning(crashed, checkpointed):
    """A -wal that somebody put in the place of the right one has other salts than the index."""
    index = shm_of(crashed).read_bytes()
    checkpointed("TRUNCATE", later=3)
    shm_of(crashed).write_bytes(index)

    finding = found(crashed)

    assert (finding.level, finding.observed) == (Level.WARNING, "another log")


@pytest.mark.parametrize("mode", ["PASSIVE", "TRUNCATE"])
def test_log_that_is_in_the_database_whole_costs_nothing(checkpointed, mode):
    """After a whole checkpoint a log that is gone took nothing along, and none is missed."""
    path = checkpointed(mode, later=0)
    before = found(path)
    wal_of(path).write_bytes(b"")
    empty = found(path)
    wal_of(path).unlink()

    assert [each.level for each in (before, empty, found(path))] == [Level.OK] * 3


@pytest.mark.parametrize("mode", ["PASSIVE", "RESTART", "TRUNCATE"])
@pytest.mark.parametrize("later", [0, 3])
def test_log_that_began_anew_is_not_missed(checkpointed, mode, later):
    """Whatever a dead writer had checkpointed, the index and the log that it leaves agree."""
    assert found(checkpointed(mode, later)).level is Level.OK


def test_log_in_use_is_not_judged(queue_path):
    """While somebody has the queue open the index moves."""
    connection = sqlite3.connect(queue_path, isolation_level=None)
    connection.execute("INSERT INTO task_queue (type, payload) VALUES ('t', '{}')")

    seen = observer.look(queue_path)
    connection.close()

    assert (seen.held, seen.index) == (True, None)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda head: head[:48],
        lambda _head: b"",
        lambda head: bytes([head[0] ^ 1]) + head[1:],
        lambda head: head[:16] + bytes([head[16] ^ 1]) + head[17:],
        lambda head: bytes(len(head)),
        lambda _head: b"noise" * 100,
    ],
    ids=["half", "empty", "torn-version", "torn-frames", "zeros", "noise"],
)
def test_index_that_cannot_be_trusted_says_nothing(crashed, spoil):
    """A -shm that is missing, torn or no index is none, and the check has nothing to say."""
    shm = shm_of(crashed)
    shm.write_bytes(spoil(shm.read_bytes()))

    assert walindex.read_index(shm) is None
    assert found(crashed).level is Level.OK
    shm.unlink()
    assert walindex.read_index(shm) is None


def test_index_of_another_version_or_one_not_set_up_says_nothing(crashed):
    """Both copies agree, and still nothing is read into what this program does not know."""
    shm = shm_of(crashed)
    right = shm.read_bytes()
    for offset in (0, 12):
        wrong = bytearray(right)
        for copy in (0, 48):
            wrong[copy + offset] ^= 1
        shm.write_bytes(bytes(wrong))
        assert walindex.read_index(shm) is None


def test_looking_at_the_index_changes_nothing(crashed):
    """The -shm that is read keeps its bytes."""
    before = shm_of(crashed).read_bytes()
    wal_of(crashed).unlink()

    check_health(crashed)

    assert shm_of(crashed).read_bytes() == before
    assert not wal_of(crashed).exists()
