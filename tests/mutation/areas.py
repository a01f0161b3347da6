"""Which parts of the core are mutated together, and the tests that know them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Area:
    """Some modules of the core.

    Attributes:
        modules: their names.
        tests: names of the test files in ``tests/core`` that are tried first.
        scenarios: the scenario files that are tried on what those tests let live.
    """

    modules: tuple[str, ...]
    tests: tuple[str, ...]
    scenarios: tuple[str, ...]


AREAS = {
    "backup": Area(
        modules=(
            *("backup", "backup_writer", "drafts", "copying", "manifest", "naming", "catalog"),
            *("verification", "choosing"),
        ),
        tests=("backup", "copying", "manifest", "naming", "catalog", "verification"),
        scenarios=("test_backup.py", "test_restore.py", "test_alarm.py"),
    ),
    "restore": Area(
        modules=(*("restore", "staging", "intent", "placement", "recovery", "quarantine", "cost"),),
        tests=("restore", "recovery", "undo", "killed"),
        scenarios=("test_restore.py", "test_cut_off.py", "test_undo.py"),
    ),
    "retention": Area(("retention",), ("retention",), ("test_retention.py",)),
    "tasks": Area(
        modules=(
            *("tasks", "claiming", "task", "attempts", "leases", "releasing", "payloads"),
            "timestamps",
        ),
        tests=("tasks", "leases", "releasing", "payloads", "timestamps"),
        scenarios=("test_leases.py", "test_workload.py", "test_clocks.py"),
    ),
    "maintenance": Area(
        modules=(
            *("maintenance", "maintenancerun", "checkpoint", "vacuum", "analysis", "integrity"),
            *("archive", "archivefile", "wholetask", "rowcounts", "schedule", "runreport"),
            *("statistics", "stopping", "journal", "locks"),
        ),
        tests=("maintenance", "checkpoint", "vacuum", "archive", "schedule", "locks"),
        scenarios=(
            *("test_maintenance.py", "test_checkpoint.py", "test_runs.py"),
            "test_archive.py",
        ),
    ),
    "health": Area(
        modules=(
            *("health", "thresholds", "findings", "content_checks", "task_checks", "file_checks"),
            *("waiting", "viewpoint", "wal", "walsum", "walheader", "walindex", "defects"),
            *("examination", "fileformat"),
            *("astray", "filesystem"),
        ),
        tests=(
            *("health", "thresholds", "findings", "content_checks", "task_checks", "file_checks"),
            *("waiting", "viewpoint", "wal", "wal_recovery", "walindex", "defects", "astray"),
            "filesystem",
        ),
        scenarios=("test_health.py", "test_corruption.py"),
    ),
    "salvage": Area(
        modules=(
            *("salvage", "salvagemaking", "salvagereading", "salvagefile", "salvagereport"),
            *("salvagecompare", "evidence", "doubts", "tableshape", "filetables", "treewalk"),
            *("nodes", "records", "pagefile", "walframes", "walpages", "journalpages"),
        ),
        tests=("salvage", "salvage_hostile", "records"),
        scenarios=("test_salvage.py",),
    ),
    "content": Area(
        modules=(
            *("content", "contentcomparison", "contentrecord", "taskrows", "archivedcopies"),
            *("contentbackups", "finished_check", "ranges"),
        ),
        tests=("content", "contentrecord", "contentbackups", "health", "schedule"),
        scenarios=("test_content.py",),
    ),
    "untrusted": Area(
        modules=("untrusted", "strangers", "printable"),
        tests=("untrusted", "hostile_files"),
        scenarios=("test_hostile.py",),
    ),
    "ground": Area(
        modules=(
            *("database", "schema", "files", "primitives", "paths", "holders", "observer"),
            *("translation", "clock", "connection", "arguments", "forks"),
            "slot",
        ),
        tests=(
            *("database", "schema", "files", "paths", "holders", "observer", "translation"),
            *("io_errors", "forks"),
        ),
        scenarios=("test_gate.py", "test_rivals.py"),
    ),
}
"""All of the core but its table of errors, by area."""
