"""Tasks: put in, claimed, kept, completed and failed, with leases and fencing."""

import contextlib
import json
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice

import pytest
from doors import Door
from hypothesis import given, settings
from hypothesis import strategies as st

from core import ManualClock, QueueDatabase
from core.claiming import Candidates
from core.errors import (
    CommitUnknownError,
    DatabaseBusyError,
    DiskFullError,
    InvalidArgumentError,
    InvalidPayloadError,
    LeaseLostError,
    ReadOnlyDatabaseError,
)
from core.task import LAST_MOMENT_MS
from core.tasks import TaskQueue
from core.timestamps import to_text

NOW_MS = 1_795_492_800_123  # 2026-11-24 04:00:00.123 UTC


@pytest.fixture
def clock():
    """Return a clock that stands still."""
    return ManualClock(NOW_MS)


@pytest.fixture
def database(tmp_path, clock):
    """Return a new queue, with the clock that stands still."""
    with QueueDatabase(tmp_path / "queue.db", create=True, clock=clock) as database:
        yield database


@pytest.fixture
def tasks(database):
    """Return the tasks of the new queue."""
    return TaskQueue(database)


def write(database, sql, *values):
    """Do what another program does to the file."""
    with database.transaction("normal") as connection:
        connection.execute(sql, values).close()


def row(database, task_id, columns):
    """Return columns of one task as they are stored."""
    sql = f"SELECT {columns} FROM task_queue WHERE id = ?"
    return database.connection().execute(sql, (task_id,)).fetchall()[0]


# -- putting in ------------------------------------------------------------------------------


def test_enqueued_task_is_in_the_file_as_it_was_given(database, tasks):
    """Every argument of enqueue is found in its column, times to the millisecond."""
    task_id = tasks.enqueue(
        "Video.Short", {"format": "short", "n": "é\0"}, priority=7, max_attempts=2,
        run_after=NOW_MS + 1, idempotency_key="k", compatibility={"region": "eu"},
    )  # fmt: skip

    found = row(
        database, task_id,
        "type, payload, priority, max_attempts, run_after_utc, "
        "idempotency_key, region, format, status, attempts, created_at_utc, updated_at_utc",
    )  # fmt: skip
    now = "2026-11-24 04:00:00.123"
    assert found == (
        "Video.Short", '{"format":"short","n":"é\\u0000"}', 7, 2, "2026-11-24 04:00:00.124",
        "k", "eu", "short", "queued", 0, now, now,
    )  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        {"type": ""},
        {"type": None},
        {"type": "a\0b"},
        {"type": "\ud800"},
        {"priority": 1.5},
        {"priority": True},
        {"priority": 2**63},
        {"max_attempts": 0},
        {"run_after": -1},
        {"run_after": "2026-11-24"},
        {"run_after": 10**16},
        {"run_after": True},
        {"run_after": datetime.max.replace(tzinfo=timezone(-timedelta(hours=5)))},
        {"idempotency_key": ""},
        {"compatibility": ["eu"]},
    ],
)
def test_enqueue_with_a_bad_argument_is_refused_and_nothing_is_put_in(database, tasks, arguments):
    """A wrong argument gets our error, and the queue stays empty."""
    with pytest.raises(InvalidArgumentError):
        tasks.enqueue(**{"type": "t", "payload": {}, **arguments})
    assert database.connection().execute("SELECT count(*) FROM task_queue").fetchall() == [(0,)]


@pytest.mark.parametrize(
    ("run_after", "stored_ms"),
    [
        (
            datetime(2026, 11, 24, 6, 30, tzinfo=timezone(timedelta(hours=2))),
            NOW_MS - 123 + 1_800_000,
        ),
        (datetime(2026, 11, 24, 4, 30), NOW_MS - 123 + 1_800_000),  # noqa: DTZ001 - taken as UTC
        (0, 0),
        (LAST_MOMENT_MS, LAST_MOMENT_MS),
    ],
)
def test_time_of_a_task_is_taken_from_a_datetime_or_a_number(database, tasks, run_after, stored_ms):
    """A datetime with or without a zone, and the ends of what a number may be, are stored."""
    task_id = tasks.enqueue("t", 1, run_after=run_after)
    assert row(database, task_id, "run_after_utc") == (to_text(stored_ms),)


def test_enqueue_of_what_is_no_json_puts_nothing_in(database, tasks):
    """A payload that is not JSON gets our error, and the queue stays empty."""
    with pytest.raises(InvalidPayloadError):
        tasks.enqueue("t", {"when": datetime.now(UTC)})
    assert database.connection().execute("SELECT count(*) FROM task_queue").fetchall() == [(0,)]


