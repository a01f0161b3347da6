"""``queuedrill restore``."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from core import QueueBackup
    from core.restore import RestoreResult

from ..asking import agree
from ..console import Console
from ..figures import age, number, quoted
from ..options import AsJson, BackupDir, Db, Debug, Declare, DryRun, Yes
from ..progress import progress_bar
from ..speaking import speaking
from .restore_plan import is_possible

_TIMEOUT_S = 300.0


def restore(
    *,
    backup: Annotated[
        str | None,
        typer.Argument(
            metavar="[BACKUP]",
            show_default=False,
            help="A path, or a name in the backup folder; else the newest verified one.",
        ),
    ] = None,
    dry_run: DryRun = False,
    live: Annotated[
        bool, typer.Option("--live", help="Also while workers have the queue open.")
    ] = False,
    foreign: Annotated[
        bool, typer.Option("--foreign", help="Take a backup of another queue.")
    ] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Bring back what the last restore replaced.")
    ] = False,
    recover: Annotated[
        bool, typer.Option("--recover", help="Bring a restore that was cut off to its end.")
    ] = False,
    yes: Yes = False,
    timeout_seconds: Annotated[
        float,
        typer.Option("--timeout-seconds", metavar="S", help="Give up after so many seconds."),
    ] = _TIMEOUT_S,
    db: Db = None,
    backup_dir: BackupDir = None,
    declare: Declare = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Put a backup's state in the queue's place; asks first.

    What was there is kept in quarantine, and every lease in the restored queue is released.
    """
    with speaking("restore", as_json=as_json, debug=debug) as console:
        from core import QueueBackup

        _refuse_mixtures(backup=backup, dry_run=dry_run, undo=undo, recover=recover)
        backups = QueueBackup(db, backup_dir, declared=declare or ())
        if recover:
            _recover(console, backups)
            return
        if undo:
            agree(console, f"Undo the last restore of {quoted(backups.path)}", yes=yes)
            result = backups.undo_restore(live=live, timeout_seconds=timeout_seconds)
            _say(console, backups, result)
            return
        chosen = backup if backup is not None else _newest(console, backups)
        if (dry_run or not yes) and not is_possible(
            console, backups, chosen, live=live, foreign=foreign
        ):
            return
        if dry_run:
            return
        agree(console, f"Restore it over {quoted(backups.path)}", yes=yes)
        with progress_bar(console, "Restoring") as progress:
            result = backups.restore_backup(
                chosen,
                live=live,
                allow_foreign=foreign,
                timeout_seconds=timeout_seconds,
                progress=progress,
            )
        _say(console, backups, result)


def _refuse_mixtures(*, backup: str | None, dry_run: bool, undo: bool, recover: bool) -> None:
    if undo and recover:
        raise typer.BadParameter("Give --undo or --recover, not both.")
    if (undo or recover) and (backup is not None or dry_run):
        raise typer.BadParameter("--undo and --recover take neither a BACKUP nor --dry-run.")


def _newest(console: Console, backups: "QueueBackup") -> "Path":
    """Return the newest sound backup; say which newer ones are passed over."""
    choice = backups.choose_newest()
    newest = backups.newest_or_error(choice).path
    console.facts["passed_over"] = [
        {"backup": str(path), "why": why} for path, why in choice.passed_over
    ]
    for path, why in choice.passed_over:
        console.say(f"Passed over {quoted(path)}, which is newer: {why}", "bad")
    return newest


def _recover(console: Console, backups: "QueueBackup") -> None:
    from core import connect_stdlib
    from core.recovery import on_opening

    found = on_opening(backups.path, read_only=False, connect=connect_stdlib)
    console.facts["recovered"] = None if found is None else found.state
    if found is None:
        console.say(f"No restore of {quoted(backups.path)} was cut off; nothing was done.")
    else:
        console.say(str(found), "good")


def _say(console: Console, backups: "QueueBackup", result: "RestoreResult") -> None:
    # Which newer backups were passed over stands there by now.
    facts = {name: fact for name, fact in vars(result).items() if name != "passed_over"}
    console.facts.update({**facts, "database": str(backups.path), "seconds": result.seconds})
    console.say(f"Restored {quoted(result.backup)} in {result.seconds:.1f} s", "good")
    console.say(
        f"{result.tasks_restored} tasks are in the queue; {result.leases_released} that were held "
        "in the backup are queued again."
    )
    console.say(
        f"Tasks lost: {number(result.tasks_lost)}; finished ones that will run again: "
        f"{number(result.tasks_to_run_again)}."
    )
    if result.backup_age_s is not None:
        console.say(f"The backup was {age(result.backup_age_s)} old.")
    if result.quarantine is not None:
        console.say(f"What was there before is kept in {quoted(result.quarantine)}")
        console.say(f"Take it back with: queuedrill restore --db {quoted(backups.path)} --undo")
