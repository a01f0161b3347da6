"""ANALYZE, the integrity check, WAL, statistics, and what all maintenance verbs share."""

import sqlite3
import subprocess
import sys

import pytest
from doors import Door, writer_is_kept_out
from maintained import BUSY_WRITER, LOCK_HOLDER, OLD_READER, damage_page, fill, rival, rows_of

from core import ManualClock, QueueDatabase, QueueMaintenance
from core.errors import (
    DatabaseBusyError,
    InvalidArgumentError,
    MaintenanceBusyError,
    OperationTimeoutError,
    ReadOnlyDatabaseError,
    UnknownTableError,
)
from core.locks import maintenance_lock
from core.observer import Seen

MEGABYTE = 1024 * 1024


@pytest.fixture
def database(queue_path):
    """Return an open queue with some tasks."""
    fill(queue_path, 300)
    with QueueDatabase(queue_path) as database:
        yield database


@pytest.fixture
def maintenance(database):
    """Return the maintenance of the queue."""
    return QueueMaintenance(database)


# -- analyze ---------------------------------------------------------------------------------


def test_analyze_leaves_statistics_of_every_table(database, maintenance):
    """After ANALYZE the planner has figures of all tables with rows."""
    assert maintenance.analyze() >= 0
    found = rows_of(database.path, "SELECT DISTINCT tbl FROM sqlite_stat1 ORDER BY tbl")
    assert found == [("task_logs",), ("task_queue",)]


@pytest.mark.parametrize("name", ["task_queue", "TASK_QUEUE", 'we"ird; DROP TABLE workers', "a b"])
def test_analyze_of_one_table_takes_any_name_that_is_there(database, maintenance, name):
    """A table is analyzed whatever its name, and nothing in a name is run as SQL."""
    if name.lower() != "task_queue":
        with rival(database.path) as connection:
            connection.execute(f'CREATE TABLE "{name.replace(chr(34), chr(34) * 2)}" (a)')
            quoted = name.replace('"', '""')
            connection.execute(f'CREATE INDEX i ON "{quoted}" (a)')
            connection.execute(f'INSERT INTO "{quoted}" VALUES (1)')
    maintenance.analyze(table=name)
    found = rows_of(database.path, "SELECT DISTINCT lower(tbl) FROM sqlite_stat1")
    assert found == [(name.lower(),)]
    assert rows_of(database.path, "SELECT count(*) FROM workers") == [(0,)]


@pytest.mark.parametrize("table", ["nothing", "", "sqlite_master", "task_queue; --", 7, "view"])
def test_analyze_of_a_table_that_is_not_there_is_refused(database, maintenance, table):
    """An unknown table gets our error with those that are there; nothing is analyzed."""
    with rival(database.path) as connection:
        connection.execute("CREATE VIEW view AS SELECT 1")
    with pytest.raises(UnknownTableError, match=r"it has: .*task_logs, task_queue, workers"):
        maintenance.analyze(table=table)
    assert not rows_of(database.path, "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'")


@pytest.mark.parametrize("limit", [-1, 2**31, 1.5, None])
def test_analyze_with_a_bad_limit_is_refused(maintenance, limit):
    """A wrong limit gets our error."""
    with pytest.raises(InvalidArgumentError):
        maintenance.analyze(analysis_limit=limit)


def test_limit_is_set_before_analyze_runs(queue_path):
    """ANALYZE reads so many rows of an index as were asked, 400 unless told."""
    limits = []

    def look(_uri, connection, sql):
        if sql.startswith("ANALYZE"):
            limits.extend(connection.execute("PRAGMA analysis_limit").fetchall())

    with QueueDatabase(queue_path, connect=Door(look)) as database:
        QueueMaintenance(database).analyze()
        QueueMaintenance(database).analyze("workers", analysis_limit=7)
    assert limits == [(400,), (7,)]


