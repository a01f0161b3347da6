"""The backup that still has what differs is found, by the digests that were recorded."""

import pytest
from contents import NOW_MS, check, finish, run

from core import ManualClock, QueueBackup
from core.contentbackups import backup_with
from core.contentrecord import record_path


@pytest.fixture
def clock():
    """Return a clock that stands still."""
    return ManualClock(NOW_MS)


@pytest.fixture
def backups(queue_path, clock):
    """Return the paths of three backups, newest first: damaged, with all tasks, with the first."""
    made = QueueBackup(queue_path, clock=clock)
    paths = []
    for count in (5, 5, 0):
        finish(queue_path, count)
        if not count:
            check(queue_path, clock)
            run(queue_path, "UPDATE task_queue SET payload = '1' WHERE id IN (2, 7)")
            check(queue_path, clock)
        paths.insert(0, made.create_backup())
        clock.advance_s(60)
    return paths


def test_newest_backup_that_has_all_is_found(queue_path, backups):
    """The one of after the damage has none of them, and the oldest only one."""
    found = backup_with(record_path(queue_path), backups)

    assert (found.backup, found.tasks, found.wanted) == (backups[1], 2, 2)


def test_backup_that_has_most_is_found_where_none_has_all(queue_path, backups):
    """Some are better than none, and it says how many."""
    found = backup_with(record_path(queue_path), [backups[0], backups[2]])

    assert (found.backup, found.tasks, found.wanted) == (backups[2], 1, 2)


def test_backup_that_cannot_be_read_is_passed_over(queue_path, backups, tmp_path):
    """A file that is no database, or none at all, stops nothing."""
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"no database" * 100)

    found = backup_with(record_path(queue_path), [garbage, tmp_path / "missing", backups[1]])

    assert found.backup == backups[1]


def test_none_is_found_where_none_has_any(queue_path, backups, clock):
    """Without a backup of before, and where nothing differs, there is none to name."""
    assert backup_with(record_path(queue_path), backups[:1]) is None
    check(queue_path, clock, accept=True)
    assert backup_with(record_path(queue_path), backups) is None


def test_looking_leaves_no_file_beside_a_backup(queue_path, backups):
    """A backup is only read."""
    before = sorted(file.name for file in backups[0].parent.iterdir())

    backup_with(record_path(queue_path), backups)

    assert sorted(file.name for file in backups[0].parent.iterdir()) == before