def test_enqueue_of_more_than_sqlite_can_hold_is_refused(database, tasks):
    """A payload beyond SQLite's limit of length gets our error, and the queue stays empty."""
    database.connection().setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1000)
    with pytest.raises(InvalidPayloadError, match="cannot hold"):
        tasks.enqueue("t", "x" * 2000)
    assert tasks.claim("w") is None


def test_enqueue_on_a_full_disk_says_so_and_later_works_again(database, tasks):
    """No space left is our error; what was acknowledged is there, and space mends it."""
    first = tasks.enqueue("t", "x")
    pages = database.connection().execute("PRAGMA page_count").fetchall()[0][0]
    database.connection().execute(f"PRAGMA max_page_count = {pages}").fetchall()
    with pytest.raises(DiskFullError):
        tasks.enqueue("t", "x" * 100_000)
    database.connection().execute("PRAGMA max_page_count = 100000").fetchall()
    assert tasks.enqueue("t", "x" * 100_000) == first + 1


def test_same_idempotency_key_gives_the_same_task(database, tasks):
    """A second enqueue under a key returns the first task and leaves it as it was."""
    first = tasks.enqueue("t", 1, idempotency_key="order-7")
    again = tasks.enqueue("u", 2, idempotency_key="order-7", priority=1)
    assert again == first
    assert row(database, first, "type, payload, priority") == ("t", "1", 100)


def test_known_key_is_acknowledged_by_a_commit_that_writes(tmp_path, clock):
    """An unsynced task that is found by its key is synced before it is acknowledged as safe."""
    database = QueueDatabase(tmp_path / "queue.db", create=True, clock=clock)
    TaskQueue(database, durability="normal").enqueue("t", 1, idempotency_key="k")
    wal = tmp_path / "queue.db-wal"
    before = wal.stat().st_size
    TaskQueue(database).enqueue("t", 1, idempotency_key="k")
    assert wal.stat().st_size > before
    assert database.connection().execute("PRAGMA synchronous").fetchall() == [(3,)]
    database.close()


@pytest.mark.parametrize(("later_s", "touched_ms"), [(0, NOW_MS + 1), (5, NOW_MS + 5000)])
def test_known_key_is_touched_with_another_time_than_it_had(
    database, clock, tasks, later_s, touched_ms
):
    """What is written differs from what was there, and is no farther off than it must be."""
    task_id = tasks.enqueue("t", 1, idempotency_key="k")
    clock.advance_s(later_s)
    tasks.enqueue("t", 1, idempotency_key="k")
    assert row(database, task_id, "updated_at_utc") == (to_text(touched_ms),)


def test_field_file_takes_and_gives_tasks(tmp_path, clock):
    """A file without our index, version or application id works as a queue of ours does."""
    path = tmp_path / "queue.db"
    QueueDatabase(path, create=True).close()
    with contextlib.closing(sqlite3.connect(path)) as field:
        field.executescript(
            "DROP INDEX queuedrill_waiting; DROP TABLE queuedrill_meta;"
            "PRAGMA application_id = 0; PRAGMA user_version = 0;"
        )
    with QueueDatabase(path, clock=clock) as database:
        assert not database.layout.has_waiting_index
        queue = TaskQueue(database)
        ids = [queue.enqueue("t", n, priority=n % 3) for n in range(9)]
        got = [queue.claim("w").id for _ in ids]
    assert got == [*ids[::3], *ids[1::3], *ids[2::3]]


# -- claiming --------------------------------------------------------------------------------


def test_claims_come_by_priority_and_then_by_age(tasks):
    """Lower priority numbers are claimed first, and within one the older task."""
    ids = [tasks.enqueue("t", {}, priority=priority) for priority in (5, 1, 5, 1, -3)]
    got = [tasks.claim("w").id for _ in ids]
    assert got == [ids[4], ids[1], ids[3], ids[0], ids[2]]
    assert tasks.claim("w") is None


