"""What a run ran on, for the reports."""

import os
import platform
import sqlite3
import sys

import pytest

from harness.settings import Settings


def environment(config: pytest.Config, settings: Settings) -> dict[str, str]:
    """Return names and values of what may explain a result on another machine."""
    xdist = config.pluginmanager.hasplugin("dsession")
    workers = len(config.getoption("tx", []) or []) if xdist else 0
    return {
        "SQLite": f"{sqlite3.sqlite_version} (as Python has it)",
        "Python": f"{platform.python_version()} at {sys.executable}",
        "pytest": pytest.__version__,
        "test processes": str(workers or "1, the controlling one"),
        "system": platform.platform(),
        "processors": str(os.cpu_count() or "unknown"),
        "run in": str(config.invocation_params.dir),
        "reports in": str(settings.report_dir),
        "queue": str(settings.db or "made for the run"),
        "backups": str(settings.backup_dir or "-"),
        "driver": settings.driver or "that of our own core",
        "least number of checks": str(settings.min_checks),
        **{f"limit {bound.name}": str(bound) for bound in settings.limits.bounds},
    }
