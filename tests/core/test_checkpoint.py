"""Checkpoints in four modes: complete, kept from it by others, and refused."""

import sqlite3

import pytest
from doors import Door, writer_is_kept_out
from maintained import BUSY_WRITER, LOCK_HOLDER, OLD_READER, fill, rival, rows_of

from core import QueueBackup, QueueDatabase, QueueMaintenance
from core.defects import wal_reset_defect
from core.errors import InvalidArgumentError, ReadOnlyDatabaseError
from core.manifest import read_manifest

MODES = ("PASSIVE", "FULL", "RESTART", "TRUNCATE")
DEFECT = wal_reset_defect(sqlite3.sqlite_version_info)


@pytest.fixture
def database(queue_path):
    """Return an open queue."""
    with QueueDatabase(queue_path) as database:
        yield database


@pytest.mark.parametrize("mode", MODES)
def test_checkpoint_that_nobody_hinders_is_complete(database, mode):
    """Alone on the queue every mode brings everything into the database."""
    fill(database.path, 50)
    result = QueueMaintenance(database).checkpoint(mode)
    assert (result["busy"], result["complete"], result["mode"]) == (0, True, mode)
    assert result["log"] == result["checkpointed"]
    wal = database.path.with_name("queue.db-wal")
    assert (wal.stat().st_size == 0) == (mode == "TRUNCATE")


def test_modes_have_names_and_capitals_do_not_matter(database):
    """The runbook's constants, and small letters, are taken."""
    maintenance = QueueMaintenance(database)
    constants = (
        maintenance.CHECKPOINT_PASSIVE, maintenance.CHECKPOINT_FULL,
        maintenance.CHECKPOINT_RESTART, maintenance.CHECKPOINT_TRUNCATE,
    )  # fmt: skip
    assert constants == MODES
    assert maintenance.checkpoint("truncate")["mode"] == "TRUNCATE"


@pytest.mark.parametrize("mode", MODES)
def test_old_reader_makes_it_incomplete_and_it_says_so(database, spawn, mode):
    """Behind a reader of an old snapshot no mode calls itself complete, nor waits long."""
    reader = spawn(OLD_READER, database.path)
    assert reader.hear() == "reading"
    fill(database.path, 50)
    result = QueueMaintenance(database).checkpoint(mode, timeout_seconds=0.2)
    assert result["complete"] is False
    # PASSIVE is never busy: that alone would look like success.
    assert result["busy"] == (0 if mode == "PASSIVE" else 1)
    assert result["checkpointed"] < result["log"]
    assert result["seconds"] < 10
    reader.release()
    assert reader.hear() == "done"
    assert QueueMaintenance(database).checkpoint(mode)["complete"] is True


@pytest.mark.parametrize("mode", MODES)
def test_open_writer_is_waited_for_no_longer_than_the_timeout(database, spawn, mode):
    """Behind an open write the checkpoint ends in time; on a defective SQLite nothing is run."""
    fill(database.path, 50)
    holder = spawn(LOCK_HOLDER, database.path)
    assert holder.hear() == "held"
    result = QueueMaintenance(database).checkpoint(mode, timeout_seconds=0.2)
    if DEFECT:
        assert (result["busy"], result["log"], result["complete"]) == (1, -1, False)
    else:
        assert result["busy"] == (0 if mode == "PASSIVE" else 1)
    assert 0 <= result["seconds"] < 10


def test_passive_checkpoint_keeps_writers_out_on_a_defective_sqlite(queue_path):
    """While PASSIVE runs, a rival is refused the writer lock just where the defect is."""
    kept_out = []

    def look(_uri, connection, sql):
        if "wal_checkpoint(PASSIVE)" in sql and connection is not None:
            kept_out.append(writer_is_kept_out(queue_path))

    with QueueDatabase(queue_path, connect=Door(look)) as database:
        assert QueueMaintenance(database).checkpoint()["complete"] is True
    assert kept_out == [DEFECT]


