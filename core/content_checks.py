"""What the file itself says: whether it is sound, how full it is, what it is made of."""

import sqlite3

from .connection import scalar
from .errors import DatabaseCorruptError, NotADatabaseError
from .examination import Case, ContentCheck, Examination, Outcome, held_against, named
from .file_checks import MEGABYTE
from .findings import Level
from .schema import indexes_missing
from .translation import translate, words_of
from .untrusted import unjudged
from .wal import WalWalk
from .walindex import WalIndex

FRAMES = "wal.frames"
INDEX = "wal.index"
_PROBLEMS_MOST = 20
# An index of every queue is made from its tasks' JSON, and a check of SQLite's that computes it
# ends with this where there is none. SQLite takes no such task: something else has written there.
_NO_JSON = "malformed JSON"
# A log's header, and one frame with the smallest page: less can hold no transaction.
_SMALLEST_LOG_BYTES = 32 + 24 + 512


def check_opens(exam: Examination) -> Outcome:
    """The file opens, and is a queue that this program knows."""
    made_by = "this program" if exam.layout.version else "another program"
    message = f"The file opens and holds a queue made by {made_by}."
    return Outcome(Level.OK, "queue", message)


def check_log_owner(exam: Examination) -> Outcome:
    """The -wal that lies there is the database's own.

    SQLite replays whatever log it finds (https://www.sqlite.org/howtocorrupt.html, section 1.4).
    """
    walk = exam.view.walk
    if exam.view.way != "copy" or walk is None or walk.frames == 0:
        return Outcome(Level.OK, "own", "No log of another database lies beside the file.")
    if exam.view.seen.journal != "rollback":
        return Outcome(Level.OK, "own", "The -wal beside the file fits its header.")
    return Outcome(
        Level.CRITICAL,
        "foreign",
        f"A -wal with {walk.frames} frames lies beside a file whose header is not in WAL mode: it "
        "is left of another database (a copy over the old file, perhaps), and the next program "
        "that opens the queue mixes the two. Stop the workers first.",
        command=exam.case.command("restore"),
    )


def check_frames(exam: Examination) -> Outcome:
    """Recovery would read every frame that was written to the -wal."""
    return judge_frames(exam.case, exam.view.walk)


def judge_frames(case: Case, walk: WalWalk | None) -> Outcome:
    """Return what the walk of a -wal means for the database that it belongs to."""
    if walk is None:
        message = "The -wal is not walked while somebody has the queue open: it moves then."
        return Outcome(Level.OK, "not walked", message)
    case.metrics["wal_frames"] = walk.frames
    if walk.damage == "none":
        message = f"All {walk.committed} committed frames of the -wal can be read."
        return Outcome(Level.OK, "none", message)
    level, message = _damage(walk)
    return Outcome(level, walk.damage, message, command=case.command("restore"))


def check_index(exam: Examination) -> Outcome:
    """The -wal has every frame that the -shm beside it tells of.

    A log that was deleted, moved or cut off after a crash takes committed tasks with it
    (https://www.sqlite.org/howtocorrupt.html, section 1.3), and every check of SQLite's stays ok.
    """
    index, walk = exam.view.seen.index, exam.view.walk
    if index is None or walk is None or index.frames == 0:
        return Outcome(Level.OK, "none", "No index of a log that nobody has open tells of more.")
    if walk.salt is not None and walk.salt != index.salt:
        return _other_life(exam.case, index)
    missing = min(index.frames - walk.committed, index.only_in_log)
    if missing > 0:
        return _taken_away(exam.case, index, walk, missing)
    # Without a log, too: where SQLite was told to keep the log's file, it cuts it to nothing.
    message = f"All {index.frames} frames that the -wal had are in it, or in the database."
    return Outcome(Level.OK, "whole", message)


def check_integrity(exam: Examination) -> Outcome:
    """The structure is sound; when looking fully, every index and reference too."""
    check = "integrity_check" if exam.case.full else "quick_check"
    if exam.view.delays_writers:
        message = (
            f"{check} was not run: the queue is in use and not in WAL mode, so writers would wait "
            "for all of it."
        )
        return Outcome(Level.UNKNOWN, "not run", message, command=exam.case.command("enable-wal"))
    if exam.view.opened.computes:
        message = (
            f"{check} was not run: it would compute what the schema says, and not all of that is "
            "known to come to an end (see schema.expressions)."
        )
        return Outcome(Level.UNKNOWN, "not run", message)
    problems = _problems(exam, check)
    if not problems:
        also = " and foreign_key_check" if exam.case.full else ""
        return Outcome(Level.OK, "ok", f"{check}{also} found nothing wrong.")
    message = f"{check} found damage: {named(problems)}."
    return Outcome(Level.CRITICAL, problems[0], message, command=exam.case.command("restore"))


