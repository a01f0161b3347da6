"""The hourly, daily and weekly runs: every result is acted on."""

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from doors import Door
from maintained import BUSY_WRITER, damage_page, fill, rival, rows_of

from core import QueueBackup, QueueDatabase, run_daily, run_hourly, run_weekly
from core.defects import wal_reset_defect
from core.errors import InvalidArgumentError
from core.locks import maintenance_lock
from core.schedule import DAILY, HOURLY, WEEKLY

DEFECT = wal_reset_defect(sqlite3.sqlite_version_info)
DAILY_STEPS = (
    "content", "backup", "verify backup", "prune backups", "analyze", "checkpoint",
    "stale leases",
)  # fmt: skip
WEEKLY_STEPS = (
    "content", "backup", "verify backup", "prune backups", "integrity check", "analyze", "vacuum",
    "verify database", "checkpoint", "stale leases",
)  # fmt: skip


@pytest.fixture
def database(queue_path):
    """Return an open queue with some tasks, one of them held by a dead worker."""
    fill(queue_path, 50)
    with rival(queue_path) as connection:
        connection.execute(
            "UPDATE task_queue SET status = 'leased', locked_by = 'dead', "
            "lease_until_utc = '2020-01-01 00:00:00' WHERE id = 1"
        )
    with QueueDatabase(queue_path) as database:
        yield database


def told(report):
    """Return which steps were ok, which not, and which were not run."""
    return {step.name: step.ok if step.ran else None for step in report.steps}


# -- when ------------------------------------------------------------------------------------


def test_daily_and_weekly_never_begin_in_one_minute():
    """In a whole week the runs begin when they are said to, and no two at one time."""
    monday = datetime(2026, 11, 23)  # noqa: DTZ001 - a schedule is in local time
    minutes = [monday + timedelta(minutes=number) for number in range(7 * 24 * 60)]
    daily = [minute for minute in minutes if DAILY.is_due(minute)]
    weekly = [minute for minute in minutes if WEEKLY.is_due(minute)]
    hourly = [minute for minute in minutes if HOURLY.is_due(minute)]
    assert (len(daily), len(weekly), len(hourly)) == (6, 1, 7 * 24)
    assert f"{weekly[0]:%A %H:%M}" == "Saturday 02:00"
    assert {f"{minute:%H:%M}" for minute in daily} == {"02:00"}
    assert not set(daily) & set(weekly)
    assert not set(hourly) & (set(daily) | set(weekly))


# -- all well --------------------------------------------------------------------------------


def test_hourly_run_frees_the_tasks_of_the_dead(database):
    """A stale lease is freed, and the report says how many."""
    report = run_hourly(database)
    assert (report.ok, report.name) == (True, "hourly")
    assert report.step("stale leases").detail == "1 requeued, 0 moved to dead_letter"
    assert rows_of(database.path, "SELECT DISTINCT status FROM task_queue") == [("queued",)]


def test_daily_run_leaves_a_verified_backup_and_does_every_step(database):
    """All daily steps are done in order, and the backup is sound."""
    report = run_daily(database)
    assert tuple(told(report)) == DAILY_STEPS
    assert report.ok
    backups = QueueBackup(database)
    assert len(backups.list_backups()) == 1
    assert backups.verify_backup(report.step("backup").detail)
    assert report.seconds >= sum(step.seconds for step in report.steps[:3])


def test_weekly_run_does_all_that_the_daily_does_and_checks_afterwards(database):
    """The weekly steps are a superset of the daily ones; the file is smaller and whole."""
    assert set(DAILY_STEPS) <= set(WEEKLY_STEPS)
    with rival(database.path) as connection:
        connection.execute("DELETE FROM task_logs WHERE task_id > 10")
        connection.execute("DELETE FROM task_queue WHERE id > 10")
    report = run_weekly(database)
    assert tuple(told(report)) == WEEKLY_STEPS
    assert report.ok
    assert report.step("verify database").detail == "ok, the 10 tasks of before VACUUM are there"


def test_only_so_many_backups_stay(database):
    """After a run with keep_count no more backups than that are there."""
    for _ in range(4):
        report = run_daily(database, keep_count=2)
    assert report.ok
    assert report.step("prune backups").detail == "1 old backups removed"
    assert len(QueueBackup(database).list_backups()) == 2


def test_backups_go_where_they_are_told(database, tmp_path):
    """A given folder takes the backups of the run."""
    assert run_daily(database, tmp_path / "elsewhere").ok
    assert len(list((tmp_path / "elsewhere").glob("queue_backup_daily_*.db"))) == 1


def test_weekly_run_beside_a_writer_is_ok_and_loses_nothing(database, spawn):
    """Workers that write all the time make no false alarm, and lose nothing."""
    writer = spawn(BUSY_WRITER, database.path)
    acknowledged = [int(writer.hear())]
    patient = QueueDatabase(database.path, busy_timeout_ms=30_000)
    report = run_weekly(patient)
    patient.close()
    acknowledged.append(int(writer.hear()))
    writer.release()
    acknowledged += [int(said) for said in iter(writer.hear, None)]
    bad = [step for step in report.steps if not step.ok]
    assert bad == []
    found = {row[0] for row in rows_of(database.path, "SELECT id FROM task_queue")}
    assert set(acknowledged) <= found


