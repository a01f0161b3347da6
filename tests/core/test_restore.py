"""A restore puts the backup's state in place whole, keeps what was there, and says the cost."""

import contextlib
import math
import os
import shutil
import sqlite3

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
    set_status,
    states,
    truncate,
)

from core import (
    ManualClock,
    QueueBackup,
    QueueBackupError,
    QueueDatabase,
    connect_stdlib,
    files,
    observer,
    quarantine,
    restore,
)
from core.errors import (
    BackupInvalidError,
    BackupMissingError,
    DatabaseHeldError,
    ForeignBackupError,
    InterruptedRestoreError,
    InvalidArgumentError,
    MaintenanceBusyError,
    NotEnoughSpaceError,
    OperationTimeoutError,
    RestoreFailedError,
)
from core.intent import RESTORE_KEY, intent_path, write_intent
from core.locks import maintenance_lock
from core.manifest import manifest_path
from core.naming import file_name
from core.paths import sides
from core.timestamps import parse, to_text

LATER = "2026-02-03 00:00:00.000"
LARGE = 3000
PAYLOAD = '{"filling": "' + "x" * 500 + '"}'
BACKED_UP = 10


@pytest.fixture
def clock():
    """Return a clock that stands still until it is moved."""
    return ManualClock(START_MS)


@pytest.fixture
def backup(tmp_path, clock):
    """Return the backups of a small queue."""
    return QueueBackup(make_queue(tmp_path / "queue.db", BACKED_UP), clock=clock)


@pytest.fixture
def made(backup):
    """Return a backup after which the queue went on."""
    path = backup.create_backup()
    add_tasks(backup.path, 5, created=LATER)
    set_status(backup.path, [1, 2], "completed")
    return path


def _only_the_queue(backup):
    """Assert that a restore has left no draft, note or staging folder behind."""
    expected = {"backups", "quarantine", "queue.db", "queue.db-maintenance.lock"}
    assert set(names(backup.path.parent)) <= expected


# -- disasters ---------------------------------------------------------------------------------


def _deleted(path):
    path.unlink()


def _emptied(path):
    path.write_bytes(b"")


def _header_destroyed(path):
    with path.open("r+b") as file:
        file.write(b"\0" * 100)


def _write_version_destroyed(path):
    """Leave a file that SQLite opens, reads and refuses to write."""
    _overwritten(path, 18, b"\x07")


def _schema_format_destroyed(path):
    _overwritten(path, 44, b"\x07" * 4)


def _overwritten(path, offset, content):
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def _garbage(path):
    path.write_bytes(b"no database" * 2000)


def _truncated(path):
    truncate(path, 0.3)


def _schema_destroyed(path):
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 3000)


def _deleted_with_log_left(path):
    _log_left(path)
    path.unlink()


def _destroyed_with_log_left(path):
    _log_left(path)
    _header_destroyed(path)


def _log_left(path):
    """Leave a -wal with committed rows, as a killed worker does."""
    wal = path.with_name(path.name + "-wal")
    with opened(path) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("UPDATE task_queue SET status = 'completed'")
        connection.execute("DELETE FROM task_queue WHERE id > 3")
        content = wal.read_bytes()
        kept = path.read_bytes()
    path.write_bytes(kept)
    wal.write_bytes(content)


def _hot_journal_left(path):
    """Leave a rollback journal of an older state beside a destroyed file."""
    _header_destroyed(path)
    journal = path.with_name(path.name + "-journal")
    journal.write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + b"\0" * 2040)


DISASTERS = (
    _deleted,
    _emptied,
    _header_destroyed,
    _write_version_destroyed,
    _schema_format_destroyed,
    _garbage,
    _truncated,
    _schema_destroyed,
    _deleted_with_log_left,
    _destroyed_with_log_left,
    _hot_journal_left,
    _log_left,
)


@pytest.mark.parametrize("kind", ["manifest", "legacy"])
@pytest.mark.parametrize("disaster", DISASTERS)
def test_every_disaster_ends_in_the_backup_s_rows(backup, made, disaster, kind):
    """Whatever happened to the file and its log, afterwards there is exactly the backup."""
    if kind == "legacy":
        made = make_legacy(made, backup.folder / "queue_backup_20250101_000000.db")
    wanted = states(made)
    disaster(backup.path)
    kept = {
        file.name: file.read_bytes()
        for file in (backup.path, *sides(backup.path))
        if file.exists() and file.suffix != ".db-shm"
    }

    result = backup.restore_backup(made)

    assert states(backup.path) == wanted
    assert result.tasks_restored == BACKED_UP
    _only_the_queue(backup)
    if result.route == "swap":
        found = {name: (result.quarantine / name).read_bytes() for name in kept} if kept else {}
        assert found == kept
        assert (result.tasks_lost, result.tasks_to_run_again) == (None, None)


