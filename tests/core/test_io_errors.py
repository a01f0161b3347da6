"""A disk that is full or fails: what is told, what is there, and what the next run finds."""

import contextlib
import errno
import os
import sqlite3
import subprocess

import pytest

from core import (
    QueueBackup,
    QueueDatabase,
    QueueMaintenance,
    TaskQueue,
    files,
    primitives,
    quarantine,
)
from core.clock import ManualClock
from core.errors import (
    ArchiveError,
    BackupFolderError,
    BackupInvalidError,
    BackupUnsureError,
    CommitUnknownError,
    DatabaseBusyError,
    DatabaseIOError,
    DatabaseMovedError,
    DiskFullError,
    InterruptedOperationError,
    InterruptedRestoreError,
    RestoreFailedError,
    UnreadableDatabaseError,
)
from core.findings import Level
from core.health import check_health
from core.intent import intent_path
from core.manifest import manifest_path
from core.observer import look
from core.paths import sides
from tests.core.doors import Door

MOMENT_MS = 1_790_000_000_000
HOUR_S = 3600


def _sqlite_error(code, said="disk I/O error"):
    error = sqlite3.OperationalError(said)
    error.sqlite_errorcode = code
    return error


class Once:
    """Raises an error at the first statement that begins so, after what SQLite would do."""

    def __init__(self, beginning, code, *, rolls_back=True):
        self.beginning, self.code, self.rolls_back, self.struck = beginning, code, rolls_back, 0

    def __call__(self, _uri, connection, sql):
        """Strike once."""
        if not self.struck and sql.lstrip().startswith(self.beginning):
            self.struck += 1
            if self.rolls_back and connection.in_transaction:
                connection.execute("ROLLBACK")
            raise _sqlite_error(self.code)


def _refusing(number, *, times=1):
    left = [times]

    def call(*_arguments):
        if left[0]:
            left[0] -= 1
            raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize(
    ("code", "rolls_back", "raised"),
    [
        (sqlite3.SQLITE_FULL, True, DiskFullError),
        (sqlite3.SQLITE_BUSY, False, DatabaseBusyError),
        (sqlite3.SQLITE_IOERR_FSYNC, True, CommitUnknownError),
        (sqlite3.SQLITE_IOERR_WRITE, True, CommitUnknownError),
    ],
)
def test_failed_commit_is_told_as_not_done_only_where_that_is_sure(
    queue_path, code, rolls_back, raised
):
    """A full disk and a lock that is not had leave nothing; of any other error nobody knows."""
    strike = Once("COMMIT", code, rolls_back=rolls_back)
    with QueueDatabase(queue_path, connect=Door(strike)) as database:
        tasks = TaskQueue(database)
        with pytest.raises(raised) as caught:
            tasks.enqueue("t", 1)
        assert strike.struck == 1
        assert isinstance(caught.value, CommitUnknownError) == (raised is CommitUnknownError)
        assert not database.connection().in_transaction
        assert tasks.claim("w") is None
        tasks.enqueue("t", 1)


def test_interrupted_statement_says_that_nothing_was_done(queue_path):
    """Whoever interrupts a connection gets an error of ours, and can do it again."""
    strike = Once("INSERT INTO task_queue", sqlite3.SQLITE_INTERRUPT)
    with QueueDatabase(queue_path, connect=Door(strike)) as database:
        tasks = TaskQueue(database)
        with pytest.raises(InterruptedOperationError, match="Do it again"):
            tasks.enqueue("t", 1)
        assert tasks.claim("w") is None
        tasks.enqueue("t", 1)


def test_full_disk_does_not_keep_maintenance_from_making_room(queue_path, monkeypatch):
    """The note on who holds the lock is for others; without it the lock is held all the same."""
    monkeypatch.setattr(os, "write", _refusing(errno.ENOSPC, times=9))
    with QueueDatabase(queue_path) as database:
        assert QueueMaintenance(database).checkpoint("TRUNCATE")["complete"]