# -- results acted on ------------------------------------------------------------------------


def test_backup_that_fails_its_verification_stops_the_pruning(queue_path):
    """When the new backup is bad the old ones stay, and the run is not ok."""
    fill(queue_path, 50)
    struck = []

    def spoil(uri, _connection, sql):
        path = Path(url2pathname(urlsplit(uri).path))
        if sql == "OPEN" and path.name.startswith("queue_backup_daily"):
            struck.append(path)
            damage_page(path, 2)

    with QueueDatabase(queue_path) as database:
        for _ in range(3):
            assert run_daily(database).ok
    with QueueDatabase(queue_path, connect=Door(spoil)) as database:
        report = run_daily(database, keep_count=1)
    assert struck
    assert not report.ok
    assert told(report) == {
        "content": True, "backup": True, "verify backup": False, "prune backups": None,
        "integrity check": True, "analyze": True, "checkpoint": True, "stale leases": True,
    }  # fmt: skip
    assert "not verified" in report.step("prune backups").detail
    assert len(list(queue_path.parent.glob("backups/queue_backup_daily_*.db"))) == 4


@pytest.mark.parametrize("run", [run_daily, run_weekly])
def test_backup_folder_that_cannot_be_used_stops_nothing_that_is_safe(database, tmp_path, run):
    """Without a backup nothing is pruned or vacuumed; a sound queue is still looked after."""
    blocked = tmp_path / "blocked"
    blocked.touch()
    report = run(database, blocked)
    assert not report.ok
    states = told(report)
    assert (states["backup"], states["verify backup"], states["prune backups"]) == (
        False, None, None,
    )  # fmt: skip
    assert states["integrity check"] is True
    assert states["analyze"] is states["checkpoint"] is states["stale leases"] is True
    assert states.get("vacuum") is None
    assert str(blocked) in report.step("backup").detail


