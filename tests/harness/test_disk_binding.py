"""apsw behind core's interface: the same answers and the same errors as the standard library's."""

import contextlib
import sqlite3

import pytest

from core.backup import QueueBackup
from core.clock import Deadline, SystemClock
from core.connection import connect_stdlib
from core.database import QueueDatabase
from core.defects import version_of
from core.maintenance import QueueMaintenance
from core.paths import uri
from core.tasks import TaskQueue
from core.untrusted import open_untrusted
from harness.disk.binding import apsw_door

STATEMENTS = (
    "CREATE TABLE t (a UNIQUE)",
    "INSERT INTO t VALUES (1), (2), (3)",
    "UPDATE t SET a = a + 10 WHERE a > 1",
    "UPDATE t SET a = 0 WHERE a = 99",
    "UPDATE t SET a = 7 WHERE a = 1 RETURNING a, 'x'",
    "  replace INTO t VALUES (7)",
    "SELECT a FROM t ORDER BY a",
    "DELETE FROM t WHERE a = 99",
    "PRAGMA user_version",
)
WRONG = (
    "SELEC 1",
    "INSERT INTO t VALUES (1)",
    "SELECT abs(1, 2)",
    "SELECT * FROM missing",
    "ROLLBACK",
    "SELECT ?",
    "SELECT zeroblob(2000000000)",
)


@pytest.fixture
def both(tmp_path):
    """A connection through apsw and one of the standard library, each to a file of its own."""
    files = [f"file:{(tmp_path / name).as_posix()}" for name in ("apsw.db", "stdlib.db")]
    with (
        contextlib.closing(apsw_door()(files[0], timeout_s=0.0)) as ours,
        contextlib.closing(connect_stdlib(files[1], timeout_s=0.0)) as theirs,
    ):
        yield ours, theirs


def test_every_statement_answers_as_the_standard_library_does(both):
    """Rows and row counts are the same, statement by statement."""
    for sql in STATEMENTS:
        cursors = [connection.execute(sql) for connection in both]
        assert cursors[0].fetchall() == cursors[1].fetchall(), sql
        if "RETURNING" not in sql:
            assert cursors[0].rowcount == cursors[1].rowcount, sql
    made = [each.executemany("INSERT INTO t VALUES (?)", [(20,), (21,)]) for each in both]
    assert [cursor.rowcount for cursor in made] == [2, 2]


def test_rows_come_one_by_one_some_or_all(both):
    """Each way of fetching goes on where the one before it stopped."""
    told = []
    for connection in both:
        cursor = connection.execute("VALUES (1), (2), (3), (4), (5), (6)")
        told.append((cursor.fetchone(), cursor.fetchmany(2), next(iter(cursor)), list(cursor)))
        assert cursor.fetchone() is None
    assert told[0] == told[1] == ((1,), [(2,), (3,)], (4,), [(5,), (6,)])


@pytest.mark.parametrize("sql", WRONG)
def test_every_error_is_the_one_of_the_standard_library(both, sql):
    """Class, extended code and its name are the same."""
    told = []
    for connection in both:
        connection.execute("CREATE TABLE t (a UNIQUE)")
        connection.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(sqlite3.Error) as caught:
            connection.execute(sql).fetchall()
        told.append((caught.type, *_codes(caught.value)))
    assert told[0] == told[1]


def test_file_that_is_none_or_held_is_refused_as_the_standard_library_refuses_it(tmp_path):
    """What opening, reading and locking refuse has the same class and code."""
    told = [
        _refusals(door, tmp_path / name)
        for door, name in ((apsw_door(), "a"), (connect_stdlib, "s"))
    ]
    assert told[0] == told[1]
    assert [code for _type, code, _name in told[0]] == [
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_BUSY,
    ]


def test_backup_steps_and_waits_and_is_ended_by_its_progress(tmp_path):
    """A copy tells every step; one that is not let in goes on until its progress call raises."""
    door = apsw_door()
    source, target = (door(f"file:{(tmp_path / n).as_posix()}", timeout_s=0.0) for n in "st")
    with contextlib.closing(source), contextlib.closing(target):
        source.execute("CREATE TABLE t (a)")
        source.execute("INSERT INTO t SELECT zeroblob(50000)")
        told = []
        source.backup(target, pages=5, progress=lambda *step: told.append(step))
        assert [status for status, _left, _all in told] == [0] * (len(told) - 1) + [101]
        assert [left for _status, left, _all in told][-1] == 0
        assert len({total for _status, _left, total in told}) == 1
        assert target.execute("SELECT length(a) FROM t").fetchall() == [(50000,)]

        rival = door(f"file:{(tmp_path / 't').as_posix()}", timeout_s=0.0)
        with contextlib.closing(rival):
            rival.execute("BEGIN IMMEDIATE")
            refused = []
            with pytest.raises(TimeoutError):
                source.backup(target, progress=lambda *s: _enough(refused, s), sleep=0.0)
            assert {status for status, _left, _all in refused} == {sqlite3.SQLITE_BUSY}


