"""``TaskQueue``: enqueue, claim, heartbeat, complete, fail, with leases and fencing."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, get_args

from . import payloads
from .arguments import check_integer, check_seconds, check_text
from .attempts import Ending, Outcome, end_attempt
from .claiming import Claim, is_missing_index
from .connection import Connection
from .database import Durability, QueueDatabase
from .errors import InvalidArgumentError, InvalidPayloadError, LeaseLostError
from .leases import HELD_SQL, Token, shown
from .task import LAST_MOMENT_MS, Task
from .timestamps import from_datetime, to_text

LEASE_SECONDS = 60.0
PRIORITY = 100
MAX_ATTEMPTS = 5


class TaskQueue:
    """The tasks of a queue, delivered at least once.

    Args:
        database: the queue, opened for writing.
        durability: of enqueue, complete and fail. "full": what they acknowledge survives a power
            cut. "normal": a power cut may undo the last of what was acknowledged, all together
            and without damage; a killed process loses nothing
            (https://www.sqlite.org/pragma.html#pragma_synchronous). Claims and heartbeats are
            always "normal": one undone lets the task run once more, as a lost lease does.

    Raises:
        InvalidArgumentError: there is no such durability.
    """

    def __init__(self, database: QueueDatabase, *, durability: Durability = "full") -> None:
        if durability not in get_args(Durability):
            raise InvalidArgumentError(
                what="durability", value=durability, cure='Give "full" or "normal".'
            )
        self.database = database
        self.durability: Durability = durability
        self._indexed = database.layout.has_waiting_index

    # -- putting in ------------------------------------------------------------------------

    def enqueue(
        self,
        type: str,  # noqa: A002 - the field's name of the column
        payload: object,
        *,
        priority: int = PRIORITY,
        run_after: datetime | int | None = None,
        max_attempts: int = MAX_ATTEMPTS,
        idempotency_key: str | None = None,
        compatibility: dict[str, Any] | None = None,
    ) -> int:
        """Leave a committed task in the queue; return its id.

        Args:
            type: what kind of work it is.
            payload: any JSON value.
            priority: lower runs first.
            run_after: not before this: a datetime (UTC if it has no zone) or UTC milliseconds.
            max_attempts: after so many attempts that failed it is moved to ``dead_letter``.
            idempotency_key: if a task with this key is in the file, whatever its status, that one
                is left as it is and its id returned.
            compatibility: what a worker must offer, a JSON object.

        Raises:
            InvalidArgumentError: an argument makes no sense; nothing was done.
            InvalidPayloadError: the payload is not JSON; nothing was done.
            DatabaseBusyError: the writer lock was not had in time; nothing was done.
            DiskFullError: there is no space; nothing was done.
            CommitUnknownError: it may be there or not; an idempotency key tells.

        Locks: writer, for a moment.
        On a live queue: safe.
        """
        check_text("type", type)
        check_integer("priority", priority)
        check_integer("max_attempts", max_attempts, least=1)
        if idempotency_key is not None:
            check_text("idempotency_key", idempotency_key)
        now_ms = self.database.clock.now_ms()
        row = {
            "type": type,
            "payload": payloads.encode(payload),
            "compatibility": _encode_compatibility(compatibility),
            "priority": priority,
            "max_attempts": max_attempts,
            "run_after_utc": to_text(now_ms if run_after is None else _moment_ms(run_after)),
            "idempotency_key": idempotency_key,
            "created_at_utc": to_text(now_ms),
            "updated_at_utc": to_text(now_ms),
        }
        try:
            with self.database.transaction(self.durability) as connection:
                return _insert(connection, row, now_ms)
        except sqlite3.DataError as error:
            raise InvalidPayloadError(detail=f"{error}: SQLite cannot hold it") from error

    # -- working ---------------------------------------------------------------------------

    def claim(
        self,
        worker_id: str,
        *,
        lease_seconds: float = LEASE_SECONDS,
        types: Sequence[str] | None = None,
    ) -> Task | None:
        """Return the first task that is due, now held by the worker; None where there is none.

        The order is priority (lower first), then id. Tasks that are not due, whose time cannot be
        read, or that have no attempt left are passed over. No attempt is counted: ``fail`` and the
        reclaiming of a dead holder's task do that.

        Args:
            worker_id: who claims.
            lease_seconds: how long others leave the task alone unless a heartbeat comes.
            types: claim only these types; None for all.

        Raises:
            InvalidArgumentError: an argument makes no sense; nothing was done.
            DatabaseBusyError: the writer lock was not had in time; nothing was done.
            CommitUnknownError: the task may be held now; its lease will run out.

        Locks: writer, for a moment: search and claim share one BEGIN IMMEDIATE.
        On a live queue: safe.
        """
        check_text("worker_id", worker_id)
        check_seconds("lease_seconds", lease_seconds, above_zero=True)
        _check_types(types)
        with self.database.transaction("normal") as connection:
            # Taken after the wait for the lock, so that no time of the lease is lost to it.
            now_ms = self.database.clock.now_ms()
            claim = Claim(worker_id, now_ms, now_ms + round(lease_seconds * 1000), types)
            try:
                return claim.run(connection, indexed=self._indexed)
            except sqlite3.OperationalError as error:
                if not is_missing_index(error):
                    raise
                self._indexed = False
            return claim.run(connection, indexed=False)

    def heartbeat(self, task: Task, *, lease_seconds: float = LEASE_SECONDS) -> Task:
        """Return the task with its lease running from now on.

        Args:
            task: a claimed task.
            lease_seconds: length of the new lease.

        Raises:
            LeaseLostError: somebody else has it, or it is finished.
            InvalidArgumentError: the lease makes no sense.
            DatabaseBusyError: the writer lock was not had in time; nothing was done.
            CommitUnknownError: the lease may be extended or not.

        Locks: writer, for a moment.
        On a live queue: safe.
        """
        check_seconds("lease_seconds", lease_seconds, above_zero=True)
        with self.database.transaction("normal") as connection:
            now_ms = self.database.clock.now_ms()
            lease_until_ms = now_ms + round(lease_seconds * 1000)
            values = {"lease": to_text(lease_until_ms)}
            _update_held(connection, task, "lease_until_utc = :lease", values, now_ms)
        return replace(task, lease_until_ms=lease_until_ms)

    def complete(self, task: Task) -> None:
        """Leave the task ``completed``.

        Args:
            task: a claimed task.

        Raises:
            LeaseLostError: somebody else has it, or it is finished already.
            DatabaseBusyError: the writer lock was not had in time; the task is still held.
            CommitUnknownError: it may be completed or still held; doing it again tells.

        Locks: writer, for a moment.
        On a live queue: safe.
        """
        with self.database.transaction(self.durability) as connection:
            now_ms = self.database.clock.now_ms()
            changes = (
                "status = 'completed', finished_at_utc = :now, lease_until_utc = NULL, "
                "error_message = NULL"
            )
            _update_held(connection, task, changes, {}, now_ms)

    def fail(self, task: Task, error: object, *, retry_after_seconds: float = 0.0) -> Outcome:
        """Count the attempt; return "queued", or "dead_letter" where it was the last one.

        Args:
            task: a claimed task.
            error: what went wrong, text or an exception; kept with the task and its history.
            retry_after_seconds: how long it may not be claimed again.

        Raises:
            LeaseLostError: somebody else has it, or it is finished already.
            InvalidArgumentError: the time makes no sense.
            DatabaseBusyError: the writer lock was not had in time; the task is still held.
            CommitUnknownError: the attempt may be counted or not.

        Locks: writer, for a moment.
        On a live queue: safe.
        """
        check_seconds("retry_after_seconds", retry_after_seconds)
        with self.database.transaction(self.durability) as connection:
            now_ms = self.database.clock.now_ms()
            ending = Ending(
                level="WARNING",
                message=f"attempt of {task.worker} failed",
                error=_said(error),
                run_after_ms=now_ms + round(retry_after_seconds * 1000),
            )
            layout = self.database.layout
            outcome = end_attempt(connection, layout, task.stored_token, ending, now_ms)
            if outcome is None:
                raise _lease_lost(connection, task)
        return outcome


# -- inside ----------------------------------------------------------------------------------


def _insert(connection: Connection, row: dict[str, object], now_ms: int) -> int:
    known = _touch_known(connection, row["idempotency_key"], now_ms)
    if known is not None:
        return known
    columns = ", ".join(row)
    marks = ", ".join(f":{name}" for name in row)
    inserted = connection.execute(
        f"INSERT INTO task_queue ({columns}) VALUES ({marks}) RETURNING id", row
    ).fetchall()
    return int(inserted[0][0])


def _touch_known(connection: Connection, key: object, now_ms: int) -> int | None:
    """Return the id of the task with this key, and write to it.

    It may have been put in without a sync; only a commit that writes something makes this
    acknowledgement survive a power cut, and a value that stays the same writes nothing.
    """
    if key is None:
        return None
    rows = connection.execute(
        "SELECT id, CAST(updated_at_utc AS BLOB) FROM task_queue WHERE idempotency_key = ?", (key,)
    ).fetchall()
    if not rows:
        return None
    task_id, updated_at = rows[0]
    touched = to_text(now_ms) if shown(updated_at) != to_text(now_ms) else to_text(now_ms + 1)
    connection.execute(
        "UPDATE task_queue SET updated_at_utc = ? WHERE id = ?", (touched, task_id)
    ).close()
    return int(task_id)


def _update_held(
    connection: Connection, task: Task, changes: str, values: Mapping[str, object], now_ms: int
) -> None:
    cursor = connection.execute(
        f"UPDATE task_queue SET {changes}, updated_at_utc = :now WHERE {Token.SQL}",
        {**values, "now": to_text(now_ms), **task.stored_token.parameters()},
    )
    changed = cursor.rowcount
    cursor.close()
    if changed != 1:
        raise _lease_lost(connection, task)


def _lease_lost(connection: Connection, task: Task) -> LeaseLostError:
    rows = connection.execute(
        f"SELECT CAST(status AS BLOB), CASE WHEN {HELD_SQL} THEN CAST(locked_by AS BLOB) END "
        "FROM task_queue WHERE id = ?",
        (task.id,),
    ).fetchall()
    status, holder = rows[0] if rows else (b"no longer in the queue", None)
    return LeaseLostError(
        worker=task.worker, task_id=task.id, status=shown(status), holder=shown(holder)
    )


def _moment_ms(run_after: datetime | int) -> int:
    cure = "Give a datetime, or UTC milliseconds since 1970 before the year 9999."
    try:
        moment_ms = from_datetime(run_after) if isinstance(run_after, datetime) else run_after
    except OverflowError as error:
        raise InvalidArgumentError(what="run_after", value=run_after, cure=cure) from error
    whole = isinstance(moment_ms, int) and not isinstance(moment_ms, bool)
    if not whole or not 0 <= moment_ms <= LAST_MOMENT_MS:
        raise InvalidArgumentError(what="run_after", value=run_after, cure=cure)
    return moment_ms


def _check_types(types: Sequence[str] | None) -> None:
    if types is None:
        return
    if isinstance(types, str) or not types:
        raise InvalidArgumentError(
            what="types", value=types, cure="Give a list of at least one type, or None for all."
        )
    for kind in types:
        check_text("types", kind)


def _encode_compatibility(compatibility: dict[str, Any] | None) -> str:
    if compatibility is not None and not isinstance(compatibility, dict):
        raise InvalidArgumentError(
            what="compatibility", value=compatibility, cure="Give a JSON object (a dict)."
        )
    return payloads.encode(compatibility or {})


def _said(error: object) -> str:
    if isinstance(error, BaseException):
        return f"{type(error).__name__}: {error}"
    return str(error)


__all__ = ["Outcome", "Task", "TaskQueue"]