@pytest.mark.parametrize("verb", ["archive", "statistics"])
def test_error_inside_a_snapshot_is_the_one_that_is_told(queue_path, verb):
    """SQLite has rolled back by then, and a second ROLLBACK must not hide what it was."""
    beginning = {"archive": "SELECT", "statistics": "PRAGMA freelist_count"}[verb]
    strike = Once(beginning, sqlite3.SQLITE_IOERR_READ)
    begun = []

    def in_snapshot(uri, connection, sql):
        if begun and connection is not None and connection.in_transaction:
            strike(uri, connection, sql)
        if sql == "BEGIN":
            begun.append(sql)

    with QueueDatabase(queue_path, connect=Door(in_snapshot)) as database:
        tasks, maintenance = TaskQueue(database), QueueMaintenance(database)
        tasks.enqueue("t", 1)
        tasks.complete(tasks.claim("w"))
        database.clock = ManualClock(database.clock.now_ms() + HOUR_S * 1000)
        verbs = {
            "archive": lambda: maintenance.archive_finished(1),
            "statistics": maintenance.get_database_stats,
        }
        with pytest.raises(DatabaseIOError):
            verbs[verb]()
        assert strike.struck == 1


def test_draft_of_an_archive_is_cleared_by_the_next_run(queue_path):
    """One that could not be removed when the archive was made goes, though that is there now."""
    with QueueDatabase(queue_path) as database:
        archive = QueueMaintenance(database).archive_finished(1).archive
        left = archive.with_name(f".{archive.name}.0123456789ab.draft")
        left.write_bytes(b"")
        QueueMaintenance(database).archive_finished(1)
        assert not left.exists()


def test_archive_that_cannot_be_made_leaves_the_error_that_stopped_it(queue_path, monkeypatch):
    """That the draft cannot be removed either does not take its place."""
    monkeypatch.setattr(primitives, "link", _refusing(errno.EIO))
    monkeypatch.setattr(primitives, "replace", _refusing(errno.ENOSPC))
    monkeypatch.setattr(primitives, "unlink", _refusing(errno.EACCES, times=99))
    with (
        QueueDatabase(queue_path) as database,
        pytest.raises(ArchiveError, match=os.strerror(errno.ENOSPC)),
    ):
        QueueMaintenance(database).archive_finished(1)


# -- backups -------------------------------------------------------------------------------------


@pytest.fixture
def backups(queue_path):
    """The backups of a queue with one task; there are two, made an hour apart."""
    clock = ManualClock(MOMENT_MS)
    with QueueDatabase(queue_path, clock=clock) as database:
        TaskQueue(database).enqueue("t", 1)
        backups = QueueBackup(database)
        for _number in range(2):
            backups.create_backup()
            clock.advance_s(HOUR_S)
        yield backups


def test_backup_whose_folder_cannot_be_synced_says_that_it_is_there(backups, monkeypatch):
    """It is whole and listed by then: who is told that there is none looks for it in vain."""
    right, published = primitives.sync, []
    monkeypatch.setattr(primitives, "link", _then(primitives.link, published))

    def sync(descriptor):
        if any(name.suffix == ".db" for name in published):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        right(descriptor)

    monkeypatch.setattr(primitives, "sync", sync)
    with pytest.raises(BackupUnsureError, match="whole and is listed") as caught:
        backups.create_backup()
    monkeypatch.undo()
    assert str(backups.list_backups()[0].path) == caught.value.path
    assert backups.verify_backup(caught.value.path)


def _then(right, seen):
    def link(path, name):
        right(path, name)
        seen.append(name)

    return link


