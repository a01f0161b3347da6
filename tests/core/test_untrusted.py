"""A file that somebody else may have written: nothing in it runs, and what could is told."""

import contextlib
import sqlite3

import hostile
import pytest
from queue_files import START_MS, everything, make_legacy, make_queue, opened

from core import (
    ManualClock,
    QueueBackup,
    QueueDatabase,
    connect_stdlib,
    database,
    strangers,
    verification,
)
from core import restore as restoring
from core.clock import Deadline, SystemClock
from core.connection import scalar
from core.errors import (
    BackupInvalidError,
    DatabaseCorruptError,
    NotADatabaseError,
    UnreadableDatabaseError,
)
from core.findings import Level
from core.health import check_health
from core.paths import uri
from core.untrusted import deadline_of, open_untrusted
from core.verification import Verification

LEGACY = "queue_backup_20250101_000000.db"
AUDIT = (
    "CREATE TRIGGER audit AFTER UPDATE ON task_queue BEGIN INSERT INTO trail VALUES (NEW.id); END"
)
FIELD_VIEW = "CREATE VIEW v_queue_status_summary AS SELECT status, count(*) FROM task_queue"


@pytest.fixture
def backup(tmp_path):
    """Return the backups of a small queue in which two tasks are held."""
    path = make_queue(tmp_path / "queue.db", 6)
    with opened(path) as connection:
        connection.execute("UPDATE task_queue SET status = 'leased', locked_by = 'w' WHERE id < 3")
    return QueueBackup(path, clock=ManualClock(START_MS))


@pytest.fixture
def foreign(backup):
    """Return a backup of the old kind, which anybody can have written."""
    return make_legacy(backup.path, backup.folder / LEGACY)


@contextlib.contextmanager
def looked_at(path, **options):
    """Yield the file as a verification opens it."""
    untrusted = open_untrusted(
        uri(path, mode="ro", immutable=1),
        path,
        connect=options.pop("connect", connect_stdlib),
        deadline=options.pop("deadline", Deadline(None, SystemClock())),
        **options,
    )
    with contextlib.closing(untrusted.connection):
        yield untrusted


@pytest.mark.parametrize("name", hostile.ALL)
def test_hostile_schema_is_neither_verified_nor_restored(name, backup, foreign):
    """What could run is told by name, nothing of it is done, and the queue is as it was."""
    hostile.plant(foreign, name)
    before = {path: path.read_bytes() for path in (backup.path, foreign)}

    proof = backup.check_backup(foreign, timeout_seconds=20)
    with pytest.raises(BackupInvalidError) as refused:
        backup.restore_backup(foreign)

    (problem,) = proof.problems
    assert problem.check == "schema" or (name in hostile.FORGED and problem.check == "opening")
    assert "--declare" in problem.detail or problem.check == "opening"
    assert hostile.name_of(name) in str(refused.value)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("name", hostile.TRIGGERS)
def test_backup_that_changes_after_its_verification_does_not_act(
    name, backup, foreign, monkeypatch
):
    """The copy is looked through again before a statement writes to it."""
    hostile.plant(foreign, name)
    monkeypatch.setattr(restoring, "verify", lambda path, **_options: Verification(path))
    before = everything(backup.path.parent)

    with pytest.raises(BackupInvalidError, match="planted"):
        backup.restore_backup(foreign)

    left = everything(backup.path.parent)
    assert {name for name in left if "lock" not in name} == set(before)


def test_declared_trigger_is_restored_and_acts(backup, foreign):
    """What its owner declares belongs in the queue, and sees the leases released."""
    with opened(foreign) as connection:
        connection.execute("CREATE TABLE trail (task INTEGER)")
        connection.execute(AUDIT)
    declaring = QueueBackup(backup.path, clock=ManualClock(START_MS), declared={"audit"})

    declaring.restore_backup(foreign)

    with opened(backup.path) as connection:
        assert connection.execute("SELECT task FROM trail").fetchall() == [(1,), (2,)]


def test_declaring_one_name_lets_no_other_in(backup, foreign):
    """A second trigger is a stranger still."""
    hostile.plant(foreign, "trigger-on-tasks")
    hostile.plant(foreign, "index")

    proof = QueueBackup(backup.path, declared={"audit"}).check_backup(foreign)

    assert len(proof.problems) == 2


def test_queue_that_is_a_view_cannot_be_declared(backup, foreign):
    """What a queue's own tables are is not for anybody to say."""
    hostile.plant(foreign, "view-in-the-place-of-task_queue")

    proof = QueueBackup(backup.path, declared={"task_queue"}).check_backup(foreign)

    assert [problem.check for problem in proof.problems] == ["schema"]


def test_views_and_checks_of_the_field_are_no_strangers(backup, foreign):
    """A view, and expressions that take no longer than their row, are left alone."""
    with opened(foreign) as connection:
        connection.execute(FIELD_VIEW)
        connection.execute(
            "CREATE TABLE extra (a TEXT CHECK (length(a) > 2) DEFAULT ('x' || 'yz'))"
        )
        connection.execute("CREATE INDEX lower_type ON task_queue (lower(type))")
        connection.execute("ANALYZE")

    assert backup.check_backup(foreign).problems == []
    assert backup.restore_backup(foreign).tasks_restored == 6


