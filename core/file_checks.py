"""What can be said of a queue file without opening it: its neighbours, its disk, its backups."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from .astray import find_astray
from .backup import QueueBackup
from .defects import has_wal_reset_defect, version_of
from .errors import InterruptedRestoreError
from .examination import RECOVER, Case, FileCheck, Outcome, held_against, named
from .files import free_bytes
from .filesystem import shared_file_system
from .findings import Level
from .intent import intent_path, read_intent
from .locks import is_held
from .paths import backup_folder, lock_folder, wal_of

MEGABYTE = 1024 * 1024
_GIGABYTE = 1024 * MEGABYTE
_HOUR_MS = 3_600_000
_NAMED_MOST = 3


def check_names(case: Case) -> Outcome:
    """The file has one name: SQLite makes the -wal beside the name it was given.

    Two names mean two logs (https://www.sqlite.org/howtocorrupt.html, section 2.6).
    """
    links = case.path.stat().st_nlink if case.path.is_file() else 0
    if links <= 1:
        return Outcome(Level.OK, links, "The file has one name.")
    return Outcome(
        Level.WARNING,
        links,
        f"The file has {links} names (hard links). A program that opens it by another name keeps a "
        "log of its own there, and tasks are lost. Remove the other names.",
    )


def check_holders(case: Case) -> Outcome:
    """Whoever works on the queue works on the file that has its name.

    A file that is deleted or replaced while it is open stays open
    (https://www.sqlite.org/howtocorrupt.html, section 2.5).
    """
    astray = find_astray(case.path)
    if astray is None:
        message = "Whether somebody works on a file that was deleted cannot be seen on this system."
        return Outcome(Level.OK, "not visible", message)
    if not astray:
        return Outcome(
            Level.OK, 0, "Nobody is seen to work on a file that was deleted or replaced."
        )
    return Outcome(
        Level.CRITICAL,
        len(astray),
        f"The file was deleted, replaced or renamed while {named(list(map(str, astray)))} had it "
        "open: what is told to be done there is in no file that anybody else finds, and its log "
        "mixes with that of the new file. Stop that first, then look at the queue again.",
    )


def check_locking(case: Case) -> Outcome:
    """Nobody locks the queue by a folder beside it, which nobody else looks at.

    Programs that lock in different ways do not see each other
    (https://www.sqlite.org/howtocorrupt.html, section 2.4).
    """
    folder = lock_folder(case.path)
    if not folder.exists():
        return Outcome(Level.OK, "none", "There is no sign of another way of locking.")
    return Outcome(
        Level.WARNING,
        folder.name,
        f"{folder.name} lies beside the file: a program locks it by that (SQLite's unix-dotfile), "
        "or died while it did. Others do not see such a lock, and two that write at once destroy "
        "the queue. Have all programs use the same kind of lock, then delete it.",
    )


def check_file_system(case: Case) -> Outcome:
    """The queue lies on a disk of this machine, whose locks can be relied on.

    Those of file systems on a network often cannot
    (https://www.sqlite.org/howtocorrupt.html, section 2.1).
    """
    shared = shared_file_system(case.path)
    if not shared:
        return Outcome(Level.OK, "local", "The file is not seen to lie on a network.")
    return Outcome(
        Level.WARNING,
        shared,
        f"The file lies on {shared}. Locks are often broken there, and a -wal cannot be shared "
        "between machines: two that write at once destroy the queue. Keep it on a local disk.",
    )


def check_restore(case: Case) -> Outcome:
    """No restore was cut off."""
    if not intent_path(case.path).exists():
        return Outcome(Level.OK, "none", "No restore is under way or was cut off.")
    if is_held(case.path):
        return Outcome(Level.WARNING, "under way", "A restore is under way now.")
    command = case.command("restore", RECOVER)
    try:
        intent = read_intent(case.path)
    except ValueError as error:
        return Outcome(Level.CRITICAL, "cut off", str(error), command=command)
    backup = intent.backup if intent else "a backup"
    detail = f"a restore of {backup} was cut off, and neither state is in force until it is ended"
    message = str(InterruptedRestoreError(path=str(case.path), detail=detail))
    return Outcome(Level.CRITICAL, "cut off", message, command=command)


def check_wal_size(case: Case) -> Outcome:
    """The -wal is within its limits."""
    wal = wal_of(case.path)
    size_mb = wal.stat().st_size / MEGABYTE if wal.is_file() else 0.0
    case.metrics["wal_size_mb"] = size_mb
    message = f"The -wal is {size_mb:.1f} MB long"
    command = case.command("checkpoint", "--mode TRUNCATE")
    return held_against(case.thresholds.wal_mb, size_mb, message, command)


def check_disk(case: Case) -> Outcome:
    """There is room for the database and for its backups."""
    folders = (case.path.parent, case.backup_dir or backup_folder(case.path))
    free_gb, folder = min((free_bytes(folder) / _GIGABYTE, folder) for folder in folders)
    case.metrics["free_disk_gb"] = free_gb
    message = f"{free_gb:.1f} GB are free on the disk of {folder}"
    return held_against(case.thresholds.free_disk_gb, free_gb, message, case.command("prune"))


def check_backups(case: Case) -> Outcome:
    """The newest verified backup is young enough."""
    backups = QueueBackup(case.path, case.backup_dir, connect=case.connect, clock=case.clock)
    listed = len(backups.list_backups())
    choice = backups.choose_newest()
    newest = choice.backup
    case.metrics["backups"] = listed
    command = case.command("backup")
    if newest is None:
        others = f"; none of the {listed} there can be verified" if listed else ""
        message = f"There is no verified backup in {backups.folder}{others}."
        return Outcome(
            Level.CRITICAL, "none", message, case.thresholds.backup_age_h, command=command
        )
    age_h = (case.now_ms - newest.created_ms) / _HOUR_MS
    case.metrics["backup_age_h"] = age_h
    outcome = held_against(
        case.thresholds.backup_age_h,
        age_h,
        f"The newest verified backup, {newest.path.name}, is {age_h:.1f} h old",
        command,
    )
    if age_h * 3600 < -case.thresholds.clock_ahead_s.warning:
        outcome = _from_the_future(newest.path, -age_h, outcome)
    return _with_damaged(outcome, choice.passed_over)


def check_sqlite(case: Case) -> Outcome:
    """The SQLite that this process runs has no defect that is known to harm queues."""
    with closing(case.connect("file::memory:", timeout_s=0.0)) as connection:
        version, defective = version_of(connection), has_wal_reset_defect(connection)
    case.metrics["sqlite_version"] = version
    if not defective:
        return Outcome(Level.OK, version, f"This process runs SQLite {version}.")
    return Outcome(
        Level.WARNING,
        version,
        f"This process runs SQLite {version}, which has the WAL-reset defect unless its "
        "distributor has mended it: checkpoints beside a writer can, rarely, corrupt the queue. "
        "Upgrade to 3.51.3 or later (3.50.7 and 3.44.6 are mended too). What the workers run "
        "cannot be seen from here.",
    )


FILE_CHECKS: tuple[tuple[str, FileCheck], ...] = (
    ("file.names", check_names),
    ("file.holders", check_holders),
    ("file.locking", check_locking),
    ("file.system", check_file_system),
    ("file.restore", check_restore),
    ("wal.size", check_wal_size),
    ("disk.free", check_disk),
    ("backups.age", check_backups),
    ("sqlite.version", check_sqlite),
)


def has_backups(case: Case) -> bool:
    """Return whether there is any backup that a restore could start from."""
    try:
        return bool(QueueBackup(case.path, case.backup_dir).list_backups())
    except (OSError, sqlite3.Error):
        return False


def _with_damaged(outcome: Outcome, passed_over: tuple[tuple[Path, str], ...]) -> Outcome:
    """Return the outcome, at least a warning where a newer backup cannot be verified."""
    if not passed_over:
        return outcome
    damaged = named([f"{path.name} ({fault})" for path, fault in passed_over], _NAMED_MOST)
    message = f"{outcome.message} Newer, and of no use as it is now: {damaged}."
    return replace(outcome, level=max(outcome.level, Level.WARNING), message=message)


def _from_the_future(backup: Path, ahead_h: float, outcome: Outcome) -> Outcome:
    message = (
        f"The newest verified backup, {backup.name}, is dated {ahead_h:.1f} h in the future: a "
        "clock is or was wrong, and nothing can be said of its age."
    )
    return Outcome(Level.WARNING, outcome.observed, message, outcome.threshold, outcome.command)
