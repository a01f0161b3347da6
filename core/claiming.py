"""Claiming: the first task by priority and id that is due becomes the worker's.

SQL leaves out what cannot be due (cheaply, in index order); what it lets through is parsed, since
times in the field come in formats whose text order is not their time order. Nothing that is not
due, or whose time cannot be read, stands in the way of what lies behind it.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from . import payloads
from .connection import Connection, Cursor
from .leases import shown
from .schema import WAITING_INDEX
from .task import LAST_MOMENT_MS, Task
from .timestamps import CANONICAL_GLOB, parse, to_text

_FIRST_LOOK = 50
_DAY_MS = 86_400_000

# Text in the core's own format is compared as text. Any other format may be due although its text
# is greater ('T' and 'Z' sort after ' ' and '.'), but not if its date lies two days ahead: an
# offset moves a time by less than a day. Numbers sort before all text.
_CANONICAL = (
    f"(run_after_utc GLOB '{CANONICAL_GLOB}' OR (run_after_utc GLOB '{CANONICAL_GLOB}.[0-9]*' "
    "AND run_after_utc NOT GLOB '*[^-0-9 :.]*'))"
)
_MAYBE_DUE = f"(run_after_utc <= :now OR (run_after_utc < :horizon AND NOT {_CANONICAL}))"
_WAITING = "status = 'queued' AND attempts < max_attempts"
_OF_TYPE = "AND type IN (SELECT value FROM json_each(:types))"
_ORDER = "priority, id"

_TAKE = """UPDATE task_queue SET status = 'leased', locked_by = :worker,
    reserved_at_utc = :reserved, lease_until_utc = :lease, processing_started_utc = :now,
    updated_at_utc = :now
    WHERE id = :id AND status = 'queued'
    RETURNING id, CAST(type AS BLOB), priority, CAST(payload AS BLOB), attempts, max_attempts,
    CAST(reserved_at_utc AS BLOB)"""


@dataclass(frozen=True)
class Claim:
    """What a worker asks for.

    Attributes:
        worker: who claims.
        now_ms: now, UTC milliseconds.
        lease_until_ms: when the lease will end.
        types: only tasks of these types; None for all.
    """

    worker: str
    now_ms: int
    lease_until_ms: int
    types: Sequence[str] | None

    def run(self, connection: Connection, *, indexed: bool) -> Task | None:
        """Return the task, claimed in the caller's transaction, or None where none is due."""
        for task_id, last_touched in Candidates(
            connection, self.now_ms, self.types, indexed=indexed
        ):
            row = self._take(connection, task_id, last_touched)
            if row is not None:
                return self._task(row)
        return None

    def _take(
        self, connection: Connection, task_id: int, last_touched: tuple[str | None, str | None]
    ) -> tuple[Any, ...] | None:
        """Return the claimed row, or None where this SQLite cannot write to the row."""
        values = {
            "id": task_id,
            "worker": self.worker,
            "now": to_text(self.now_ms),
            "reserved": to_text(_reservation_ms(self.now_ms, *last_touched)),
            "lease": to_text(self.lease_until_ms),
        }
        try:
            # Read to the end: a RETURNING that is not keeps its statement open over the COMMIT.
            rows = connection.execute(_TAKE, values).fetchall()
        except sqlite3.OperationalError as error:
            # JSON5, which SQLite 3.42 and later let in, breaks the generated columns of an older
            # one: every write to such a row fails.
            if "malformed JSON" not in str(error):
                raise
            return None
        assert len(rows) == 1, "the transaction holds the writer lock"
        return tuple(rows[0])

    def _task(self, row: tuple[Any, ...]) -> Task:
        task_id, kind, priority, stored, attempts, max_attempts, reserved_at = row
        payload, is_json = payloads.decode(stored)
        return Task(
            id=task_id,
            type=shown(kind) or "",
            priority=priority,
            payload=payload,
            attempts=attempts,
            max_attempts=max_attempts,
            worker=self.worker,
            reserved_at=shown(reserved_at) or "",
            lease_until_ms=self.lease_until_ms,
            payload_is_json=is_json,
        )


def _reservation_ms(now_ms: int, reserved_at: str | None, updated_at: str | None) -> int:
    """Return the moment to write into the token: after that of the task's last claim.

    A clock that runs backwards, or two claims in one millisecond, would else make the token of an
    earlier holder once more wherever the task was requeued without counting an attempt. Where that
    has wiped the last claim's moment too, as a restore does, the last change is no earlier.
    """
    reserved_ms, updated_ms = parse(reserved_at), parse(updated_at)
    floors = (
        now_ms,
        now_ms if reserved_ms is None else reserved_ms + 1,
        now_ms if updated_ms is None else updated_ms,
    )
    return max(floor for floor in floors if floor <= max(now_ms, LAST_MOMENT_MS))


class Candidates:
    """The tasks that may be claimed now, in order; read inside the caller's transaction.

    Args:
        connection: to the queue.
        now_ms: now, UTC milliseconds.
        types: only tasks of these types; None for all.
        indexed: whether the file has the partial index of waiting tasks.
    """

    def __init__(
        self, connection: Connection, now_ms: int, types: Sequence[str] | None, *, indexed: bool
    ) -> None:
        self._connection = connection
        self._now_ms = now_ms
        self._indexed = indexed
        self._values: dict[str, object] = {
            "now": to_text(now_ms),
            "horizon": to_text(now_ms + 2 * _DAY_MS)[:10],
            "types": None if types is None else json.dumps(list(types)),
        }

    def __iter__(self) -> Iterator[tuple[int, tuple[str | None, str | None]]]:
        """Yield each task that is due, with its ``reserved_at_utc`` and ``updated_at_utc``."""
        passed = 0
        while (found := self._next_due(passed)) is not None:
            passed, row = found
            yield row[0], (shown(row[2]), shown(row[3]))

    def _next_due(self, passed: int) -> tuple[int, tuple[Any, ...]] | None:
        """Return the first row that is due behind those passed, and how many are passed then."""
        # Without the index all that wait are sorted; a limit keeps that to the first few.
        for limit in (_FIRST_LOOK, -1):
            seen = 0
            # Read no further than needed, and closed before anything is written.
            with contextlib.closing(self._look(limit, passed)) as rows:
                for row in rows:
                    seen += 1
                    due_ms = parse(shown(row[1]))
                    if due_ms is not None and due_ms <= self._now_ms:
                        return passed + seen, tuple(row)
            passed += seen
            if seen < _FIRST_LOOK:
                return None
        return None

    def _look(self, limit: int, offset: int) -> Cursor:
        sql = (
            "SELECT id, CAST(run_after_utc AS BLOB), CAST(reserved_at_utc AS BLOB), "
            "CAST(updated_at_utc AS BLOB) FROM task_queue "
            f"{f'INDEXED BY {WAITING_INDEX}' if self._indexed else ''} "
            f"WHERE {_WAITING} AND {_MAYBE_DUE} "
            f"{'' if self._values['types'] is None else _OF_TYPE} "
            f"ORDER BY {_ORDER} LIMIT :limit OFFSET :offset"
        )
        return self._connection.execute(sql, {**self._values, "limit": limit, "offset": offset})


def is_missing_index(error: sqlite3.Error) -> bool:
    """Return whether the partial index has gone, as it may when a field file was restored."""
    return f"no such index: {WAITING_INDEX}" in str(error)
