"""A claimed task, and the token that fences off whoever lost it."""

from dataclasses import dataclass, field
from typing import Any

from .leases import Token

LAST_MOMENT_MS = 253_370_764_800_000
"""The year 9999 begins: times from here on are not written."""


@dataclass(frozen=True)
class Task:
    """A task as its holder got it.

    Attributes:
        id: the task.
        type: what kind of work it is.
        priority: lower runs first.
        payload: the decoded JSON value; as it is in the file where ``payload_is_json`` is false.
        attempts: attempts that ended before this one.
        max_attempts: attempts it has.
        worker: who holds it.
        reserved_at: when it was claimed, as stored; part of the fencing token.
        lease_until_ms: when the lease ends, UTC milliseconds.
        payload_is_json: false where another client has written something else.
    """

    id: int
    type: str
    priority: int
    payload: Any = field(hash=False)
    attempts: int
    max_attempts: int
    worker: str
    reserved_at: str
    lease_until_ms: int
    payload_is_json: bool = True

    @property
    def token(self) -> tuple[str, str, int]:
        """The fencing token: ``(locked_by, reserved_at_utc, attempts)``."""
        return self.worker, self.reserved_at, self.attempts

    @property
    def stored_token(self) -> Token:
        """The same as the file holds it."""
        return Token(self.id, self.worker.encode(), self.reserved_at.encode(), self.attempts)