def test_claimed_task_is_held_to_the_millisecond(database, tasks):
    """A claim is written with its holder, its moment and its lease, and counts no attempt."""
    task_id = tasks.enqueue("t", {"a": [1, None]}, max_attempts=3)
    task = tasks.claim("w-1", lease_seconds=1.5)
    assert (task.id, task.type, task.payload) == (task_id, "t", {"a": [1, None]})
    assert (task.attempts, task.max_attempts) == (0, 3)
    assert task.lease_until_ms == NOW_MS + 1500
    assert task.token == ("w-1", "2026-11-24 04:00:00.123", 0)
    found = row(
        database, task_id,
        "status, locked_by, reserved_at_utc, lease_until_utc, attempts, processing_started_utc",
    )  # fmt: skip
    assert found == (
        "leased", "w-1", "2026-11-24 04:00:00.123", "2026-11-24 04:00:01.623", 0,
        "2026-11-24 04:00:00.123",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("worker", "arguments"),
    [
        ("", {}),
        (None, {}),
        ("w\0", {}),
        ("w", {"lease_seconds": 0}),
        ("w", {"lease_seconds": -1}),
        ("w", {"lease_seconds": float("nan")}),
        ("w", {"lease_seconds": float("inf")}),
        ("w", {"lease_seconds": 1e12}),
        ("w", {"lease_seconds": True}),
        ("w", {"types": []}),
        ("w", {"types": "t"}),
        ("w", {"types": [""]}),
    ],
)
def test_claim_with_a_bad_argument_is_refused_and_nothing_is_held(
    database, tasks, worker, arguments
):
    """A wrong argument gets our error, and no task is taken."""
    task_id = tasks.enqueue("t", {})
    with pytest.raises(InvalidArgumentError):
        tasks.claim(worker, **arguments)
    assert row(database, task_id, "status") == ("queued",)


def test_task_of_another_program_without_a_type_or_a_change_is_claimed(database, tasks):
    """What a field program left empty stays empty, and stops no claim."""
    task_id = tasks.enqueue("t", 1)
    write(database, "UPDATE task_queue SET type = '', updated_at_utc = ''")
    task = tasks.claim("w")
    assert (task.id, task.type, task.reserved_at) == (task_id, "", to_text(NOW_MS))


def test_types_limit_what_is_claimed(tasks):
    """Only tasks of the named types are given out."""
    tasks.enqueue("a", 1, priority=1)
    wanted = tasks.enqueue("b", 2)
    assert tasks.claim("w", types=["b", "c'; --"]).id == wanted
    assert tasks.claim("w", types=["b"]) is None


@pytest.mark.parametrize(
    ("run_after", "due"),
    [
        ("2026-11-24 04:00:00", True),
        ("2026-11-24 04:00:01", False),
        ("2026-11-24 04:00:00.123", True),
        ("2026-11-24 04:00:00.124", False),
        ("2026-11-24 04:00", True),
        ("2026-11-24 04:01", False),
        ("2026-11-24T04:00:00", True),
        ("2026-11-24T04:00:01", False),
        ("2026-11-24T04:00:00.123Z", True),
        ("2026-11-24 04:00:00Z", True),
        ("2026-11-24T04:00:00.124+00:00", False),
        ("2026-11-24 06:00:00+02:00", True),
        ("2026-11-24 06:00:00.123456+02:00", True),
        ("2026-11-24 06:00:01+0200", False),
        ("2026-11-24 00:00:00-05:00", False),
        ("2026-11-23 23:00:00-05:00", True),
        ("2026-11-25 03:00:00.0+23:00", True),
        ("2026-11-25T03:30:00+23:30", True),
        ("2026-11-24 04:00:00,123", True),
        (NOW_MS // 1000, True),
        (NOW_MS // 1000 + 1, False),
        (NOW_MS, True),
        (NOW_MS + 1, False),
        (NOW_MS / 1000 - 0.5, True),
        ("soon", False),
        ("", False),
        (5, False),
        (b"2026-11-24 03:00:00", True),
        ("2027-01-01 00:00:00", False),
        ("9999-12-31 23:59:59", False),
    ],
)
@pytest.mark.parametrize("indexed", [True, False])
def test_due_is_told_in_every_format_and_nothing_stands_in_the_way(
    database, run_after, due, indexed
):
    """A task is claimed if its time has come, in whatever format; else the one behind it is."""
    if not indexed:
        write(database, "DROP INDEX queuedrill_waiting")
    tasks = TaskQueue(database)
    odd = tasks.enqueue("t", 1, priority=1)
    write(database, "UPDATE task_queue SET run_after_utc = ? WHERE id = ?", run_after, odd)
    behind = tasks.enqueue("t", 2)
    if isinstance(run_after, bytes):
        # A blob sorts after all text, so it is never due; health reports it.
        due = False
    assert tasks.claim("w").id == (odd if due else behind)


# Each example makes a file, whose time says nothing.
@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.tuples(
            st.integers(-3 * 86_400_000, 3 * 86_400_000),
            st.sampled_from(["core", "T", "Z", "+", "-", "seconds", "ms", "comma"]),
            st.integers(0, 2),
        ),
        max_size=8,
    )
)
def test_claim_takes_the_first_due_task_whatever_the_formats(tmp_path_factory, rows):
    """For any mixture of times and formats, claims come in order, and all that is due comes."""
    clock = ManualClock(NOW_MS)
    path = tmp_path_factory.mktemp("q") / "queue.db"
    with QueueDatabase(path, create=True, clock=clock) as database:
        tasks = TaskQueue(database, durability="normal")
        expected = []
        for offset_ms, style, priority in rows:
            moment_ms = NOW_MS + offset_ms
            if style in ("T", "Z", "+", "-", "seconds"):
                moment_ms -= moment_ms % 1000
            task_id = tasks.enqueue("t", 0, priority=priority)
            write(
                database, "UPDATE task_queue SET run_after_utc = ? WHERE id = ?",
                written(moment_ms, style), task_id,
            )  # fmt: skip
            if moment_ms <= NOW_MS:
                expected.append((priority, task_id))
        got = []
        while (task := tasks.claim("w")) is not None:
            got.append((task.priority, task.id))
    assert got == sorted(expected)


