"""``check_health``: everything that can be wrong with a queue file, found without touching it.

Nothing is mended here, no file is made beside the queue, and no writer waits. What is wrong is
data (``findings.py``), also a file that does not open; only a wrong argument is an exception.
"""

import os
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from . import observer
from .arguments import check_seconds
from .clock import Clock, Deadline, SystemClock
from .connection import Connect, connect_stdlib, roll_back
from .content_checks import CONTENT_CHECKS, FRAMES, check_integrity, check_opens, judge_frames
from .database import QueueDatabase, require_queue
from .errors import (
    DatabaseBusyError,
    DatabaseCorruptError,
    DatabaseMissingError,
    EmptyDatabaseError,
    NotADatabaseError,
    NotEnoughSpaceError,
    OperationTimeoutError,
    QueueError,
    StrayJournalError,
    UnsettledError,
)
from .examination import Case, ContentCheck, Examination, Outcome
from .file_checks import FILE_CHECKS, has_backups
from .findings import Finding, HealthReport, Level, fixes
from .finished_check import check_finished
from .paths import resolve, sides
from .printable import visible
from .task_checks import TASK_CHECKS
from .thresholds import Thresholds
from .translation import INSTEAD, opening, words_of
from .viewpoint import Viewpoint, has_log, state_of, viewpoint

__all__ = ["FINDING_IDS", "HealthReport", "Thresholds", "check_health", "fixes"]

TIMEOUT_S = 600.0
_OPENS = "file.opens"
# What takes longest comes last; the figures before it are cheap.
_CHECKS: tuple[tuple[str, ContentCheck], ...] = (
    (_OPENS, check_opens),
    *CONTENT_CHECKS,
    *TASK_CHECKS,
    ("content.finished", check_finished),
    ("database.integrity", check_integrity),
)
FINDING_IDS = tuple(finding_id for finding_id, _check in (*FILE_CHECKS, *_CHECKS))
"""Every finding's id, in the order of the report."""

_TRIES = 3
_STEPS_BETWEEN_LOOKS = 10_000
_NOT_KNOWN = (DatabaseBusyError, OperationTimeoutError, NotEnoughSpaceError, UnsettledError)
_NEEDS_RESTORE = (EmptyDatabaseError, NotADatabaseError, DatabaseCorruptError)


def check_health(
    target: QueueDatabase | str | os.PathLike[str] | None = None,
    *,
    backup_dir: str | os.PathLike[str] | None = None,
    thresholds: Thresholds | None = None,
    full: bool = False,
    copying: bool = False,
    clock: Clock | None = None,
    scratch: str | os.PathLike[str] | None = None,
    declared_triggers: Collection[str] = (),
    timeout_seconds: float = TIMEOUT_S,
    connect: Connect | None = None,
) -> HealthReport:
    """Return all that was found; the file, its -wal and its -shm are as they were, byte for byte.

    Args:
        target: the queue, or its path; the default path where none is given.
        backup_dir: where its backups lie; ``backups`` beside it unless told otherwise.
        thresholds: what it is held against; the runbook's unless told otherwise.
        full: also check every index and every reference, measure half-empty pages, and compare
            finished tasks with what is recorded of them.
        copying: copy a file that nobody has open in any case, and judge the copy; otherwise only
            one with a log beside it is copied.
        clock: where the time comes from; the queue's own where one was given.
        scratch: folder for a copy, where one is needed; the temporary folder unless told.
        declared_triggers: names of triggers that belong in the queue, and of tables and indexes
            that compute with what this program does not know.
        timeout_seconds: how long reading the file may take; what was not done then is UNKNOWN.
        connect: the door to SQLite; the queue's own where one was given.

    Raises:
        InvalidArgumentError: a path or the timeout makes no sense.

    Locks: none; beside workers shared, and in WAL mode nobody waits for that.
    On a live queue: safe; the -wal cannot be reset while the check reads.
    """
    check_seconds("timeout_seconds", timeout_seconds)
    opened = target if isinstance(target, QueueDatabase) else None
    clock = clock or (opened.clock if opened else SystemClock())
    case = Case(
        path=opened.path if opened else resolve(target),  # type: ignore[arg-type]
        backup_dir=None if backup_dir is None else resolve(backup_dir),
        thresholds=thresholds or Thresholds(),
        full=full,
        copying=copying,
        declared_triggers=frozenset(declared_triggers),
        connect=connect or (opened.connect if opened else connect_stdlib),
        clock=clock,
        now_ms=clock.now_ms(),
    )
    start_s = clock.monotonic_s()
    findings = [_looked(finding_id, partial(check, case)) for finding_id, check in FILE_CHECKS]
    folder = None if scratch is None else resolve(scratch)
    content, judged = _judge_content(case, folder, timeout_seconds)
    return HealthReport(
        findings=(*findings, *content),
        metrics=case.metrics,
        judged=judged,
        seconds=clock.monotonic_s() - start_s,
    )


