"""The operations of the driver protocol in one table: fields, units, errors and deadlines.

The client judges answers by it, drivers of ours judge requests by it, ``queuedrill driver check``
walks it, and a test compares it with ``docs/drivers.md``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.drivers.fields import Field, Kind, problem_of, shown
from harness.drivers.protocol import ErrorCode

REQUEST_DEADLINE_S = 15.0
START_DEADLINE_S = 30.0
MAINTENANCE_DEADLINE_S = 120.0

COMMON_ERRORS = (
    ErrorCode.BUSY,
    ErrorCode.INVALID,
    ErrorCode.UNSUPPORTED,
    ErrorCode.COMMIT_UNKNOWN,
    ErrorCode.ERROR,
)
HELD_ERRORS = (ErrorCode.LEASE_LOST, *COMMON_ERRORS)

OUTCOMES: Mapping[ErrorCode, tuple[str, ...]] = {
    ErrorCode.LEASE_LOST: ("failed",),
    ErrorCode.BUSY: ("failed",),
    ErrorCode.INVALID: ("failed",),
    ErrorCode.UNSUPPORTED: ("failed",),
    ErrorCode.COMMIT_UNKNOWN: ("unknown",),
    ErrorCode.ERROR: ("failed", "unknown"),
}
"""What each error may say of the operation: surely not done, or nobody knows."""

STATUSES = (
    "queued",
    "leased",
    "processing",
    "completed",
    "failed",
    "dead_letter",
    "cancelled",
)
CHECKPOINT_MODES = ("PASSIVE", "FULL", "RESTART", "TRUNCATE")
MAINTENANCE = ("backup", "verify", "restore", "checkpoint", "vacuum", "analyze", "integrity")


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation.

    Attributes:
        name: as in the field ``op``.
        meaning: what is true once it is acknowledged.
        request: its fields beside ``id`` and ``op``.
        answer: its fields beside ``id`` and ``ok``.
        errors: with which it may be refused.
        needs: what has to be declared at hello for it to be asked, or nothing.
        deadline_s: without an answer in that time its outcome is unknown.
    """

    name: str
    meaning: str
    request: tuple[Field, ...] = ()
    answer: tuple[Field, ...] = ()
    errors: tuple[ErrorCode, ...] = COMMON_ERRORS
    needs: str = ""
    deadline_s: float = REQUEST_DEADLINE_S


_YES_NO = {
    "leases": "a task whose holder is gone comes back after its lease",
    "fencing": "a holder whose task was taken away is refused",
    "priorities": "a lower priority number runs first",
    "delays": "a task can be due later",
    "order": "tasks of one priority are claimed in the order of their acknowledgement",
    "keys": "a second enqueue with the same key puts nothing in",
    "retries": "a failed task runs again, up to its limit of attempts",
}
CAPABILITIES = (
    *(Field(name=name, kind=Kind.TRUTH, meaning=it, needed=False) for name, it in _YES_NO.items()),
    Field(
        name="delivery",
        kind=Kind.TEXT,
        meaning="how often a task may be handed out",
        needed=False,
        choices=("at-least-once", "at-most-once"),
    ),
    Field(
        name="durability",
        kind=Kind.TEXT,
        meaning="what an acknowledgement survives: a power cut, or a crash of the process",
        needed=False,
        choices=("full", "normal"),
    ),
    Field(
        name="maintenance",
        kind=Kind.TEXTS,
        meaning="the operations of maintenance that it has",
        needed=False,
        choices=MAINTENANCE,
    ),
)
"""What hello declares; what is left out is not promised."""

TASK = (
    Field(name="id", kind=Kind.INTEGER, meaning="the queue's own name for the task"),
    Field(name="payload", kind=Kind.ANY, meaning="as it was put in"),
    Field(
        name="attempts",
        kind=Kind.INTEGER,
        meaning="attempts that ended before this one",
        least=0,
    ),
    Field(name="max_attempts", kind=Kind.INTEGER, meaning="attempts that it has", least=1),
    Field(
        name="lease_until_ms",
        kind=Kind.INTEGER,
        meaning="when the lease ends by the driver's clock, UTC since 1970; null without leases",
        null=True,
    ),
    Field(
        name="token",
        kind=Kind.ANY,
        meaning="tells this holding of the task from every other one; null without fencing",
    ),
)
"""A task as its holder has it; the driver may add fields of its own, and gets all of them back."""

