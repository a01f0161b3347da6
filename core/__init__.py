"""The maintenance core: every verb that a task queue kept in SQLite needs, done so that it holds.

Standard library only, relative imports only: an application that wants it in its own process
copies this folder under a name of its own.
"""

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
