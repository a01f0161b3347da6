"""How an attempt ends that did not complete its task.

It is counted, and the task goes back to the queue or, its attempts used up, to ``dead_letter``;
its history says so.
"""

import json
from dataclasses import dataclass
from typing import Literal

from .connection import Connection
from .leases import HeldTask, Token, shown
from .schema import DEAD_LETTER, QUEUED, Layout
from .timestamps import to_text

Outcome = Literal["queued", "dead_letter"]

ERROR_MOST_CHARACTERS = 65_536
_LAST = "attempts + 1 >= max_attempts"
# A task that had no attempt left when it was claimed keeps its count: it never passes the limit.
_END = f"""UPDATE task_queue SET
    attempts = CASE WHEN attempts < max_attempts THEN attempts + 1 ELSE attempts END,
    status = CASE WHEN {_LAST} THEN '{DEAD_LETTER}' ELSE '{QUEUED}' END,
    finished_at_utc = CASE WHEN {_LAST} THEN :now ELSE NULL END,
    run_after_utc = CASE WHEN {_LAST} THEN run_after_utc ELSE :run_after END,
    locked_by = CASE WHEN {_LAST} THEN locked_by ELSE NULL END,
    processing_started_utc = CASE WHEN {_LAST} THEN processing_started_utc ELSE NULL END,
    lease_until_utc = NULL,
    error_message = :error,
    updated_at_utc = :now
    WHERE {Token.SQL}"""
# reserved_at_utc stays, so that the next claim can see to it that its own differs.
_SAME_LEASE = " AND CAST(lease_until_utc AS BLOB) IS :lease"
_RETURNING = " RETURNING status, attempts, max_attempts"


@dataclass(frozen=True)
class Ending:
    """Why an attempt ended.

    Attributes:
        level: of the history row: ERROR or WARNING.
        message: what happened, for people.
        error: kept as the task's error message.
        run_after_ms: when the task may be claimed again, UTC milliseconds.
    """

    level: str
    message: str
    error: str
    run_after_ms: int


def end_attempt(
    connection: Connection,
    layout: Layout,
    token: Token,
    ending: Ending,
    now_ms: int,
    *,
    unless_extended: HeldTask | None = None,
) -> Outcome | None:
    """End the attempt if it is still the token's; return what became of the task, else None.

    Args:
        connection: inside a transaction of the caller.
        layout: what the file holds; without task_logs there is no history.
        token: whose attempt it is.
        ending: why it ended.
        now_ms: now, UTC milliseconds.
        unless_extended: the task as it was read; a heartbeat since then keeps the attempt going.
    """
    values: dict[str, object] = {
        "now": to_text(now_ms),
        "run_after": to_text(ending.run_after_ms),
        "error": storable(ending.error),
        **token.parameters(),
    }
    sql = _END
    if unless_extended is not None:
        sql += _SAME_LEASE
        values["lease"] = unless_extended.lease_bytes
    # Read to the end: a RETURNING that is not keeps its statement open, and COMMIT would fail.
    rows = connection.execute(sql + _RETURNING, values).fetchall()
    if not rows:
        return None
    outcome: Outcome = "dead_letter" if rows[0][0] == DEAD_LETTER else "queued"
    if not any(item.startswith("task_logs") for item in layout.missing):
        _write_history(connection, token, ending, now_ms, tuple(rows[0]))
    return outcome


def storable(text: str) -> str:
    """Return the text as SQLite can hold it: no NUL, no half surrogate pair, not endless."""
    whole = text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
    return whole[:ERROR_MOST_CHARACTERS]


def _write_history(
    connection: Connection,
    token: Token,
    ending: Ending,
    now_ms: int,
    result: tuple[Outcome, int, int],
) -> None:
    outcome, attempts, max_attempts = result
    details = {
        "worker": shown(token.worker),
        "attempts": attempts,
        "max_attempts": max_attempts,
        "became": outcome,
        "error": storable(ending.error),
    }
    values = (
        token.task_id,
        to_text(now_ms),
        "ERROR" if outcome == DEAD_LETTER else ending.level,
        storable(f"{ending.message}; {_SAID[outcome]}"),
        json.dumps(details, ensure_ascii=False),
    )
    connection.execute(
        "INSERT INTO task_logs (task_id, at_utc, level, message, details) VALUES (?, ?, ?, ?, ?)",
        values,
    ).close()


_SAID = {"queued": "queued again", "dead_letter": "attempts used up, moved to dead_letter"}