@pytest.mark.parametrize("disaster", [_deleted, _garbage, _deleted_with_log_left])
def test_old_log_never_meets_the_restored_file(backup, made, disaster):
    """After a restore the first program to open the file has no log to replay."""
    disaster(backup.path)
    backup.restore_backup(made)

    assert not any(side.exists() for side in sides(backup.path))


@pytest.mark.parametrize("mode", ["WAL", "DELETE", "TRUNCATE", "PERSIST"])
@pytest.mark.parametrize("page_size", [512, 4096, 16384])
def test_every_journal_mode_and_page_size_is_restored_into_wal(tmp_path, mode, page_size):
    """A target of another journal mode or page size ends with the backup's rows, in WAL mode."""
    path = make_queue(tmp_path / "queue.db", BACKED_UP)
    backup = QueueBackup(path)
    made = backup.create_backup()
    with opened(path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
        connection.execute(f"PRAGMA page_size = {page_size}")
        connection.execute("VACUUM")
        connection.execute(f"PRAGMA journal_mode = {mode}").fetchall()
        connection.execute("DELETE FROM task_queue WHERE id > 5")

    assert backup.restore_backup(made).tasks_lost == 0

    assert len(states(path)) == BACKED_UP
    with opened(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    backup.undo_restore()
    assert len(states(path)) == 5


# -- cost and leases ---------------------------------------------------------------------------


def test_cost_counts_what_is_gone_and_what_runs_again(backup, made, clock):
    """Lost tasks, finished ones that will run again, and the backup's age are told right."""
    clock.advance_s(90)

    result = backup.restore_backup(made)

    assert (result.tasks_lost, result.tasks_to_run_again) == (5, 2)
    assert (result.tasks_restored, result.backup_age_s) == (BACKED_UP, 90.0)
    assert result.route == "interface"
    assert result.seconds == sum(result.phases_s.values())
    assert set(result.phases_s) == {"verify", "stage", "replace", "compare"}


def test_age_of_a_backup_of_the_old_kind_is_the_one_its_name_tells(backup, clock):
    """Without a manifest the age comes from the name, as in the list; else it is not known."""
    name = file_name("daily", clock.now_ms() - 7_200_000, 1)
    old = make_legacy(backup.path, backup.folder / name)
    nameless = make_legacy(backup.path, backup.folder / "copy.db")

    assert backup.restore_backup(old).backup_age_s == pytest.approx(7200, abs=1)
    assert backup.restore_backup(nameless).backup_age_s is None


def test_cost_is_nothing_where_nothing_happened(backup):
    """Restoring what is there costs nothing."""
    result = backup.restore_backup(backup.create_backup())

    assert (result.tasks_lost, result.tasks_to_run_again, result.leases_released) == (0, 0, 0)


def test_id_that_was_used_again_does_not_hide_a_lost_task(backup, made):
    """After a restore new tasks get old ids; a later cost still tells tasks apart."""
    second = backup.create_backup("with_five_more")
    backup.restore_backup(made)
    again = add_tasks(backup.path, 5, created="2026-02-04 00:00:00.000")
    assert set(again) <= set(states(second))

    result = backup.restore_backup(second)

    assert result.tasks_lost == 5
    assert result.tasks_to_run_again == 0


@pytest.mark.parametrize("status", ["leased", "processing"])
def test_every_lease_is_released_and_written_down(backup, status):
    """Whoever held a task in the backup is gone: it waits again, with no attempt counted."""
    held = add_tasks(backup.path, 3, status=status)
    made = backup.create_backup()

    result = backup.restore_backup(made)

    assert result.leases_released == 3
    assert set(states(backup.path).values()) == {"queued"}
    with opened(backup.path) as connection:
        rows = connection.execute(
            "SELECT locked_by, lease_until_utc, reserved_at_utc, processing_started_utc, attempts "
            "FROM task_queue WHERE id >= ?",
            (held[0],),
        ).fetchall()
        logged = connection.execute("SELECT task_id, at_utc, details FROM task_logs").fetchall()
    assert rows == [(None, None, None, None, 0)] * 3
    assert [task for task, _at, _details in logged] == held
    assert {parse(at) for _task, at, _details in logged} == {START_MS}
    assert {details for _task, _at, details in logged} == {"worker"}


def test_queue_without_a_log_table_is_restored_with_its_leases_released(backup):
    """A field queue that lives without task_logs is restored like another."""
    add_tasks(backup.path, 2, status="leased")
    with opened(backup.path) as connection:
        connection.execute("DROP TABLE task_logs")
    made = backup.create_backup()

    assert backup.restore_backup(made).leases_released == 2


def test_backup_itself_is_as_it_was(backup, made):
    """A restore changes nothing in the backup folder."""
    before = everything(backup.folder)

    backup.restore_backup(made)

    assert everything(backup.folder) == before


# -- refusals ----------------------------------------------------------------------------------


def _broken(_backup, made):
    flip_bit(made)
    return made


def _zero_bytes(_backup, made):
    made.write_bytes(b"")
    return made


def _short(_backup, made):
    truncate(made)
    return made


def _bad_manifest(_backup, made):
    edit_manifest(made, '"queued": 10', '"queued": 11')
    return made


def _link(_backup, made):
    link = made.with_name("queue_backup_20250101_000000.db")
    link.symlink_to(made)
    return link


def _folder(backup, _made):
    return backup.folder


def _itself(backup, _made):
    return backup.path


def _hard_link_to_itself(backup, _made):
    link = backup.folder / "queue_backup_20250101_000000.db"
    os.link(backup.path, link)
    return link


def _text(backup, _made):
    (backup.folder / "notes.txt").write_text("SQLite is nice")
    return backup.folder / "notes.txt"


def _other_program(backup, _made):
    with opened(backup.folder / "other.db") as connection:
        connection.execute("CREATE TABLE t (a)")
    return backup.folder / "other.db"


REFUSED = (
    _broken, _zero_bytes, _short, _bad_manifest, _link, _folder, _itself, _hard_link_to_itself,
    _text, _other_program,
)  # fmt: skip


@pytest.mark.parametrize("choose", REFUSED)
@pytest.mark.parametrize("live", [False, True])
def test_what_is_no_sound_backup_is_refused_and_nothing_changes(backup, made, choose, live):
    """A restore from what is no backup, or no longer one, leaves every byte as it was."""
    chosen = choose(backup, made)
    before = everything(backup.path.parent)

    with pytest.raises(BackupInvalidError, match="is no usable backup"):
        backup.restore_backup(chosen, live=live)

    assert everything(backup.path.parent) == before | {"queue.db-maintenance.lock": _any(backup)}


def _any(backup):
    return backup.path.with_name("queue.db-maintenance.lock").read_bytes()


@pytest.mark.parametrize("name", ["", "missing.db", "../../etc/passwd.db", "a" * 300, "\0"])
def test_missing_backup_is_refused(backup, made, name):
    """A backup that is not there is said not to be there."""
    assert made.exists()
    with pytest.raises(BackupMissingError):
        backup.restore_backup(name)

    assert len(states(backup.path)) == BACKED_UP + 5


@pytest.mark.parametrize("name", [None, "renamed.db"])
def test_backup_of_another_queue_is_refused_unless_it_is_meant(tmp_path, backup, name):
    """Another queue's backup, under its name or any other, is only taken when told to."""
    other = QueueBackup(make_queue(tmp_path / "other.db", 3), backup.folder)
    theirs = other.create_backup()
    if name is not None:
        manifest_path(theirs).rename(manifest_path(theirs.with_name(name)))
        theirs = theirs.rename(theirs.with_name(name))

    with pytest.raises(ForeignBackupError, match="other"):
        backup.restore_backup(theirs)
    assert len(states(backup.path)) == BACKED_UP

    assert backup.restore_backup(theirs, allow_foreign=True).tasks_restored == 3
    assert len(states(backup.path)) == 3


@pytest.mark.parametrize("timeout", [-1, math.nan, math.inf, None, True])
def test_timeout_that_makes_no_sense_is_refused(backup, made, timeout):
    """A timeout that is no number of seconds is refused before anything is read."""
    with pytest.raises(InvalidArgumentError, match="timeout_seconds"):
        backup.restore_backup(made, timeout_seconds=timeout)


def test_other_maintenance_keeps_a_restore_out_for_as_long_as_it_waits(backup, made):
    """A restore never overlaps another maintenance run, and waits no longer than it may."""
    with (
        maintenance_lock(backup.path, "vacuum"),
        pytest.raises(MaintenanceBusyError, match="vacuum"),
    ):
        backup.restore_backup(made, timeout_seconds=1)

    assert len(states(backup.path)) == BACKED_UP + 5


HOLDER = """
import sqlite3
c = sqlite3.connect(argv[0], isolation_level=None, timeout=0)
c.execute("SELECT count(*) FROM task_queue").fetchall()
if argv[1]:
    c.execute(argv[1])
say("open"); wait()
"""


@pytest.mark.parametrize("statement", ["", "BEGIN IMMEDIATE", "PRAGMA wal_checkpoint(TRUNCATE)"])
@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_database_that_a_worker_has_open_is_refused_and_the_worker_named(
    spawn, backup, made, statement, mode
):
    """A restore under a live worker is refused, says its process, and changes nothing."""
    with opened(backup.path) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}").fetchall()
    worker = spawn(HOLDER, backup.path, statement)
    assert worker.hear() == "open"
    before = backup.path.read_bytes()

    with pytest.raises(DatabaseHeldError, match=f"process {worker.pid}") as caught:
        backup.restore_backup(made)

    assert "--live" in str(caught.value)
    assert backup.path.read_bytes() == before
    assert names(backup.path.parent / "quarantine") == []
    worker.kill()
    assert backup.restore_backup(made).tasks_lost == 5


def test_exclusive_lock_of_a_worker_is_a_refusal_with_its_name(spawn, backup, made):
    """A worker that locks everybody out is named like any other."""
    with opened(backup.path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    worker = spawn(HOLDER, backup.path, "BEGIN EXCLUSIVE")
    assert worker.hear() == "open"

    with pytest.raises(DatabaseHeldError, match=f"process {worker.pid}.*--live"):
        backup.restore_backup(made)


def test_worker_that_comes_while_the_restore_is_prepared_is_met(backup, made):
    """Whoever opens the queue after the first look is found by the locks."""
    with contextlib.ExitStack() as latecomers:

        def connect(uri, *, timeout_s):
            if ".restore-" in uri:
                late = latecomers.enter_context(opened(backup.path))
                late.execute("SELECT count(*) FROM task_queue").fetchall()
            return connect_stdlib(uri, timeout_s=timeout_s)

        with pytest.raises(DatabaseHeldError, match="is open in"):
            QueueBackup(backup.path, connect=connect).restore_backup(made)

    assert len(states(backup.path)) == BACKED_UP + 5
    _only_the_queue(backup)


def test_own_open_connection_is_a_refusal_that_says_so(backup, made):
    """The caller's own open queue is named, with what to close."""
    with QueueDatabase(backup.path) as database:
        database.connection()
        with pytest.raises(DatabaseHeldError, match=r"this process \(\d+\); close"):
            backup.restore_backup(made)

    assert backup.restore_backup(made).tasks_lost == 5


@pytest.mark.parametrize("live", [False, True])
def test_destroyed_database_that_a_worker_has_open_is_never_swapped(spawn, backup, made, live):
    """Under a worker the files are not replaced, live or not: it would write to a ghost."""
    worker = spawn(HOLDER, backup.path, "")
    assert worker.hear() == "open"
    _garbage(backup.path)

    with pytest.raises(DatabaseHeldError, match="stop everything"):
        backup.restore_backup(made, live=live)

    worker.kill()
    backup.restore_backup(made)
    assert len(states(backup.path)) == BACKED_UP


if os.name == "posix":

    @pytest.mark.parametrize("mode", ["WAL", "DELETE"])
    @pytest.mark.parametrize("live", [False, True])
    def test_deleted_database_that_a_worker_has_open_is_not_replaced(
        spawn, backup, made, mode, live
    ):
        """A worker that goes on with a deleted file is found, and named."""
        if not os.path.isdir("/proc/self/fd"):  # noqa: PTH112 - the same question as holders asks
            return
        with opened(backup.path) as connection:
            connection.execute(f"PRAGMA journal_mode = {mode}").fetchall()
        worker = spawn(HOLDER, backup.path, "")
        assert worker.hear() == "open"
        for file in (backup.path, *sides(backup.path)):
            file.unlink(missing_ok=True)

        with pytest.raises(DatabaseHeldError, match=f"process {worker.pid}"):
            backup.restore_backup(made, live=live)

    @pytest.mark.parametrize("disaster", [_garbage, _deleted])
    def test_restored_file_stays_open_to_those_it_was_open_to(backup, made, disaster):
        """A database of a group's keeps its mode; one that is gone comes back as its owner's."""
        backup.path.chmod(0o660)
        disaster(backup.path)

        backup.restore_backup(made)

        mode = backup.path.stat().st_mode & 0o777
        assert mode == (0o660 if disaster is _garbage else 0o600)

    def test_quarantine_is_its_owner_s_alone(backup, made):
        """What a restore replaced can be read by nobody else."""
        kept = backup.restore_backup(made).quarantine

        assert kept.stat().st_mode & 0o777 == 0o700
        assert kept.parent.stat().st_mode & 0o777 == 0o700
        assert all(file.stat().st_mode & 0o077 == 0 for file in kept.iterdir())


if os.name == "posix" and os.geteuid() == 0:

    def test_restored_file_belongs_to_the_workers_user_again(backup, made):
        """A restore by root gives the database back to whom it belonged."""
        os.chown(backup.path, 65534, 65534)
        _garbage(backup.path)
        backup.restore_backup(made)
        assert (backup.path.stat().st_uid, backup.path.stat().st_gid) == (65534, 65534)

        os.chown(backup.path.parent, 65534, 65534)
        backup.path.unlink()
        backup.restore_backup(made)
        assert backup.path.stat().st_uid == 65534

    UNPRIVILEGED = """
import os
from core import QueueBackup
from core.errors import QueueError
os.setgid(65534); os.setuid(65534)
try:
    QueueBackup(argv[0], argv[1]).restore_backup(argv[2])
except QueueError as error:
    say(type(error).__name__, error)
"""

    @pytest.mark.parametrize("target", ["file", "folder"])
    def test_target_that_may_not_be_written_is_an_error_and_as_it_was(
        spawn, open_the_way, backup, made, target
    ):
        """A read-only target is said to be one, and no byte of it changes."""
        folder = backup.path.parent
        open_the_way(folder)
        for path in (backup.folder, *backup.folder.iterdir()):
            path.chmod(0o755)
        backup.path.chmod(0o444 if target == "file" else 0o666)
        folder.chmod(0o777 if target == "file" else 0o755)
        before = backup.path.read_bytes()

        said = spawn(UNPRIVILEGED, backup.path, backup.folder, made).hear()

        assert "readonly" in said or "Permission" in said
        assert str(backup.path) in said
        assert backup.path.read_bytes() == before
        assert names(folder / "quarantine") == []
        assert not intent_path(backup.path).exists()


# -- live --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_live_connections_see_the_restored_rows_at_their_next_transaction(tmp_path, mode):
    """A worker that stays connected works on the restored queue, and its rows stay."""
    path = make_queue(tmp_path / "queue.db", LARGE, payload=PAYLOAD)
    backup = QueueBackup(path)
    made = backup.create_backup()
    with opened(path) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}").fetchall()
        connection.execute("DELETE FROM task_queue WHERE id > 7")
        count = "SELECT count(*) FROM task_queue"
        assert connection.execute(count).fetchall() == [(7,)]

        result = backup.restore_backup(made, live=True, timeout_seconds=30)

        assert connection.execute(count).fetchall() == [(LARGE,)]
        connection.execute("INSERT INTO task_queue (type, payload) VALUES ('t', '{}')")
    assert result.tasks_lost == 0
    assert len(states(path)) == LARGE + 1
    assert len(states(result.quarantine / "queue.db")) == 7


def test_reader_keeps_its_snapshot_through_a_live_restore(backup, made):
    """A transaction that is open while the rows are replaced reads on what it began with."""
    with opened(backup.path) as reader:
        reader.execute("BEGIN")
        count = "SELECT count(*) FROM task_queue"
        assert reader.execute(count).fetchall() == [(BACKED_UP + 5,)]

        backup.restore_backup(made, live=True)

        assert reader.execute(count).fetchall() == [(BACKED_UP + 5,)]
        reader.execute("COMMIT")
        assert reader.execute(count).fetchall() == [(BACKED_UP,)]


WRITER = """
import sqlite3
c = sqlite3.connect(argv[0], isolation_level=None, timeout=60)
number = 0
say("open"); wait()
while True:
    number += 1
    c.execute("INSERT INTO task_queue (type, payload) VALUES ('live', ?)", (str(number),))
    say(number)
"""


def test_live_restore_loses_no_acknowledged_row(spawn, tmp_path):
    """Every row that a busy writer was told of is in the quarantine or in the restored queue."""
    path = make_queue(tmp_path / "queue.db", LARGE, payload=PAYLOAD)
    backup = QueueBackup(path)
    made = backup.create_backup()
    writer = spawn(WRITER, path)
    assert writer.hear() == "open"
    writer.release()
    acknowledged = {writer.hear() for _ in range(20)}

    result = backup.restore_backup(made, live=True, timeout_seconds=60)

    before = _live_rows(result.quarantine / "queue.db")
    while len(acknowledged) < len(before) + 50:
        acknowledged.add(writer.hear())
    writer.kill()
    while (number := writer.hear()) is not None:
        acknowledged.add(number)
    acknowledged.discard(None)
    after = _live_rows(path)
    assert acknowledged <= before | after
    assert not before & after
    assert max(map(int, before)) == len(before) >= 20
    assert len(after) >= 50
    assert result.tasks_lost == len(before)
    assert {"1", "20"} <= before


def _live_rows(path):
    with opened(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = connection.execute("SELECT payload FROM task_queue WHERE type = 'live'").fetchall()
    return {payload for (payload,) in rows}


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_live_restore_gives_up_on_a_lock_that_is_never_let_go(spawn, backup, made, mode):
    """A writer that holds its lock for ever ends the restore in time, with nothing changed."""
    with opened(backup.path) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}").fetchall()
    before = states(backup.path)
    worker = spawn(HOLDER, backup.path, "BEGIN IMMEDIATE")
    assert worker.hear() == "open"

    with pytest.raises(OperationTimeoutError, match="nothing was changed"):
        QueueBackup(backup.path).restore_backup(made, live=True, timeout_seconds=0.5)

    worker.kill()
    assert states(backup.path) == before
    _only_the_queue(backup)
    assert names(backup.path.parent / "quarantine") == []


# -- stopped, failed ---------------------------------------------------------------------------


@pytest.fixture
def large(tmp_path):
    """Return the backups of a queue that takes several steps to write."""
    return QueueBackup(make_queue(tmp_path / "queue.db", LARGE, payload=PAYLOAD))


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, OSError])
def test_stopped_restore_leaves_the_old_rows_and_nothing_else(large, live, error):
    """Whatever is raised while it is watched stops it, and the old state is there alone."""
    made = large.create_backup()
    add_tasks(large.path, 5)

    def stop(progress):
        assert progress.done_pages < progress.total_pages
        raise error("stopped")

    with pytest.raises((error, RestoreFailedError), match="stopped"):
        large.restore_backup(made, live=live, progress=stop)

    assert len(states(large.path)) == LARGE + 5
    _only_the_queue(large)
    assert names(large.path.parent / "quarantine") == []
    with QueueDatabase(large.path) as database:
        assert database.recovered is None
    assert large.restore_backup(made, live=live).tasks_lost == 5


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, OSError])
def test_restore_that_is_stopped_too_late_says_that_it_is_done(large, live, error):
    """What is raised after the last page changes nothing, and nobody is told otherwise."""
    made = large.create_backup()
    add_tasks(large.path, 5)

    def stop(progress):
        if progress.done_pages == progress.total_pages:
            raise error("stopped")

    wanted = KeyboardInterrupt if error is KeyboardInterrupt else InterruptedRestoreError
    with pytest.raises(wanted, match="stopped") as caught:
        large.restore_backup(made, live=live, progress=stop)

    assert error is KeyboardInterrupt or "restored state is in place" in str(caught.value)
    assert len(states(large.path)) == LARGE
    _only_the_queue(large)
    assert large.undo_restore(live=live).tasks_restored == LARGE + 5