def written(moment_ms, style):
    """Return the moment as one of the clients in the field writes it."""
    text = to_text(moment_ms)
    zones = {"+": 5.5, "-": -8}
    if style in zones:
        zone = timezone(timedelta(hours=zones[style]))
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment_ms)
        return moment.astimezone(zone).isoformat(" ", "seconds")
    return {
        "core": text,
        "T": text[:19].replace(" ", "T"),
        "Z": text[:19] + "Z",
        "seconds": moment_ms // 1000,
        "ms": moment_ms,
        "comma": text.replace(".", ","),
    }[style]


def test_tasks_that_cannot_be_claimed_do_not_hide_those_behind_them(database, tasks):
    """However many waiting, unreadable or worn-out tasks come first, the due one is claimed."""
    with database.transaction("normal") as connection:
        connection.executemany(
            "INSERT INTO task_queue (type, payload, priority, run_after_utc, attempts) "
            "VALUES ('t', '{}', 1, ?, ?)",
            [("2026-11-24T09:00:00", 0), ("", 0), ("2026-11-24 05:00:00", 0), (7, 0),
             ("2026-11-24 01:00:00", 5)] * 40,
        )  # fmt: skip
    due = tasks.enqueue("t", 1)
    assert tasks.claim("w").id == due
    assert tasks.claim("w") is None


def test_candidates_go_on_behind_one_that_was_not_taken(database):
    """However many stand between them, each that is due comes once, in order."""
    with database.transaction("normal") as connection:
        connection.executemany(
            "INSERT INTO task_queue (type, payload, run_after_utc) VALUES ('t', '{}', ?)",
            [*[("",)] * 60, ("2026-11-24 01:00:00",), *[("",)] * 60, ("2026-11-24 01:00:00",)],
        )
    found = Candidates(database.connection(), NOW_MS, None, indexed=True)
    assert [task_id for task_id, _touched in islice(found, 3)] == [61, 122]


def test_claim_of_a_large_backlog_reads_as_much_as_of_a_small_one(database, tasks):
    """On a file with our index the steps of a claim do not grow with the backlog."""
    steps = []
    for _ in range(2):
        with database.transaction("normal") as connection:
            connection.executemany(
                "INSERT INTO task_queue (type, payload, run_after_utc) VALUES ('t', '{}', ?)",
                [("2026-11-24 01:00:00",)] * 5000,
            )
        counted = []
        database.connection().set_progress_handler(lambda seen=counted: seen.append(1), 10)
        tasks.claim("w")
        database.connection().set_progress_handler(None, 0)
        steps.append(len(counted))
    assert steps[1] <= steps[0] * 1.5


def test_index_that_went_away_is_done_without(database, tasks):
    """A live restore of a file without our index does not stop the workers' claims."""
    task_id = tasks.enqueue("t", 1)
    write(database, "DROP INDEX queuedrill_waiting")
    assert tasks.claim("w").id == task_id
    assert tasks.claim("w") is None


def test_index_that_went_away_is_looked_for_once(tmp_path, clock):
    """Claims after the one that missed the index do not ask for it again."""
    statements = []
    door = Door(lambda _uri, _connection, sql: statements.append(sql))
    with QueueDatabase(tmp_path / "queue.db", create=True, clock=clock, connect=door) as database:
        tasks = TaskQueue(database)
        write(database, "DROP INDEX queuedrill_waiting")
        for _ in range(3):
            tasks.claim("w")
    assert sum("INDEXED BY" in sql for sql in statements) == 1


