"""``queuedrill prune``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from core.retention import RetentionPlan, RetentionPolicy

from ..asking import agree
from ..console import Console
from ..figures import quoted
from ..options import AsJson, BackupDir, Db, Debug, DryRun, Yes
from ..speaking import speaking

_KEEP_COUNT = 10


def prune(
    *,
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep",
            metavar="N",
            min=1,
            show_default=False,
            help="The newest N; 10 if no rule is given.",
        ),
    ] = None,
    daily: Annotated[
        int, typer.Option("--daily", metavar="N", min=0, help="One for each of N days.")
    ] = 0,
    weekly: Annotated[
        int, typer.Option("--weekly", metavar="N", min=0, help="One for each of N weeks.")
    ] = 0,
    monthly: Annotated[
        int, typer.Option("--monthly", metavar="N", min=0, help="One for each of N months.")
    ] = 0,
    dry_run: DryRun = False,
    yes: Yes = False,
    db: Db = None,
    backup_dir: BackupDir = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Remove old backups: show which, then ask.

    Only backups proved sound count as kept; the newest sound one and those without a manifest
    always stay.
    """
    with speaking("prune", as_json=as_json, debug=debug) as console:
        from core import QueueBackup

        policy = _policy(keep, daily, weekly, monthly)
        backups = QueueBackup(db, backup_dir)
        plan = backups.plan_retention(policy)
        console.facts.update(dry_run=dry_run, plan=_facts(plan), removed=[])
        _say(console, plan)
        if not plan.remove or dry_run:
            return
        agree(console, f"Remove {_many(plan.remove)} from {quoted(backups.folder)}", yes=yes)
        removed = backups.apply_retention(policy)
        console.facts["removed"] = [str(path) for path in removed]
        console.say(f"Removed {_many(removed)}.", "good")


def _policy(keep: int | None, daily: int, weekly: int, monthly: int) -> "RetentionPolicy":
    from core.retention import RetentionPolicy

    if keep is None:
        keep = 0 if daily or weekly or monthly else _KEEP_COUNT
    return RetentionPolicy(last=keep, daily=daily, weekly=weekly, monthly=monthly)


def _say(console: Console, plan: "RetentionPlan") -> None:
    groups = (
        ("keep", plan.keep),
        ("remove", plan.remove),
        ("broken, stays for now", plan.broken),
        ("no manifest, stays", plan.untouched),
    )
    rows = [[path.name, what] for what, paths in groups for path in paths]
    if rows:
        console.table(("BACKUP", "WHAT HAPPENS"), rows)
    if not plan.remove:
        console.say("Nothing to remove.")


def _facts(plan: "RetentionPlan") -> dict[str, list[str]]:
    return {name: [str(path) for path in paths] for name, paths in vars(plan).items()}


def _many(paths: tuple[Path, ...] | list[Path]) -> str:
    return f"{len(paths)} backup{'' if len(paths) == 1 else 's'}"
