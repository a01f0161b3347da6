"""A backup is whole, proved and named, or it is not there."""

import contextlib
import errno
import math
import os
import re
import sqlite3
import threading

import pytest
from queue_files import (
    START_MS,
    add_tasks,
    edit_manifest,
    everything,
    flip_bit,
    listed,
    make_backups,
    make_legacy,
    make_queue,
    names,
    opened,
    states,
    truncate,
)

from core import ManualClock, QueueBackup, QueueBackupError, QueueDatabase, connect_stdlib
from core import backup as backup_module
from core.errors import (
    BackupFailedError,
    BackupFolderError,
    InvalidArgumentError,
    InvalidBackupNameError,
    MaintenanceBusyError,
    NoBackupError,
    OperationTimeoutError,
)
from core.locks import maintenance_lock
from core.manifest import manifest_path

LARGE = 3000
PAYLOAD = '{"filling": "' + "x" * 500 + '"}'


@pytest.fixture
def clock():
    """Return a clock that stands still until it is moved."""
    return ManualClock(START_MS)


@pytest.fixture
def backup(tmp_path, clock):
    """Return the backups of a small queue."""
    return QueueBackup(make_queue(tmp_path / "queue.db"), clock=clock)


# -- nothing is lost, nothing half is left -----------------------------------------------------


def test_backup_holds_every_row_of_its_moment_and_leaves_the_queue_as_it_was(backup):
    """Every task is in the backup; the database's bytes are untouched; nothing else is left."""
    before = backup.path.read_bytes()

    made = backup.create_backup("daily")

    assert states(made) == states(backup.path)
    assert backup.path.read_bytes() == before
    assert re.fullmatch(r"queue_backup_daily_\d{8}_\d{6}\.db", made.name)
    assert names(backup.folder) == sorted([made.name, manifest_path(made).name])
    assert names(backup.path.parent) == ["backups", "queue.db", "queue.db-maintenance.lock"]


def test_backup_holds_what_is_still_in_the_log(backup):
    """Rows that are committed and not yet checkpointed are in the backup."""
    with opened(backup.path) as writer:
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.execute("UPDATE task_queue SET status = 'completed' WHERE id = 3")
        made = backup.create_backup()

    assert states(made)[3] == "completed"


def test_status_that_is_no_text_keeps_nobody_from_a_backup(backup):
    """One row that another program garbled does not leave the whole queue without a backup."""
    with opened(backup.path) as connection:
        connection.execute("UPDATE task_queue SET status = CAST(x'ff' AS TEXT) WHERE id = 1")

    made = backup.create_backup()

    assert backup.verify_backup(made)
    assert backup.restore_backup(made).tasks_restored == 10


def test_uncommitted_rows_are_not_in_the_backup_and_their_writer_goes_on(backup):
    """An open transaction neither stops a backup nor is in it."""
    with opened(backup.path) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM task_queue")
        made = backup.create_backup()
        writer.execute("COMMIT")

    assert len(states(made)) == 10
    assert states(backup.path) == {}


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_stopped_backup_leaves_nothing(tmp_path, clock, error):
    """Whatever is raised while it is watched arrives, and nothing of the backup is left."""
    backup = QueueBackup(make_queue(tmp_path / "queue.db", LARGE, payload=PAYLOAD), clock=clock)

    def stop(progress):
        if progress.done_pages == progress.total_pages:
            raise error("stopped")

    with pytest.raises(error, match="stopped"):
        backup.create_backup(progress=stop)

    assert names(backup.folder) == []
    assert backup.list_backups() == []
    assert backup.verify_backup(backup.create_backup())


def test_backup_without_a_commit_in_between_has_the_time_of_its_snapshot(tmp_path, clock):
    """The moment in the manifest is the snapshot's, however long the copying took."""
    backup = QueueBackup(make_queue(tmp_path / "queue.db", LARGE, payload=PAYLOAD), clock=clock)

    backup.create_backup(progress=lambda _progress: clock.advance_s(60))

    (info,) = backup.list_backups()
    assert info.created_ms == START_MS
    assert info.manifest.finished_utc > info.manifest.created_utc