_SNAPSHOT_TASK = (
    Field(name="id", kind=Kind.INTEGER, meaning="as in a claim"),
    Field(name="key", kind=Kind.TEXT, meaning="as it was put in", null=True),
    Field(name="status", kind=Kind.TEXT, meaning="where it stands", choices=STATUSES),
    Field(name="attempts", kind=Kind.INTEGER, meaning="attempts that ended", least=0),
    Field(name="max_attempts", kind=Kind.INTEGER, meaning="attempts that it has", least=1),
    Field(name="worker", kind=Kind.TEXT, meaning="who holds it or held it last", null=True),
    Field(name="payload", kind=Kind.TEXT, meaning="the payload as JSON in a text"),
)
_LEASE = Field(
    name="lease_s", kind=Kind.NUMBER, meaning="the lease's length from now on", least=0.001
)
_HELD = Field(
    name="task", kind=Kind.OBJECT, meaning="the task as the driver gave it last", parts=TASK
)
_TIMEOUT = Field(
    name="timeout_s", kind=Kind.NUMBER, meaning="how long it may wait and work", least=0
)
_PATH = Field(name="path", kind=Kind.TEXT, meaning="the backup's file, absolute")

_ALL = (
    Operation(
        name="hello",
        meaning="Nothing has changed; the answer says what the driver can do and promises.",
        answer=(
            Field(name="protocol", kind=Kind.INTEGER, meaning="the version of this protocol: 1"),
            Field(name="driver", kind=Kind.TEXT, meaning="what it is called in reports"),
            Field(
                name="capabilities",
                kind=Kind.OBJECT,
                meaning="what it promises",
                parts=CAPABILITIES,
            ),
        ),
        deadline_s=START_DEADLINE_S,
    ),
    Operation(
        name="enqueue",
        meaning="The task is in the queue and committed.",
        request=(
            Field(name="type", kind=Kind.TEXT, meaning="what kind of work it is"),
            Field(name="payload", kind=Kind.ANY, meaning="kept as it is"),
            Field(
                name="key",
                kind=Kind.TEXT,
                meaning="the producer's own name for the task",
                needed=False,
            ),
            Field(
                name="priority",
                kind=Kind.INTEGER,
                meaning="lower runs first; 100 if left out",
                needed=False,
            ),
            Field(
                name="delay_s",
                kind=Kind.NUMBER,
                meaning="not to be claimed before; 0 if left out",
                needed=False,
                least=0,
            ),
            Field(
                name="max_attempts",
                kind=Kind.INTEGER,
                meaning="attempts that it has; 5 if left out",
                needed=False,
                least=1,
            ),
        ),
        answer=(Field(name="task_id", kind=Kind.INTEGER, meaning="the queue's name for the task"),),
    ),
    Operation(
        name="claim",
        meaning="The first task that is due is held by the worker, if there is one.",
        request=(Field(name="worker", kind=Kind.TEXT, meaning="who claims"), _LEASE),
        answer=(replace(_HELD, meaning="the task; null if none is due", null=True),),
    ),
    Operation(
        name="heartbeat",
        meaning="The lease of the held task runs from now on.",
        request=(_HELD, _LEASE),
        answer=(replace(_HELD, meaning="the task with its new lease"),),
        errors=HELD_ERRORS,
        needs="leases",
    ),
    Operation(
        name="complete",
        meaning="The held task is done, and is never handed out again.",
        request=(_HELD,),
        errors=HELD_ERRORS,
    ),
    Operation(
        name="fail",
        meaning="The attempt has ended and is counted; the task waits again, or is given up.",
        request=(
            _HELD,
            Field(name="error", kind=Kind.TEXT, meaning="what went wrong"),
            Field(
                name="retry_after_s",
                kind=Kind.NUMBER,
                meaning="not to be claimed before; 0 if left out",
                needed=False,
                least=0,
            ),
        ),
        answer=(
            Field(
                name="status",
                kind=Kind.TEXT,
                meaning="what became of the task",
                choices=("queued", "dead_letter"),
            ),
        ),
        errors=HELD_ERRORS,
    ),
    Operation(
        name="reclaim",
        meaning="Held tasks whose lease ended longer than the timeout ago are taken away.",
        request=(replace(_TIMEOUT, meaning="how long after its end a lease counts as stale"),),
        answer=(
            Field(name="count", kind=Kind.INTEGER, meaning="tasks that were taken away", least=0),
        ),
        needs="leases",
    ),
    Operation(
        name="snapshot",
        meaning="Nothing has changed; the answer has every task at one moment.",
        answer=(
            Field(
                name="tasks",
                kind=Kind.OBJECTS,
                meaning="every task in the queue",
                parts=_SNAPSHOT_TASK,
            ),
        ),
        deadline_s=60.0,
    ),
    Operation(
        name="backup",
        meaning="A whole copy of the queue as of one moment is on the disk.",
        request=(
            Field(name="folder", kind=Kind.TEXT, meaning="an absolute path; made if missing"),
        ),
        answer=(replace(_PATH, meaning="the backup's file, absolute, in that folder"),),
        needs="backup",
        deadline_s=MAINTENANCE_DEADLINE_S,
    ),
    Operation(
        name="verify",
        meaning="Nothing has changed; the answer says whether the backup can be relied on.",
        request=(_PATH,),
        answer=(
            Field(name="sound", kind=Kind.TRUTH, meaning="whether it can be relied on"),
            Field(name="problems", kind=Kind.TEXTS, meaning="why not, for people"),
        ),
        needs="verify",
        deadline_s=MAINTENANCE_DEADLINE_S,
    ),
    Operation(
        name="restore",
        meaning="The queue is as the backup has it, and no task in it is held.",
        request=(_PATH,),
        needs="restore",
        deadline_s=MAINTENANCE_DEADLINE_S,
    ),
    Operation(
        name="checkpoint",
        meaning="What is in the -wal was brought into the database as far as the mode can.",
        request=(
            Field(
                name="mode",
                kind=Kind.TEXT,
                meaning="SQLite's name of the mode",
                choices=CHECKPOINT_MODES,
            ),
            _TIMEOUT,
        ),
        answer=(Field(name="complete", kind=Kind.TRUTH, meaning="whether nothing was left over"),),
        needs="checkpoint",
        deadline_s=MAINTENANCE_DEADLINE_S,
    ),
    Operation(
        name="vacuum",
        meaning="The file is rebuilt without free pages, and holds the same tasks.",
        request=(_TIMEOUT,),
        needs="vacuum",
        deadline_s=MAINTENANCE_DEADLINE_S,
    ),
    Operation(
        name="analyze",
        meaning="The statistics that SQLite plans by are up to date.",
        needs="analyze",
        deadline_s=MAINTENANCE_DEADLINE_S,
    ),
    Operation(
        name="integrity",
        meaning="Nothing has changed; the answer says what is damaged in the queue's file.",
        answer=(
            Field(name="problems", kind=Kind.TEXTS, meaning="what is damaged; empty if nothing"),
        ),
        needs="integrity",
        deadline_s=MAINTENANCE_DEADLINE_S,
    ),
    Operation(
        name="close",
        meaning="Everything is closed; the process ends with status 0 after the answer.",
    ),
)
OPERATIONS: Mapping[str, Operation] = {operation.name: operation for operation in _ALL}
"""Every operation, in the order in which a driver is best written."""