def test_analyze_behind_a_writer_gives_up_in_time(queue_path, spawn):
    """A lock that is not had within the busy timeout is told."""
    holder = spawn(LOCK_HOLDER, queue_path)
    assert holder.hear() == "held"
    with (
        QueueDatabase(queue_path, busy_timeout_ms=100) as database,
        pytest.raises(DatabaseBusyError, match=r"0\.1 s") as caught,
    ):
        QueueMaintenance(database).analyze()
    assert sys.platform == "win32" or f"process {holder.pid} " in str(caught.value)


def test_lock_whose_holder_is_gone_by_then_is_told_all_the_same(queue_path, spawn, monkeypatch):
    """Naming the holder is best effort; the error itself does not depend on it."""
    nobody = Seen(held=False, holders=(), walk=None, journal=None)
    monkeypatch.setattr("core.maintenance.look", lambda _path: nobody)
    assert spawn(LOCK_HOLDER, queue_path).hear() == "held"
    with (
        QueueDatabase(queue_path, busy_timeout_ms=100) as database,
        pytest.raises(DatabaseBusyError, match="queuedrill health") as caught,
    ):
        QueueMaintenance(database).analyze()
    assert isinstance(caught.value.__cause__, sqlite3.Error)


# -- integrity -------------------------------------------------------------------------------


def test_sound_file_is_ok_while_others_write(database, maintenance, spawn):
    """A check beside a process that writes all the time says ok and keeps it from nothing."""
    writer = spawn(BUSY_WRITER, database.path)
    writer.hear()
    for _ in range(3):
        assert maintenance.integrity_check() == ["ok"]
        writer.hear()
    writer.release()


