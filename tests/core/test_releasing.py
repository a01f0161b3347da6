"""Tasks taken from holders that are gone."""

import json
import sqlite3

import pytest
from doors import Door
from maintained import rival, rows_of

from core import ManualClock, QueueDatabase, QueueMaintenance, TaskQueue
from core.attempts import Ending, end_attempt
from core.errors import (
    DatabaseBusyError,
    InvalidArgumentError,
    LeaseLostError,
    TaskNotHeldError,
)
from core.leases import read_held
from core.releasing import release_stale
from core.timestamps import to_text

NOW_MS = 1_795_492_800_000  # 2026-11-24 04:00:00 UTC


@pytest.fixture
def clock():
    """Return a clock that stands still."""
    return ManualClock(NOW_MS)


@pytest.fixture
def database(tmp_path, clock):
    """Return a new queue, with the clock that stands still."""
    with QueueDatabase(tmp_path / "queue.db", create=True, clock=clock) as database:
        yield database


def hold(database, lease_until, *, status="leased", worker="w", attempts=0, max_attempts=5):
    """Put in a task that is held with this lease, as another program writes it."""
    with rival(database.path) as connection:
        return connection.execute(
            "INSERT INTO task_queue (type, payload, status, locked_by, lease_until_utc, attempts, "
            "max_attempts, reserved_at_utc) VALUES ('t', '{}', ?, ?, ?, ?, ?, '2026-11-24 01:00')",
            (status, worker, lease_until, attempts, max_attempts),
        ).lastrowid


@pytest.mark.parametrize("status", ["leased", "processing"])
@pytest.mark.parametrize("worker", ["w", None, b"\xff", 5])
def test_stale_lease_of_any_holder_is_freed_with_its_history(database, status, worker):
    """A task of a dead holder is queued again, due now, with one attempt more and a log row."""
    task_id = hold(database, "2026-11-24T03:00:00Z", status=status, worker=worker)
    assert QueueMaintenance(database).cleanup_stale_leases(300) == 1
    columns = "status, attempts, locked_by, lease_until_utc, run_after_utc, finished_at_utc"
    found = rows_of(database.path, f"SELECT {columns} FROM task_queue WHERE id = ?", task_id)
    assert found == [("queued", 1, None, None, to_text(NOW_MS), None)]
    logs = rows_of(database.path, "SELECT task_id, level, message, details FROM task_logs")
    assert [log[:2] for log in logs] == [(task_id, "WARNING")]
    assert "ran out at 2026-11-24T03:00:00Z; queued again" in logs[0][2]
    assert json.loads(logs[0][3])["attempts"] == 1
    assert TaskQueue(database).claim("next").id == task_id


@pytest.mark.parametrize(("attempts", "max_attempts", "left"), [(4, 5, 5), (5, 5, 5), (7, 5, 7)])
def test_task_whose_attempts_are_used_up_never_circles(database, attempts, max_attempts, left):
    """A task that killed its last worker goes to dead_letter and is never claimed again."""
    hold(database, "2026-11-24 03:00:00", attempts=attempts, max_attempts=max_attempts)
    released = QueueMaintenance(database).release_stale_leases(300)
    assert (released.requeued, released.dead_lettered, released.released) == (0, 1, 1)
    found = rows_of(
        database.path, "SELECT status, attempts, finished_at_utc, error_message FROM task_queue"
    )
    assert found[0][:3] == ("dead_letter", left, to_text(NOW_MS))
    assert "lease of w ran out" in found[0][3]
    assert rows_of(database.path, "SELECT level FROM task_logs") == [("ERROR",)]
    assert TaskQueue(database).claim("next") is None


def test_task_that_kills_every_worker_ends_in_dead_letter(database, clock):
    """Claimed and abandoned again and again, a task is given up after max_attempts."""
    tasks, maintenance = TaskQueue(database), QueueMaintenance(database)
    tasks.enqueue("t", 1, max_attempts=3)
    claims = 0
    while tasks.claim("doomed", lease_seconds=1) is not None:
        claims += 1
        assert claims <= 3, "it circles"
        clock.advance_s(400)
        assert maintenance.cleanup_stale_leases(300) == 1
    assert claims == 3