def request_problem(op: str, request: Mapping[str, object]) -> str | None:
    """Return the first thing that is wrong with the fields of a request, or None.

    Args:
        op: a name in ``OPERATIONS``.
        request: the message.
    """
    return problem_of(OPERATIONS[op].request, request, op)


def answer_problem(op: str, answer: Mapping[str, object]) -> str | None:
    """Return the first thing that is wrong with an answer, or None.

    Args:
        op: what was asked; the fields of one that is not in ``OPERATIONS`` are not judged.
        answer: the message; that its id is that of the request is known.
    """
    ok = answer.get("ok")
    if not isinstance(ok, bool):
        missing = "the answer lacks the field 'ok'"
        return f"'ok' must be true or false, not {shown(ok)}" if "ok" in answer else missing
    if not ok:
        return _refusal_problem(op, answer)
    known = OPERATIONS.get(op)
    return None if known is None else problem_of(known.answer, answer, f"the answer to {op}")


_ERROR = (
    Field(
        name="error",
        kind=Kind.OBJECT,
        meaning="why it was not done",
        parts=(
            Field(
                name="code",
                kind=Kind.TEXT,
                meaning="the reason, for programs",
                choices=tuple(ErrorCode),
            ),
            Field(name="message", kind=Kind.TEXT, meaning="the reason, for people"),
            Field(
                name="outcome",
                kind=Kind.TEXT,
                meaning="whether it was surely not done",
                choices=("failed", "unknown"),
            ),
        ),
    ),
)


def _refusal_problem(op: str, answer: Mapping[str, object]) -> str | None:
    wrong = problem_of(_ERROR, answer, f"the refusal of {op}")
    if wrong is not None:
        return wrong
    error = answer["error"]
    assert isinstance(error, Mapping), "the table says so"
    code, outcome = ErrorCode(error["code"]), error["outcome"]
    if outcome not in OUTCOMES[code]:
        return f"{code} goes with outcome {OUTCOMES[code][0]!r}, not {outcome!r}"
    known = OPERATIONS.get(op)
    if known is not None and code not in known.errors:
        return f"{op} is never refused with {code}"
    return None