def check_size(exam: Examination) -> Outcome:
    """The database is within its limits."""
    pages = int(scalar(exam.connection, "PRAGMA page_count"))
    page_bytes = int(scalar(exam.connection, "PRAGMA page_size"))
    size_mb = pages * page_bytes / MEGABYTE
    exam.case.metrics.update(page_count=pages, page_size=page_bytes, database_size_mb=size_mb)
    message = f"The database is {size_mb:.1f} MB long"
    command = exam.case.command("archive", "--older-than-days 30")
    return held_against(exam.case.thresholds.size_mb, size_mb, message, command)


def check_fragmentation(exam: Examination) -> Outcome:
    """Few pages are free; half-empty ones are only measured, since VACUUM alone sees them all."""
    pages = int(scalar(exam.connection, "PRAGMA page_count"))
    free = int(scalar(exam.connection, "PRAGMA freelist_count"))
    percent = 100 * free / pages if pages else 0.0
    exam.case.metrics.update(freelist_count=free, fragmentation_pct=percent)
    if exam.case.full:
        exam.case.metrics["page_slack_pct"] = _page_slack(exam)
    message = f"{free} of {pages} pages are free, {percent:.1f} %"
    command = exam.case.command("vacuum")
    return held_against(exam.case.thresholds.fragmentation_pct, percent, message, command)


def check_journal_mode(exam: Examination) -> Outcome:
    """The file is in WAL mode, so that readers and the writer do not wait for each other."""
    if exam.view.in_wal_mode:
        return Outcome(Level.OK, "wal", "The file is in WAL mode.")
    if exam.view.seen.journal is None:
        message = (
            "The header names a write version that SQLite does not know: the queue can be read, "
            "and nobody can write to it."
        )
        return Outcome(Level.CRITICAL, "unknown", message, command=exam.case.command("restore"))
    message = "The file is not in WAL mode: readers make writers wait, and writers readers."
    command = exam.case.command("enable-wal")
    return Outcome(Level.WARNING, "rollback journal", message, command=command)


def check_schema(exam: Examination) -> Outcome:
    """Every table, column and index is there that a queue needs; more does no harm."""
    missing = [*exam.layout.missing, *indexes_missing(exam.connection)]
    if not missing:
        return Outcome(Level.OK, "complete", "All tables, columns and indexes are there.")
    message = f"The queue lacks {named(missing)}. Work goes on slower, or without a log."
    return Outcome(Level.WARNING, named(missing), message)


def check_triggers(exam: Examination) -> Outcome:
    """There is no trigger that nobody declared: one can finish tasks behind the workers' backs."""
    undeclared = [name for name in exam.layout.triggers if name not in exam.case.declared_triggers]
    if not undeclared:
        return Outcome(Level.OK, 0, "There is no trigger that nobody declared.")
    message = (
        f"The file has triggers that nobody declared: {named(undeclared)}. Whoever writes to the "
        "queue runs them. Read them in sqlite_master, then drop or declare them."
    )
    return Outcome(Level.CRITICAL, len(undeclared), message)


def check_expressions(exam: Examination) -> Outcome:
    """Nothing in the schema computes with what is not known: reading would run what it says."""
    strangers = [stranger for stranger in exam.view.strangers if stranger.computes]
    if not strangers:
        return Outcome(Level.OK, 0, "Nothing in the schema computes with what is not known.")
    message = (
        f"The schema holds what no queue has: {named(list(map(str, strangers)))}. None of it was "
        "run here. Read it in sqlite_master, then drop or declare it."
    )
    return Outcome(Level.WARNING, len(strangers), message)


def check_outside(exam: Examination) -> Outcome:
    """What cannot be seen from outside is said, and not judged."""
    del exam
    message = (
        "synchronous and busy_timeout belong to each worker's connection and cannot be seen in "
        "the file."
    )
    return Outcome(Level.OK, "not visible", message)


