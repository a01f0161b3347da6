"""Everything that can be wrong with a queue file is found, and nothing is touched."""

import contextlib
import math
import os
import sqlite3
import threading

import pytest
from health_queues import (
    DIE_WITH_LOG,
    HOUR_MS,
    NOW_MS,
    WORK,
    checked,
    clock,
    crash,
    held,
    snapshot,
    stale,
    task,
)

from core import (
    ManualClock,
    QueueBackup,
    QueueDatabase,
    QueueMaintenance,
    connect_stdlib,
    errors,
    health,
    observer,
)
from core.contentrecord import record_path
from core.findings import Level, fixes
from core.health import FINDING_IDS, check_health
from core.paths import sides, wal_of
from core.thresholds import AtLeast, AtMost, Thresholds
from core.timestamps import to_text

KNOWN_VERBS = (
    "init", "backup", "restore", "restore --recover", "leases --free", "leases --task",
    "checkpoint --mode TRUNCATE", "vacuum", "archive --older-than-days", "prune", "enable-wal",
)  # fmt: skip


def test_sound_queue_with_a_young_backup_has_nothing_critical_or_unknown(queue_path):
    """A new queue that has just been backed up passes every check but that of this SQLite."""
    backup = QueueBackup(queue_path, clock=clock())
    backup.create_backup()

    report = checked(queue_path)

    assert {found.id for found in report.findings if found.level is not Level.OK} <= {
        "sqlite.version",
        "disk.free",
    }
    assert report.metrics["backups"] == 1
    assert "itself" in report.judged


@pytest.mark.parametrize("full", [False, True])
def test_every_check_yields_its_finding_also_when_all_is_in_order(queue_path, full):
    """The list of findings is the same each time, so that a gate can show every limit."""
    report = checked(queue_path, full=full)

    assert tuple(found.id for found in report.findings) == FINDING_IDS
    assert len(set(FINDING_IDS)) == len(FINDING_IDS)


def test_every_check_yields_its_finding_also_when_there_is_no_file(tmp_path):
    """A file that does not open hides no check: what was not judged is UNKNOWN."""
    report = checked(tmp_path / "missing.db")

    assert {found.id for found in report.findings} == set(FINDING_IDS)
    assert report.level is Level.CRITICAL
    assert report.finding("leases.stale").level is Level.UNKNOWN


def test_check_changes_nothing_and_makes_nothing_on_an_unheld_file(queue_path):
    """A file that nobody has open keeps every byte, and so does its folder."""
    before = snapshot(queue_path.parent)

    checked(queue_path, full=True)

    assert snapshot(queue_path.parent) == before


def test_check_changes_nothing_and_makes_nothing_beside_a_log(spawn, queue_path, tmp_path):
    """A file with a left-over log keeps it, to the byte; the copy is gone afterwards."""
    child = spawn(DIE_WITH_LOG, queue_path, 3)
    assert child.hear() == "written"
    child.release()
    child.finish()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    before = snapshot(tmp_path)

    report = checked(queue_path, scratch=scratch, full=True)

    assert report.metrics["tasks"] == {"queued": 3}
    assert "a copy" in report.judged
    assert snapshot(tmp_path) == before
    assert list(scratch.iterdir()) == []


def test_check_changes_nothing_and_makes_nothing_beside_a_worker(spawn, queue_path):
    """A queue in use is judged with what was committed, and all its files stay as they were."""
    child = spawn(WORK, queue_path)
    assert child.hear() == "there"
    before = snapshot(queue_path.parent)

    report = checked(queue_path, full=True)

    assert report.metrics["tasks"] == {"queued": 1}
    assert "beside" in report.judged
    assert report.finding("database.integrity").level is Level.OK
    assert snapshot(queue_path.parent) == before


