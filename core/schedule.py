"""The hourly, daily and weekly runs, and when they are due.

Times: hourly at minute 30, daily at 02:00 from Sunday to Friday, weekly on Saturday at 02:00. The
weekly run does all that the daily one does, so Saturday has only that; should two runs meet all
the same, each of their steps waits for the other's.
"""

import os
from dataclasses import dataclass
from datetime import datetime

from .arguments import check_integer, check_seconds
from .database import QueueDatabase
from .maintenancerun import MaintenanceRun
from .runreport import RunReport, Step

__all__ = [
    "DAILY",
    "HOURLY",
    "WEEKLY",
    "RunReport",
    "Step",
    "Times",
    "run_daily",
    "run_hourly",
    "run_weekly",
]

KEEP_BACKUPS = 10
WAIT_S = 60.0
STALE_SECONDS = 300.0


@dataclass(frozen=True)
class Times:
    """When a run is due, in local time.

    Attributes:
        minute: minute of the hour.
        hour: hour of the day; None for every hour.
        weekdays: days it is due on, 0 is Monday.
    """

    minute: int
    hour: int | None
    weekdays: tuple[int, ...]

    def is_due(self, local_time: datetime) -> bool:
        """Return whether the run begins in the minute of that local time."""
        return (
            local_time.weekday() in self.weekdays
            and self.hour in (None, local_time.hour)
            and self.minute == local_time.minute
        )


HOURLY = Times(minute=30, hour=None, weekdays=(0, 1, 2, 3, 4, 5, 6))
DAILY = Times(minute=0, hour=2, weekdays=(0, 1, 2, 3, 4, 6))
WEEKLY = Times(minute=0, hour=2, weekdays=(5,))


def run_hourly(
    database: QueueDatabase, *, timeout_seconds: float = STALE_SECONDS, wait_s: float = WAIT_S
) -> RunReport:
    """Free the tasks whose holders are gone; return what was done.

    Args:
        database: the queue.
        timeout_seconds: grace after the end of a lease.
        wait_s: how long a step waits for another maintenance run.

    Raises:
        InvalidArgumentError: an argument makes no sense; nothing was done. All else that goes
            wrong is written into the report.

    Locks: writer, for moments.
    On a live queue: safe.
    """
    check_seconds("timeout_seconds", timeout_seconds)
    run = MaintenanceRun("hourly", database, None, wait_s)
    run.free_stale_leases(timeout_seconds)
    return run.report()


def run_daily(
    database: QueueDatabase,
    backup_dir: str | os.PathLike[str] | None = None,
    *,
    keep_count: int = KEEP_BACKUPS,
    timeout_seconds: float = STALE_SECONDS,
    wait_s: float = WAIT_S,
) -> RunReport:
    """Compare, back up, verify, thin out, analyze, checkpoint, free leases; return what was done.

    Finished tasks are compared with what was recorded of them. Old backups are only removed once
    the new one is verified, and while finished tasks are as they were recorded.

    Args:
        database: the queue.
        backup_dir: where backups lie; ``backups`` beside the database unless told otherwise.
        keep_count: backups to keep.
        timeout_seconds: grace after the end of a lease.
        wait_s: how long a step waits for another maintenance run.

    Raises:
        InvalidArgumentError: an argument makes no sense; nothing was done. All else that goes
            wrong is written into the report.

    Locks: writer, for moments.
    On a live queue: safe.
    """
    check_integer("keep_count", keep_count, least=1)
    check_seconds("timeout_seconds", timeout_seconds)
    run = MaintenanceRun("daily", database, backup_dir, wait_s)
    run.do("content", run.check_content, writes=False)
    if not run.back_up("daily", keep_count):
        # The database itself may be why; nothing is written to it until that is known.
        run.do("integrity check", run.check_integrity, writes=False)
    run.do("analyze", run.analyze)
    run.do("checkpoint", run.checkpoint)
    run.free_stale_leases(timeout_seconds)
    return run.report()


def run_weekly(
    database: QueueDatabase,
    backup_dir: str | os.PathLike[str] | None = None,
    *,
    keep_count: int = KEEP_BACKUPS,
    timeout_seconds: float = STALE_SECONDS,
    vacuum_timeout_seconds: float = 600.0,
    wait_s: float = WAIT_S,
) -> RunReport:
    """Do the daily steps, and check, VACUUM and check again; return what was done.

    VACUUM is only run where a verified backup was just made, the database is sound and finished
    tasks are as they were recorded; afterwards the database is checked whole, and every task and
    log row counted before must be there.

    Args:
        database: the queue.
        backup_dir: where backups lie; ``backups`` beside the database unless told otherwise.
        keep_count: backups to keep.
        timeout_seconds: grace after the end of a lease.
        vacuum_timeout_seconds: how long VACUUM may wait and work.
        wait_s: how long a step waits for another maintenance run.

    Raises:
        InvalidArgumentError: an argument makes no sense; nothing was done. All else that goes
            wrong is written into the report.

    Locks: writer, for all of the VACUUM.
    On a live queue: delays writers; stop them or choose a quiet hour.
    """
    check_integer("keep_count", keep_count, least=1)
    check_seconds("timeout_seconds", timeout_seconds)
    check_seconds("vacuum_timeout_seconds", vacuum_timeout_seconds)
    run = MaintenanceRun("weekly", database, backup_dir, wait_s)
    run.do("content", run.check_content, writes=False)
    backed_up = run.back_up("weekly", keep_count)
    sound = run.do("integrity check", run.check_integrity, writes=False)
    run.do("analyze", run.analyze)
    run.do(
        "vacuum",
        lambda: run.vacuum(vacuum_timeout_seconds),
        needs=backed_up and sound and run.differing is None,
        why=run.differing or "it needs a verified backup and a sound database",
    )
    run.do("verify database", run.verify_database)
    run.do("checkpoint", run.checkpoint)
    run.free_stale_leases(timeout_seconds)
    return run.report()