def closed(path):
    """Leave one file without a -wal, which nobody has open."""
    with rival(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def test_every_damaged_page_is_found_and_none_is_called_ok(queue_path):
    """Each page but the first, overwritten alone, makes the check say what is wrong."""
    fill(queue_path, 20)
    closed(queue_path)
    whole = queue_path.read_bytes()
    missed = []
    for number in range(2, len(whole) // 4096 + 1):
        queue_path.write_bytes(whole)
        damage_page(queue_path, number)
        with QueueDatabase(queue_path) as database:
            rows = QueueMaintenance(database).integrity_check()
        if not rows or "ok" in rows:
            missed.append(number)
    assert missed == []


def test_all_findings_are_returned(queue_path):
    """More than SQLite's usual hundred findings come back, as plain text."""
    fill(queue_path, 400)
    with rival(queue_path) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = 'CREATE INDEX ix_task_type_status ON task_queue "
            "(status, type)' WHERE name = 'ix_task_type_status'"
        )
    with QueueDatabase(queue_path) as database:
        rows = QueueMaintenance(database).integrity_check()
    assert len(rows) >= 400
    assert all(isinstance(row, str) and "\n" not in row for row in rows)


def test_header_destroyed_under_an_open_queue_is_returned_and_not_raised(queue_path):
    """What SQLite reports as an error when opening comes back as a finding."""
    closed(queue_path)
    database = QueueDatabase(queue_path)
    database.close()
    damage_page(queue_path, 1)
    rows = QueueMaintenance(database).integrity_check()
    assert len(rows) == 1
    assert "not an SQLite database" in rows[0]


def test_payload_that_this_sqlite_cannot_read_is_a_finding(queue_path):
    """JSON5 that a newer SQLite let in is said by an older one's check, and not raised."""
    newer = (
        "import sys, apsw\n"
        "c = apsw.Connection(sys.argv[1])\n"
        "c.execute(\"INSERT INTO task_queue (type, payload) VALUES ('t', '{a:5}')\")\n"
        "c.close()\n"
    )
    # Two SQLite libraries never share a process: https://www.sqlite.org/howtocorrupt.html, 2.3.
    subprocess.run([sys.executable, "-c", newer, str(queue_path)], check=True, timeout=60)
    with QueueDatabase(queue_path) as database:
        rows = QueueMaintenance(database).integrity_check()
    assert rows == (["malformed JSON"] if sqlite3.sqlite_version_info < (3, 42) else ["ok"])


def test_integrity_check_past_its_deadline_is_stopped(queue_path):
    """Past the deadline the check ends with our error and never with a verdict."""
    fill(queue_path, 2000)
    clock = ManualClock(0)
    with (
        QueueDatabase(queue_path, clock=clock) as database,
        pytest.raises(OperationTimeoutError, match="integrity check did not finish within 5 s"),
    ):
        QueueMaintenance(database).integrity_check(
            timeout_seconds=5, progress=lambda _s: clock.advance_s(6)
        )


def test_read_only_queue_can_be_checked_and_measured(queue_path):
    """Verbs that write nothing work on a queue opened read-only, and leave no lock file."""
    with QueueDatabase(queue_path, read_only=True) as database:
        maintenance = QueueMaintenance(database)
        assert maintenance.integrity_check() == ["ok"]
        assert maintenance.get_database_stats()["wal_mode"] is True
    assert not queue_path.with_name("queue.db-maintenance.lock").exists()


# -- statistics ------------------------------------------------------------------------------


def test_statistics_are_those_of_the_files_and_the_pages(database, maintenance):
    """Sizes are megabytes of 1024 * 1024 bytes, and agree with the files and with SQLite."""
    stats = maintenance.get_database_stats()
    pages = rows_of(database.path, "PRAGMA page_count")[0][0]
    assert (stats["page_count"], stats["page_size"]) == (pages, 4096)
    assert stats["total_size_mb"] == pages * 4096 / MEGABYTE
    sizes = {
        "database_size_mb": database.path,
        "wal_size_mb": database.path.with_name("queue.db-wal"),
        "shm_size_mb": database.path.with_name("queue.db-shm"),
    }
    for key, file in sizes.items():
        assert stats[key] == file.stat().st_size / MEGABYTE
    assert stats["on_disk_mb"] == sum(stats[key] for key in sizes)
    assert (stats["wal_mode"], stats["journal_mode"], stats["auto_vacuum"]) == (True, "wal", "none")


def test_fragmentation_is_the_share_of_free_pages(database, maintenance):
    """Free pages after a deletion show, and none before."""
    assert maintenance.get_database_stats()["fragmentation_pct"] == 0
    with rival(database.path) as connection:
        connection.execute("DELETE FROM task_logs")
        connection.execute("DELETE FROM task_queue")
    stats = maintenance.get_database_stats()
    assert stats["freelist_count"] > 0
    expected = 100 * stats["freelist_count"] / stats["page_count"]
    assert stats["fragmentation_pct"] == expected > 0


def test_statistics_without_wal_say_so(queue_path):
    """In another journal mode there is no -wal and wal_mode is False."""
    with rival(queue_path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    with QueueDatabase(queue_path) as database:
        stats = QueueMaintenance(database).get_database_stats()
    assert (stats["wal_mode"], stats["wal_size_mb"], stats["journal_mode"]) == (False, 0, "delete")


# -- WAL -------------------------------------------------------------------------------------


def test_wal_is_enabled_and_stays(queue_path):
    """After enable_wal every later opening finds WAL."""
    with rival(queue_path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    with QueueDatabase(queue_path) as database:
        QueueMaintenance(database).enable_wal()
        QueueMaintenance(database).enable_wal()
    assert rows_of(queue_path, "PRAGMA journal_mode") == [("wal",)]


def test_wal_is_not_forced_on_a_file_at_work(queue_path, spawn):
    """While another process reads, the change is refused and the file stays as it was."""
    with rival(queue_path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    reader = spawn(OLD_READER, queue_path)
    assert reader.hear() == "reading"
    with (
        QueueDatabase(queue_path, busy_timeout_ms=100) as database,
        pytest.raises(DatabaseBusyError) as caught,
    ):
        QueueMaintenance(database).enable_wal()
    assert sys.platform != "linux" or f"process {reader.pid} " in str(caught.value)
    reader.release()
    assert reader.hear() == "done"
    assert rows_of(queue_path, "PRAGMA journal_mode") == [("delete",)]


# -- together --------------------------------------------------------------------------------


@pytest.mark.parametrize("full", [False, True])
def test_optimize_says_what_it_did_and_the_figures_around_it(database, maintenance, full):
    """The runbook's keys are there, and VACUUM runs just when it is asked for."""
    with rival(database.path) as connection:
        connection.execute("DELETE FROM task_logs")
        connection.execute("DELETE FROM task_queue")
    result = maintenance.optimize(full=full)
    assert (result["analyzed"], result["vacuumed"]) == (True, full)
    before, after = result["stats_before"], result["stats_after"]
    assert (after["total_size_mb"] < before["total_size_mb"]) is full
    assert before["freelist_count"] > 0


VERBS = {
    "checkpoint": lambda maintenance: maintenance.checkpoint(),
    "vacuum": lambda maintenance: maintenance.vacuum(),
    "incremental_vacuum": lambda maintenance: maintenance.incremental_vacuum(),
    "analyze": lambda maintenance: maintenance.analyze(),
    "enable_wal": lambda maintenance: maintenance.enable_wal(),
    "cleanup_stale_leases": lambda maintenance: maintenance.cleanup_stale_leases(),
    "release_stale_leases": lambda maintenance: maintenance.release_stale_leases(),
    "release_lease": lambda maintenance: maintenance.release_lease(1),
    "archive_finished": lambda maintenance: maintenance.archive_finished(0),
    "optimize": lambda maintenance: maintenance.optimize(),
}


@pytest.mark.parametrize("verb", VERBS)
def test_verb_that_writes_waits_for_another_run_and_not_for_ever(maintenance, spawn, verb):
    """While another process maintains the queue each verb is refused, and says who is at work."""
    other = spawn(
        "from pathlib import Path\n"
        "from core.locks import maintenance_lock\n"
        "with maintenance_lock(Path(argv[0]), 'a test'):\n"
        "    say('at work'); wait()\n",
        maintenance.database.path,
    )
    assert other.hear() == "at work"
    with pytest.raises(MaintenanceBusyError, match=f"a test by process {other.pid}"):
        VERBS[verb](maintenance)


@pytest.mark.parametrize("verb", VERBS)
def test_verb_that_writes_refuses_a_read_only_queue(queue_path, verb):
    """A queue opened read-only gets our error from each verb that would write."""
    with (
        QueueDatabase(queue_path, read_only=True) as database,
        pytest.raises(ReadOnlyDatabaseError),
    ):
        VERBS[verb](QueueMaintenance(database))


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"incremental_vacuum", "release_lease"}))
def test_verb_leaves_no_lock_behind(maintenance, verb):
    """After each verb writers and other maintenance runs are free to go on."""
    VERBS[verb](maintenance)
    assert not writer_is_kept_out(maintenance.database.path)
    with maintenance_lock(maintenance.database.path, "after"):
        pass


def test_wait_is_as_long_as_was_told(database):
    """A second run gives up when its wait is over, by the queue's clock."""
    clock = ManualClock(0)
    with (
        maintenance_lock(database.path, "first"),
        QueueDatabase(database.path, clock=clock) as waiting,
        pytest.raises(MaintenanceBusyError),
    ):
        QueueMaintenance(waiting, wait_s=7).cleanup_stale_leases()
    assert 7 <= clock.monotonic_s() < 8


@pytest.mark.parametrize("wait_s", [-1, float("inf"), "1"])
def test_wait_that_makes_no_sense_is_refused(database, wait_s):
    """A wrong wait gets our error."""
    with pytest.raises(InvalidArgumentError):
        QueueMaintenance(database, wait_s=wait_s)