def test_restore_that_takes_too_long_is_stopped_and_changes_nothing(tmp_path, clock):
    """Time that is up is said to be, and the old rows are there."""
    path = make_queue(tmp_path / "queue.db", LARGE, payload=PAYLOAD)
    backup = QueueBackup(path, clock=clock)
    made = backup.create_backup()
    add_tasks(path, 5)

    with pytest.raises(OperationTimeoutError, match="within 5 s"):
        backup.restore_backup(
            made, timeout_seconds=5, progress=lambda _progress: clock.advance_s(6)
        )

    assert len(states(path)) == LARGE + 5
    assert names(tmp_path / "quarantine") == []


@pytest.mark.parametrize("where", ["quarantine", ".restore-"])
@pytest.mark.parametrize("disaster", [None, _garbage])
def test_full_disk_leaves_the_database_as_it_was(backup, where, disaster):
    """A restore that runs out of room says so, and nothing of it is left."""
    add_tasks(backup.path, 500, status="leased")
    made = backup.create_backup()
    if disaster is not None:
        disaster(backup.path)
    before = everything(backup.path.parent)

    def connect(uri, *, timeout_s):
        connection = connect_stdlib(uri, timeout_s=timeout_s)
        if where in uri:
            connection.execute("PRAGMA max_page_count = 3")
        return connection

    if disaster is not None and where == "quarantine":
        # Nothing is copied there when files are swapped.
        return
    with pytest.raises(RestoreFailedError, match="the database is as it was"):
        QueueBackup(backup.path, connect=connect).restore_backup(made)

    assert everything(backup.path.parent) == before | {"queue.db-maintenance.lock": _any(backup)}
    assert names(backup.path.parent / "quarantine") == []