def test_damaged_queue_gives_no_backup_and_is_named(tmp_path):
    """What is copied from a damaged file is not called a backup, and the cure is said."""
    path = make_queue(tmp_path / "queue.db", LARGE, payload=PAYLOAD)
    backup = QueueBackup(path)
    with opened(path) as connection:
        root = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'task_queue'"
        ).fetchone()[0]
    flip_bit(path, (root - 1) * 4096)

    with pytest.raises(BackupFailedError, match="not sound") as caught:
        backup.create_backup()

    assert str(path) in str(caught.value)
    assert names(backup.folder) == []


@pytest.mark.parametrize("part", [0.1, 0.6])
def test_truncated_queue_gives_no_backup(tmp_path, part):
    """A queue that lost its end is not backed up as if it were whole."""
    path = make_queue(tmp_path / "queue.db", LARGE, payload=PAYLOAD)
    truncate(path, part)

    with pytest.raises(BackupFailedError, match="corrupt"):
        QueueBackup(path).create_backup()

    assert names(tmp_path / "backups") == []


def test_full_disk_leaves_nothing_and_says_so(backup):
    """A copy that does not fit is an error with the cure, and leaves nothing."""

    def connect(uri, *, timeout_s):
        connection = connect_stdlib(uri, timeout_s=timeout_s)
        if "draft" in uri:
            connection.execute("PRAGMA max_page_count = 3")
        return connection

    with pytest.raises(BackupFailedError, match="Free some space"):
        QueueBackup(backup.path, connect=connect).create_backup()

    assert names(backup.folder) == []


# -- names -------------------------------------------------------------------------------------


def test_backups_in_one_second_do_not_collide(backup):
    """However many are made in one second, each keeps its name and content."""
    made = []
    for _ in range(5):
        made.append((backup.create_backup("x"), len(states(backup.path))))
        add_tasks(backup.path, 1)

    assert len({path for path, _count in made}) == 5
    assert [len(states(path)) for path, _count in made] == [count for _path, count in made]
    assert len(backup.list_backups()) == 5


RIVAL = """
from core import QueueBackup, SystemClock
class AlwaysThatSecond(SystemClock):
    def now_ms(self):
        return int(argv[2])
backup = QueueBackup(argv[0], argv[1], clock=AlwaysThatSecond())
say("ready"); wait()
for _ in range(3):
    say(backup.create_backup().name)
"""


@pytest.mark.parametrize("same_queue", [True, False])
def test_backups_of_two_processes_in_one_second_do_not_collide(spawn, tmp_path, same_queue):
    """Two processes with the same second and folder never share a name or lose a backup."""
    first = make_queue(tmp_path / "queue.db", 10)
    second = first if same_queue else make_queue(tmp_path / "other.db", 20)
    folder = tmp_path / "shared"
    children = [spawn(RIVAL, path, folder, START_MS) for path in (first, second)]
    for child in children:
        assert child.hear() == "ready"
    for child in children:
        child.release()
    made = [child.hear() for child in children for _ in range(3)]

    assert len(set(made)) == 6
    assert all(child.finish() == 0 for child in children)
    for path in {first, second}:
        backup = QueueBackup(path, folder)
        assert all(backup.verify_backup(found) for found in listed(backup))
    assert len(QueueBackup(first, folder).list_backups(include_foreign=True)) == 6
    assert len(names(folder)) == 12


def test_name_that_a_program_without_manifests_took_is_not_overwritten(backup):
    """A name that is taken, even by a dangling link, is left alone."""
    taken = backup.create_backup()
    content = taken.read_bytes()
    manifest_path(taken).unlink()
    link = taken.with_name(taken.name.replace(".db", "-2.db"))
    link.symlink_to(taken.parent / "nowhere")

    made = backup.create_backup()

    assert made.name.endswith("-3.db")
    assert taken.read_bytes() == content
    assert link.is_symlink()


def test_manifest_of_a_backup_that_was_moved_away_stays(backup):
    """A manifest without its backup may be wanted again: it is neither reused nor removed."""
    made = backup.create_backup()
    made.rename(backup.path.parent / "moved.db")
    content = manifest_path(made).read_bytes()

    again = backup.create_backup()

    assert again != made
    assert manifest_path(made).read_bytes() == content


