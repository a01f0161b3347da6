"""What the waiting tasks' times say: which are due, which never will be, which at a wrong time.

Most times are in the plain format and are judged in SQL, by text; the rest are read one by one.
"""

from dataclasses import dataclass

from .connection import Connection, scalar
from .leases import shown
from .schema import QUEUED
from .timestamps import CANONICAL_GLOB, compares_as_text, parse, to_text

_FRACTION_FROM = 21
_LONGEST_TEXT = 29


def plain_sql(column: str) -> str:
    """Return an SQL condition that is true where the column compares as text in time order."""
    return f"""(typeof({column}) = 'text' AND ({column} GLOB '{CANONICAL_GLOB}' OR (
        {column} GLOB '{CANONICAL_GLOB}.[0-9]*' AND length({column}) <= {_LONGEST_TEXT}
        AND substr({column}, {_FRACTION_FROM}) NOT GLOB '*[^0-9]*')))"""


# A day that no month has passes the pattern; normalised by SQLite it becomes another text.
_PLAIN = f"""({plain_sql("run_after_utc")}
    AND datetime(run_after_utc, '+0 days') IS substr(run_after_utc, 1, 19))"""
_WAITING = f"FROM task_queue WHERE status = '{QUEUED}'"

# The space of the plain format sorts before the T of ISO 8601. An offset moves the moment by up
# to a day, in either direction.
_AHEAD = f"""SELECT CAST(updated_at_utc AS BLOB) FROM task_queue WHERE
    ({plain_sql("updated_at_utc")} AND updated_at_utc > :now)
    OR (NOT {plain_sql("updated_at_utc")} AND (typeof(updated_at_utc) <> 'text'
        OR replace(updated_at_utc, 'T', ' ') > :now
        OR (substr(updated_at_utc, 17) GLOB '*[+-]*' AND updated_at_utc NOT GLOB '*+00:00'
            AND replace(updated_at_utc, 'T', ' ') > :yesterday)))"""
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class WaitingTasks:
    """What was found among the tasks that wait.

    Attributes:
        oldest_due_ms: when the longest due task that can run became due, or None.
        unreadable: ids of tasks whose time is in no known format.
        late: ids of tasks whose time is known but does not compare as text.
        exhausted: ids of tasks whose attempts are used up although they wait.
    """

    oldest_due_ms: int | None
    unreadable: tuple[int, ...]
    late: tuple[int, ...]
    exhausted: tuple[int, ...]


def read_waiting(connection: Connection, now_ms: int) -> WaitingTasks:
    """Return what the waiting tasks' times say.

    Locks: shared, while they are read.
    On a live queue: safe.
    """
    plain = scalar(
        connection, f"SELECT min(run_after_utc) {_WAITING} AND attempts < max_attempts AND {_PLAIN}"
    )
    due_ms = [moment for moment in (parse(plain),) if moment is not None]
    unreadable, late = [], []
    rows = connection.execute(
        f"SELECT id, CAST(run_after_utc AS BLOB) {_WAITING} AND NOT {_PLAIN} ORDER BY id"
    )
    for task_id, stored in rows:
        moment_ms = parse(shown(stored))
        if moment_ms is None:
            unreadable.append(task_id)
            continue
        due_ms.append(moment_ms)
        if not compares_as_text(shown(stored)):
            late.append(task_id)
    oldest_ms = min((moment for moment in due_ms if moment <= now_ms), default=None)
    return WaitingTasks(oldest_ms, tuple(unreadable), tuple(late), _exhausted(connection))


def newest_change_ms(connection: Connection, now_ms: int) -> int:
    """Return the latest moment of any change of a task; now, where none lies in the future.

    Locks: shared, while all tasks are read.
    On a live queue: safe.
    """
    moments = {"now": to_text(now_ms), "yesterday": to_text(now_ms - _DAY_MS)}
    rows = connection.execute(_AHEAD, moments)
    read = (parse(shown(row[0])) for row in rows)
    return max((now_ms, *(moment for moment in read if moment is not None)))


def _exhausted(connection: Connection) -> tuple[int, ...]:
    rows = connection.execute(f"SELECT id {_WAITING} AND attempts >= max_attempts ORDER BY id")
    return tuple(row[0] for row in rows.fetchall())
