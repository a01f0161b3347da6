"""Finished tasks moved into an archive: whole, once, and never lost on the way."""

import contextlib
import os
import shutil
import sqlite3

import pytest
from doors import Door, Killed, Strike
from maintained import BUSY_WRITER, fill, rival, rows_of

from core import ManualClock, QueueDatabase, QueueMaintenance, TaskQueue, connect_stdlib
from core.archivefile import ArchiveFile
from core.errors import ArchiveError, InvalidArgumentError
from core.wholetask import WholeTask, WholeTaskReader

NOW_MS = 1_795_492_800_000  # 2026-11-24 04:00:00 UTC
DAY_S = 86_400


@pytest.fixture
def clock():
    """Return a clock that stands still."""
    return ManualClock(NOW_MS)


@pytest.fixture
def database(queue_path, clock):
    """Return an open queue."""
    with QueueDatabase(queue_path, clock=clock) as database:
        yield database


def archive_of(path):
    """Return where the queue's archive is."""
    return path.parent / "archive" / "queue-archive.db"


def in_queue(path):
    """Return every task of the queue, whole, by its id."""
    with rival(path) as connection:
        reader = WholeTaskReader.of(connection)
        ids = [row[0] for row in connection.execute("SELECT id FROM task_queue").fetchall()]
        return {task_id: reader.read(connection, task_id) for task_id in ids}


def in_archive(path):
    """Return every task of the archive, whole, by its id; each is there once."""
    archive = archive_of(path)
    if not archive.exists():
        return {}
    found = {}
    with rival(path) as queue:
        reader = WholeTaskReader.of(queue)
    with rival(archive) as connection:
        connection.row_factory = sqlite3.Row
        for row in connection.execute("SELECT * FROM archived_tasks").fetchall():
            logs = connection.execute(
                "SELECT * FROM archived_logs WHERE archive_id = ? ORDER BY log_id",
                (row["archive_id"],),
            ).fetchall()
            task = WholeTask(
                row["id"],
                tuple((name, row[name]) for name in reader.task_columns),
                tuple(tuple((name, log[name]) for name in reader.log_columns) for log in logs),
            )
            assert task.digest == row["archive_digest"]
            assert task.id not in found
            found[task.id] = task
    return found


def pending(path):
    """Return how many copies are not settled."""
    return rows_of(archive_of(path), "SELECT sum(archive_pending) FROM archived_tasks")[0][0]


# -- what moves ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["completed", "failed", "dead_letter"])
def test_finished_task_moves_whole_with_its_history(database, status):
    """A finished task is gone from the queue, and in the archive as it was."""
    fill(database.path, 3, status=status, finished_at="2026-11-20 00:00:00")
    before = in_queue(database.path)
    result = QueueMaintenance(database).archive_finished(DAY_S)
    assert (result.moved, result.logs_moved, result.settled) == (3, 3, 0)
    assert result.archive == archive_of(database.path)
    assert in_queue(database.path) == {}
    assert rows_of(database.path, "SELECT count(*) FROM task_logs") == [(0,)]
    assert in_archive(database.path) == before
    assert pending(database.path) == 0