@pytest.mark.parametrize("missing", [0, 1])
def test_room_that_a_restore_needs_is_known_to_the_byte(backup, made, monkeypatch, missing):
    """The staged copy, what goes through its log, the old set once more, and a little: no less."""
    needed = 2 * made.stat().st_size + backup.path.stat().st_size + 1024 * 1024
    monkeypatch.setattr(files, "free_bytes", lambda _folder: needed - missing)

    if not missing:
        assert backup.restore_backup(made).tasks_restored == BACKED_UP
        return
    with pytest.raises(RestoreFailedError) as caught:
        backup.restore_backup(made)
    cause = caught.value.__cause__
    assert isinstance(cause, NotEnoughSpaceError)
    assert (cause.needed_mb, cause.free_mb) == (needed / 2**20, (needed - missing) / 2**20)
    assert len(states(backup.path)) == BACKED_UP + 5


@pytest.mark.parametrize("live", [False, True])
def test_full_disk_under_the_database_is_told_of_the_database(backup, live):
    """The error names the queue, not a hidden file that is gone by the time it is read."""
    add_tasks(backup.path, 200, payload=PAYLOAD)
    made = backup.create_backup()
    # So that the restore has to make the file longer.
    with opened(backup.path) as connection:
        connection.execute("DELETE FROM task_queue")
        connection.execute("VACUUM")
    add_tasks(backup.path, 1)

    def connect(uri, *, timeout_s):
        connection = connect_stdlib(uri, timeout_s=timeout_s)
        if "quarantine" not in uri and ".restore-" not in uri:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        return connection

    with pytest.raises(RestoreFailedError, match="is full") as caught:
        QueueBackup(backup.path, connect=connect).restore_backup(made, live=live)

    assert f'"{backup.path}"' in str(caught.value)
    assert len(states(backup.path)) == 1