def test_two_processes_never_get_the_same_task(queue_path, spawn):
    """Workers of two processes share out all tasks, each to one of them."""
    with QueueDatabase(queue_path) as database:
        queue = TaskQueue(database, durability="normal")
        ids = {queue.enqueue("t", n) for n in range(200)}
    source = (
        "from core import QueueDatabase\n"
        "from core.tasks import TaskQueue\n"
        "with QueueDatabase(argv[0]) as database:\n"
        "    tasks = TaskQueue(database, durability='normal')\n"
        "    task = tasks.claim(argv[1]); say(task.id); wait()\n"
        "    while task is not None:\n"
        "        tasks.complete(task); task = tasks.claim(argv[1])\n"
        "        if task is not None: say(task.id)\n"
    )
    workers = [spawn(source, queue_path, name) for name in ("one", "two")]
    first = [int(worker.hear()) for worker in workers]
    for worker in workers:
        worker.release()
    rest = [int(said) for worker in workers for said in iter(worker.hear, None)]
    assert sorted(first + rest) == sorted(ids)


def test_threads_of_one_process_never_get_the_same_task(tasks):
    """Threads that share one QueueDatabase share out all tasks, each to one of them."""
    ids = sorted(tasks.enqueue("t", n) for n in range(60))
    got, start = [], threading.Barrier(3)

    def work():
        start.wait(timeout=30)
        while (task := tasks.claim("w")) is not None:
            got.append(task.id)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(got) == ids


def test_payload_that_this_sqlite_cannot_read_is_passed_over(queue_path):
    """JSON5 let in by a newer SQLite neither stops nor circles an older one's claims."""
    newer = (
        "import sys, apsw\n"
        "c = apsw.Connection(sys.argv[1])\n"
        "c.execute(\"INSERT INTO task_queue (type, payload, priority) VALUES ('t', '{a:5}', 1)\")\n"
        "c.close()\n"
    )
    # Two SQLite libraries never share a process: https://www.sqlite.org/howtocorrupt.html, 2.3.
    subprocess.run([sys.executable, "-c", newer, str(queue_path)], check=True, timeout=60)
    with QueueDatabase(queue_path) as database:
        tasks = TaskQueue(database)
        behind = tasks.enqueue("t", {"a": 5})
        claimed = [tasks.claim("w"), tasks.claim("w")]
    got = [(task.id, task.payload, task.payload_is_json) for task in claimed if task]
    if sqlite3.sqlite_version_info < (3, 42):
        assert got == [(behind, {"a": 5}, True)]
    else:
        assert got == [(1, "{a:5}", False), (behind, {"a": 5}, True)]


@pytest.mark.parametrize(("stored", "payload"), [("nonsense", "nonsense"), (b"\xff", b"\xff")])
def test_payload_that_is_no_json_reaches_the_worker_as_it_is(tmp_path, stored, payload):
    """A file without generated columns may hold any payload: it is handed over, once."""
    path = tmp_path / "queue.db"
    QueueDatabase(path, create=True).close()
    with contextlib.closing(sqlite3.connect(path)) as field:
        field.executescript(
            "DROP INDEX ix_task_format; DROP INDEX ix_task_region;"
            "ALTER TABLE task_queue DROP COLUMN format; ALTER TABLE task_queue DROP COLUMN region;"
        )
        field.execute("INSERT INTO task_queue (type, payload) VALUES ('t', ?)", (stored,))
        field.execute("UPDATE task_queue SET payload = CAST(payload AS TEXT), type = X'74FF'")
        field.commit()
    with QueueDatabase(path) as database:
        task = TaskQueue(database).claim("w")
        TaskQueue(database).complete(task)
        assert (task.payload, task.payload_is_json, task.type) == (payload, False, "t\ufffd")
        assert TaskQueue(database).claim("w") is None


def test_waiting_for_the_lock_costs_nothing_of_the_lease(queue_path, spawn):
    """A lease begins when the lock is had, not when the claim was asked for."""
    with QueueDatabase(queue_path) as database:
        TaskQueue(database).enqueue("t", 1)
    holder = spawn(
        "import sqlite3\n"
        "c = sqlite3.connect(argv[0], isolation_level=None)\n"
        "c.execute('BEGIN IMMEDIATE'); say('held'); wait(); c.execute('ROLLBACK'); c.close()\n",
        queue_path,
    )
    assert holder.hear() == "held"
    with QueueDatabase(queue_path, busy_timeout_ms=30_000) as database:
        released_ms = []
        clock = database.clock

        def release():
            released_ms.append(clock.now_ms())
            holder.release()

        timer = threading.Timer(0.3, release)
        timer.start()
        task = TaskQueue(database).claim("w", lease_seconds=60)
        timer.join(timeout=30)
    assert task.lease_until_ms >= released_ms[0] + 60_000


# -- fencing ---------------------------------------------------------------------------------


def requeue_without_counting(database):
    """Do what a clean-up in the field does: no attempt is counted."""
    write(
        database,
        "UPDATE task_queue SET status = 'queued', locked_by = NULL, lease_until_utc = NULL",
    )


