"""The maintenance core: every verb that a task queue kept in SQLite needs, done so that it holds.

Standard library only, relative imports only: an application that wants it in its own process
copies this folder under a name of its own.

A name is loaded when it is first asked for: a worker that claims and completes does not pay, at
each of its starts, for backups, restores and health checks that it never makes.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .backup import QueueBackup
    from .clock import Clock, ManualClock, SystemClock
    from .connection import Connect, Connection, connect_stdlib
    from .database import QueueDatabase
    from .errors import QueueBackupError, QueueError
    from .findings import Finding, Level
    from .health import HealthReport, check_health
    from .maintenance import QueueMaintenance
    from .schedule import run_daily, run_hourly, run_weekly
    from .task import Task
    from .tasks import TaskQueue
    from .thresholds import Thresholds

__all__ = [
    "Clock",
    "Connect",
    "Connection",
    "Finding",
    "HealthReport",
    "Level",
    "ManualClock",
    "QueueBackup",
    "QueueBackupError",
    "QueueDatabase",
    "QueueError",
    "QueueMaintenance",
    "SystemClock",
    "Task",
    "TaskQueue",
    "Thresholds",
    "check_health",
    "connect_stdlib",
    "run_daily",
    "run_hourly",
    "run_weekly",
]

_HOMES = {
    "backup": ("QueueBackup",),
    "clock": ("Clock", "ManualClock", "SystemClock"),
    "connection": ("Connect", "Connection", "connect_stdlib"),
    "database": ("QueueDatabase",),
    "errors": ("QueueBackupError", "QueueError"),
    "findings": ("Finding", "Level"),
    "health": ("HealthReport", "check_health"),
    "maintenance": ("QueueMaintenance",),
    "schedule": ("run_daily", "run_hourly", "run_weekly"),
    "task": ("Task",),
    "tasks": ("TaskQueue",),
    "thresholds": ("Thresholds",),
}


def __getattr__(name: str) -> object:
    """Return one of the public names, its module loaded (PEP 562)."""
    for home, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(f".{home}", __name__), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, those that are not loaded yet too."""
    return sorted({*globals(), *__all__})