def test_live_leases_stay_and_unreadable_ones_are_told(database):
    """Only what surely ran out is taken; what cannot be read is named and left alone."""
    live = hold(database, "2026-11-24 03:55:00")
    odd = [hold(database, lease) for lease in (None, "soon")]
    released = QueueMaintenance(database).release_stale_leases(300)
    assert (released.released, released.unreadable) == (0, tuple(odd))
    held = rows_of(database.path, "SELECT id FROM task_queue WHERE status = 'leased' ORDER BY id")
    assert held == [(live,), (odd[0],), (odd[1],)]


def test_heartbeat_that_came_meanwhile_keeps_the_task_with_its_holder(database, clock):
    """A lease that was extended after it was read as stale is not taken away."""
    tasks = TaskQueue(database)
    tasks.enqueue("t", 1)
    task = tasks.claim("w", lease_seconds=1)
    clock.advance_s(1000)
    held = read_held(database.connection())[0]
    tasks.heartbeat(task)
    with database.transaction() as connection:
        ending = Ending("WARNING", "m", "e", clock.now_ms())
        outcome = end_attempt(
            connection, database.layout, held.token, ending, clock.now_ms(), unless_extended=held
        )
    assert outcome is None
    tasks.complete(task)


def test_heartbeat_between_look_and_clean_up_keeps_the_task(database, clock):
    """A clean-up that read a lease as stale leaves it alone where it was extended meanwhile."""
    tasks = TaskQueue(database)
    tasks.enqueue("t", 1)
    task = tasks.claim("w", lease_seconds=1)
    clock.advance_s(1000)
    late = []

    def extend_first(_uri, _connection, sql):
        if sql == "BEGIN IMMEDIATE" and not late:
            late.append(tasks.heartbeat(task))

    with QueueDatabase(database.path, connect=Door(extend_first), clock=clock) as cleaning:
        assert QueueMaintenance(cleaning).cleanup_stale_leases(300) == 0
    assert late
    tasks.complete(task)


def test_clean_up_that_cannot_read_says_which_file_and_how_long_it_waited(database):
    """What SQLite refuses while leases are read is told as ours."""

    def refuse(_uri, _connection, sql):
        if "FROM task_queue WHERE status IN" in " ".join(sql.split()):
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error

    with (
        QueueDatabase(database.path, connect=Door(refuse), busy_timeout_ms=1500) as refused,
        pytest.raises(DatabaseBusyError) as caught,
    ):
        release_stale(refused, 300)
    assert (caught.value.path, caught.value.waited_s) == (str(database.path), 1.5)


def test_late_holder_of_a_freed_task_is_refused(database, clock):
    """A holder that wakes up after its task was freed can neither extend nor complete it."""
    tasks = TaskQueue(database)
    tasks.enqueue("t", 1)
    task = tasks.claim("late", lease_seconds=1)
    clock.advance_s(302)
    assert QueueMaintenance(database).cleanup_stale_leases() == 1
    for use in (tasks.heartbeat, tasks.complete):
        with pytest.raises(LeaseLostError, match="now queued"):
            use(task)


def test_many_stale_leases_are_freed_in_short_transactions(database):
    """Hundreds of leases are all freed, in transactions between which writers get their turn."""
    with rival(database.path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO task_queue (type, payload, status, lease_until_utc) "
            "VALUES ('t', '{}', 'leased', ?)",
            [("2026-11-24 01:00:00",)] * 450,
        )
        connection.execute("COMMIT")
    statements = []
    door = Door(lambda _uri, _connection, sql: statements.append(sql))
    with QueueDatabase(database.path, connect=door, clock=database.clock) as watched:
        assert QueueMaintenance(watched).cleanup_stale_leases() == 450
    assert statements.count("COMMIT") == 3