def assert_fenced_off(tasks, stale):
    """Pass if the holder can no longer do anything to its task."""
    for use in (tasks.heartbeat, tasks.complete, lambda task: tasks.fail(task, "late")):
        with pytest.raises(LeaseLostError):
            use(stale)


def test_holder_whose_task_was_taken_cannot_touch_it(database, tasks):
    """After another worker has the task, the first can neither extend, complete nor fail it."""
    tasks.enqueue("t", 1)
    stale = tasks.claim("first")
    requeue_without_counting(database)
    current = tasks.claim("second")
    assert_fenced_off(tasks, stale)
    with pytest.raises(LeaseLostError, match="now leased, held by 'second'"):
        tasks.complete(stale)
    tasks.complete(current)
    with pytest.raises(LeaseLostError, match="now completed"):
        tasks.complete(current)


@pytest.mark.parametrize("jump_s", [0, -3600, -0.001, 0.001, 3600])
def test_namesake_that_claims_again_gets_another_token(database, clock, tasks, jump_s):
    """However the clock moves, the same worker's second claim fences its first one off."""
    tasks.enqueue("t", 1, run_after=0)
    stale = tasks.claim("w")
    requeue_without_counting(database)
    clock.jump_s(jump_s)
    between = tasks.claim("w")
    requeue_without_counting(database)
    clock.jump_s(-jump_s)
    current = tasks.claim("w")
    assert len({stale.token, between.token, current.token}) == 3
    assert_fenced_off(tasks, stale)
    assert_fenced_off(tasks, between)
    tasks.complete(current)


def test_moment_of_a_claim_is_no_farther_ahead_than_it_must_be(database, tasks):
    """The second claim of one millisecond has the next one, also at the end of the calendar."""
    tasks.enqueue("t", 1)
    tasks.claim("w")
    requeue_without_counting(database)
    assert tasks.claim("w").reserved_at == to_text(NOW_MS + 1)
    requeue_without_counting(database)
    write(database, "UPDATE task_queue SET reserved_at_utc = ?", to_text(LAST_MOMENT_MS - 1))
    assert tasks.claim("w").reserved_at == to_text(LAST_MOMENT_MS)


@pytest.mark.parametrize("jump_s", [0, -3600, 3600])
def test_namesake_after_a_restore_gets_another_token(database, clock, tasks, jump_s):
    """Though a restore wipes the last claim and counts nothing, no later token is the old one."""
    tasks.enqueue("t", 1, run_after=0)
    clock.advance_s(10)
    stale = tasks.claim("w")
    clock.advance_s(0.001)
    write(
        database,
        "UPDATE task_queue SET status = 'queued', locked_by = NULL, lease_until_utc = NULL, "
        "reserved_at_utc = NULL, updated_at_utc = ?",
        to_text(clock.now_ms()),
    )
    clock.jump_s(-0.001)
    clock.jump_s(jump_s)
    current = tasks.claim("w")
    assert current.token != stale.token
    assert_fenced_off(tasks, stale)


def test_counted_attempt_alone_makes_another_token(database, tasks):
    """A clean-up that wipes every time but counts the attempt fences the old holder off."""
    tasks.enqueue("t", 1)
    stale = tasks.claim("w")
    write(
        database,
        "UPDATE task_queue SET status = 'queued', locked_by = NULL, reserved_at_utc = NULL, "
        "attempts = attempts + 1, updated_at_utc = '2000-01-01 00:00:00'",
    )
    current = tasks.claim("w")
    assert current.token[:2] == stale.token[:2]
    assert_fenced_off(tasks, stale)


def test_times_at_the_end_of_the_calendar_do_not_stop_a_claim(database, tasks):
    """A task last touched in the year 9999 is claimed with a moment that can be written."""
    tasks.enqueue("t", 1)
    write(
        database,
        "UPDATE task_queue SET reserved_at_utc = '9999-12-31 23:59:59.999', "
        "updated_at_utc = '9999-12-31 23:59:59.999'",
    )
    assert tasks.claim("w").reserved_at == to_text(NOW_MS)


# Each example makes a file, whose time says nothing.
@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(-5000, 5000), min_size=1, max_size=12))
def test_no_walk_of_the_clock_repeats_a_token(tmp_path_factory, jumps_ms):
    """Whatever a clock does between claims, all tokens of a task differ."""
    clock = ManualClock(NOW_MS)
    path = tmp_path_factory.mktemp("q") / "queue.db"
    with QueueDatabase(path, create=True, clock=clock) as database:
        tasks = TaskQueue(database, durability="normal")
        tasks.enqueue("t", 1)
        tokens = []
        for jump_ms in jumps_ms:
            tokens.append(tasks.claim("w").token)
            requeue_without_counting(database)
            clock.jump_s(jump_ms / 1000)
            write(database, "UPDATE task_queue SET run_after_utc = '2000-01-01 00:00:00'")
    assert len(set(tokens)) == len(tokens)


