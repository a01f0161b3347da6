"""What is said of a queue file without opening it."""

import os

from health_queues import (
    HOUR_MS,
    NOW_MS,
    checked,
    clock,
)

from core import ManualClock, QueueBackup
from core.findings import Level
from core.intent import intent_path
from core.locks import maintenance_lock
from core.thresholds import AtLeast, Thresholds


def test_second_name_of_the_file_is_a_warning(queue_path):
    """A hard link means a second log, and is told."""
    os.link(queue_path, queue_path.with_name("other.db"))

    assert checked(queue_path).finding("file.names").level is Level.WARNING


def test_folder_of_another_way_of_locking_is_a_warning(queue_path):
    """Programs that lock by a folder are not seen by those that lock the file."""
    assert checked(queue_path).finding("file.locking").level is Level.OK
    queue_path.with_name(queue_path.name + ".lock").mkdir()

    found = checked(queue_path).finding("file.locking")

    assert (found.level, found.observed) == (Level.WARNING, f"{queue_path.name}.lock")


def test_restore_that_was_cut_off_is_critical_and_one_under_way_a_warning(queue_path):
    """A left-over note of a restore is told with the command that ends it."""
    intent_path(queue_path).write_text("{}", encoding="utf-8")

    found = checked(queue_path).finding("file.restore")
    with maintenance_lock(queue_path, "restore"):
        during = checked(queue_path).finding("file.restore")

    assert (found.level, found.command) == (
        Level.CRITICAL,
        f'queuedrill restore --db "{queue_path}" --recover',
    )
    assert during.level is Level.WARNING


def test_free_disk_is_judged_from_below(queue_path):
    """Free space is kept at its limit and passed just above it, at both levels."""

    def level(warning, critical):
        thresholds = Thresholds(free_disk_gb=AtLeast(warning, critical))
        return checked(queue_path, thresholds=thresholds).finding("disk.free").level

    assert level(0, 0) is Level.OK
    assert level(10**9, 0) is Level.WARNING
    assert level(10**9, 10**9) is Level.CRITICAL


def test_backups_that_are_missing_broken_or_dated_ahead_are_told(queue_path):
    """No verified backup is critical, and one from the future is no comfort."""
    missing = checked(queue_path).finding("backups.age")
    backup = QueueBackup(queue_path, clock=ManualClock(NOW_MS + 5 * HOUR_MS)).create_backup()
    ahead = checked(queue_path).finding("backups.age")
    with backup.open("r+b") as file:
        file.seek(3000)
        file.write(b"\x5a\xa5")
    broken = checked(queue_path).finding("backups.age")

    assert (missing.level, missing.observed) == (Level.CRITICAL, "none")
    assert missing.command == f'queuedrill backup --db "{queue_path}"'
    assert ahead.level is Level.WARNING
    assert "future" in ahead.message
    assert broken.level is Level.CRITICAL
    assert "none of the 1 there" in broken.message


def test_damaged_backup_that_is_newer_than_a_sound_one_is_a_warning(queue_path):
    """A young enough backup does not hide that the one after it is of no use, and why."""
    sound = QueueBackup(queue_path, clock=ManualClock(NOW_MS - HOUR_MS)).create_backup()
    damaged = QueueBackup(queue_path, clock=clock()).create_backup()
    assert checked(queue_path).finding("backups.age").level is Level.OK
    with damaged.open("r+b") as file:
        file.seek(3000)
        file.write(b"\x5a\xa5")

    found = checked(queue_path).finding("backups.age")
    old = checked(queue_path, clock=ManualClock(NOW_MS + 400 * HOUR_MS)).finding("backups.age")

    assert (found.level, old.level) == (Level.WARNING, Level.CRITICAL)
    assert f"{sound.name}, is 1.0 h old" in found.message
    assert f"of no use as it is now: {damaged.name} (digest: the content" in found.message
    assert found.command == f'queuedrill backup --db "{queue_path}"'


def test_backups_elsewhere_are_looked_for_there(queue_path, tmp_path):
    """The folder that is named is the one that counts, and the cure names it, too."""
    found = checked(queue_path, backup_dir=tmp_path / "else where").finding("backups.age")

    assert found.command.endswith(f'--backup-dir "{tmp_path / "else where"}"')
    assert not (tmp_path / "else where").exists()
    QueueBackup(queue_path, tmp_path / "there", clock=clock()).create_backup()
    there = checked(queue_path, backup_dir=tmp_path / "there").finding("backups.age")
    assert there.level is Level.OK
    assert checked(queue_path).finding("backups.age").level is Level.CRITICAL


def test_every_command_about_backups_looks_where_they_are(queue_path, tmp_path):
    """A folder that the caller named is in the command that restores from it or thins it out."""
    folder = tmp_path / "else where"
    QueueBackup(queue_path, folder).create_backup()
    no_room = Thresholds(free_disk_gb=AtLeast(10**9, 10**9))
    pruned = checked(queue_path, backup_dir=folder, thresholds=no_room).finding("disk.free")
    queue_path.write_bytes(b"garbage" * 1000)

    restored = checked(queue_path, backup_dir=folder).finding("file.opens")

    option = f'--backup-dir "{folder}"'
    assert pruned.command == f'queuedrill prune --db "{queue_path}" {option}'
    assert restored.command == f'queuedrill restore --db "{queue_path}" {option}'
    assert "backup-dir" not in checked(queue_path).finding("file.opens").command


def test_ending_a_restore_needs_no_backups(queue_path, tmp_path):
    """What was cut off knows itself what it restores."""
    intent_path(queue_path).write_bytes(b"{")

    found = checked(queue_path, backup_dir=tmp_path / "else where").finding("file.restore")

    assert found.command == f'queuedrill restore --db "{queue_path}" --recover'
