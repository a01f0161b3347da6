"""What goes over the pipes of a driver: one JSON object a line, UTF-8, answered by its id.

``docs/drivers.md`` is the specification, ``operations.py`` its table of operations.
A request is ``{"id": 1, "op": "claim", ...}``. Its answer is ``{"id": 1, "ok": true, ...}``, or
``{"id": 1, "ok": false, "error": {"code": ..., "message": ..., "outcome": ...}}`` with outcome
``failed`` where the operation was surely not done, else ``unknown``.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from reports.text import printable

VERSION = 1
LINE_BYTES = 64 * 2**20
"""A longer line is none of the protocol's; a snapshot of some 300,000 tasks fits into one."""
NESTED_LEVELS = 100
"""Deeper JSON is none of the protocol's: whoever walks through it would run out of stack."""
START_CHARACTERS = 200
"""So much of a line that is wrong is shown."""

Message = dict[str, Any]


class ErrorCode(StrEnum):
    """Why a driver did not do what was asked."""

    LEASE_LOST = "lease-lost"
    BUSY = "busy"
    INVALID = "invalid"
    UNSUPPORTED = "unsupported"
    COMMIT_UNKNOWN = "commit-unknown"
    ERROR = "error"


class ProtocolError(Exception):
    """A line is no message of the protocol."""


@dataclass(frozen=True)
class Capabilities:
    """What a driver's queue can do and promises; checkers judge it by this and nothing else.

    Attributes:
        leases: a task whose holder died comes back after its lease.
        fencing: a holder whose lease was taken away is refused.
        priorities: a lower priority number runs first.
        delays: a task can be due later.
        order: tasks of one priority run in the order in which they were acknowledged.
        keys: a second enqueue with the same key puts nothing in.
        retries: a failed task runs again, up to its limit of attempts.
        delivery: "at-least-once" or "at-most-once".
        durability: "full" survives a power cut, "normal" a crash of the process.
        maintenance: the operations of maintenance that it has.
    """

    leases: bool = False
    fencing: bool = False
    priorities: bool = False
    delays: bool = False
    order: bool = False
    keys: bool = False
    retries: bool = False
    delivery: str = "at-least-once"
    durability: str = "normal"
    maintenance: tuple[str, ...] = ()

    @classmethod
    def from_hello(cls, answer: Mapping[str, Any]) -> "Capabilities":
        """Return what an answer to ``hello`` declares; what it leaves out is not promised.

        Args:
            answer: of the form that the protocol asks for.
        """
        declared = answer["capabilities"]
        known = {name: declared[name] for name in cls.__dataclass_fields__ if name in declared}
        return cls(**{**known, "maintenance": tuple(known.get("maintenance", ()))})

    def has(self, need: str) -> bool:
        """Return whether a capability, an operation of maintenance, or a delivery is declared."""
        declared = (self.delivery, *self.maintenance)
        return need in declared or getattr(self, need, False) is True


def to_line(message: Mapping[str, Any]) -> bytes:
    """Return the message as one line, ASCII with escapes, which is UTF-8 too."""
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


def from_line(line: bytes) -> Message:
    """Return the message of a line.

    Raises:
        ProtocolError: it is not one JSON object in UTF-8.
    """
    try:
        text = line.decode("utf-8")
        message = json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"it is no JSON object in UTF-8 ({error})") from error
    if not isinstance(message, dict):
        raise ProtocolError("it is JSON, but no object")
    # Most lines have fewer brackets than that, and are not walked through.
    if line.count(b"[") + line.count(b"{") > NESTED_LEVELS and _is_deeper(message):
        raise ProtocolError(f"it is nested more than {NESTED_LEVELS} levels deep")
    return message


def _no_number(word: str) -> float:
    # Python reads NaN and Infinity; JSON has neither.
    raise ValueError(f"{word} is no JSON")


def _finite(digits: str) -> float:
    # Python reads 1e999 as infinity, and would write that down again.
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits[:20]} is too large")
    return number


def _is_deeper(message: Message) -> bool:
    level: list[Any] = [message]
    for _ in range(NESTED_LEVELS):
        level = [each for holder in level for each in _inside(holder) if isinstance(each, _HOLDERS)]
        if not level:
            return False
    return True


_HOLDERS = (dict, list)


def _inside(holder: Any) -> Iterable[Any]:  # noqa: ANN401 - JSON
    return holder.values() if isinstance(holder, dict) else holder


def start_of(line: bytes) -> str:
    """Return the start of a line as it can be shown."""
    text = line[:START_CHARACTERS].decode("utf-8", "backslashreplace").rstrip("\r\n")
    return printable(text) + ("..." if len(line) > START_CHARACTERS else "")


def refusal(request_id: object, code: ErrorCode, message: str, *, unknown: bool = False) -> Message:
    """Return the answer that says why the operation was not done.

    Args:
        request_id: id of the request.
        code: the reason, for programs.
        message: the reason, for people.
        unknown: whether the operation may have been done all the same.
    """
    outcome = "unknown" if unknown else "failed"
    error = {"code": code.value, "message": message, "outcome": outcome}
    return {"id": request_id, "ok": False, "error": error}