def test_attempt_that_failed_fences_off_its_own_holder(tasks):
    """Two claims in one millisecond by one worker differ, since the failure was counted."""
    tasks.enqueue("t", 1)
    first = tasks.claim("w")
    tasks.fail(first, "broken")
    second = tasks.claim("w")
    assert second.attempts == 1
    assert_fenced_off(tasks, first)


def test_task_that_left_the_queue_is_lost_with_a_clear_word(database, tasks):
    """Completing a task that is no longer in the file says so."""
    tasks.enqueue("t", 1)
    task = tasks.claim("w")
    write(database, "DELETE FROM task_queue")
    with pytest.raises(LeaseLostError, match=r"\bno longer in the queue\b"):
        tasks.complete(task)


def test_expired_lease_that_nobody_took_can_still_be_completed(clock, tasks):
    """A holder that is late, but whose task nobody reclaimed, may finish it."""
    tasks.enqueue("t", 1)
    task = tasks.claim("w", lease_seconds=1)
    clock.advance_s(100)
    tasks.complete(task)


# -- keeping, completing, failing ------------------------------------------------------------


def test_heartbeat_moves_the_end_of_the_lease_and_not_the_token(database, clock, tasks):
    """An extended task keeps its token and is held until the new end."""
    tasks.enqueue("t", 1)
    task = tasks.claim("w", lease_seconds=10)
    clock.advance_s(5)
    longer = tasks.heartbeat(task, lease_seconds=10)
    assert longer.lease_until_ms == NOW_MS + 15_000
    assert longer.token == task.token
    assert row(database, task.id, "lease_until_utc") == (to_text(NOW_MS + 15_000),)
    tasks.complete(task)


def test_completed_task_says_who_and_when(database, clock, tasks):
    """A completed task keeps its worker and its times, and has no lease."""
    tasks.enqueue("t", 1)
    task = tasks.claim("w")
    clock.advance_s(2)
    tasks.complete(task)
    found = row(database, task.id, "status, locked_by, finished_at_utc, lease_until_utc, attempts")
    assert found == ("completed", "w", to_text(NOW_MS + 2000), None, 0)


def test_failed_attempt_is_counted_and_waits_its_time(database, clock, tasks):
    """A task that failed is queued again, not before its time, with one attempt more."""
    tasks.enqueue("t", 1)
    assert (
        tasks.fail(tasks.claim("w"), ValueError("no\0 \ud800"), retry_after_seconds=30) == "queued"
    )
    assert tasks.claim("w") is None
    clock.advance_s(30)
    task = tasks.claim("w")
    assert task.attempts == 1
    assert row(database, task.id, "error_message") == ("ValueError: no\\0 \\ud800",)


def test_last_attempt_that_fails_moves_the_task_to_dead_letter(database, tasks):
    """After max_attempts failures the task is out of the queue, with its history."""
    task_id = tasks.enqueue("t", 1, max_attempts=3)
    outcomes = [tasks.fail(tasks.claim("wörk"), f"boom {n}") for n in range(3)]
    assert outcomes == ["queued", "queued", "dead_letter"]
    assert tasks.claim("w") is None
    found = row(
        database, task_id, "status, attempts, error_message, finished_at_utc, lease_until_utc"
    )
    assert found == ("dead_letter", 3, "boom 2", to_text(NOW_MS), None)
    logs = database.connection().execute("SELECT level, details FROM task_logs").fetchall()
    assert [level for level, _ in logs] == ["WARNING", "WARNING", "ERROR"]
    assert [json.loads(details) for _, details in logs] == [
        {"worker": "wörk", "attempts": n + 1, "max_attempts": 3, "became": outcomes[n],
         "error": f"boom {n}"}
        for n in range(3)
    ]  # fmt: skip
    assert "wörk" in logs[0][1]


def test_attempts_never_pass_their_limit(database, tasks):
    """A held task that had no attempt left goes to dead_letter with its count as it was."""
    tasks.enqueue("t", 1, max_attempts=2)
    write(database, "UPDATE task_queue SET attempts = 1")
    task = tasks.claim("w")
    write(database, "UPDATE task_queue SET max_attempts = 1")
    assert tasks.fail(task, "x") == "dead_letter"
    assert row(database, task.id, "attempts, max_attempts") == (1, 1)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "5", None])
