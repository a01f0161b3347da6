"""Each fault happens, is seen to happen by evidence of its own, and is undone."""

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from core import observer
from core.database import QueueDatabase
from core.errors import DatabaseMissingError
from core.files import free_bytes
from core.maintenance import QueueMaintenance
from core.paths import sides, wal_of
from harness.drivers.client import Driver
from harness.faults import (
    FAULTS,
    DamagedWal,
    DeletedDatabase,
    KilledWorker,
    KilledWriter,
    LaggingIndexes,
    LeftOverWal,
    LostRows,
    NoFault,
    RivalWriter,
    ShortDisk,
    StaleIndex,
    StuckReader,
    SuspendedWorker,
    TruncatedFile,
)
from harness.faults.damage import FileFault
from harness.ledger import Ledger
from harness.outcome import Inconclusive

FILE_FAULTS = [fault for fault in FAULTS if isinstance(fault, FileFault)]
ROWS_COUNT = 20
CRASH = f"""
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for _number in range({ROWS_COUNT}):
    connection.execute("INSERT INTO task_queue (type, payload) VALUES ('t', '{{}}')")
os._exit(9)
"""
ODD_DRIVER = Path(__file__).with_name("odd_driver.py")


@pytest.fixture
def queue_path(tmp_path):
    """A queue whose last writer was killed: its -wal has committed frames."""
    path = tmp_path / "queue.db"
    with QueueDatabase(path, create=True):
        pass
    crash = subprocess.run([sys.executable, "-c", CRASH, str(path)], check=False, timeout=60)
    assert crash.returncode == 9
    return path


@pytest.fixture
def driver(tmp_path):
    """A driver process."""
    command = [sys.executable, "-X", "utf8", str(ODD_DRIVER), "1"]
    with Driver(command, name="odd", stderr_path=tmp_path / "odd.stderr") as driver:
        yield driver


def contents(path):
    """The bytes of the whole set."""
    return {f.name: f.read_bytes() for f in (path, *sides(path)) if f.exists()}


def rows_in(path):
    """The number of tasks that SQLite finds."""
    with QueueDatabase(path) as database:
        return database.connection().execute("SELECT count(*) FROM task_queue").fetchone()[0]


@pytest.mark.parametrize("fault", FILE_FAULTS, ids=lambda fault: fault.name)
def test_a_file_fault_is_seen_and_undone(fault, queue_path):
    """A fault of the files changes them, shows digests that differ, and puts all back."""
    before = contents(queue_path)
    with fault.inject(queue_path) as sighting:
        assert sighting.confirmed, sighting.evidence
        assert "sha256" in sighting.evidence
        assert contents(queue_path) != before
    assert contents(queue_path) == before


@pytest.mark.parametrize("fault", FILE_FAULTS, ids=lambda fault: fault.name)
def test_a_file_fault_leaves_alone_what_was_repaired_meanwhile(fault, queue_path):
    """What somebody put in the place of the damage stays."""
    with fault.inject(queue_path):
        queue_path.write_bytes(b"restored")
    assert queue_path.read_bytes() == b"restored"


def test_a_file_fault_that_changes_nothing_is_not_confirmed(tmp_path):
    """Deleting what is not there is no fault."""
    with DeletedDatabase().inject(tmp_path / "none.db") as sighting:
        assert not sighting.confirmed


def test_a_left_over_wal_needs_a_wal(tmp_path):
    """Without a -wal that stays behind, the fault was not seen."""
    path = tmp_path / "queue.db"
    with QueueDatabase(path, create=True):
        pass
    assert not wal_of(path).exists()
    with LeftOverWal().inject(path) as sighting:
        assert not sighting.confirmed


def test_a_damaged_wal_loses_what_was_committed_behind_it(queue_path):
    """The bit that is changed is one that SQLite's recovery stumbles over."""
    with DamagedWal(frame=2).inject(queue_path):
        copy = queue_path.with_name("copy.db")
        copy.write_bytes(queue_path.read_bytes())
        wal_of(copy).write_bytes(wal_of(queue_path).read_bytes())
        assert rows_in(copy) < ROWS_COUNT
    assert rows_in(queue_path) == ROWS_COUNT


def test_a_truncated_file_keeps_whole_pages(queue_path):
    """The cut is where a page ends, as a copy that was cut off has it at best."""
    with TruncatedFile(kept=0.0).inject(queue_path):
        assert queue_path.stat().st_size == 0


def test_lagging_indexes_are_told_by_the_check_of_sqlite(queue_path):
    """Each of them lacks a row of its table, and nothing else is wrong."""
    fault = LaggingIndexes()
    with fault.inject(queue_path), QueueDatabase(queue_path) as database:
        found = QueueMaintenance(database).integrity_check()
    for name in fault.indexes:
        assert f"row {ROWS_COUNT + 1} missing from index {name}" in found
    assert len(found) == 2 * len(fault.indexes)


def test_a_short_disk_is_what_the_core_is_told(tmp_path):
    """For the body this process is told of less room, and then of what there is."""
    before = shutil.disk_usage(tmp_path)
    with ShortDisk(free=5).inject(tmp_path) as sighting:
        assert free_bytes(tmp_path) == 5
        assert shutil.disk_usage(tmp_path).total == before.total
        assert sighting.confirmed
    assert free_bytes(tmp_path) > 5