@pytest.mark.parametrize("name", ["../up", "a/b", "nul\0", "x" * 300, "", "..", "a b", "a\\b"])
def test_name_cannot_leave_the_folder(backup, name):
    """A name that is none is refused before anything is made."""
    with pytest.raises(InvalidBackupNameError):
        backup.create_backup(name)

    assert names(backup.path.parent) == ["queue.db"]


# -- bad places --------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["missing.db", "deep/missing.db", ".", "empty.db", "text.db"])
def test_source_that_is_no_queue_is_an_error_and_leaves_nothing(tmp_path, source):
    """A mistyped path, a folder, an empty file and no database make no folder and no file."""
    (tmp_path / "empty.db").touch()
    (tmp_path / "text.db").write_text("no database" * 1000)
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(BackupFailedError) as caught:
        QueueBackup(tmp_path / source).create_backup()

    assert str((tmp_path / source).resolve()) in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_queue_that_was_deleted_while_open_is_missing(backup):
    """A queue that is gone is not backed up from the descriptor of its ghost."""
    with QueueDatabase(backup.path) as database:
        database.connection()
        if os.name == "posix":
            backup.path.unlink()
            with pytest.raises(BackupFailedError, match="There is no database"):
                QueueBackup(database).create_backup()
            assert not backup.folder.exists()


@pytest.mark.parametrize("folder", ["file", "file/below"])
def test_folder_that_is_none_is_an_error(backup, folder):
    """A file in the folder's place, or above it, is named, and is as it was."""
    (backup.path.parent / "file").write_text("mine")

    with pytest.raises(BackupFolderError, match="file"):
        QueueBackup(backup.path, backup.path.parent / folder).create_backup()

    assert (backup.path.parent / "file").read_text() == "mine"


@pytest.mark.parametrize("folder", ["", "nul\0"])
def test_folder_s_path_that_makes_no_sense_is_refused(backup, folder):
    """An empty path or a NUL in it is the caller's mistake, said of the backup folder."""
    with pytest.raises(InvalidArgumentError, match="backup folder"):
        QueueBackup(backup.path, folder)


ODD_NAMES = ["with space", "100%", "what?x=1", "a#b", "ünïcödé ☂", "[a]*", "a&mode=memory", "'\""]


@pytest.mark.parametrize("odd", ODD_NAMES if os.name == "posix" else ["with space", "a#b", "ü%"])
def test_odd_paths_are_paths(tmp_path, odd):
    """Spaces, percent signs, question marks and the like mean nothing special in a path."""
    path = make_queue(tmp_path / odd / f"{odd}.db")
    backup = QueueBackup(path, tmp_path / odd / f"backups {odd}")
    made = backup.create_backup()

    assert backup.verify_backup(made)
    assert states(made) == states(path)
    assert listed(backup) == [made]
    add_tasks(path, 3)
    assert backup.restore_backup(made).tasks_lost == 3
    assert backup.undo_restore().tasks_lost == 0
    assert len(states(path)) == 13
    assert backup.cleanup_old_backups(1) == 0


if os.name == "posix":

    def test_name_that_is_no_text_is_a_path(tmp_path):
        """A path of bytes that are no UTF-8 works, as Linux allows it."""
        folder = os.path.join(os.fsencode(tmp_path), b"\xff\xfe")  # noqa: PTH118 - Path takes no bytes
        path = make_queue(tmp_path.joinpath(os.fsdecode(folder), "queue.db"))
        backup = QueueBackup(path)

        made = backup.create_backup()

        assert backup.verify_backup(made)
        assert listed(backup) == [made]

    def test_backups_are_their_owner_s_alone(backup):
        """Folder, backup and manifest cannot be read by anybody else."""
        made = backup.create_backup()

        assert backup.folder.stat().st_mode & 0o777 == 0o700
        assert made.stat().st_mode & 0o777 == 0o600
        assert manifest_path(made).stat().st_mode & 0o777 == 0o600

    def test_folder_that_is_a_link_is_followed(tmp_path, backup):
        """A backup folder may be a link to where there is room."""
        (tmp_path / "disk").mkdir()
        (tmp_path / "backups").symlink_to(tmp_path / "disk")

        made = QueueBackup(backup.path).create_backup()

        assert names(tmp_path / "disk") == sorted([made.name, manifest_path(made).name])
        assert backup.verify_backup(made)