def _judge_content(case: Case, scratch: Path | None, timeout_s: float) -> tuple[list[Finding], str]:
    """Look at the content; again where somebody began to use the file meanwhile."""
    error: QueueError = UnsettledError(path=str(case.path), detail="it changes all the time")
    for attempt in range(_TRIES):
        state = state_of(case.path)
        copying = case.copying or attempt == _TRIES - 1
        try:
            with viewpoint(
                case.path,
                connect=case.connect,
                scratch=scratch,
                copying=copying,
                timeout_s=max(timeout_s, observer.DEFAULT_TIMEOUT_S),
                declared=case.declared_triggers,
            ) as view:
                findings = _examine(case, view, timeout_s)
            if view.undisturbed():
                return findings, view.judged
        except QueueError as raised:
            error = raised
            if not isinstance(raised, UnsettledError) and state_of(case.path) == state:
                break
    return _unopened(case, error), f"{case.path}, which could not be read"


def _examine(case: Case, view: Viewpoint, timeout_s: float) -> list[Finding]:
    with _snapshot(view, Deadline(timeout_s, case.clock)):
        with opening(case.path):
            layout = require_queue(case.path, view.connection)
        exam = Examination(case, view, layout)
        return [_looked(finding_id, partial(check, exam)) for finding_id, check in _CHECKS]


@contextmanager
def _snapshot(view: Viewpoint, deadline: Deadline) -> Iterator[None]:
    """Let the body read one state of the queue; where that would delay writers, several."""
    view.connection.set_progress_handler(deadline.passed, _STEPS_BETWEEN_LOOKS)
    if view.delays_writers:
        yield
        return
    view.connection.execute("BEGIN")
    try:
        yield
    finally:
        roll_back(view.connection)


def _looked(finding_id: str, check: Callable[[], Outcome]) -> Finding:
    try:
        return check().finding(finding_id)
    except (QueueError, sqlite3.Error, OSError, *INSTEAD) as error:
        message = visible(f"Could not be judged: {words_of(error)}")
        return Finding(finding_id, Level.UNKNOWN, None, message)


def _unopened(case: Case, error: QueueError) -> list[Finding]:
    """Return the findings about the content of a file that could not be read."""
    level = Level.UNKNOWN if isinstance(error, _NOT_KNOWN) else Level.CRITICAL
    opens = Finding(
        _OPENS, level, type(error).__name__, _said(case, error), None, _cure(case, error)
    )
    others = {
        finding_id: Finding(finding_id, Level.UNKNOWN, None, "Not judged: the file was not read.")
        for finding_id, _check in _CHECKS
    }
    # A log is readable without its database, and may be all that is left.
    frames = _looked(FRAMES, lambda: judge_frames(case, observer.look(case.path).walk))
    return list({**others, _OPENS: opens, FRAMES: frames}.values())


def _said(case: Case, error: QueueError) -> str:
    if isinstance(error, DatabaseMissingError) and has_log(case.path):
        logs = [side.name for side in sides(case.path) if side.exists()]
        return str(StrayJournalError(path=str(case.path), journal=", ".join(logs)))
    return str(error)


def _cure(case: Case, error: QueueError) -> str:
    if isinstance(error, DatabaseMissingError):
        lost = has_log(case.path) or has_backups(case)
        return case.command("restore" if lost else "init")
    return case.command("restore") if isinstance(error, _NEEDS_RESTORE) else ""