@pytest.mark.skipif(os.name == "nt", reason="a draft is renamed there, and none is left")
def test_backup_whose_draft_stays_is_done_and_the_next_one_clears_it(backups, monkeypatch):
    """The draft is a second name of a backup that is whole and synced."""
    monkeypatch.setattr(primitives, "unlink", _refusing(errno.EIO, times=99))
    path = backups.create_backup()
    monkeypatch.undo()
    assert [each.name for each in backups.folder.glob(".*draft*")]
    assert backups.verify_backup(path)
    backups.create_backup()
    assert not list(backups.folder.glob(".*draft*"))


def test_backup_that_cannot_be_read_now_is_not_thrown_away(backups, monkeypatch):
    """A manifest that the disk does not give says nothing of the backup, which may be sound."""
    _third_reading(monkeypatch, backups.list_backups()[1].path)
    with pytest.raises(BackupFolderError):
        backups.cleanup_old_backups(2)
    assert len(backups.list_backups()) == 2
    assert backups.cleanup_old_backups(2) == 0


def _reading(monkeypatch, backup, number):
    """Have the so-manyth reading of a manifest fail."""
    right, readings = files.open_regular, []

    def opened(path):
        if path == manifest_path(backup):
            readings.append(path)
            if len(readings) == number:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        return right(path)

    monkeypatch.setattr(files, "open_regular", opened)


def _third_reading(monkeypatch, backup):
    """Have the reading fail that comes when the folder has been listed twice."""
    _reading(monkeypatch, backup, 3)


def test_manifest_of_a_removed_backup_is_not_forgotten(backups, monkeypatch):
    """One that cannot be read when its backup goes is cleared by the next run, and not left."""
    going = backups.list_backups()[1].path
    _third_reading(monkeypatch, going)
    with pytest.raises(BackupFolderError):
        backups.cleanup_old_backups(1)
    backups.cleanup_old_backups(1)
    assert not manifest_path(going).exists()
    assert not list(backups.folder.glob(".*draft*"))


def test_backup_whose_owner_cannot_be_read_is_not_restored(backups, monkeypatch):
    """It may be another queue's: what is not known is not taken for one's own."""
    newest = backups.list_backups()[0].path
    _reading(monkeypatch, newest, 1)
    with pytest.raises(BackupInvalidError, match=os.strerror(errno.EIO)):
        backups.restore_backup(newest, live=True)


def test_undo_is_stopped_by_a_disk_that_fails_and_can_be_done_again(queue_path):
    """A set that cannot be opened now is not taken for one that never opens."""
    strike = Once("never", sqlite3.SQLITE_CANTOPEN)
    with QueueDatabase(queue_path) as database:
        TaskQueue(database).enqueue("t", 1)
        backup = QueueBackup(database).create_backup()
    backups = QueueBackup(queue_path, connect=Door(strike))
    backups.restore_backup(backup)
    strike.beginning = "PRAGMA journal_mode = DELETE"
    with pytest.raises(RestoreFailedError):
        backups.undo_restore()
    assert backups.undo_restore().route == "interface"


def test_restore_whose_note_is_gone_is_done_though_the_folder_is_not_synced(
    queue_path, monkeypatch
):
    """All is in place by then: that the database is as it was would not be so."""
    with QueueDatabase(queue_path) as database:
        TaskQueue(database).enqueue("t", 1)
        backup = QueueBackup(database).create_backup()
    right, note = files.sync_folder, intent_path(queue_path)
    noted = []

    def sync_folder(folder):
        noted.append(note.exists())
        if any(noted) and not note.exists() and folder == note.parent:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        right(folder)

    monkeypatch.setattr(files, "sync_folder", sync_folder)
    assert QueueBackup(queue_path).restore_backup(backup).tasks_restored == 1
    assert any(noted)


def test_undo_that_cannot_be_noted_is_done(queue_path, monkeypatch):
    """The set is back by then; that the older record does not say so changes nothing."""
    with QueueDatabase(queue_path) as database:
        TaskQueue(database).enqueue("t", 1)
        backup = QueueBackup(database).create_backup()
    backups = QueueBackup(queue_path)
    backups.restore_backup(backup)
    right = quarantine.write_record

    def write_record(folder, record):
        if record.undone:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        right(folder, record)

    monkeypatch.setattr(quarantine, "write_record", write_record)
    assert backups.undo_restore().tasks_restored == 1