if os.name == "posix" and os.geteuid() == 0:
    UNPRIVILEGED = """
import os
from core import QueueBackup
from core.errors import QueueError
os.setgid(65534); os.setuid(65534)
try:
    QueueBackup(argv[0], argv[1]).create_backup()
except QueueError as error:
    say(type(error).__name__, error)
"""

    def test_read_only_folder_is_an_error_with_its_name(spawn, open_the_way, tmp_path, backup):
        """A folder that this user may not write to is named, and nothing is left."""
        open_the_way(tmp_path)
        backup.path.chmod(0o666)
        tmp_path.chmod(0o777)
        folder = tmp_path / "backups"
        folder.mkdir(mode=0o755)

        said = spawn(UNPRIVILEGED, backup.path, folder).hear()

        assert said.startswith("BackupFolderError")
        assert str(folder) in said
        assert names(folder) == []

    def test_unreadable_queue_is_an_error_with_its_name(spawn, open_the_way, tmp_path, backup):
        """A queue that this user may not read is named, and no folder is made."""
        open_the_way(tmp_path)
        backup.path.chmod(0o600)
        tmp_path.chmod(0o777)

        said = spawn(UNPRIVILEGED, backup.path, tmp_path / "backups").hear()

        assert said.startswith("BackupFailedError")
        assert str(backup.path) in said
        assert not (tmp_path / "backups").exists()


# -- time --------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [-1, -0.5, math.nan, math.inf, "1", True])
def test_timeout_that_makes_no_sense_is_refused(backup, timeout):
    """A timeout that is no number of seconds is refused before anything is made."""
    with pytest.raises(InvalidArgumentError, match="timeout_seconds"):
        backup.create_backup(timeout_seconds=timeout)

    assert not backup.folder.exists()


def test_time_that_is_up_ends_the_backup_and_leaves_nothing(tmp_path, clock):
    """A backup that takes longer than it may is stopped, says so, and leaves nothing."""
    backup = QueueBackup(make_queue(tmp_path / "queue.db", LARGE, payload=PAYLOAD), clock=clock)

    with pytest.raises(OperationTimeoutError, match="within 5 s"):
        backup.create_backup(timeout_seconds=5, progress=lambda _progress: clock.advance_s(6))

    assert names(backup.folder) == []


def test_other_maintenance_is_waited_for_and_named(backup):
    """A backup never overlaps another maintenance run; it says which one it waited for."""
    with (
        maintenance_lock(backup.path, "vacuum"),
        pytest.raises(MaintenanceBusyError, match="vacuum by process"),
    ):
        backup.create_backup()

    assert names(backup.folder) == []


def test_two_threads_make_their_backups_one_after_the_other(tmp_path):
    """One QueueBackup may be used by several threads at a time."""
    with QueueDatabase(make_queue(tmp_path / "queue.db")) as database:
        backup = QueueBackup(database)
        made = []
        threads = [
            threading.Thread(target=lambda: made.append(backup.create_backup())) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)

    assert len(set(made)) == 4
    assert all(map(backup.verify_backup, made))


# -- what there is -----------------------------------------------------------------------------


def test_newest_verified_passes_over_every_broken_one(backup, clock):
    """The newest sound backup is found behind damage of every kind."""
    sound, *broken = make_backups(backup, clock, 5)
    flip_bit(broken[0])
    truncate(broken[1])
    broken[2].write_bytes(b"")
    edit_manifest(broken[3], '"queued": 10', '"queued": 12')

    assert backup.newest_verified().path == sound
    assert backup.newest_or_error().path == sound