def test_progress_handler_interrupts_and_is_taken_off(both):
    """A handler that says so ends the statement; without it the statement runs."""
    endless = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 9999) "
    for connection in both:
        connection.set_progress_handler(lambda: 1, 10)
        with pytest.raises(sqlite3.OperationalError) as caught:
            connection.execute(endless + "SELECT count(*) FROM n").fetchall()
        assert _codes(caught.value) == (sqlite3.SQLITE_INTERRUPT, "SQLITE_INTERRUPT")
        connection.set_progress_handler(None, 0)
        assert connection.execute(endless + "SELECT count(*) FROM n").fetchone() == (9999,)


def test_core_works_through_it_from_making_a_queue_to_restoring_it(tmp_path):
    """All of the core goes through the door: nothing else is opened beside it."""
    path, door = tmp_path / "queue.db", apsw_door()
    with QueueDatabase(path, create=True, connect=door) as database:
        tasks = TaskQueue(database)
        done, left = tasks.enqueue("t", {"n": 1}), tasks.enqueue("t", {"n": 2})
        claimed = tasks.claim("w")
        tasks.complete(claimed)
        backup = QueueBackup(database).create_backup("first")
        tasks.enqueue("t", {"n": 3})
        maintenance = QueueMaintenance(database)
        assert maintenance.integrity_check() == ["ok"]
        assert maintenance.checkpoint()["complete"]
        maintenance.vacuum()
    QueueBackup(path, connect=door).restore_backup(backup)
    with QueueDatabase(path, connect=door) as database:
        rows = database.connection().execute("SELECT id, status FROM task_queue").fetchall()
    assert rows == [(done, "completed"), (left, "queued")]


# -- helpers -----------------------------------------------------------------------------------


def _codes(error):
    return getattr(error, "sqlite_errorcode", None), getattr(error, "sqlite_errorname", None)


def _refusals(door, folder):
    """Return what the door says of a file that is missing, one of text, and one that is held."""
    folder.mkdir()
    (folder / "text").write_bytes(b"no database at all " * 99)
    held = door(f"file:{(folder / 'held').as_posix()}", timeout_s=0.0)
    with contextlib.closing(held):
        held.execute("CREATE TABLE t (a)")
        held.execute("BEGIN IMMEDIATE")
        files = [folder / name for name in ("missing", "text", "held")]
        return [_refused(door, f"file:{file.as_posix()}?mode=rw") for file in files]


def _refused(door, uri):
    with pytest.raises(sqlite3.Error) as caught:
        _make_table(door, uri)
    return caught.type, *_codes(caught.value)


def _make_table(door, uri):
    with contextlib.closing(door(uri, timeout_s=0.0)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE u (a)")


def _enough(refused, step):
    refused.append(step)
    if len(refused) > 2:
        raise TimeoutError


def test_judge_and_limits_hold_and_are_taken_off(both):
    """What is not allowed is refused in the same words; a limit is told, and holds."""
    for connection in both:
        connection.set_authorizer(
            lambda action, *_about: (
                sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_CREATE_TABLE else sqlite3.SQLITE_OK
            )
        )
        with pytest.raises(sqlite3.DatabaseError) as caught:
            connection.execute("CREATE TABLE t (a)")
        assert _codes(caught.value) == (sqlite3.SQLITE_AUTH, "SQLITE_AUTH")
        connection.set_authorizer(None)
        connection.execute("CREATE TABLE t (a)")
        assert connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1000) > 1000
        assert connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, -1) == 1000
        with pytest.raises(sqlite3.DataError):
            connection.execute("SELECT zeroblob(2000)").fetchall()


def test_queue_is_read_as_a_file_of_unknown_origin(tmp_path):
    """An SQLite that reads a queue without trusting its schema is made to do so."""
    path = tmp_path / "queue.db"
    with QueueDatabase(path, create=True) as database:
        TaskQueue(database).enqueue("t", {"format": "f"})
    with contextlib.closing(apsw_door()(uri(path), timeout_s=0.0)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()

    opened = open_untrusted(
        uri(path, mode="rw"),
        path,
        connect=apsw_door(),
        deadline=Deadline(None, SystemClock()),
        writing=True,
    )

    with contextlib.closing(opened.connection) as connection:
        assert opened.strangers == ()
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.execute("UPDATE task_queue SET status = 'leased'").close()
        with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
            connection.execute("DELETE FROM task_queue")
        connection.set_authorizer(None)
        numbers = tuple(map(int, version_of(connection).split(".")))
        trusted = connection.execute("PRAGMA trusted_schema").fetchone()
    assert trusted == (int(numbers < (3, 42)),)