def test_open_database_of_this_process_is_judged_and_keeps_its_locks(queue_path):
    """A queue that this process itself writes to is judged beside that, without harm to it."""
    standing, opened = clock(), []
    standing.advance_s(5)

    def connect(uri, *, timeout_s):
        opened.append(uri)
        return connect_stdlib(uri, timeout_s=timeout_s)

    with QueueDatabase(queue_path, clock=standing, connect=connect) as database:
        with database.transaction() as connection:
            connection.execute("INSERT INTO task_queue (type, payload) VALUES ('t', '{}')")
            before = len(opened)
            report = check_health(database)
            assert len(opened) > before, "through the queue's own door"
        with database.transaction() as connection:
            connection.execute("INSERT INTO task_queue (type, payload) VALUES ('t', '{}')")

        assert report.metrics["queued_tasks"] == 0
        assert report.seconds == 0, "by the queue's own clock, which stands still"
        assert check_health(database).metrics["queued_tasks"] == 2


def test_file_that_is_opened_during_the_check_is_judged_again(queue_path):
    """What was read without locks while somebody wrote is thrown away and read again."""
    opened = []

    def connect(uri, *, timeout_s):
        if "immutable" in uri and not opened:
            opened.append(uri)
            thread = threading.Thread(target=insert_one, args=(queue_path,))
            thread.start()
            thread.join()
        return connect_stdlib(uri, timeout_s=timeout_s)

    report = checked(queue_path, connect=connect)

    assert opened
    assert report.metrics["queued_tasks"] == 1


def insert_one(path):
    """Do what a short-lived worker does."""
    with QueueDatabase(path) as database, database.transaction() as connection:
        connection.execute("INSERT INTO task_queue (type, payload) VALUES ('t', '{}')")


def test_file_that_is_disturbed_at_each_look_is_judged_from_a_copy(queue_path):
    """Where reading without locks never succeeds, the last look is at a copy of one moment."""

    def connect(uri, *, timeout_s):
        if "memory" not in uri:
            os.utime(queue_path, ns=(0, queue_path.stat().st_mtime_ns + 1))
        return connect_stdlib(uri, timeout_s=timeout_s)

    report = checked(queue_path, connect=connect)

    assert "a copy" in report.judged
    assert report.finding("file.opens").level is Level.OK


def test_only_the_last_look_at_a_disturbed_file_is_at_a_copy(queue_path, tmp_path, monkeypatch):
    """The file itself is tried as often as there are looks but one; a copy goes where it is told.

    A copy reads the whole file twice, which is not for a large one unless it must be.
    """
    looks = seen_looks(monkeypatch)

    def connect(uri, *, timeout_s):
        if "memory" not in uri:
            os.utime(queue_path, ns=(0, queue_path.stat().st_mtime_ns + 1))
        return connect_stdlib(uri, timeout_s=timeout_s)

    checked(queue_path, connect=connect, scratch=tmp_path)

    assert [look["copying"] for look in looks] == [False, False, True]
    assert {look["scratch"] for look in looks} == {tmp_path.resolve()}


def test_file_that_does_not_open_and_does_not_change_is_looked_at_once(tmp_path, monkeypatch):
    """What was wrong with a file that nobody touches is wrong with it at every look."""
    path = tmp_path / "queue.db"
    path.write_bytes(b"text " * 900)
    looks = seen_looks(monkeypatch)

    checked(path)

    assert len(looks) == 1


def seen_looks(monkeypatch):
    """Return a list that takes how each look at the content is asked for."""
    looks, right = [], health.viewpoint
    monkeypatch.setattr(
        health, "viewpoint", lambda path, **how: looks.append(how) or right(path, **how)
    )
    return looks


def test_file_that_never_settles_is_unknown(spawn, queue_path, monkeypatch):
    """Where every copy is disturbed, the answer is that nothing is known."""
    crash(spawn, queue_path, 1)
    monkeypatch.setattr("core.observer.copy_unheld", lambda _database, _folder, **_how: None)
    looks = seen_looks(monkeypatch)

    opens = checked(queue_path).finding("file.opens")

    assert (opens.level, opens.observed) == (Level.UNKNOWN, "UnsettledError")
    assert len(looks) == 3