def test_newest_choice_says_what_it_passed_over_and_why(backup, clock, monkeypatch):
    """Damage and a backup that cannot be read just now are both told, the newest first."""
    sound, broken, unreadable = make_backups(backup, clock, 3)
    flip_bit(broken)
    digest = backup_module.verify_digest

    def refuse(path, **settings):
        if path == unreadable:
            raise OSError(errno.EIO, "Input/output error")
        return digest(path, **settings)

    monkeypatch.setattr(backup_module, "verify_digest", refuse)

    choice = backup.choose_newest()
    result = backup.restore_newest()

    assert choice.backup.path == sound
    (first, why_first), (second, why_second) = choice.passed_over
    assert (first, second) == (unreadable, broken)
    assert "cannot be read now" in why_first
    assert "digest" in why_second
    assert result.passed_over == choice.passed_over


def test_newest_choice_passes_over_nothing_where_the_newest_is_sound(backup, clock):
    """What is older is not looked at."""
    oldest, newest = make_backups(backup, clock, 2)
    flip_bit(oldest)

    choice = backup.choose_newest()

    assert choice.backup.path == newest
    assert choice.passed_over == ()


def test_backup_of_the_old_kind_can_be_the_newest_verified(backup, clock):
    """One without a manifest is proved by all checks and counts like another."""
    make_backups(backup, clock, 1)
    legacy = make_legacy(backup.path, backup.folder / "queue_backup_20990101_000000.db")
    assert backup.newest_verified().path == legacy

    truncate(legacy)
    assert backup.newest_verified().path != legacy


def test_lack_of_a_backup_says_what_there_is_instead(tmp_path, backup, clock):
    """No backup, only broken ones, and only another queue's are three different answers."""
    with pytest.raises(NoBackupError, match="Make one with"):
        backup.newest_or_error()

    other = QueueBackup(make_queue(tmp_path / "other.db"), backup.folder, clock=clock)
    other.create_backup()
    with pytest.raises(NoBackupError, match="1 there is of another queue"):
        backup.newest_or_error()

    flip_bit(make_backups(backup, clock, 1)[0])
    with pytest.raises(NoBackupError, match="1 of this queue failed verification"):
        backup.newest_or_error()


def test_runbook_s_words_work_as_written(tmp_path, monkeypatch):
    """The runbook's backup script runs with its names, arguments and results."""
    path = make_queue(tmp_path / "queue.db")
    monkeypatch.setenv("PRISMQ_QUEUE_DB_PATH", str(path))
    database = QueueDatabase()
    backup = QueueBackup(database)

    backup_path = backup.create_backup(name="daily")
    is_valid = backup.verify_backup(backup_path)
    deleted = backup.cleanup_old_backups(keep_count=10)
    backups = backup.list_backups()
    database.close()
    backup.restore_backup(backups[0].path)

    assert (is_valid, deleted, len(backups)) == (True, 0, 1)
    shown = f"{backups[0].path.name} - {backups[0].size_mb:.2f} MB - {backups[0].created_at}"
    assert re.fullmatch(r"queue_backup_daily_\d{8}_\d{6}\.db - 0\.\d\d MB - [0-9: -]{19}", shown)


@pytest.mark.parametrize("mode", ["DELETE", "TRUNCATE", "PERSIST"])
def test_queue_that_is_not_in_wal_mode_is_backed_up_whole(backup, mode):
    """Other journal modes give a verified backup with every row."""
    with opened(backup.path) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}").fetchall()

    made = backup.create_backup()

    assert backup.verify_backup(made)
    assert states(made) == states(backup.path)


def test_every_error_of_backups_is_one_family():
    """``except QueueBackupError`` catches what a backup or restore can say of itself."""
    for kind in (BackupFailedError, BackupFolderError, InvalidBackupNameError, NoBackupError):
        assert issubclass(kind, QueueBackupError)


def test_backup_needs_no_open_descriptor_afterwards(backup):
    """Everything that was opened is closed: the queue can be renamed and nothing is in use."""
    backup.create_backup()

    with contextlib.closing(sqlite3.connect(backup.path)) as connection:
        assert connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchone() == ("exclusive",)
        connection.execute("BEGIN EXCLUSIVE")
    assert everything(backup.folder)