def test_file_in_the_quarantine_s_place_is_an_error_and_changes_nothing(backup, made):
    """Without a place for what is replaced, nothing is replaced."""
    backup.path.with_name("quarantine").write_text("in the way")

    with pytest.raises(RestoreFailedError, match="quarantine"):
        backup.restore_backup(made)

    assert len(states(backup.path)) == BACKED_UP + 5
    assert not intent_path(backup.path).exists()


def test_error_after_the_new_rows_are_in_place_does_not_claim_the_old_ones(
    backup, made, monkeypatch
):
    """When the last step fails, the error says which state is in place."""

    def fail(_database):
        raise OSError("the disk is gone")

    monkeypatch.setattr(restore, "remove_intent", fail)

    said = r"restored state is in place.*disk is gone"
    with pytest.raises(InterruptedRestoreError, match=said) as caught:
        backup.restore_backup(made)

    assert caught.value.path == str(backup.path)
    assert len(states(backup.path)) == BACKED_UP
    assert not intent_path(backup.path).exists()


# -- damaged log -------------------------------------------------------------------------------


def _log_damaged(path):
    """Leave a -wal with a flipped bit in its middle; return its content."""
    wal = path.with_name("queue.db-wal")
    with opened(path) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        for number in range(20):
            connection.execute(
                "INSERT INTO task_queue (type, payload) VALUES ('t', ?)", (str(number),)
            )
        shutil.copy(wal, wal.with_name("kept-wal"))
        shutil.copy(path, wal.with_name("kept.db"))
    for kept, name in (("kept.db", "queue.db"), ("kept-wal", "queue.db-wal")):
        wal.with_name(kept).replace(wal.with_name(name))
    flip_bit(wal, wal.stat().st_size // 2)
    return wal.read_bytes()


@pytest.mark.parametrize("live", [False, True])
def test_set_with_a_damaged_log_is_kept_as_it_lies(backup, made, live):
    """What SQLite would drop behind a flipped bit of the -wal is in quarantine, byte for byte."""
    damaged = _log_damaged(backup.path)

    result = backup.restore_backup(made, live=live)

    assert result.route == "swap"
    assert (result.quarantine / "queue.db-wal").read_bytes() == damaged
    assert len(states(backup.path)) == BACKED_UP


@pytest.mark.parametrize("leaves", ["open", "a log behind"])
def test_worker_that_comes_in_the_last_moment_is_never_left_with_a_ghost(
    backup, made, monkeypatch, leaves
):
    """Whoever opens the queue before the note of the restore is there is met all the same."""
    from core import restore  # noqa: PLC0415 - patched where it is used

    _log_damaged(backup.path)
    with contextlib.ExitStack() as latecomers:

        def come(database, note):
            if leaves == "open":
                late = latecomers.enter_context(opened(database))
                late.execute("SELECT count(*) FROM task_queue").fetchall()
            else:
                database.with_name(database.name + "-journal").write_bytes(b"left by a crash")
            write_intent(database, note)

        monkeypatch.setattr(restore, "write_intent", come)
        with pytest.raises(QueueBackupError, match=r"open in|opened while"):
            backup.restore_backup(made)

    assert len(states(backup.path)) >= BACKED_UP
    _only_the_queue(backup)


def test_log_of_any_length_is_walked_for_as_long_as_the_restore_may_take(backup, made, monkeypatch):
    """A -wal of gigabytes takes minutes to walk, and its queue can still be restored."""
    given_s = []
    look = observer.look

    def looking(database, *, timeout_s=observer.DEFAULT_TIMEOUT_S):
        given_s.append(timeout_s)
        return look(database, timeout_s=timeout_s)

    monkeypatch.setattr(observer, "look", looking)
    _garbage(backup.path)

    backup.restore_backup(made, timeout_seconds=1800)

    assert given_s == [1800, 1800]


# -- which one ---------------------------------------------------------------------------------


def test_newest_sound_backup_is_restored_when_none_is_named(backup, clock):
    """Without a name the newest one that is proved is taken, past every broken one."""
    sound, broken = make_backups(backup, clock, 2)
    flip_bit(broken)
    add_tasks(backup.path, 4, created=LATER)

    result = backup.restore_newest()

    assert result.backup == sound
    assert result.tasks_lost == 4


def test_bare_name_means_a_backup_in_the_folder(backup, made):
    """A backup can be named as the list shows it."""
    assert backup.restore_backup(made.name).tasks_lost == 5


def test_restore_into_a_missing_folder_makes_it(tmp_path, made):
    """A queue whose whole folder is lost comes back from backups kept elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(made.parent, elsewhere)
    lost = QueueBackup(tmp_path / "new" / "place" / "queue.db", elsewhere)

    result = lost.restore_backup(listed(lost, include_foreign=True)[0], allow_foreign=True)

    assert len(states(lost.path)) == BACKED_UP
    assert result.quarantine is None, "there was nothing to keep"


def test_note_of_a_restore_names_it_as_the_restored_file_and_the_quarantine_do(
    backup, made, clock, monkeypatch
):
    """One id and one moment are in all that a restore leaves, so that none is taken for another."""
    notes, right = [], restore.write_intent
    monkeypatch.setattr(
        restore, "write_intent", lambda database, note: notes.append(note) or right(database, note)
    )

    backup.restore_backup(made)

    (note,), (folder, record) = notes, quarantine.records(backup.path)[0]
    assert note.restore_id == record.restore_id
    assert record.database == str(backup.path)
    assert note.quarantine == str(folder)
    assert note.started_utc == to_text(clock.now_ms()) == to_text(record.at_ms)
    with opened(backup.path) as connection:
        held = connection.execute(
            "SELECT value FROM queuedrill_meta WHERE key = ?", (RESTORE_KEY,)
        ).fetchall()
    assert held == [(note.restore_id,)]


def test_nothing_stays_open_after_a_restore(backup, made):
    """Afterwards anybody may lock everything, and other programs read the rows."""
    backup.restore_backup(made)

    with contextlib.closing(sqlite3.connect(backup.path, timeout=0)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        connection.execute("BEGIN EXCLUSIVE")
        assert connection.execute("SELECT count(*) FROM task_queue").fetchall() == [(BACKED_UP,)]