def test_heartbeat_with_a_bad_lease_leaves_the_lease_as_it_was(database, tasks, seconds):
    """A wrong length gets our error, and the task is held as long as before."""
    tasks.enqueue("t", 1)
    task = tasks.claim("w", lease_seconds=10)
    with pytest.raises(InvalidArgumentError):
        tasks.heartbeat(task, lease_seconds=seconds)
    assert row(database, task.id, "lease_until_utc") == (to_text(NOW_MS + 10_000),)


@pytest.mark.parametrize("seconds", [-1, float("nan"), "5", None])
def test_fail_with_a_bad_time_leaves_the_task_held(tasks, seconds):
    """A wrong retry time gets our error, and the holder still holds the task."""
    tasks.enqueue("t", 1)
    task = tasks.claim("w")
    with pytest.raises(InvalidArgumentError):
        tasks.fail(task, "x", retry_after_seconds=seconds)
    tasks.complete(task)


def test_file_without_the_log_table_fails_tasks_all_the_same(tmp_path):
    """History is left out where a file has no table for it."""
    path = tmp_path / "queue.db"
    QueueDatabase(path, create=True).close()
    with contextlib.closing(sqlite3.connect(path)) as field:
        field.execute("DROP TABLE task_logs")
    with QueueDatabase(path) as database:
        tasks = TaskQueue(database)
        tasks.enqueue("t", 1, max_attempts=1)
        assert tasks.fail(tasks.claim("w"), "x") == "dead_letter"


def test_lock_that_is_not_had_in_time_changes_nothing(queue_path, spawn):
    """Every operation refused by a rival's lock says so, and works once that is gone."""
    with QueueDatabase(queue_path, busy_timeout_ms=0) as database:
        tasks = TaskQueue(database)
        tasks.enqueue("t", 1)
        tasks.enqueue("t", 2)
        task = tasks.claim("w")
        holder = spawn(
            "import sqlite3\n"
            "c = sqlite3.connect(argv[0], isolation_level=None)\n"
            "c.execute('BEGIN IMMEDIATE'); say('held'); wait(); c.close()\n",
            queue_path,
        )
        assert holder.hear() == "held"
        for use in (
            lambda: tasks.enqueue("t", 3),
            lambda: tasks.claim("w"),
            lambda: tasks.heartbeat(task),
            lambda: tasks.complete(task),
            lambda: tasks.fail(task, "x"),
        ):
            with pytest.raises(DatabaseBusyError):
                use()
        holder.release()
        assert holder.finish() == 0
        tasks.complete(task)
        assert tasks.claim("w").payload == 2
        assert tasks.claim("w") is None


def test_read_only_queue_refuses_to_change(queue_path):
    """A queue opened read-only takes nothing and gives nothing out."""
    with QueueDatabase(queue_path, read_only=True) as database:
        with pytest.raises(ReadOnlyDatabaseError):
            TaskQueue(database).enqueue("t", 1)
        with pytest.raises(ReadOnlyDatabaseError):
            TaskQueue(database).claim("w")


@pytest.mark.parametrize("done", [False, True])
def test_commit_that_fails_is_unknown_and_a_key_makes_the_second_try_harmless(database, done):
    """A failed COMMIT is neither done nor undone to the caller; the key settles it."""
    struck = []

    def strike(_uri, connection, sql):
        if sql == "COMMIT" and not struck:
            struck.append(sql)
            connection.execute("COMMIT" if done else "ROLLBACK")
            raise sqlite3.OperationalError("disk I/O error")

    with QueueDatabase(database.path, connect=Door(strike)) as behind:
        tasks = TaskQueue(behind)
        with pytest.raises(CommitUnknownError):
            tasks.enqueue("t", 1, idempotency_key="k")
        assert database.connection().execute("SELECT count(*) FROM task_queue").fetchall() == [
            (int(done),)
        ]
        first = tasks.enqueue("t", 1, idempotency_key="k")
        assert tasks.enqueue("t", 1, idempotency_key="k") == first


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 3), ("normal", 1)])
def test_durability_is_that_of_the_queue_and_claims_are_normal(database, durability, synchronous):
    """Enqueue and complete commit with the queue's durability, claims without a sync."""
    tasks = TaskQueue(database, durability=durability)
    tasks.enqueue("t", 1)
    assert database.connection().execute("PRAGMA synchronous").fetchall() == [(synchronous,)]
    task = tasks.claim("w")
    assert database.connection().execute("PRAGMA synchronous").fetchall() == [(1,)]
    tasks.complete(task)
    assert database.connection().execute("PRAGMA synchronous").fetchall() == [(synchronous,)]


def test_unknown_durability_is_refused(database):
    """A word that is no durability gets our error."""
    with pytest.raises(InvalidArgumentError):
        TaskQueue(database, durability="off")