def test_queue_with_a_trigger_of_its_own_is_backed_up(backup):
    """The backup of a queue must not end for what the queue itself holds; its restore asks."""
    with opened(backup.path) as connection:
        connection.execute("CREATE TABLE trail (task INTEGER)")
        connection.execute(AUDIT)

    made = backup.create_backup()

    assert not backup.verify_backup(made)
    assert QueueBackup(backup.path, declared={"audit"}).verify_backup(made)


def test_restore_over_an_endless_view_ends_and_does_not_know_its_cost(backup, foreign):
    """What is replaced may be as hostile as what replaces it."""
    hostile.plant(backup.path, "view-in-the-place-of-task_queue")

    result = backup.restore_backup(foreign)

    assert (result.tasks_restored, result.tasks_lost) == (6, None)


def test_undo_brings_back_a_hostile_queue_without_running_it(backup, foreign):
    """An undo brings back what was there, and reads none of it."""
    hostile.plant(backup.path, "trigger-on-meta")
    backup.restore_backup(foreign)

    backup.undo_restore()

    with opened(backup.path) as connection:
        assert connection.execute("SELECT count(*) FROM task_queue").fetchone() == (6,)
        assert connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT load_extension('x')",
        "SELECT randomblob(10)",
        "ATTACH ':memory:' AS other",
        "PRAGMA writable_schema = ON",
        "PRAGMA query_only = OFF",
        "PRAGMA temp_store_directory = '.'",
        "DELETE FROM task_queue",
        "UPDATE task_queue SET status = 'x'",
        "CREATE TABLE more (x)",
        "SELECT * FROM pragma_page_count",
        "SELECT * FROM a_view",
        hostile.ENDLESS,
    ],
)
def test_nothing_but_what_our_verbs_need_is_allowed(sql, foreign):
    """Even a statement that got in from elsewhere could not do harm."""
    with opened(foreign) as connection:
        connection.execute("CREATE VIEW a_view AS SELECT 1")

    with looked_at(foreign) as untrusted, pytest.raises(sqlite3.DatabaseError) as refused:
        untrusted.connection.execute(sql).fetchall()

    words = str(refused.value)
    assert "not authorized" in words or "prohibited" in words, words


def test_functions_of_the_application_are_not_called(foreign):
    """A function that the connection's owner registered is no schema's to call."""
    called = []

    def connect(name, *, timeout_s):
        connection = connect_stdlib(name, timeout_s=timeout_s)
        connection.create_function("audit", 1, called.append, deterministic=True)
        return connection

    with contextlib.closing(connect(uri(foreign, mode="rw"), timeout_s=1.0)) as connection:
        connection.execute("CREATE TABLE planted (x TEXT CHECK (audit(x) IS NULL))")
        connection.execute("INSERT INTO planted VALUES ('mine')")
    called.clear()

    proof = QueueBackup(foreign.with_name("queue.db"), connect=connect).check_backup(foreign)

    assert [problem.check for problem in proof.problems] == ["schema"]
    assert called == []


def test_settings_are_those_for_files_of_unknown_origin(foreign):
    """SQLite's own list for such files is followed, as far as this SQLite reads a queue then."""
    with looked_at(foreign) as untrusted:
        connection = untrusted.connection
        limits = {
            connection.setlimit(category, -1)
            for category in (sqlite3.SQLITE_LIMIT_ATTACHED, sqlite3.SQLITE_LIMIT_WORKER_THREADS)
        }
        length = connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, -1)
        connection.set_authorizer(None)
        settings = [
            scalar(connection, f"PRAGMA {name}")
            for name in ("trusted_schema", "cell_size_check", "query_only")
        ]
        settings.append(scalar(connection, "PRAGMA mmap_size") or 0)

    trusted = int(sqlite3.sqlite_version_info < (3, 42))
    assert settings == [trusted, 1, 1, 0]
    assert limits == {0}
    assert length == max(1 << 20, foreign.stat().st_size)


def test_trigger_in_a_file_that_is_written_to_is_not_allowed_to_act(foreign):
    """Where a trigger was overlooked, the judge of every action stops it still."""
    hostile.plant(foreign, "trigger-on-tasks")
    untrusted = open_untrusted(
        uri(foreign, mode="rw"),
        foreign,
        connect=connect_stdlib,
        deadline=Deadline(None, SystemClock()),
        writing=True,
        declared=None,
    )

    with contextlib.closing(untrusted.connection) as connection:
        assert untrusted.strangers == ()
        with pytest.raises(sqlite3.DatabaseError):
            connection.execute("UPDATE task_queue SET status = 'queued'")