def test_quarantine_that_cannot_be_looked_at_is_told_in_words(queue_path, monkeypatch):
    """Whoever has no more files to open, say, is told so, and not shown where it was noticed."""
    monkeypatch.setattr(quarantine, "records", _refusing(errno.EMFILE))
    with pytest.raises(DatabaseIOError, match=os.strerror(errno.EMFILE)):
        QueueBackup(queue_path).undo_restore()


def test_look_from_outside_that_cannot_be_taken_is_told_in_words(queue_path, monkeypatch):
    """The process that looks may be one too many; what is not known then is UNKNOWN."""

    def run(*_arguments, **_settings):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(subprocess, "run", run)
    report = check_health(queue_path)
    assert report.level is Level.CRITICAL or report.level is Level.UNKNOWN
    with pytest.raises(DatabaseIOError, match=os.strerror(errno.EMFILE)):
        look(queue_path)


def test_note_of_a_restore_that_cannot_be_read_is_told_in_words(queue_path, monkeypatch):
    """Nobody opens a queue of which it is not known whether its files are being swapped."""
    note = intent_path(queue_path)
    note.write_text("{}")

    monkeypatch.setattr(files, "open_regular", _refusing(errno.EIO))
    with pytest.raises(InterruptedRestoreError, match=os.strerror(errno.EIO)):
        QueueDatabase(queue_path)


if os.name == "posix":

    @pytest.mark.parametrize("how", ["deleted", "replaced"])
    def test_task_is_not_put_into_a_file_without_a_name(queue_path, how):
        """What would be acknowledged there nobody ever sees; what is there now is opened again."""
        with QueueDatabase(queue_path) as database:
            tasks = TaskQueue(database)
            tasks.enqueue("t", 1)
            other = queue_path.with_name("other.db")
            QueueDatabase(other, create=True).close()
            for side in sides(queue_path):
                side.unlink(missing_ok=True)
            queue_path.unlink() if how == "deleted" else other.replace(queue_path)
            with pytest.raises(DatabaseMovedError, match="nothing was done"):
                tasks.enqueue("t", 2)
            if how == "deleted":
                with pytest.raises(UnreadableDatabaseError):
                    tasks.enqueue("t", 2)
            else:
                assert tasks.enqueue("t", 2) == 1
                assert tasks.claim("w").payload == 2

    @pytest.mark.parametrize("gone", ["-wal", "-wal-and-shm"])
    def test_task_is_not_put_into_a_log_without_a_name(queue_path, gone):
        """A log that is deleted under a worker takes nothing along: what was in it is saved."""
        wal, shm, _journal = sides(queue_path)
        with QueueDatabase(queue_path) as database:
            tasks = TaskQueue(database)
            tasks.enqueue("t", 1)
            wal.unlink()
            if gone != "-wal":
                shm.unlink()
            with pytest.raises(DatabaseMovedError, match="nothing was done"):
                tasks.enqueue("t", 2)
            assert tasks.enqueue("t", 2) == 2
        with QueueDatabase(queue_path) as database:
            assert [TaskQueue(database).claim("w").payload for _task in range(2)] == [1, 2]

    def test_queue_that_changes_to_a_log_is_not_taken_for_another(queue_path):
        """A connection without a log sees one come, and goes on."""
        with contextlib.closing(sqlite3.connect(queue_path)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE").fetchall()
        with QueueDatabase(queue_path) as database:
            tasks = TaskQueue(database)
            tasks.enqueue("t", 1)
            with contextlib.closing(sqlite3.connect(queue_path)) as connection:
                connection.execute("PRAGMA journal_mode = WAL").fetchall()
            assert tasks.enqueue("t", 2) == 2
