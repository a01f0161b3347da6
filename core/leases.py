"""Leases: which tasks are held, by whom, and which of them have outlived their lease.

One rule serves health and clean-up alike: a lease is stale when ``lease_until + timeout < now``.
Times are parsed in every format of the field, never compared as text.
"""

from dataclasses import dataclass, field
from typing import Any

from .connection import Connection
from .schema import HELD
from .timestamps import parse

HELD_SQL = "status IN ({})".format(", ".join(f"'{status}'" for status in HELD))
"""SQL condition of tasks that are held, under either name."""

# Bytes come back as they are, also where another client has written what is no UTF-8.
_SELECT_HELD = f"""SELECT id, CAST(status AS BLOB), CAST(locked_by AS BLOB), attempts, max_attempts,
    CAST(lease_until_utc AS BLOB), CAST(reserved_at_utc AS BLOB)
    FROM task_queue WHERE {HELD_SQL}"""


@dataclass(frozen=True)
class Token:
    """What fences a holder off once its lease was taken away: compared byte for byte.

    Programs in the field count no attempt at the claim, so the moment of the claim is part of it.

    Attributes:
        task_id: the task.
        worker: its ``locked_by``, as stored.
        reserved_at: its ``reserved_at_utc``, as stored.
        attempts: its attempts so far.
    """

    task_id: int
    worker: bytes | None
    reserved_at: bytes | None
    attempts: int

    SQL = f"""id = :task_id AND {HELD_SQL} AND attempts IS :attempts
        AND CAST(locked_by AS BLOB) IS :worker AND CAST(reserved_at_utc AS BLOB) IS :reserved_at"""

    def parameters(self) -> dict[str, object]:
        """Return what the SQL condition of the token binds."""
        return {
            "task_id": self.task_id,
            "worker": self.worker,
            "reserved_at": self.reserved_at,
            "attempts": self.attempts,
        }


@dataclass(frozen=True)
class HeldTask:
    """A task that somebody has claimed and not finished.

    Attributes:
        id: the task.
        status: ``leased`` or ``processing``.
        worker: who holds it, or None where nobody is named.
        attempts: attempts counted so far.
        max_attempts: attempts it has.
        lease_until: the lease's end as stored, or None.
        lease_until_ms: the same in UTC milliseconds, or None if it cannot be read.
        token: what tells this hold from the next.
        lease_bytes: ``lease_until`` byte for byte.
    """

    id: int
    status: str
    worker: str | None
    attempts: int
    max_attempts: int
    lease_until: str | None
    lease_until_ms: int | None
    token: Token = field(repr=False)
    lease_bytes: bytes | None = field(repr=False)


@dataclass(frozen=True)
class StaleLeases:
    """All held tasks, sorted by what their leases say.

    Attributes:
        stale: the lease ran out longer ago than the timeout.
        live: it has not.
        unreadable: there is none, or its time is in no known format; it would never run out.
    """

    stale: tuple[HeldTask, ...]
    live: tuple[HeldTask, ...]
    unreadable: tuple[HeldTask, ...]


def stale_leases(connection: Connection, now_ms: int, timeout_seconds: float) -> StaleLeases:
    """Return all held tasks, sorted by what their leases say now.

    Args:
        connection: to the queue.
        now_ms: the judge's time, UTC milliseconds.
        timeout_seconds: grace after the end of a lease.

    Locks: shared, for a moment.
    On a live queue: safe.
    """
    limit_ms = now_ms - timeout_seconds * 1000
    stale, live, unreadable = [], [], []
    for task in read_held(connection):
        if task.lease_until_ms is None:
            unreadable.append(task)
        elif task.lease_until_ms < limit_ms:
            stale.append(task)
        else:
            live.append(task)
    return StaleLeases(tuple(stale), tuple(live), tuple(unreadable))


def read_held(connection: Connection, task_id: int | None = None) -> list[HeldTask]:
    """Return the held tasks in order of their ids, or the one with this id if it is held."""
    if task_id is None:
        rows = connection.execute(f"{_SELECT_HELD} ORDER BY id").fetchall()
    else:
        rows = connection.execute(f"{_SELECT_HELD} AND id = ?", (task_id,)).fetchall()
    return [_held_task(row) for row in rows]


def shown(stored: bytes | None) -> str | None:
    """Return a column's bytes as text for people and parsers; what is no UTF-8 is replaced."""
    return None if stored is None else stored.decode("utf-8", "replace")


def _held_task(row: tuple[Any, ...]) -> HeldTask:
    task_id, status, worker, attempts, max_attempts, lease, reserved_at = row
    return HeldTask(
        id=task_id,
        status=shown(status) or "",
        worker=shown(worker),
        attempts=attempts,
        max_attempts=max_attempts,
        lease_until=shown(lease),
        lease_until_ms=parse(shown(lease)),
        token=Token(task_id, worker, reserved_at, attempts),
        lease_bytes=lease,
    )


def release_every_lease(connection: Connection, *, now: str, message: str, logged: bool) -> int:
    """Queue every held task again, in a copy that no holder will ever come back to.

    The caller holds the transaction. No attempt is counted, since it was not the task that ended.

    Args:
        connection: to the copy.
        now: the moment, as the core writes it.
        message: of the log row that each gets.
        logged: whether there is a table for log rows.

    Returns:
        How many were held.
    """
    if logged:
        connection.execute(
            f"INSERT INTO task_logs (task_id, at_utc, level, message, details) "
            f"SELECT id, ?, 'WARNING', ?, locked_by FROM task_queue WHERE {HELD_SQL}",
            (now, message),
        )
    cursor = connection.execute(
        f"UPDATE task_queue SET status = 'queued', locked_by = NULL, lease_until_utc = NULL, "
        f"reserved_at_utc = NULL, processing_started_utc = NULL, updated_at_utc = ? "
        f"WHERE {HELD_SQL}",
        (now,),
    )
    return int(cursor.rowcount)
