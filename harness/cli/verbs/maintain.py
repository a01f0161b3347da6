"""``queuedrill maintain``."""

import enum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from core import QueueDatabase
    from core.schedule import RunReport

from ..options import AsJson, BackupDir, Db, Debug
from ..speaking import speaking


class Round(enum.StrEnum):
    """The maintenance runs of the schedule."""

    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"


def maintain(
    *,
    which: Annotated[Round, typer.Argument(metavar="hourly|daily|weekly", show_default=False)],
    db: Db = None,
    backup_dir: BackupDir = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Do the hourly, daily or weekly run, without asking.

    Hourly frees stale leases. Daily backs up, verifies, keeps the newest 10 backups, updates
    statistics, checkpoints and frees stale leases. Weekly also checks the whole file before and
    after a VACUUM, for which writers wait.
    """
    with speaking("maintain", as_json=as_json, debug=debug) as console:
        from core import QueueDatabase

        console.facts["run"] = which.value
        with QueueDatabase(db) as database:
            report = _run(which, database, backup_dir)
        console.facts["steps"] = [vars(step) for step in report.steps]
        for step in report.steps:
            mark = "ok     " if step.ok else "FAILED " if step.ran else "not run"
            line = f"{mark}  {step.name}  {step.seconds:.1f} s  {step.detail}".rstrip()
            console.say(line, "plain" if step.ok else "bad")
        if report.ok:
            console.say(f"The {which.value} run is done.", "good")
        else:
            console.not_good()
            console.say(f"The {which.value} run is NOT whole.", "bad")


def _run(which: Round, database: "QueueDatabase", backup_dir: str | None) -> "RunReport":
    from core.schedule import run_daily, run_hourly, run_weekly

    if which is Round.HOURLY:
        return run_hourly(database)
    run = run_daily if which is Round.DAILY else run_weekly
    return run(database, backup_dir)
