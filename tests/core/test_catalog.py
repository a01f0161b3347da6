"""Which backups a folder holds, whose they are, and in which order."""

import os
import shutil

import pytest
from queue_files import (
    START_MS,
    edit_manifest,
    listed,
    make_backups,
    make_legacy,
    make_queue,
)

from core import ManualClock, QueueBackup
from core.errors import BackupFolderError
from core.manifest import manifest_path


@pytest.fixture
def clock():
    """Return a clock that stands still until it is moved."""
    return ManualClock(START_MS)


@pytest.fixture
def backup(tmp_path, clock):
    """Return the backups of a small queue."""
    return QueueBackup(make_queue(tmp_path / "queue.db"), clock=clock)


def test_missing_folder_is_an_empty_list(backup):
    """Listing needs no folder and makes none."""
    assert backup.list_backups() == []
    assert not backup.folder.exists()


def test_backups_come_newest_first_whatever_the_files_say(backup, clock):
    """Order is that of the manifests' moments; copying or touching a file changes nothing."""
    oldest, middle, newest = make_backups(backup, clock, 3)
    os.utime(oldest, (4e9, 4e9))
    os.utime(newest, (0, 0))

    assert listed(backup) == [newest, middle, oldest]


def test_backups_of_the_old_kind_take_their_place_by_their_names(backup, clock):
    """One without a manifest is among the others by the local time in its name."""
    older, newer = make_backups(backup, clock, 2)
    between = backup.list_backups()[1].created_at.replace(minute=59)
    legacy = make_legacy(backup.path, backup.folder / f"queue_backup_{between:%Y%m%d_%H%M%S}.db")
    os.utime(legacy, (0, 0))

    assert listed(backup) == [newer, legacy, older]
    info = backup.list_backups()[1]
    assert (info.is_legacy, info.ours, info.manifest) == (True, True, None)
    assert info.created_at == between


def test_entry_has_what_the_runbook_prints(backup, clock):
    """Path, size in MB and local time are what the runbook's listing shows."""
    (path,) = make_backups(backup, clock, 1)
    (info,) = backup.list_backups()

    assert info.path == path
    assert info.size_mb == path.stat().st_size / 1024 / 1024
    assert f"{info.created_at:%Y%m%d_%H%M%S}" in path.name
    assert info.created_at.tzinfo is None
    assert info.created_at_utc.timestamp() * 1000 == clock.now_ms()


def test_backup_of_another_queue_is_not_listed_as_ours(tmp_path, backup, clock):
    """Queues that share a folder see their own backups, and the others only when asked."""
    (ours,) = make_backups(backup, clock, 1)
    other = QueueBackup(make_queue(tmp_path / "other.db"), backup.folder, clock=clock)
    theirs = other.create_backup("theirs")

    assert listed(backup) == [ours]
    assert listed(other) == [theirs]
    assert set(listed(backup, include_foreign=True)) == {ours, theirs}


def test_backup_of_another_queue_stays_theirs_when_its_manifest_is_damaged(tmp_path, backup, clock):
    """A damaged manifest that still names its queue does not make a backup ours."""
    backup.folder.mkdir()
    other = QueueBackup(make_queue(tmp_path / "other.db"), backup.folder, clock=clock)
    edit_manifest(other.create_backup(), '"queued": 10', '"queued": 11')

    assert listed(backup) == []
    assert [info.manifest_problem is not None for info in other.list_backups()] == [True]


def test_damaged_manifest_is_told_and_makes_no_backup_of_the_old_kind(backup, clock):
    """A manifest that cannot be used is a problem of its backup, not the lack of a manifest."""
    (path,) = make_backups(backup, clock, 1)
    manifest_path(path).write_bytes(b"{")

    (info,) = backup.list_backups()

    assert info.manifest_problem is not None
    assert not info.is_legacy


def test_what_is_no_backup_file_is_not_listed(backup, clock):
    """Links, folders, drafts and files of other names are not among the backups."""
    (path,) = make_backups(backup, clock, 1)
    folder = backup.folder
    (folder / "queue_backup_20250101_000000.db").mkdir()
    (folder / "notes.txt").write_text("mine")
    shutil.copy(path, folder / ".queue_backup_0123_0123.draft.db")
    shutil.copy(path, folder / "copy_of_queue_backup_20250101_000001.db")
    (folder / "queue_backup_20250101_000002.db").symlink_to(path)

    assert listed(backup) == [path]


def test_file_in_the_folder_s_place_is_an_error_and_no_empty_list(backup):
    """That there are no backups is only said of a folder that was read."""
    backup.folder.write_text("in the way")

    with pytest.raises(BackupFolderError, match="cannot be used"):
        backup.list_backups()


if os.name == "posix" and os.geteuid() == 0:
    UNREADABLE = """
import os
from core import QueueBackup
from core.errors import QueueBackupError
os.setgid(65534); os.setuid(65534)
try:
    say(len(QueueBackup(argv[0], argv[1]).list_backups()))
except QueueBackupError as error:
    say(type(error).__name__)
"""

    def test_folder_that_may_not_be_read_is_no_empty_list(spawn, open_the_way, tmp_path):
        """A user who may not read the folder gets an error, not the news of no backups."""
        folder = tmp_path / "backups"
        folder.mkdir(mode=0o700)
        open_the_way(tmp_path)

        child = spawn(UNREADABLE, tmp_path / "queue.db", folder)

        assert child.hear() == "BackupFolderError"

    VERIFIES_UNREADABLE = """
import os
from core import QueueBackup
from core.errors import QueueBackupError
os.setgid(65534); os.setuid(65534)
try:
    say(QueueBackup(argv[0], argv[1]).verify_backup(argv[2]))
except QueueBackupError as error:
    say(type(error).__name__)
"""

    def test_backup_that_may_not_be_looked_for_is_not_called_missing(spawn, open_the_way, backup):
        """A user who may not look into the folder is told that, not that there is no backup."""
        made = backup.create_backup()
        open_the_way(backup.path.parent)
        backup.folder.chmod(0o700)

        child = spawn(VERIFIES_UNREADABLE, backup.path, backup.folder, made.name)

        assert child.hear() == "BackupFolderError"