CONTENT_CHECKS: tuple[tuple[str, ContentCheck], ...] = (
    ("wal.owner", check_log_owner),
    (FRAMES, check_frames),
    (INDEX, check_index),
    ("database.size", check_size),
    ("database.fragmentation", check_fragmentation),
    ("database.journal_mode", check_journal_mode),
    ("schema.complete", check_schema),
    ("schema.triggers", check_triggers),
    ("schema.expressions", check_expressions),
    ("workers.settings", check_outside),
)


def _damage(walk: WalWalk) -> tuple[Level, str]:
    if walk.damage == "frame":
        return Level.CRITICAL, (
            f"Frame {walk.bad_frame} of {walk.frames} of the -wal is damaged. The next program "
            f"that opens the queue silently drops the {walk.stranded} frames behind it, with "
            f"{walk.stranded_commits} committed transactions. Keep a copy of the file and its -wal."
        )
    if walk.damage == "header" and walk.size_bytes >= _SMALLEST_LOG_BYTES:
        return Level.CRITICAL, (
            f"The header of the -wal ({walk.size_bytes} bytes) is damaged. The next program that "
            "opens the queue silently ignores all that is in it. Keep a copy of both files."
        )
    return Level.WARNING, (
        f"The last frame of the -wal is damaged or was cut off (after {walk.valid} sound ones): a "
        "write that a crash tore, never acknowledged unless the disk lied."
    )


def _taken_away(case: Case, index: WalIndex, walk: WalWalk, missing: int) -> Outcome:
    gone = walk.salt is None
    what = "was deleted or moved" if gone else "cannot be read to its end"
    return Outcome(
        Level.CRITICAL,
        missing,
        f"The -wal {what}: the -shm beside it tells of {index.frames} committed frames, of which "
        f"{missing} are in no file that is there, and the tasks in them are lost. Look for the "
        "-wal before anybody opens the queue, and put it back; else restore.",
        command=case.command("restore"),
    )


def _other_life(case: Case, index: WalIndex) -> Outcome:
    return Outcome(
        Level.WARNING,
        "another log",
        f"The -shm tells of a log with {index.frames} frames, and the -wal beside it is another: "
        "somebody has put a -wal in its place, or the machine lost its power.",
        command=case.command("restore"),
    )


def _problems(exam: Examination, check: str) -> list[str]:
    try:
        rows = exam.connection.execute(f"PRAGMA {check}({_PROBLEMS_MOST})").fetchall()
        problems = [str(row[0]) for row in rows if row[0] != "ok"]
        return problems + (_broken_references(exam) if exam.case.full else [])
    except UnicodeDecodeError as error:
        return [words_of(error)]
    except sqlite3.Error as error:
        ours = translate(error, exam.case.path, 0.0)
        if isinstance(ours, DatabaseCorruptError | NotADatabaseError):
            return [str(error)]
        if str(error) == _NO_JSON:
            return [f"{_NO_JSON} in {_tasks_without_json(exam)}, which an index is made from"]
        raise


def _tasks_without_json(exam: Examination) -> str:
    """Return the tasks whose payload or compatibility is no JSON, as far as they can be read."""
    sql = "SELECT id FROM task_queue WHERE NOT (json_valid(payload) AND json_valid(compatibility))"
    try:
        tasks = [str(task) for (task,) in exam.connection.execute(f"{sql} ORDER BY id").fetchall()]
    except sqlite3.Error:
        tasks = []
    return f"task {named(tasks)}" if tasks else "a task"


def _broken_references(exam: Examination) -> list[str]:
    rows = exam.connection.execute("PRAGMA foreign_key_check").fetchmany(_PROBLEMS_MOST)
    return [
        f"row {rowid} of {table} refers to nothing in {parent}"
        for table, rowid, parent, _number in rows
    ]


def _page_slack(exam: Examination) -> float | None:
    """Return unused bytes inside used pages in percent, or None where SQLite cannot tell."""
    if exam.view.opened.computes:
        return None
    sql = "SELECT 100.0 * sum(unused) / sum(pgsize) FROM dbstat"
    try:
        with unjudged(exam.view.opened):
            slack = scalar(exam.connection, sql)
    except sqlite3.OperationalError:
        # dbstat is not compiled into every SQLite: https://www.sqlite.org/dbstat.html
        return None
    return None if slack is None else float(slack)
