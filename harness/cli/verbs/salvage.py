"""``queuedrill salvage``."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from core.salvagereport import SalvageReport

from .. import exits
from ..console import Console, Tone
from ..figures import quoted
from ..options import AsJson, BackupDir, Debug
from ..progress import progress_bar
from ..speaking import speaking

_TIMEOUT_S = 3600.0
_ERRORS_SHOWN = 5
_ASIDE_TABLE = "salvage_set_aside"
_CODES = {
    "all": exits.DONE,
    "part": exits.SALVAGED_PART,
    "nothing": exits.SALVAGED_NOTHING,
}
_TONES: dict[str, Tone] = {"all": "good", "part": "warning", "nothing": "bad"}
_WITNESSES = {
    "index": "by an index that could be read whole",
    "entries": "at least, by what is left of rows and indexes",
    "sequence": "at most, by the ids that were ever given",
    "highest id": "at most, by the highest id that was found",
    "backup": "by the newest backup",
}
_DOUBTS = {
    "length": "have something behind their end, where a length was changed",
    "text": "had text that is none",
    "payload": "have a payload that is no strict JSON",
    "key": "lost the idempotency key, since another task has the same",
    "status": "have a status that is none",
    "attempts": "have attempts that make no sense",
    "time": "have times that make no sense",
    "id": "have an id that was never given",
    "index": "are not what an index says of them",
    "log-page": "come out of a log frame that no checksum proves",
    "unproved": "are known to no index: they may have been deleted before",
    "backup": "are not what the newest backup says of them",
}
_ASIDE = {
    "cut": "whose end is lost",
    "unreadable": "whose record is none any more",
    "garbled": "whose text is none any more",
    "refused": "that a queue refuses, as where a payload is no JSON",
    "another-version": "that are another version of a task in the queue",
    "deleted": "that nothing leads to and an index does not know",
    "no-task": "of the log, whose task is not in the queue",
}


def salvage(
    *,
    damaged: Annotated[str, typer.Argument(metavar="DAMAGED", help="The damaged queue's file.")],
    out: Annotated[str, typer.Argument(metavar="OUT", help="The new file; nothing may be there.")],
    stranded: Annotated[
        bool,
        typer.Option("--stranded", help="Also what lies behind damage in the -wal."),
    ] = False,
    timeout_seconds: Annotated[
        float,
        typer.Option("--timeout-seconds", metavar="S", help="Give up after so many seconds."),
    ] = _TIMEOUT_S,
    backup_dir: BackupDir = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Bring back what a damaged file still holds, into a new file; where no good backup is left.

    The damaged file is only read, and nothing is replaced. The exit code says how much came back:
    0 all, 3 a part, 4 nothing; 1 is an error.
    """
    with speaking("salvage", as_json=as_json, debug=debug) as console:
        from core.salvage import salvage as bring_back

        with progress_bar(console, "Salvaging") as progress:
            report = bring_back(
                damaged,
                out,
                backup_dir=backup_dir,
                stranded=stranded,
                on_progress=progress,
                timeout_seconds=timeout_seconds,
            )
        console.exit_code = _CODES[report.outcome]
        console.facts.update(
            {**asdict(report), "outcome": report.outcome, "expected_tasks": report.expected_tasks}
        )
        _say(console, report)


def _say(console: Console, report: "SalvageReport") -> None:
    _say_how_many(console, report)
    _say_log(console, report)
    _say_each(console, report.doubts, "tasks came back, and", _DOUBTS)
    _say_each(console, report.set_aside, "rows were set aside", _ASIDE)
    if report.compared is not None:
        _say_backup(console, report)
    _say_pages(console, report)
    if report.out is not None:
        _say_next_steps(console, report)


def _say_how_many(console: Console, report: "SalvageReport") -> None:
    where = "nothing was made" if report.out is None else f"they are in {quoted(report.out)}"
    console.say(f"{_how_many(report)}; {where} ({report.seconds:.1f} s)", _TONES[report.outcome])
    for witness in report.expected[1:]:
        if witness.tasks != report.expected_tasks:
            console.say(f"  There were {witness.tasks} {_WITNESSES[witness.witness]}.", "faint")
    if report.lost:
        shown = ", ".join(f"{count} {status}" for status, count in sorted(report.lost.items()))
        console.say(f"Lost, as the indexes know: {shown}.", "warning")
    if report.out is not None:
        console.say(
            f"{report.logs} log rows are with them; {report.leases_released} tasks that were held "
            "are queued again."
        )


def _how_many(report: "SalvageReport") -> str:
    if not report.expected:
        return f"{report.tasks} tasks came back, and nothing tells of how many"
    best = report.expected[0]
    return f"{report.tasks} of {best.tasks} tasks came back ({_WITNESSES[best.witness]})"


def _say_log(console: Console, report: "SalvageReport") -> None:
    log = report.log
    if log.kind == "foreign-wal":
        console.say("The -wal beside it is of another database, and was left out.", "warning")
    elif log.stranded_commits and log.stranded_taken:
        console.say(f"{log.stranded_commits} transactions behind damage in the -wal were taken.")
    elif log.stranded_commits:
        console.say(
            f"{log.stranded_commits} transactions lie behind damage in the -wal and were left out; "
            "take them with --stranded, into another file.",
            "warning",
        )


def _say_each(
    console: Console, counts: Mapping[str, int], what: str, reasons: Mapping[str, str]
) -> None:
    for reason, count in sorted(counts.items()):
        console.say(f"{count} {what} {reasons.get(reason, reason)}.", "warning")


def _say_backup(console: Console, report: "SalvageReport") -> None:
    compared = report.compared
    assert compared is not None, "it was looked at"
    if compared.problem:
        console.say(f"The newest backup tells nothing: {compared.problem}.", "warning")
        return
    console.say(
        f"Beside the newest backup {quoted(compared.backup)}: {compared.same} tasks are the same, "
        f"{compared.only_there} are in the backup alone."
    )


def _say_pages(console: Console, report: "SalvageReport") -> None:
    if report.guessed:
        console.say(f"The header is lost; assumed: {', '.join(report.guessed)}.", "warning")
    if report.pages_missing:
        console.say(f"{report.pages_missing} pages are missing at its end.", "warning")
    if report.error_count:
        console.say(f"{report.error_count} things could not be read, the first of them:")
    for error in report.page_errors[:_ERRORS_SHOWN]:
        console.say(f"  page {error.page} ({error.tree}): {error.what}", "faint")


def _say_next_steps(console: Console, report: "SalvageReport") -> None:
    console.say("Nothing was replaced. Look at it before anybody works on it:")
    console.say(f"  queuedrill health --db {quoted(report.out)} --full")
    if report.set_aside:
        console.say(f"  what was set aside is in its table {_ASIDE_TABLE}, with the reason")
    console.say(
        f"Then stop the workers, move {quoted(report.damaged)} away with its -wal, -shm and "
        "-journal, and give the new file its name."
    )