@pytest.mark.parametrize("run", [run_daily, run_weekly])
def test_damaged_database_is_written_to_by_no_step(queue_path, run):
    """Damage is found by each run that backs up, and from then on nothing writes."""
    fill(queue_path, 200, bytes_each=500)
    with rival(queue_path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        pages = connection.execute("PRAGMA page_count").fetchall()[0][0]
    damage_page(queue_path, pages - 3)
    with QueueDatabase(queue_path) as database:
        before = database.path.read_bytes()
        report = run(database)
    assert not report.ok
    states = told(report)
    assert (states["backup"], states["integrity check"]) == (False, False)
    written = {name: states[name] for name in ("analyze", "checkpoint", "stale leases")}
    assert set(written.values()) == {None}
    assert states.get("vacuum") is None
    assert "damaged" in report.step("analyze").detail
    assert queue_path.read_bytes() == before


@pytest.mark.parametrize("run", [run_daily, run_weekly])
def test_finished_task_that_nobody_wrote_to_and_that_differs_keeps_every_backup(queue_path, run):
    """A payload that changed by itself stops pruning and VACUUM, and nothing else."""
    fill(queue_path, 20, status="completed")
    with QueueDatabase(queue_path) as database:
        for _ in range(2):
            assert run(database).ok
        with rival(queue_path) as connection:
            connection.execute("UPDATE task_queue SET payload = '\"other\"' WHERE id = 7")
        report = run(database, keep_count=1)
        again = run(database, keep_count=1)

    states = told(report)
    assert report.step("content").detail == "1 changed (7)"
    assert "7" in report.step("prune backups").detail
    assert (states.pop("content"), states.pop("prune backups")) == (False, None)
    assert states.pop("vacuum", None) is None
    assert set(states.values()) == {True}
    assert told(again)["content"] is False, "it is told until it is accepted"
    assert len(QueueBackup(queue_path).list_backups()) == 4


def test_finished_task_that_a_program_wrote_to_or_removed_fails_no_run(queue_path):
    """What programs do is told by the step, and keeps nothing from being done."""
    fill(queue_path, 20, status="completed")
    with QueueDatabase(queue_path) as database:
        run_daily(database)
        with rival(queue_path) as connection:
            connection.execute("DELETE FROM task_logs WHERE task_id = 7")
            connection.execute("DELETE FROM task_queue WHERE id = 7")
        report = run_daily(database)

    assert report.ok
    assert report.step("content").detail == "1 missing (7); 19 recorded"


@pytest.mark.parametrize("run", [run_daily, run_weekly])
def test_failing_disk_of_the_backups_is_not_taken_for_a_damaged_database(queue_path, run):
    """A backup disk that fails is told as that, and the queue on the other one is maintained."""
    fill(queue_path, 10)

    def fail(uri, _connection, _sql):
        if ".draft" in uri:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
            raise error

    with QueueDatabase(queue_path, connect=Door(fail)) as database:
        report = run(database)

    assert not report.step("backup").ok
    assert str(queue_path.parent / "backups") in report.step("backup").detail
    assert "health" not in report.step("backup").detail
    for name in ("integrity check", "analyze", "checkpoint", "stale leases"):
        assert report.step(name).ok, report.step(name)


def test_rows_that_vacuum_would_lose_are_missed(queue_path):
    """A row that is gone after VACUUM fails the weekly run, though workers put in new ones."""
    fill(queue_path, 20)

    def lose(_uri, connection, sql):
        if sql == "VACUUM":
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute("DELETE FROM task_queue WHERE id = 7")
            connection.execute("DELETE FROM task_logs WHERE task_id = 7")
            fill(queue_path, 5)

    with QueueDatabase(queue_path, connect=Door(lose)) as database:
        report = run_weekly(database)
    assert not report.ok
    assert report.step("verify database").detail.startswith("1 tasks and 1 log rows")


def test_log_rows_of_nothing_are_found_at_the_end(queue_path):
    """A broken reference that the integrity check cannot see fails the weekly run."""
    fill(queue_path, 5)

    def orphan(_uri, connection, sql):
        if sql == "VACUUM":
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute("INSERT INTO task_logs (task_id, level) VALUES (999, 'INFO')")

    with QueueDatabase(queue_path, connect=Door(orphan)) as database:
        report = run_weekly(database)
    assert report.step("verify database").detail == (
        "rows refer to nothing, the first in task_logs"
    )


def test_vacuum_without_time_is_told_and_the_rest_goes_on(database):
    """A VACUUM that ran out of time fails its step; the queue is checked and looked after."""
    report = run_weekly(database, vacuum_timeout_seconds=0)
    states = told(report)
    assert states["vacuum"] is False
    assert states["verify database"] is states["checkpoint"] is states["stale leases"] is True
    assert not report.ok


def test_leases_that_cannot_be_read_make_the_run_fail(database):
    """A held task that can never expire is named in every run until somebody frees it."""
    with rival(database.path) as connection:
        connection.execute("UPDATE task_queue SET status = 'leased' WHERE id = 3")
    report = run_hourly(database)
    assert not report.ok
    assert report.step("stale leases").detail == (
        "1 requeued, 0 moved to dead_letter; the leases of 1 held tasks cannot be read: 3"
    )


def test_checkpoint_that_is_kept_from_its_lock_is_told(queue_path, spawn):
    """A checkpoint behind an open write is not called done on an SQLite that must not run it."""
    holder = spawn(
        "import sqlite3\n"
        "c = sqlite3.connect(argv[0], isolation_level=None)\n"
        "c.execute('BEGIN IMMEDIATE'); say('held'); wait(); c.close()\n",
        queue_path,
    )
    assert holder.hear() == "held"
    with QueueDatabase(queue_path, busy_timeout_ms=50) as database:
        report = run_daily(database)
    states = told(report)
    assert (states["backup"], states["verify backup"]) == (True, True)
    assert (states["analyze"], states["checkpoint"]) == (False, not DEFECT)
    assert states["stale leases"] is True
    assert not report.ok


# -- beside another run ----------------------------------------------------------------------


def test_two_runs_at_one_time_both_end_well(queue_path, spawn):
    """A daily and an hourly run of two processes wait for each other's steps."""
    fill(queue_path, 50)
    source = (
        "from core import QueueDatabase, run_daily, run_hourly\n"
        "with QueueDatabase(argv[0]) as database:\n"
        "    say('ready'); wait()\n"
        "    report = {'daily': run_daily, 'hourly': run_hourly}[argv[1]](database)\n"
        "    say(report.ok, [step.detail for step in report.steps if not step.ok])\n"
    )
    children = [spawn(source, queue_path, name) for name in ("daily", "hourly", "daily")]
    assert {child.hear() for child in children} == {"ready"}
    for child in children:
        child.release()
    assert [child.hear() for child in children] == ["True []"] * 3


def test_run_that_another_one_keeps_out_says_so(database):
    """When the wait is over the step fails with the name of the other run."""
    with maintenance_lock(database.path, "a long VACUUM"):
        report = run_hourly(database, wait_s=0)
    assert not report.ok
    assert "a long VACUUM" in report.step("stale leases").detail


def test_step_that_is_not_there_is_a_key_error(database):
    """Asking a report for a step it has not is an error, not an empty answer."""
    with pytest.raises(KeyError):
        run_hourly(database).step("vacuum")


@pytest.mark.parametrize(
    ("run", "settings"),
    [
        (run_hourly, {"timeout_seconds": -1}),
        (run_hourly, {"wait_s": -1}),
        (run_daily, {"keep_count": 0}),
        (run_daily, {"timeout_seconds": "x"}),
        (run_weekly, {"keep_count": -3}),
        (run_weekly, {"vacuum_timeout_seconds": float("nan")}),
    ],
)
def test_bad_argument_is_refused_before_anything_is_done(database, run, settings):
    """A wrong argument gets our error, and there is neither a backup nor a freed task."""
    with pytest.raises(InvalidArgumentError):
        run(database, **settings)
    assert not (database.path.parent / "backups").exists()
    assert rows_of(database.path, "SELECT count(*) FROM task_queue WHERE status = 'leased'") == [
        (1,)
    ]
