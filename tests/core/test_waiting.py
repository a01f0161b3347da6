"""What the waiting tasks' times say, in SQL and in Python alike."""

import contextlib
import re
import sqlite3

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core import schema
from core.connection import scalar
from core.timestamps import compares_as_text, parse, to_text
from core.waiting import newest_change_ms, plain_sql, read_waiting

NOW_MS = 1_762_353_022_000  # 2025-11-05 14:30:22 UTC
DAY_MS = 86_400_000


@pytest.fixture
def connection():
    """Yield a queue in memory."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema.create(connection)
        yield connection


def add(connection, *, run_after=None, updated=None, status="queued", attempts=0):
    """Add a task; return its id."""
    now = to_text(NOW_MS)
    return scalar(
        connection,
        "INSERT INTO task_queue (type, payload, status, attempts, run_after_utc, updated_at_utc) "
        "VALUES ('t', '{}', ?, ?, ?, ?) RETURNING id",
        (status, attempts, now if run_after is None else run_after, updated or now),
    )


@pytest.mark.parametrize(
    "written",
    [
        "2025-11-05 12:30:22", "2025-11-05 12:30:22.000", "2025-11-05T12:30:22",
        "2025-11-05T12:30:22Z", "2025-11-05T14:30:22+02:00", (NOW_MS - 2 * 3_600_000) // 1000,
        float(NOW_MS - 2 * 3_600_000),
    ],
)  # fmt: skip
def test_longest_due_task_is_found_in_every_format(connection, written):
    """However a time is written, the task that is due for longest is found."""
    add(connection)
    add(connection, run_after=written)
    add(connection, run_after=to_text(NOW_MS + DAY_MS))

    assert read_waiting(connection, NOW_MS).oldest_due_ms == NOW_MS - 2 * 3_600_000


def test_tasks_that_can_never_run_are_told_apart_from_those_that_are_late(connection):
    """An unreadable time, a used-up task and a time in another format are three things."""
    unreadable = [add(connection, run_after=text) for text in ("soon", "2025-02-30 10:00:00", 5)]
    late = [add(connection, run_after=text) for text in ("2025-11-05T10:00:00", 1_762_353_022)]
    exhausted = add(connection, attempts=5)
    for status in ("completed", "leased"):
        add(connection, run_after="soon", status=status, attempts=9)

    waiting = read_waiting(connection, NOW_MS)

    assert waiting.unreadable == tuple(unreadable)
    assert waiting.late == tuple(late)
    assert waiting.exhausted == (exhausted,)


def test_used_up_or_future_task_is_not_waiting_to_be_taken(connection):
    """What cannot run, or not yet, does not count as due."""
    add(connection, run_after=to_text(NOW_MS - DAY_MS), attempts=5)
    add(connection, run_after=to_text(NOW_MS + 1))

    assert read_waiting(connection, NOW_MS).oldest_due_ms is None


@given(
    st.one_of(
        st.from_regex(
            re.compile(
                r"\A20\d\d-[01]\d-[0-3]\d[ T][0-2]\d:[0-6]\d:[0-6]\d(\.\d{1,10})?(Z)?\Z", re.ASCII
            )
        ),
        st.text(max_size=30),
        st.integers(0, 10**14),
    )
)
@example("2025-11-05 14:30:22.5Z")
@example("2025-11-05 14:30:22.1234567890")
@example("2025-11-05 14:30:59.9999")
@example("2025-02-30 14:30:22")
@settings(max_examples=300)
def test_sql_and_python_agree_on_what_is_plain(written):
    """What SQL takes for the plain format is what Python reads as such, but for odd days."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema.create(connection)
        try:
            add(connection, run_after=written)
        except UnicodeEncodeError:
            return
        stored = scalar(connection, "SELECT run_after_utc FROM task_queue")
        waiting = read_waiting(connection, 10**15)
        plain = scalar(connection, f"SELECT {plain_sql('run_after_utc')} FROM task_queue")

    assert bool(waiting.unreadable) == (parse(stored) is None)
    assert bool(waiting.late) == (parse(stored) is not None and not compares_as_text(stored))
    assert waiting.oldest_due_ms == parse(stored)
    assert plain or not compares_as_text(stored)


@pytest.mark.parametrize(
    ("written", "ahead_ms"),
    [
        ("2025-11-05 15:30:22", 3_600_000),
        ("2025-11-05 15:30:22.500", 3_600_500),
        ("2025-11-05T15:30:22Z", 3_600_000),
        ("2025-11-05T15:30:22+00:00", 3_600_000),
        ("2025-11-05 05:30:22-10:00", 3_600_000),
        ("2025-11-05T14:00:22Z", 0),
        ("2025-11-05T23:30:22+09:00", 0),
        (NOW_MS + 3_600_000, 3_600_000),
        (NOW_MS // 1000 - 60, 0),
        ("2025-11-05 14:30:21", 0),
        ("nonsense", 0),
    ],
)
def test_change_from_the_future_is_found_in_every_format(connection, written, ahead_ms):
    """A change ahead of the clock is found however it is written; one behind it never counts."""
    add(connection, updated="2025-11-05 10:00:00")
    add(connection, updated=written)

    assert newest_change_ms(connection, NOW_MS) - NOW_MS == ahead_ms
