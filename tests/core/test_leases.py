"""Leases judged: stale, live, or unreadable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import ManualClock, QueueDatabase
from core.leases import read_held, stale_leases
from core.tasks import TaskQueue
from core.timestamps import to_text

NOW_MS = 1_795_492_800_000  # 2026-11-24 04:00:00 UTC


@pytest.fixture
def database(tmp_path):
    """Return a new queue whose clock stands still."""
    with QueueDatabase(tmp_path / "queue.db", create=True, clock=ManualClock(NOW_MS)) as database:
        yield database


def hold(database, lease_until, status="leased"):
    """Put in a task that is held with this lease, as another program writes it."""
    with database.transaction("normal") as connection:
        connection.execute(
            "INSERT INTO task_queue (type, payload, status, locked_by, lease_until_utc) "
            "VALUES ('t', '{}', ?, 'w', ?)",
            (status, lease_until),
        ).close()


@pytest.mark.parametrize("status", ["leased", "processing"])
@pytest.mark.parametrize(
    ("lease_until", "told"),
    [
        ("2026-11-24 03:54:59", "stale"),
        ("2026-11-24 03:54:59.999", "stale"),
        ("2026-11-24 03:55:00", "live"),
        ("2026-11-24 03:55:00.000", "live"),
        ("2026-11-24T03:54:59", "stale"),
        ("2026-11-24T03:54:59Z", "stale"),
        ("2026-11-24T03:55:00Z", "live"),
        ("2026-11-24 05:54:59+02:00", "stale"),
        ("2026-11-24 05:55:00+02:00", "live"),
        ("2026-11-23T19:54:59.5-08:00", "stale"),
        (NOW_MS // 1000 - 301, "stale"),
        (NOW_MS // 1000 - 300, "live"),
        (NOW_MS - 300_001, "stale"),
        (NOW_MS - 300_000, "live"),
        ("2026-11-24 04:30:00", "live"),
        (None, "unreadable"),
        ("", "unreadable"),
        ("soon", "unreadable"),
        (12, "unreadable"),
        (b"\xff", "unreadable"),
    ],
)
def test_lease_is_judged_alike_in_every_format_and_both_held_states(
    database, status, lease_until, told
):
    """A lease is stale once it ended more than the timeout ago, however it is written."""
    hold(database, lease_until, status)
    found = stale_leases(database.connection(), NOW_MS, 300)
    sizes = {name: len(getattr(found, name)) for name in ("stale", "live", "unreadable")}
    assert sizes == {"stale": 0, "live": 0, "unreadable": 0, told: 1}
    assert [task.status for task in getattr(found, told)] == [status]


def test_only_held_tasks_are_judged(database):
    """Queued and finished tasks have no lease, whatever stands in the column."""
    for status in ("queued", "completed", "failed", "dead_letter", "LEASED", "paused"):
        hold(database, "2000-01-01 00:00:00", status)
    found = stale_leases(database.connection(), NOW_MS, 0)
    assert (found.stale, found.live, found.unreadable) == ((), (), ())


@given(st.integers(-(10**9), 10**9), st.floats(0, 10**6))
def test_stale_means_end_and_timeout_before_now(lease_offset_ms, timeout_seconds):
    """The rule holds to the millisecond for any lease and any timeout."""
    lease_ms = NOW_MS + lease_offset_ms
    held = stale_leases(OneLease(lease_ms), NOW_MS, timeout_seconds)
    assert bool(held.stale) == (lease_ms + timeout_seconds * 1000 < NOW_MS)


class OneLease:
    """A connection that knows one held task."""

    def __init__(self, lease_ms):
        self.row = (1, b"leased", b"w", 0, 5, to_text(lease_ms).encode(), b"")

    def execute(self, _sql):
        """Return itself as the cursor."""
        return self

    def fetchall(self):
        """Return the one row."""
        return [self.row]


def test_held_task_says_who_holds_it_and_how(database):
    """A held task is returned with its worker, its attempts and its lease."""
    tasks = TaskQueue(database)
    tasks.enqueue("t", 1, max_attempts=7)
    task = tasks.claim("worker é", lease_seconds=5)
    held = read_held(database.connection(), task.id)[0]
    assert (held.id, held.status, held.worker) == (task.id, "leased", "worker é")
    assert (held.attempts, held.max_attempts) == (0, 7)
    assert (held.lease_until, held.lease_until_ms) == (to_text(NOW_MS + 5000), NOW_MS + 5000)
    assert held.token == task.stored_token
    assert read_held(database.connection(), task.id + 1) == []