def test_reading_has_an_end_though_nobody_set_one(foreign):
    """What would keep SQLite at work without end is stopped by the clock."""
    clock = ManualClock(START_MS)
    deadline = deadline_of(foreign, None, clock)
    with looked_at(foreign, deadline=deadline) as untrusted:
        untrusted.connection.set_authorizer(None)
        clock.advance_s(601)
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            untrusted.connection.execute(hostile.ENDLESS).fetchall()

    assert deadline_of(foreign, 5.0, clock).timeout_s == 5.0


def test_health_tells_what_would_compute_and_computes_nothing(backup):
    """A queue with an expression that may never end is not checked by computing it."""
    hostile.plant(backup.path, "check")

    report = check_health(backup.path, full=True)
    declared = check_health(backup.path, full=True, declared_triggers={"planted"})

    assert report.finding("schema.expressions").level is Level.WARNING
    assert "computes with like" in report.finding("schema.expressions").message
    assert report.finding("database.integrity").level is Level.UNKNOWN
    assert report.finding("tasks.status").level is Level.OK
    assert declared.finding("database.integrity").level is Level.OK


@pytest.mark.parametrize("name", [*hostile.IN_PLACE, *hostile.FORGED, *hostile.EXPRESSIONS])
def test_health_of_a_hostile_queue_ends(name, backup):
    """No finding is an exception, and none of it is OK by running what the file says."""
    hostile.plant(backup.path, name)

    report = check_health(backup.path, full=True, timeout_seconds=20.0)

    assert report.level is not Level.OK
    assert report.finding("database.integrity").level is not Level.OK


def test_opening_a_file_of_a_later_format_tells_it_as_ours(backup):
    """What SQLite does not read at all is told as an error of ours, with its cure."""
    with backup.path.open("r+b") as file:
        file.seek(44)
        file.write(b"\0\0\0\x09")

    report = check_health(backup.path)

    assert report.finding("file.opens").level is Level.CRITICAL
    with pytest.raises(Exception, match="unsupported file format") as refused:
        QueueDatabase(backup.path)
    assert isinstance(refused.value, NotADatabaseError)


def _name_that_is_no_text(path):
    """Have SQLite quote a name that is no UTF-8 when it refuses the schema."""
    with opened(path) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET name = CAST(x'8f8f' AS TEXT), sql = 'CREATE INDEX' "
            "WHERE name = 'ix_task_region'"
        )


def test_name_that_is_no_text_is_an_error_of_ours(backup, foreign):
    """Python raises another kind of error where SQLite's quotes such a name."""
    for path in (foreign, backup.path):
        _name_that_is_no_text(path)

    proof = backup.check_backup(foreign)

    assert [problem.check for problem in proof.problems] == ["opening"]
    assert check_health(backup.path).finding("file.opens").level is Level.CRITICAL
    with pytest.raises(DatabaseCorruptError, match="no text"):
        QueueDatabase(backup.path)


def test_memory_that_is_not_given_is_an_error_of_ours(backup, foreign, monkeypatch):
    """SQLite asks for what a file claims; where it does not get that, nothing is verified."""

    def give_none(_connection, _sql, *_parameters):
        raise MemoryError

    monkeypatch.setattr(verification, "scalar", give_none)
    monkeypatch.setattr(database, "require_queue", give_none)

    proof = backup.check_backup(foreign)

    assert [problem.check for problem in proof.problems] == ["integrity"]
    with pytest.raises(UnreadableDatabaseError, match="memory"):
        QueueDatabase(backup.path)


def test_crowd_of_tables_is_told_before_each_is_looked_at(backup, foreign):
    """No queue has a thousand tables; checking each index of them would take for ever."""
    with opened(foreign) as connection:
        connection.execute("BEGIN")
        for number in range(strangers.OBJECTS_MOST):
            connection.execute(f"CREATE TABLE crowd{number} (x)")
        connection.execute("COMMIT")

    (problem,) = backup.check_backup(foreign).problems

    assert problem.check == "schema"
    assert "one of more than 1000" in problem.detail


@pytest.mark.parametrize(
    ("kind", "name", "sql"),
    [
        ("table", "planted", "CREATE TABLE another (x)"),
        ("index", "planted", "CREATE TABLE planted (x)"),
        ("view", "planted", "CREATE TABLE planted (x)"),
        ("odd", "planted", "CREATE TABLE planted (x)"),
    ],
    ids=str,
)
def test_statement_that_makes_something_else_than_its_row_says_is_strange(kind, name, sql):
    """An SQLite that does not compare the two itself would take the one for the other."""
    with strangers._Trial.opened({}) as trial:
        assert trial.judge("table", "sound", "sound", 2, "CREATE TABLE sound (x DEFAULT 1)") is None
        found = trial.judge(kind, name, name, 3, sql)

    assert found is not None
    assert (found.kind, found.name) == ("object", "planted")


def test_virtual_table_is_told_as_one(backup, foreign):
    """Whoever reads the refusal knows what to look for."""
    hostile.plant(foreign, "virtual-table")

    assert 'virtual table "planted" is computed' in str(backup.check_backup(foreign))
