"""``queuedrill content``."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from core import QueueDatabase
    from core.content import ContentResult
    from core.contentbackups import Holding

from ..asking import agree
from ..console import Console
from ..figures import quoted
from ..options import AsJson, BackupDir, Db, Debug, Yes
from ..progress import elapsed
from ..speaking import speaking

_MEANINGS = {
    "changed": "hold something else, and nothing says that a program wrote to them: damage",
    "reverted": "are no longer finished, and nothing says that a program wrote to them: a write "
    "that was lost",
    "rewritten": "were changed by a program after they were finished",
    "reopened": "were completed, and a program took them up again",
    "missing": "are neither in the queue nor in its archive",
}


def content(
    *,
    record: Annotated[
        str | None,
        typer.Option(
            "--record",
            metavar="FILE",
            show_default=False,
            help="The record; else '<name>-content.jsonl' beside the database.",
        ),
    ] = None,
    accept: Annotated[
        bool,
        typer.Option("--accept", help="Record what differs as it is now; asks first."),
    ] = False,
    timeout_seconds: Annotated[
        float | None,
        typer.Option("--timeout-seconds", metavar="S", help="Give up after so many seconds."),
    ] = None,
    yes: Yes = False,
    db: Db = None,
    backup_dir: BackupDir = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Compare finished tasks with what is recorded of them, and record them anew.

    Finds what no check of the file can: a changed payload, a task that is lost or finished no more.
    The queue is only read, and no worker waits. Exit code 1 if a task is not as recorded.
    """
    with speaking("content", as_json=as_json, debug=debug) as console:
        from core import QueueDatabase

        with QueueDatabase(db, read_only=True) as database:
            if accept:
                _agree_to_what_differs(console, database, record, timeout_seconds, yes=yes)
            result = _check(console, database, record, timeout_seconds, accept=accept)
        holding = _backup_with(database, backup_dir, result)
        _tell(console, database, result, holding)


def _backup_with(
    database: "QueueDatabase", backup_dir: str | None, result: "ContentResult"
) -> "Holding | None":
    """Return the backup that still has what differs, where that can be found."""
    from core import QueueBackup
    from core.contentbackups import backup_with
    from core.errors import BackupFolderError

    if result.ok or result.accepted:
        return None
    try:
        listed = QueueBackup(database, backup_dir).list_backups()
    except BackupFolderError:
        return None
    return backup_with(result.record, [each.path for each in listed], connect=database.connect)


def _check(
    console: Console,
    database: "QueueDatabase",
    record: str | None,
    timeout_s: float | None,
    *,
    accept: bool,
    only_compare: bool = False,
) -> "ContentResult":
    from core.maintenance import QueueMaintenance

    with elapsed(console, "Comparing") as progress:
        return QueueMaintenance(database).check_content(
            record,
            accept=accept,
            only_compare=only_compare,
            timeout_seconds=timeout_s,
            progress=progress,
        )


def _agree_to_what_differs(
    console: Console,
    database: "QueueDatabase",
    record: str | None,
    timeout_s: float | None,
    *,
    yes: bool,
) -> None:
    from core.errors import ContentRecordError

    try:
        result = _check(console, database, record, timeout_s, accept=False, only_compare=True)
        what = str(result)
    except ContentRecordError as error:
        what = str(error)
    console.say(what)
    agree(console, f"Record the finished tasks of {quoted(database.path)} as they are now", yes=yes)


def _tell(
    console: Console,
    database: "QueueDatabase",
    result: "ContentResult",
    holding: "Holding | None",
) -> None:
    tally = result.tally
    console.facts.update(path=str(database.path), **_facts(result))
    console.facts["backup"] = None if holding is None else vars(holding)
    if result.why_not:
        console.say(f"Nothing could be compared: {result.why_not}.", "warning")
    elif result.ok:
        console.say(f"All {tally.compared} recorded tasks are as they were recorded.", "good")
    elif result.accepted:
        console.say(f"Accepted as it is now: {result}.", "warning")
    else:
        _tell_differences(console, database, result, holding)
    moved = {"archived": tally.archived, "requeued": tally.requeued, "touched": tally.touched}
    more = "".join(f", {count} {word}" for word, count in moved.items() if count)
    console.say(
        f"{tally.tasks} finished tasks recorded in {quoted(result.record)} ({tally.added} new"
        f"{more}); {result.seconds:.1f} s"
    )


def _tell_differences(
    console: Console,
    database: "QueueDatabase",
    result: "ContentResult",
    holding: "Holding | None",
) -> None:
    console.not_good()
    path = quoted(database.path)
    console.say(f"Finished tasks of {path} are NOT as they were recorded:", "bad")
    if result.went_back is not None:
        given, known = result.went_back
        console.say(
            f"  the file is older than its record: it has given ids up to {given}, {known} were "
            "given when it was recorded. An older copy, or another queue."
        )
    for kind, ids in result.tally.differences.items():
        console.say(f"  {ids.count} {_MEANINGS[kind]}: {ids}")
    since = result.tally.first_seen_utc
    compared = f"Compared with the record of {result.compared_utc} UTC"
    console.say(f"{compared}; first seen {since} UTC." if since else f"{compared}.")
    if holding is None:
        console.say("No backup that can be read has any of them as they were recorded.")
    else:
        console.say(
            f"{holding.tasks} of {holding.wanted} are as they were recorded in the backup "
            f"{quoted(holding.backup)}. Fetch them from there, or restore it with: "
            f"queuedrill restore {quoted(holding.backup)} --db {path}"
        )
    console.say(f"If they are right as they are: queuedrill content --db {path} --accept")


def _facts(result: "ContentResult") -> dict[str, object]:
    tally = vars(result.tally).copy()
    differences = {
        kind: {"count": ids.count, "ranges": ids.ranges}
        for kind, ids in tally.pop("differences").items()
    }
    return {
        "record": str(result.record),
        "compared_utc": result.compared_utc,
        "why_not": result.why_not,
        "went_back": result.went_back,
        "damaged": result.damaged,
        "accepted": result.accepted,
        "written": result.written,
        "seconds": result.seconds,
        "differences": differences,
        **tally,
    }