@pytest.mark.parametrize(
    ("finished_at", "moves"),
    [
        ("2026-11-23 03:59:59", True),
        ("2026-11-23 04:00:00", False),
        ("2026-11-23T03:59:59Z", True),
        ("2026-11-23T05:59:59+02:00", True),
        ("2026-11-23T06:00:00+02:00", False),
        (NOW_MS // 1000 - DAY_S - 1, True),
        (NOW_MS // 1000 - DAY_S, False),
    ],
)
def test_age_is_told_in_every_format(database, finished_at, moves):
    """What ended longer ago than the age moves, however the time is written."""
    fill(database.path, 1, status="completed", finished_at=finished_at)
    result = QueueMaintenance(database).archive_finished(DAY_S)
    assert (result.moved, result.left_unreadable) == (int(moves), 0)


@pytest.mark.parametrize("status", ["queued", "leased", "processing", "paused"])
def test_unfinished_task_never_moves(database, status):
    """Whatever its times say, a task that is not finished stays."""
    fill(database.path, 1, status=status, finished_at="2000-01-01 00:00:00")
    assert QueueMaintenance(database).archive_finished(0).moved == 0
    assert len(in_queue(database.path)) == 1


@pytest.mark.parametrize("finished_at", [None, "", "soon", 5])
def test_task_without_a_readable_end_stays_and_is_counted(database, finished_at):
    """A finished task whose end cannot be read is left and told."""
    fill(database.path, 1, status="completed", finished_at=finished_at)
    result = QueueMaintenance(database).archive_finished(0)
    assert (result.moved, result.left_unreadable) == (0, 1)


def test_task_with_text_that_is_no_utf8_stays_and_is_counted(database):
    """What cannot be copied faithfully is left and told; the others move."""
    fill(database.path, 3, status="completed", finished_at="2026-11-01 00:00:00")
    with rival(database.path) as connection:
        connection.execute("UPDATE task_queue SET error_message = CAST(X'FF' AS TEXT) WHERE id = 2")
    result = QueueMaintenance(database).archive_finished(0)
    assert (result.moved, result.left_unreadable) == (2, 1)
    assert rows_of(database.path, "SELECT id FROM task_queue") == [(2,)]


def test_columns_of_a_field_file_and_every_type_are_kept(database):
    """Columns that we do not know, and values of every type, come through as they are."""
    fill(database.path, 1, status="completed", finished_at="2026-11-01 00:00:00")
    with rival(database.path) as connection:
        connection.execute('ALTER TABLE task_queue ADD COLUMN "own ""co,lumn"')
        connection.execute('UPDATE task_queue SET "own ""co,lumn" = X\'00FF\', priority = 1.5')
    before = in_queue(database.path)
    QueueMaintenance(database).archive_finished(0)
    fill(database.path, 1, status="completed", finished_at="2026-11-02 00:00:00")
    with rival(database.path) as connection:
        connection.execute("ALTER TABLE task_queue ADD COLUMN later DEFAULT 7")
    last = in_queue(database.path)
    QueueMaintenance(database).archive_finished(0)
    columns = '"own ""co,lumn", priority, later, typeof(priority)'
    found = rows_of(archive_of(database.path), f"SELECT {columns} FROM archived_tasks ORDER BY id")
    assert found == [(b"\0\xff", 1.5, None, "real"), (None, 100, 7, "integer")]
    assert len(before) == len(last) == 1


def test_queue_without_a_log_table_is_archived_too(queue_path, clock):
    """A file that never had task_logs moves its tasks all the same."""
    with rival(queue_path) as connection:
        connection.execute("DROP TABLE task_logs")
        connection.execute(
            "INSERT INTO task_queue (type, payload, status, finished_at_utc) "
            "VALUES ('t', '{}', 'completed', '2026-11-01 00:00:00')"
        )
    with QueueDatabase(queue_path, clock=clock) as database:
        assert QueueMaintenance(database).archive_finished(0).moved == 1


def test_more_tasks_than_one_look_all_move(database):
    """Thousands of tasks move in batches, none of which keeps writers out for long."""
    with rival(database.path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO task_queue (type, payload, status, finished_at_utc) "
            "VALUES ('t', '{}', ?, '2026-11-01 00:00:00')",
            [("completed" if number % 2 else "queued",) for number in range(11_000)],
        )
        connection.execute("COMMIT")
    result = QueueMaintenance(database).archive_finished(0, batch_tasks=500)
    assert (result.moved, result.batches) == (5500, 11)
    assert 0 <= result.longest_lock_seconds <= result.seconds
    assert rows_of(database.path, "SELECT DISTINCT status FROM task_queue") == [("queued",)]


def test_second_run_finds_nothing_to_do(database):
    """Archiving again moves nothing and leaves the archive as it is."""
    fill(database.path, 2, status="completed", finished_at="2026-11-01 00:00:00")
    QueueMaintenance(database).archive_finished(0)
    before = in_archive(database.path)
    assert QueueMaintenance(database).archive_finished(0).moved == 0
    assert in_archive(database.path) == before


def test_archived_task_frees_its_idempotency_key(database):
    """A key that went with its task may be used again."""
    tasks = TaskQueue(database)
    first = tasks.enqueue("t", 1, idempotency_key="k")
    tasks.complete(tasks.claim("w"))
    database.clock.advance_s(10)
    assert QueueMaintenance(database).archive_finished(5).moved == 1
    assert tasks.enqueue("t", 1, idempotency_key="k") > first


# -- ids used again --------------------------------------------------------------------------


def test_ids_used_again_after_a_restore_do_not_collide(database):
    """Another task under an archived id is archived beside it, neither over it."""
    for created in ("2026-11-01 00:00:00", "2026-11-02 00:00:00"):
        with rival(database.path) as connection:
            connection.execute(
                "INSERT INTO task_queue (id, type, payload, status, created_at_utc, "
                "finished_at_utc) VALUES (1, 't', '{}', 'completed', ?, '2026-11-03 00:00:00')",
                (created,),
            )
        assert QueueMaintenance(database).archive_finished(0).moved == 1
    found = rows_of(archive_of(database.path), "SELECT id, created_at_utc FROM archived_tasks")
    assert found == [(1, "2026-11-01 00:00:00"), (1, "2026-11-02 00:00:00")]


def test_archived_task_that_a_restore_brought_back_leaves_again(database):
    """The same task, back in the queue, is deleted there and stays in the archive once."""
    fill(database.path, 1, status="completed", finished_at="2026-11-01 00:00:00")
    with rival(database.path) as connection:
        task = connection.execute("SELECT * FROM task_queue").fetchall()[0][:18]
        log = connection.execute("SELECT * FROM task_logs").fetchall()[0]
    QueueMaintenance(database).archive_finished(0)
    with rival(database.path) as connection:
        columns = ", ".join(WholeTaskReader.of(connection).task_columns)
        connection.execute(
            f"INSERT INTO task_queue ({columns}) VALUES ({', '.join('?' * 18)})", task
        )
        connection.execute("INSERT INTO task_logs VALUES (?, ?, ?, ?, ?, ?)", log)
    assert QueueMaintenance(database).archive_finished(0).moved == 1
    assert len(in_archive(database.path)) == 1
    assert in_queue(database.path) == {}


# -- cut off ---------------------------------------------------------------------------------


def test_killed_at_any_statement_no_task_is_lost_and_the_next_run_finishes(tmp_path):
    """At each statement the process dies: every task is whole somewhere, then in one place."""
    template, survived = tmp_path / "queue.db", 0
    QueueDatabase(template, create=True).close()
    fill(template, 5, status="completed", finished_at="2026-11-01 00:00:00")
    fill(template, 1)
    before = in_queue(template)
    while True:
        path = tmp_path / str(survived) / "queue.db"
        path.parent.mkdir()
        shutil.copy(template, path)
        strike = Strike(at=survived + 1)
        run_until(strike, path)

        queue, archive = in_queue(path), in_archive(path)
        assert {**archive, **queue} == before, strike.last
        assert all(before[task_id] == task for task_id, task in archive.items()), strike.last

        with QueueDatabase(path, clock=ManualClock(NOW_MS)) as database:
            QueueMaintenance(database).archive_finished(0, batch_tasks=2)
        queue, archive = in_queue(path), in_archive(path)
        assert (sorted(queue), sorted(archive)) == ([6], [1, 2, 3, 4, 5]), strike.last
        assert {**archive, **queue} == before
        assert pending(path) == 0
        leftovers = [file.name for file in archive_of(path).parent.iterdir()]
        assert leftovers == ["queue-archive.db"], strike.last
        if not strike.struck:
            break
        survived += 1
    assert survived > 40, "the sweep must have struck in the middle of the moving"


def test_second_name_of_a_run_that_was_cut_off_is_cleared(tmp_path):
    """Killed when the archive had its name and its draft's still, it keeps its own alone."""
    path = tmp_path / "queue.db"
    QueueDatabase(path, create=True).close()
    fill(path, 2, status="completed", finished_at="2026-11-01 00:00:00")
    for _number in range(2):
        with QueueDatabase(path, clock=ManualClock(NOW_MS)) as database:
            QueueMaintenance(database).archive_finished(0)
        archive = archive_of(path)
        assert [file.name for file in archive.parent.iterdir()] == [archive.name]
        shutil.copy(archive, archive.with_name(f".{archive.name}.0123456789ab.draft"))


def run_until(strike, path):
    """Archive until the strike; the connections end without a word."""
    with (
        contextlib.suppress(Killed),
        QueueDatabase(path, connect=Door(strike), clock=ManualClock(NOW_MS)) as database,
    ):
        QueueMaintenance(database).archive_finished(0, batch_tasks=2)


@pytest.mark.parametrize(
    "moment",
    ["INSERT INTO archived_tasks", "DELETE FROM task_logs", "SET archive_pending", "COMMIT"],
)
def test_process_killed_in_the_middle_loses_nothing(queue_path, spawn, moment):
    """A real process killed by the system at that moment leaves every task whole somewhere."""
    fill(queue_path, 6, status="completed", finished_at="2026-11-01 00:00:00")
    before = in_queue(queue_path)
    child = spawn(
        "import sys; sys.path.insert(0, 'tests/core')\n"
        "from doors import Door\n"
        "from core import QueueDatabase, QueueMaintenance\n"
        "seen = []\n"
        "def stop(uri, connection, sql):\n"
        "    seen.append(argv[1] in sql)\n"
        "    if seen.count(True) == 2 and seen[-1]: say('there'); wait()\n"
        "database = QueueDatabase(argv[0], connect=Door(stop))\n"
        "QueueMaintenance(database).archive_finished(0, batch_tasks=3)\n",
        queue_path,
        moment,
    )
    assert child.hear() == "there"
    child.kill()
    assert {**in_archive(queue_path), **in_queue(queue_path)} == before
    with QueueDatabase(queue_path) as database:
        result = QueueMaintenance(database).archive_finished(0)
    assert in_queue(queue_path) == {}
    assert in_archive(queue_path) == before
    assert result.settled <= result.moved


def test_copy_of_a_task_that_was_changed_afterwards_is_dropped(queue_path, clock):
    """A task that somebody requeued between copy and deletion stays, and only in the queue."""
    fill(queue_path, 2, status="completed", finished_at="2026-11-01 00:00:00")
    requeued = []

    def requeue(uri, _connection, sql):
        if sql == "BEGIN IMMEDIATE" and "archive" not in uri and not requeued:
            requeued.append(1)
            with rival(queue_path) as connection:
                connection.execute("UPDATE task_queue SET status = 'queued' WHERE id = 1")

    with QueueDatabase(queue_path, connect=Door(requeue), clock=clock) as database:
        result = QueueMaintenance(database).archive_finished(0)
    assert (result.moved, result.left_changed) == (1, 1)
    assert list(in_queue(queue_path)) == [1]
    assert list(in_archive(queue_path)) == [2]


def leave_pending(path, clock):
    """Do what a run does that is killed after the copy; return what was copied."""
    copied = in_queue(path)
    with (
        QueueDatabase(path, clock=clock) as database,
        ArchiveFile(archive_of(path), path, connect=connect_stdlib, clock=clock) as archive,
    ):
        archive.take_columns(WholeTaskReader.of(database.connection()))
        archive.add(list(copied.values()))
    return copied


@pytest.mark.parametrize("error", ["NULL", "CAST(X'FF' AS TEXT)"])
def test_copy_of_a_task_whose_id_is_used_again_is_kept(queue_path, clock, error):
    """A copy left pending is not mistaken for the new task that now has its id."""
    fill(queue_path, 1, status="completed", finished_at="2026-11-01 00:00:00")
    old = leave_pending(queue_path, clock)
    with rival(queue_path) as connection:
        connection.execute("DELETE FROM task_logs")
        connection.execute(
            "UPDATE task_queue SET created_at_utc = '2026-11-23 00:00:00', status = 'queued', "
            f"error_message = {error}"
        )
    with QueueDatabase(queue_path, clock=clock) as database:
        assert QueueMaintenance(database).archive_finished(0).moved == 0
    assert rows_of(queue_path, "SELECT status FROM task_queue") == [("queued",)]
    assert in_archive(queue_path) == old


@pytest.mark.parametrize("error", ["NULL", "CAST(X'FF' AS TEXT)"])
def test_copy_left_pending_of_a_task_that_goes_on_is_dropped(queue_path, clock, error):
    """A task that was requeued after a run was cut off is in the queue alone."""
    fill(queue_path, 1, status="completed", finished_at="2026-11-01 00:00:00")
    leave_pending(queue_path, clock)
    with rival(queue_path) as connection:
        connection.execute(f"UPDATE task_queue SET status = 'queued', error_message = {error}")
    with QueueDatabase(queue_path, clock=clock) as database:
        assert QueueMaintenance(database).archive_finished(0).left_changed == 1
    assert rows_of(queue_path, "SELECT status FROM task_queue") == [("queued",)]
    assert in_archive(queue_path) == {}


def test_copy_is_synced_before_the_task_leaves(queue_path, clock):
    """Both databases commit with a sync, the folder of a rollback journal included."""
    levels = []

    def look(uri, connection, sql):
        if sql == "COMMIT":
            level = connection.execute("PRAGMA synchronous").fetchall()[0][0]
            levels.append(("archive" in uri, level))

    fill(queue_path, 1, status="completed", finished_at="2026-11-01 00:00:00")
    with QueueDatabase(queue_path, connect=Door(look), clock=clock) as database:
        QueueMaintenance(database).archive_finished(0)
    extra = 3
    assert set(levels) == {(True, extra), (False, extra)}


def test_full_archive_disk_leaves_the_tasks_in_the_queue(queue_path, clock):
    """When the archive cannot take a batch, that is said and nothing is gone."""
    fill(queue_path, 20, status="completed", finished_at="2026-11-01 00:00:00", bytes_each=5000)
    before = in_queue(queue_path)

    def shrink(uri, connection, sql):
        if "archive" in uri and connection is not None and sql == "BEGIN IMMEDIATE":
            connection.execute("PRAGMA max_page_count = 20").fetchall()

    with (
        QueueDatabase(queue_path, connect=Door(shrink), clock=clock) as database,
        pytest.raises(ArchiveError, match="full"),
    ):
        QueueMaintenance(database).archive_finished(0, batch_tasks=5)
    assert {**in_archive(queue_path), **in_queue(queue_path)} == before


# -- beside others ---------------------------------------------------------------------------


def test_writer_at_work_loses_nothing_to_archiving(database, spawn):
    """What is acknowledged to another process while tasks move is there afterwards."""
    fill(database.path, 400, status="completed", finished_at="2026-11-01 00:00:00")
    writer = spawn(BUSY_WRITER, database.path)
    acknowledged = [int(writer.hear())]
    result = QueueMaintenance(database).archive_finished(0, batch_tasks=20)
    acknowledged.append(int(writer.hear()))
    writer.release()
    acknowledged += [int(said) for said in iter(writer.hear, None)]
    assert result.moved == 400
    assert set(acknowledged) == set(in_queue(database.path))


@pytest.mark.parametrize("when", ["", "DEFERRABLE INITIALLY DEFERRED"])
def test_task_that_another_table_refers_to_stays(database, when):
    """A foreign table's reference keeps its task in the queue, and the error says why."""
    fill(database.path, 1, status="completed", finished_at="2026-11-01 00:00:00")
    with rival(database.path) as connection:
        connection.execute(f"CREATE TABLE notes (task INTEGER REFERENCES task_queue (id) {when})")
        connection.execute("INSERT INTO notes VALUES (1)")
    with pytest.raises(ArchiveError, match="another table refers"):
        QueueMaintenance(database).archive_finished(0)
    assert list(in_queue(database.path)) == [1]


# -- which archive ---------------------------------------------------------------------------


def test_archive_is_where_it_was_told_to_be(database, tmp_path):
    """A given path is taken, its folder made, and the file is its owner's alone."""
    fill(database.path, 1, status="completed", finished_at="2026-11-01 00:00:00")
    wanted = tmp_path / "far" / "away [1].db"
    result = QueueMaintenance(database).archive_finished(0, wanted)
    assert (result.archive, result.moved) == (wanted, 1)
    assert not archive_of(database.path).exists()
    if os.name == "posix":
        assert wanted.stat().st_mode & 0o777 == 0o600


def make_other_archive(path, queue_path):
    """Leave another queue's archive there."""
    other = queue_path.with_name("other.db")
    with QueueDatabase(other, create=True) as database:
        QueueMaintenance(database).archive_finished(0, path)


def make_newer(path, queue_path):
    """Leave an archive there that a later version made."""
    with QueueDatabase(queue_path) as database:
        QueueMaintenance(database).archive_finished(0, path)
    with rival(path) as connection:
        connection.execute("PRAGMA user_version = 99")


STRANGERS = {
    "another queue's": (make_other_archive, "another queue"),
    "text": (lambda path, _: path.write_text("other " * 900, encoding="utf-8"), "not an SQLite"),
    "empty": (lambda path, _queue: path.touch(), "no archive of this program"),
    "a folder": (lambda path, _queue: path.mkdir(), "no regular file"),
    "a queue": (lambda path, _: QueueDatabase(path, create=True).close(), "no archive of this"),
    "newer": (make_newer, "has format 99"),
}


@pytest.mark.parametrize("kind", STRANGERS)
def test_file_that_is_no_archive_of_this_queue_is_left_alone(queue_path, tmp_path, kind):
    """Whatever else lies at the path is refused with our error and not touched."""
    path = tmp_path / "stranger.db"
    make, said = STRANGERS[kind]
    make(path, queue_path)
    fill(queue_path, 1, status="completed", finished_at="2026-11-01 00:00:00")
    before = path.read_bytes() if path.is_file() else None
    with QueueDatabase(queue_path) as database, pytest.raises(ArchiveError, match=said):
        QueueMaintenance(database).archive_finished(0, path)
    assert (path.read_bytes() if path.is_file() else None) == before
    assert list(in_queue(queue_path)) == [1]


@pytest.mark.parametrize("name", ["queue.db", "queue.db-wal"])
def test_queue_is_never_its_own_archive(database, name):
    """The queue's own files are refused as the archive."""
    with pytest.raises(ArchiveError, match="a file of its own"):
        QueueMaintenance(database).archive_finished(0, database.path.with_name(name))


@pytest.mark.parametrize(
    ("age", "settings"),
    [(-1, {}), (float("nan"), {}), ("7", {}), (None, {}), (0, {"batch_tasks": 0}),
     (0, {"batch_tasks": 10_001}), (0, {"archive_path": ""}), (0, {"archive_path": "a\0b"})],
)  # fmt: skip
def test_bad_argument_moves_nothing(database, age, settings):
    """A wrong age, batch or path gets our error, and no archive is made."""
    fill(database.path, 1, status="completed", finished_at="2026-11-01 00:00:00")
    with pytest.raises(InvalidArgumentError):
        QueueMaintenance(database).archive_finished(age, **settings)
    assert not archive_of(database.path).exists()
    assert list(in_queue(database.path)) == [1]