def test_a_killed_worker_is_seen_dead(driver):
    """A kill is confirmed by how the process ended."""
    with KilledWorker().inject(driver) as sighting:
        assert sighting.confirmed
        assert str(driver.pid) in sighting.evidence


def test_a_worker_that_ended_by_itself_was_not_killed(driver):
    """A process that was gone before the kill does not confirm it."""
    driver.close()
    with KilledWorker().inject(driver) as sighting:
        assert not sighting.confirmed


def test_a_suspended_worker_stands_still_and_goes_on(driver):
    """A suspension is seen in the process table, and ends with the body."""
    with SuspendedWorker().inject(driver) as sighting:
        assert sighting.confirmed
        assert not driver.send("echo", text="x").answered()
    assert driver.request("echo", text="again")["text"] == "again"


def test_a_killed_writer_leaves_frames_of_no_commit(queue_path):
    """What the writer had put in is not there for the next who opens the file."""
    with KilledWriter().inject(queue_path) as sighting:
        assert sighting.confirmed, sighting.evidence
        walk = observer.look(queue_path).walk
        assert (walk.damage, walk.frames > walk.committed) == ("none", True)
        assert rows_in(queue_path) == ROWS_COUNT


def test_a_killed_writer_with_nothing_to_write_is_not_confirmed(tmp_path):
    """A transaction whose pages never reached the -wal is not the fault that was asked for."""
    path = tmp_path / "queue.db"
    with QueueDatabase(path, create=True):
        pass
    with KilledWriter(rows=0).inject(path) as sighting:
        assert not sighting.confirmed


def test_a_killed_writer_that_cannot_begin_is_not_confirmed(tmp_path, capfd):
    """A program that fails before its transaction is not the fault that was asked for."""
    path = tmp_path / "other.db"
    sqlite3.connect(path).close()
    with KilledWriter().inject(path) as sighting:
        assert not sighting.confirmed
    assert "no such table" in capfd.readouterr().err


def test_a_rival_writer_holds_the_lock_and_lets_go(queue_path):
    """The lock is held for the body, as a third connection sees, and free afterwards."""
    with RivalWriter().inject(queue_path) as sighting:
        assert sighting.confirmed
    with RivalWriter().inject(queue_path) as sighting:
        assert sighting.confirmed


def test_a_stuck_reader_holds_the_log_and_lets_go(queue_path):
    """The -wal cannot be ended while the reader is there, and can afterwards."""
    with QueueDatabase(queue_path) as database:
        with StuckReader().inject(queue_path) as sighting:
            assert sighting.confirmed, sighting.evidence
        rows = database.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert rows == [(0, 0, 0)]


def asked(path, pragma):
    """What a check of SQLite's says, row by row."""
    with QueueDatabase(path) as database:
        return [row[0] for row in database.connection().execute(f"PRAGMA {pragma}").fetchall()]


def test_lost_rows_are_seen_by_no_check_of_sqlite_s(queue_path):
    """One task is gone, and the structure is sound: only who counted the tasks can tell."""
    with LostRows().inject(queue_path) as sighting:
        assert sighting.confirmed
        assert rows_in(queue_path) == ROWS_COUNT - 1
        assert asked(queue_path, "integrity_check") == ["ok"]


def test_a_stale_index_is_seen_by_the_whole_check_alone(queue_path):
    """quick_check says ok where integrity_check names the row and the index."""
    with StaleIndex().inject(queue_path) as sighting:
        assert sighting.confirmed
        assert rows_in(queue_path) == ROWS_COUNT
        assert asked(queue_path, "quick_check") == ["ok"]
        assert any(StaleIndex().index in row for row in asked(queue_path, "integrity_check"))


def test_no_fault_does_nothing(queue_path):
    """The control leaves every byte as it is."""
    before = contents(queue_path)
    with NoFault().inject(queue_path) as sighting:
        assert sighting.confirmed
    assert contents(queue_path) == before


def test_every_fault_says_what_it_is():
    """Each has a name of its own in kebab case, what is asked, and why it is survivable."""
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names)
    for fault in FAULTS:
        assert fault.name == fault.name.lower().replace("_", "-").replace(" ", "-")
        assert fault.asked
        words = " ".join((type(fault).__doc__ or "").split())
        assert "Simulated by" in words
        assert "Survivable because" in words


class Sink:
    """Takes the entries of a ledger."""

    def __init__(self):
        self.entries = []

    def fault(self, *entry):
        """Keep the entry."""
        name, _asked, confirmed, _evidence, effect = entry
        self.entries.append((name, confirmed, effect))


def test_an_unconfirmed_fault_is_inconclusive_and_written_down(tmp_path):
    """The body does not run under a fault that nobody saw, and the ledger says so."""
    sink, ran = Sink(), []
    ledger = Ledger(sink)
    with (
        pytest.raises(Inconclusive, match="deleted-database"),
        ledger.injected(DeletedDatabase(), tmp_path / "none.db"),
    ):
        ran.append(True)
    assert sink.entries == [("deleted-database", False, "")]
    assert not ran


def test_the_effect_is_written_down_also_when_the_body_fails(queue_path):
    """A failing scenario keeps its ledger, and the fault is undone."""
    sink = Sink()

    def scenario():
        with Ledger(sink).injected(DeletedDatabase(), queue_path) as sighting:
            sighting.effect = "gone"
            QueueDatabase(queue_path)

    with pytest.raises(DatabaseMissingError):
        scenario()
    assert sink.entries == [("deleted-database", True, "gone")]
    assert queue_path.exists()