def test_commands_are_verbs_of_the_command_line_with_the_database_named(queue_path, execute):
    """Every cure is a command that exists, for this very file."""
    execute(*[stale() for _number in range(51)], held(lease_until_utc=None))
    thresholds = Thresholds(
        size_mb=AtMost(0, 0),
        fragmentation_pct=AtMost(0, 0),
        free_disk_gb=AtLeast(10**9, 10**9),
    )

    commands = [command for _id, command in fixes(checked(queue_path, thresholds=thresholds))]

    assert commands
    for command in commands:
        assert f'--db "{queue_path}"' in command
        plain = command.removeprefix("queuedrill ").replace(f' --db "{queue_path}"', "")
        assert plain.startswith(KNOWN_VERBS)


@pytest.mark.parametrize("timeout", [-1, math.nan])
def test_wrong_argument_is_an_error_and_no_finding(queue_path, timeout):
    """What a caller did wrong is raised."""
    with pytest.raises(errors.InvalidArgumentError, match="timeout_seconds"):
        check_health(queue_path, timeout_seconds=timeout)


def make_plain(path):
    """Make a database that is no queue."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE other (x)")


def make_newer(path):
    """Make a queue of a later schema."""
    QueueDatabase(path, create=True).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def make_broken(path):
    """Make a queue whose first page is garbage behind a sound header."""
    QueueDatabase(path, create=True).close()
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xa5" * 3900)


@pytest.mark.parametrize(
    ("make", "observed", "verb"),
    [
        (lambda _path: None, "DatabaseMissingError", "init"),
        (lambda path: wal_of(path).write_bytes(b"x" * 5000), "DatabaseMissingError", "restore"),
        (lambda path: path.mkdir(), "NotAFileError", None),
        (lambda path: path.write_bytes(b""), "EmptyDatabaseError", "restore"),
        (lambda path: path.write_bytes(b"text " * 900), "NotADatabaseError", "restore"),
        (make_broken, "DatabaseCorruptError", "restore"),
        (make_plain, "NotAQueueError", None),
        (make_newer, "NewerSchemaError", None),
    ],
    ids=["missing", "orphaned-log", "folder", "empty", "text", "corrupt", "other", "newer"],
)
def test_file_that_does_not_open_is_a_critical_finding_with_its_cure(
    tmp_path, make, observed, verb
):
    """Trouble with opening is data, says what it is, and names the command that mends it."""
    path = tmp_path / "queue.db"
    make(path)
    before = snapshot(tmp_path)

    opens = checked(path).finding("file.opens")

    assert (opens.level, opens.observed) == (Level.CRITICAL, observed)
    assert str(path) in opens.message
    assert opens.command == ("" if verb is None else f'queuedrill {verb} --db "{path}"')
    assert snapshot(tmp_path) == before


def test_trouble_with_a_file_that_has_a_log_is_told_as_what_it_is(tmp_path):
    """Only a log without its database is told as a stray one."""
    path = tmp_path / "queue.db"
    make_plain(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("INSERT INTO other VALUES (1)")
        left = wal_of(path).read_bytes()
    wal_of(path).write_bytes(left)

    opens = checked(path).finding("file.opens")

    assert wal_of(path).stat().st_size
    assert opens.observed == "NotAQueueError"
    assert "-wal" not in opens.message


def test_missing_file_with_backups_is_to_be_restored_not_made_anew(queue_path):
    """Where there are backups, a lost queue is restored; a new one would hide the loss."""
    QueueBackup(queue_path, clock=clock()).create_backup()
    queue_path.unlink()

    opens = checked(queue_path).finding("file.opens")

    assert opens.command == f'queuedrill restore --db "{queue_path}"'


def test_locked_file_is_unknown_and_not_healthy(spawn, queue_path):
    """A file that somebody keeps locked for himself was not judged, and is not called sound."""
    child = spawn(
        "import sqlite3\n"
        "connection = sqlite3.connect(argv[0], isolation_level=None)\n"
        "connection.execute('PRAGMA journal_mode = DELETE')\n"
        "connection.execute('BEGIN EXCLUSIVE')\n"
        "say('locked')\nwait()\n",
        queue_path,
    )
    assert child.hear() == "locked"

    opens = checked(queue_path).finding("file.opens")

    assert (opens.level, opens.observed) == (Level.UNKNOWN, "DatabaseBusyError")


def test_copy_without_room_is_unknown(spawn, queue_path, monkeypatch):
    """Where a copy is needed and has no room, that is said, and nothing is called sound."""
    child = spawn(DIE_WITH_LOG, queue_path, 1)
    assert child.hear() == "written"
    child.kill()
    monkeypatch.setattr("core.observer.free_bytes", lambda _folder: 0)

    opens = checked(queue_path).finding("file.opens")

    assert (opens.level, opens.observed) == (Level.UNKNOWN, "NotEnoughSpaceError")


def test_time_that_is_up_leaves_what_was_not_done_unknown(queue_path, execute):
    """A check that may take no time finds nothing, and says so."""
    many = "WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "
    execute((many + "INSERT INTO task_queue (type, payload) SELECT 't', '{}' FROM n",))

    report = checked(queue_path, timeout_seconds=0)

    assert report.finding("database.integrity").level is Level.UNKNOWN
    assert "interrupted" in report.finding("database.integrity").message


@pytest.mark.parametrize(
    ("finding_id", "name", "metric"),
    [
        ("database.size", "size_mb", "database_size_mb"),
        ("database.fragmentation", "fragmentation_pct", "fragmentation_pct"),
        ("wal.size", "wal_mb", "wal_size_mb"),
        ("leases.stale", "stale_leases", "stale_leases"),
        ("leases.unreadable", "unreadable_leases", "unreadable_leases"),
        ("leases.far", "far_leases", "far_leases"),
        ("tasks.held", "held_h", "longest_held_h"),
        ("tasks.waiting", "waiting_h", "longest_due_h"),
        ("tasks.never_run", "never_run", "never_run_tasks"),
        ("tasks.run_after_format", "late_tasks", "late_tasks"),
        ("tasks.clock", "clock_ahead_s", "clock_ahead_s"),
        ("backups.age", "backup_age_h", "backup_age_h"),
    ],
)
def test_figure_is_kept_at_its_limit_and_passed_just_below_it(
    crowded_path, finding_id, name, metric
):
    """Each figure, observed on a real file, is judged at both levels from both sides."""
    observed = checked(crowded_path).metrics[metric]
    assert observed > 0
    below = observed - min(1e-6, observed / 2)

    def level(warning, critical):
        thresholds = Thresholds(**{name: AtMost(warning, critical)})
        return checked(crowded_path, thresholds=thresholds).finding(finding_id).level

    assert level(observed, observed) is Level.OK
    assert level(below, observed) is Level.WARNING
    assert level(below, below) is Level.CRITICAL


@pytest.fixture
def crowded_path(spawn, queue_path, execute):
    """Return a queue that has a little of everything that is counted."""
    QueueBackup(queue_path, clock=ManualClock(NOW_MS - HOUR_MS)).create_backup()
    execute(
        stale(), stale(), held(lease_until_utc="whenever"),
        held(lease_until_utc=to_text(NOW_MS + 999 * HOUR_MS)),
        held(reserved_at_utc=to_text(NOW_MS - 5 * HOUR_MS)),
        task(run_after_utc=to_text(NOW_MS - 2 * HOUR_MS)), task(run_after_utc="soon"),
        task(run_after_utc="2025-11-05T14:00:00"), task(updated_at_utc=to_text(NOW_MS + HOUR_MS)),
        ("CREATE TABLE filler AS SELECT zeroblob(100000)",), ("DROP TABLE filler",),
    )  # fmt: skip
    crash(spawn, queue_path, 1)
    return queue_path


def test_no_side_file_is_left_by_any_of_it(queue_path):
    """After a check of a closed queue there is the database, and nothing else."""
    checked(queue_path)

    assert not any(side.exists() for side in sides(queue_path))


def test_look_may_take_as_long_as_the_whole_check(queue_path, monkeypatch):
    """A queue that takes minutes to copy is judged, where the caller has the time."""
    given_s = []
    look, copy_unheld = observer.look, observer.copy_unheld

    def looking(database, *, timeout_s=observer.DEFAULT_TIMEOUT_S):
        given_s.append(timeout_s)
        return look(database, timeout_s=timeout_s)

    def copying(database, folder, *, timeout_s=observer.DEFAULT_TIMEOUT_S):
        given_s.append(timeout_s)
        return copy_unheld(database, folder, timeout_s=timeout_s)

    monkeypatch.setattr(observer, "look", looking)
    monkeypatch.setattr(observer, "copy_unheld", copying)

    check_health(queue_path, copying=True, timeout_seconds=1800)

    assert given_s == [1800, 1800]


def test_path_that_cannot_be_is_a_finding(tmp_path):
    """What the system itself refuses is told like every file that does not open."""
    report = check_health(tmp_path / ("x" * 300))

    assert report.level is Level.CRITICAL
    assert "too long" in report.finding("file.opens").message


# -- what finished tasks hold ----------------------------------------------------------------


def recorded(path):
    """Have finished tasks recorded; return the path."""
    with QueueDatabase(path, clock=clock()) as database:
        QueueMaintenance(database).check_content()
    return path


def test_queue_without_a_content_record_is_told_how_to_make_one(queue_path, execute):
    """Without a record nothing is judged, and nothing is wrong."""
    execute(task(status="completed"))

    found = checked(queue_path, full=True).finding("content.finished")

    assert (found.level, found.observed) == (Level.OK, "none")
    assert f'queuedrill content --db "{queue_path}"' in found.message


@pytest.mark.parametrize(
    ("change", "level", "observed"),
    [
        ("payload = '1'", Level.CRITICAL, "changed"),
        ("status = 'leased'", Level.CRITICAL, "reverted"),
        (f"payload = '1', updated_at_utc = '{to_text(NOW_MS + 5)}'", Level.WARNING, "rewritten"),
        (f"status = 'queued', updated_at_utc = '{to_text(NOW_MS + 5)}'", Level.WARNING, "reopened"),
        (f"updated_at_utc = '{to_text(NOW_MS + 5)}'", Level.OK, 0),
    ],
)
def test_finished_task_that_is_not_as_recorded_is_a_finding_of_the_full_check(
    queue_path, execute, change, level, observed
):
    """Damage is critical, what programs did a warning, and only the full check reads the tasks."""
    execute(task(status="completed"), task(status="completed"))
    recorded(queue_path)
    execute((f"UPDATE task_queue SET {change} WHERE id = 2",))

    found = checked(queue_path, full=True).finding("content.finished")

    assert (found.level, found.observed) == (level, observed)
    assert found.level is Level.OK or "(2)" in found.message
    assert checked(queue_path).finding("content.finished").level is Level.OK


def test_content_record_that_is_old_is_a_warning(queue_path, execute):
    """A record that nobody renews is told with its age, by the quick check too."""
    execute(task(status="completed"))
    recorded(queue_path)
    later = ManualClock(NOW_MS + 200 * HOUR_MS)

    report = checked(queue_path, clock=later)

    found = report.finding("content.finished")
    assert (found.level, found.observed) == (Level.WARNING, 200)
    assert "content" in found.command
    assert report.metrics["content_age_h"] == 200


@pytest.mark.parametrize("full", [False, True])
def test_damaged_content_record_is_a_warning_and_no_damage_to_the_queue(queue_path, full):
    """A record that cannot be used is told as that."""
    path = record_path(recorded(queue_path))
    path.write_bytes(b"?" + path.read_bytes()[1:])

    found = checked(queue_path, full=full).finding("content.finished")

    assert (found.level, found.observed) == (Level.WARNING, "record")
    assert found.command.endswith("--accept")


def test_health_reads_finished_tasks_of_a_log_left_behind(queue_path, execute, spawn):
    """What a crash left in the -wal is compared on the copy, and nothing is written."""
    execute(task(status="completed"))
    recorded(queue_path)
    crash(spawn, queue_path, 2)
    before = snapshot(queue_path.parent)

    found = checked(queue_path, full=True).finding("content.finished")

    assert (found.level, found.observed) == (Level.OK, 0)
    assert "all 1 recorded tasks" in found.message
    assert snapshot(queue_path.parent) == before