def speaking_of(version, before=lambda *_facts: None):
    """Return a door to an SQLite that gives itself this version."""

    def connect(uri, *, timeout_s):
        connection = Door(before)(uri, timeout_s=timeout_s)
        connection.real.create_function("sqlite_version", 0, lambda: version)
        return connection

    return connect


@pytest.mark.parametrize(("version", "defective"), [("3.51.2", True), ("3.51.3", False)])
def test_defect_is_that_of_the_sqlite_behind_the_door(queue_path, version, defective):
    """A caller's own SQLite counts, not the one that Python brings."""
    kept_out = []

    def look(_uri, _connection, sql):
        if sql.startswith("PRAGMA wal_checkpoint"):
            kept_out.append(writer_is_kept_out(queue_path))

    with QueueDatabase(queue_path, connect=speaking_of(version, look)) as database:
        QueueMaintenance(database).checkpoint()

    assert kept_out == [defective]
    assert not writer_is_kept_out(queue_path)


def test_manifest_says_the_version_of_the_sqlite_behind_the_door(queue_path):
    """The backup was made by a caller's own SQLite, not by the one that Python brings."""
    with QueueDatabase(queue_path, connect=speaking_of("3.39.9")) as database:
        manifest = read_manifest(QueueBackup(database).create_backup())

    assert manifest.sqlite_version == "3.39.9"


def test_checkpoint_within_a_transaction_of_its_own_thread_is_busy(database):
    """Called in the middle of one's own write it is refused as busy and harms nothing."""
    with database.transaction() as connection:
        connection.execute("INSERT INTO task_queue (type, payload) VALUES ('t', '1')").close()
        result = QueueMaintenance(database).checkpoint("FULL", timeout_seconds=0.1)
    assert (result["busy"], result["complete"]) == (1, False)
    assert rows_of(database.path, "SELECT count(*) FROM task_queue") == [(1,)]


@pytest.mark.parametrize("mode", MODES)
def test_writer_at_work_loses_nothing_to_checkpoints(database, spawn, mode):
    """Every task acknowledged to a process that writes all the time is there afterwards."""
    writer = spawn(BUSY_WRITER, database.path)
    acknowledged = [int(writer.hear())]
    maintenance = QueueMaintenance(database)
    for _ in range(5):
        maintenance.checkpoint(mode)
        acknowledged.append(int(writer.hear()))
    writer.release()
    acknowledged += [int(said) for said in iter(writer.hear, None)]
    found = {row[0] for row in rows_of(database.path, "SELECT id FROM task_queue")}
    assert set(acknowledged) <= found
    assert maintenance.integrity_check() == ["ok"]


def test_file_without_wal_has_nothing_to_checkpoint(queue_path):
    """In another journal mode the checkpoint is complete, and says -1 frames."""
    with rival(queue_path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    with QueueDatabase(queue_path) as database:
        result = QueueMaintenance(database).checkpoint("TRUNCATE")
    assert (result["busy"], result["log"], result["complete"]) == (0, -1, True)


@pytest.mark.parametrize("mode", ["", "HARD", None, 1, "PASSIVE); DROP TABLE workers; --"])
def test_unknown_mode_is_refused(database, mode):
    """A mode that is none gets our error, which names the four."""
    with pytest.raises(InvalidArgumentError, match="PASSIVE, FULL, RESTART, TRUNCATE"):
        QueueMaintenance(database).checkpoint(mode)


@pytest.mark.parametrize("timeout_seconds", [-0.1, float("nan"), "1"])
def test_timeout_that_makes_no_sense_is_refused(database, timeout_seconds):
    """A wrong timeout gets our error."""
    with pytest.raises(InvalidArgumentError):
        QueueMaintenance(database).checkpoint(timeout_seconds=timeout_seconds)


def test_read_only_queue_is_not_checkpointed(queue_path):
    """A queue opened read-only refuses, and leaves no lock file."""
    with (
        QueueDatabase(queue_path, read_only=True) as database,
        pytest.raises(ReadOnlyDatabaseError),
    ):
        QueueMaintenance(database).checkpoint()
    assert not queue_path.with_name("queue.db-maintenance.lock").exists()