def test_two_clean_ups_at_once_free_each_task_once(tmp_path, spawn):
    """Clean-ups of two processes count each attempt once."""
    path = tmp_path / "queue.db"
    with QueueDatabase(path, create=True) as database:
        for _ in range(60):
            hold(database, "2020-01-01 00:00:00")
    source = (
        "from core import QueueDatabase, QueueMaintenance\n"
        "with QueueDatabase(argv[0], busy_timeout_ms=30_000) as database:\n"
        "    say('ready'); wait()\n"
        "    say(QueueMaintenance(database, wait_s=30).cleanup_stale_leases())\n"
    )
    children = [spawn(source, path) for _ in range(2)]
    assert [child.hear() for child in children] == ["ready", "ready"]
    for child in children:
        child.release()
    assert sum(int(child.hear()) for child in children) == 60
    assert rows_of(path, "SELECT DISTINCT status, attempts FROM task_queue") == [("queued", 1)]


def test_task_of_a_killed_worker_is_freed_and_done_by_another(tmp_path, spawn):
    """The task of a process that was killed outright runs again."""
    path = tmp_path / "queue.db"
    with QueueDatabase(path, create=True) as database:
        task_id = TaskQueue(database).enqueue("t", 1)
        worker = spawn(
            "from core import QueueDatabase, TaskQueue\n"
            "database = QueueDatabase(argv[0])\n"
            "say(TaskQueue(database).claim('dead', lease_seconds=60).id); wait()\n",
            path,
        )
        assert worker.hear() == str(task_id)
        worker.kill()
        later = ManualClock(database.clock.now_ms() + 400_000)
    with QueueDatabase(path, clock=later) as database:
        assert QueueMaintenance(database).cleanup_stale_leases(300) == 1
        TaskQueue(database).complete(TaskQueue(database).claim("alive"))


@pytest.mark.parametrize("lease", [None, "soon", "2026-11-24 09:00:00"])
def test_one_task_is_freed_by_name_whatever_its_lease(database, lease):
    """A named task is taken from its holder; others keep theirs."""
    first, wanted, last = (hold(database, lease) for _number in range(3))
    assert QueueMaintenance(database).release_lease(wanted) == "queued"
    assert rows_of(database.path, "SELECT id, status FROM task_queue ORDER BY id") == [
        (first, "leased"),
        (wanted, "queued"),
        (last, "leased"),
    ]


def test_last_attempt_of_a_task_freed_by_name_is_its_last(database):
    """Freeing by name counts an attempt as every other way does."""
    task_id = hold(database, None, attempts=4)
    assert QueueMaintenance(database).release_lease(task_id) == "dead_letter"


def test_task_that_nobody_holds_cannot_be_freed(database):
    """Freeing a queued task, or none, says what it is."""
    task_id = TaskQueue(database).enqueue("t", 1)
    with pytest.raises(TaskNotHeldError, match="it is queued"):
        QueueMaintenance(database).release_lease(task_id)
    with pytest.raises(TaskNotHeldError, match="not in the queue"):
        QueueMaintenance(database).release_lease(task_id + 1)
    database.connection().execute("UPDATE task_queue SET status = CAST(x'ff' AS TEXT)")
    with pytest.raises(TaskNotHeldError, match="it is \N{REPLACEMENT CHARACTER}"):
        QueueMaintenance(database).release_lease(task_id)


@pytest.mark.parametrize("timeout_seconds", [-1, float("nan"), float("inf"), "300", None, True])
def test_timeout_that_makes_no_sense_frees_nothing(database, timeout_seconds):
    """A wrong timeout gets our error, and no lease is touched."""
    hold(database, "2026-11-24 01:00:00")
    with pytest.raises(InvalidArgumentError):
        QueueMaintenance(database).cleanup_stale_leases(timeout_seconds)
    assert rows_of(database.path, "SELECT status FROM task_queue") == [("leased",)]
