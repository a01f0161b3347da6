"""What the record of finished tasks says of them, as a finding of the health check."""

from .clock import Deadline
from .content import ContentResult, QueueContent
from .contentrecord import UnreadableRecordError, read_head, record_path
from .errors import ContentRecordError
from .examination import Case, Examination, Outcome, held_against
from .findings import Level

_HOUR_MS = 3_600_000
_ARCHIVE_TIMEOUT_S = 60.0


def check_finished(exam: Examination) -> Outcome:
    """Every finished task holds what was recorded of it, and the record is young enough.

    Without a record there is nothing to judge by; only a full check reads the tasks.
    """
    case = exam.case
    try:
        head = read_head(record_path(case.path))
        if head is None:
            return _unrecorded(case)
        result = _compared(exam) if case.full else None
    except (UnreadableRecordError, ContentRecordError) as error:
        message = f"The content record cannot be used, so nothing is known of the tasks: {error}"
        return Outcome(Level.WARNING, "record", message, command=_command(case, accept=True))
    if result is not None:
        differing = result.tally.differences.values()
        case.metrics["content_differences"] = sum(ids.count for ids in differing)
        if not result.ok:
            return _differing(case, result)
    age_h = (case.now_ms - head.recorded_ms) / _HOUR_MS
    case.metrics["content_age_h"] = age_h
    message = f"{_said(result)}; the record is {age_h:.1f} h old"
    return held_against(case.thresholds.content_age_h, age_h, message, _command(case))


def _unrecorded(case: Case) -> Outcome:
    message = (
        "There is no record of what finished tasks hold, so damage inside of a payload would not "
        f"be seen. One is made with: {_command(case)}"
    )
    return Outcome(Level.OK, "none", message)


def _compared(exam: Examination) -> ContentResult:
    case = exam.case
    deadline = Deadline(_ARCHIVE_TIMEOUT_S, case.clock)
    content = QueueContent(case.path, connect=case.connect, clock=case.clock, stop=deadline.passed)
    return content.compare(exam.connection)


def _differing(case: Case, result: ContentResult) -> Outcome:
    tally = result.tally
    since = f", first seen {tally.first_seen_utc}" if tally.first_seen_utc else ""
    message = f"Finished tasks are not as they were recorded: {result}{since}."
    level = Level.CRITICAL if result.damaged else Level.WARNING
    kinds = ", ".join(tally.differences) or "older"
    return Outcome(level, kinds, message, command=_command(case))


def _said(result: ContentResult | None) -> str:
    if result is None:
        return "Finished tasks are recorded, and only a full check compares them"
    return f"Finished tasks: {result}"


def _command(case: Case, *, accept: bool = False) -> str:
    return case.command("content", "--accept") if accept else case.command("content")
