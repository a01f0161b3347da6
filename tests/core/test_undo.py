"""What a restore replaced comes back as it was."""

import pytest
from queue_files import (
    START_MS,
    add_tasks,
    everything,
    make_queue,
    names,
    opened,
    set_status,
    states,
)

from core import ManualClock, QueueBackup, QueueDatabase
from core.errors import DatabaseHeldError, InvalidArgumentError, NothingToUndoError
from core.intent import RestoreIntent, intent_path, write_intent

GARBAGE = b"no database" * 3000
LATER = "2026-02-03 00:00:00.000"


@pytest.fixture
def clock():
    """Return a clock that stands still until it is moved."""
    return ManualClock(START_MS)


@pytest.fixture
def backup(tmp_path, clock):
    """Return the backups of a small queue."""
    return QueueBackup(make_queue(tmp_path / "queue.db"), clock=clock)


@pytest.fixture
def made(backup):
    """Return a backup after which the queue went on."""
    path = backup.create_backup()
    add_tasks(backup.path, 5, created=LATER)
    add_tasks(backup.path, 2, status="leased", created=LATER)
    set_status(backup.path, [1, 2], "completed")
    return path


def _dump(path):
    """Return every row of the queue's own tables."""
    with opened(path) as connection:
        return [
            connection.execute(f"SELECT * FROM {table}").fetchall()
            for table in ("task_queue", "workers", "task_logs", "sqlite_sequence")
        ]


@pytest.mark.parametrize("live", [False, True])
def test_undo_brings_back_every_row_leases_and_all(backup, made, live):
    """After an undo the queue is, row by row, what it was before the restore."""
    before = _dump(backup.path)
    backup.restore_backup(made, live=live)
    assert _dump(backup.path) != before

    result = backup.undo_restore(live=live)

    assert _dump(backup.path) == before
    assert result.tasks_restored == 17
    assert result.backup_age_s is None
    assert (result.tasks_lost, result.leases_released) == (0, 0)


def test_undo_into_a_file_that_has_other_pages_by_now(backup, made):
    """A queue that somebody rebuilt with another page size takes what was replaced all the same."""
    before = _dump(backup.path)
    backup.restore_backup(made)
    with opened(backup.path) as connection:
        for sql in ("journal_mode = DELETE", "page_size = 8192"):
            connection.execute(f"PRAGMA {sql}").fetchall()
        connection.execute("VACUUM")
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        assert connection.execute("PRAGMA page_size").fetchall() == [(8192,)]

    backup.undo_restore()

    assert _dump(backup.path) == before


def test_undo_keeps_what_it_replaces_and_says_what_it_cost(backup, made):
    """Work done since the restore is counted as lost, kept, and comes back by undoing the undo."""
    backup.restore_backup(made)
    add_tasks(backup.path, 3, created="2026-02-05 00:00:00.000")

    assert backup.undo_restore().tasks_lost == 3
    assert len(states(backup.path)) == 17

    assert backup.undo_restore().tasks_lost == 7
    assert len(states(backup.path)) == 13


def test_undo_takes_the_last_restore_though_the_clock_was_set_back(backup, made, clock):
    """Which restore was the last is told by their order, not by a clock that jumps."""
    backup.restore_backup(made)
    add_tasks(backup.path, 1)
    clock.jump_s(-86_400)
    backup.restore_backup(made)

    backup.undo_restore()

    assert len(states(backup.path)) == 11


@pytest.mark.parametrize("names_of", ["garbage", "garbage with log", "nothing but a log"])
def test_destroyed_set_comes_back_byte_for_byte(backup, made, names_of):
    """A set that does not open comes back as it lay, with nothing of the restored one beside it."""
    wal = backup.path.with_name("queue.db-wal")
    backup.path.write_bytes(GARBAGE)
    if names_of != "garbage":
        wal.write_bytes(b"a log" * 1000)
    if names_of == "nothing but a log":
        backup.path.unlink()
    before = {path.name: path.read_bytes() for path in (backup.path, wal) if path.exists()}
    backup.restore_backup(made)

    result = backup.undo_restore()

    present = [path for path in backup.path.parent.iterdir() if path.name.startswith("queue.db")]
    found = {path.name: path.read_bytes() for path in present if "maintenance" not in path.name}
    assert found == before
    assert result.route == "swap"
    assert backup.undo_restore().route == "swap"
    assert len(states(backup.path)) == 10


def test_undo_without_a_restore_is_refused(backup):
    """Where nothing was restored there is nothing to undo, and nothing changes."""
    before = backup.path.read_bytes()

    with pytest.raises(NothingToUndoError, match="none was recorded"):
        backup.undo_restore()

    assert backup.path.read_bytes() == before


@pytest.mark.parametrize("typo", ["typo.db", "typo/queue.db"])
def test_undo_of_a_mistyped_path_makes_nothing(tmp_path, typo):
    """A wrong path is an error, and leaves no folder and no lock file."""
    with pytest.raises(NothingToUndoError, match="none was recorded"):
        QueueBackup(tmp_path / typo).undo_restore()

    assert names(tmp_path) == []


def test_undo_of_a_restore_into_nothing_is_refused(backup, made):
    """Where there was no database before, there is none to bring back."""
    backup.path.unlink()
    backup.restore_backup(made)

    with pytest.raises(NothingToUndoError, match="there was no database before"):
        backup.undo_restore()

    assert len(states(backup.path)) == 10


def test_undo_without_the_kept_files_says_which_are_gone(backup, made):
    """A quarantine that somebody emptied is named, and the queue is as it was."""
    kept = backup.restore_backup(made).quarantine
    (kept / "queue.db").unlink()

    with pytest.raises(NothingToUndoError, match=r"queue\.db is gone from"):
        backup.undo_restore()

    assert len(states(backup.path)) == 10


def test_damaged_records_hide_nothing_else(backup, made):
    """A record that cannot be read counts for none; the ones beside it still do."""
    first = backup.restore_backup(made).quarantine
    second = backup.restore_backup(made).quarantine
    (second / "restore.json").write_bytes(b"{")

    assert backup.undo_restore().backup == first
    assert len(states(backup.path)) == 17


def test_queues_with_similar_names_keep_their_own_sets(tmp_path, clock):
    """A quarantine of a queue whose name begins like another's is nobody else's to take."""
    first = QueueBackup(make_queue(tmp_path / "queue.db", 1), clock=clock)
    second = QueueBackup(make_queue(tmp_path / "queue.db.old", 2), clock=clock)
    kept = tmp_path / "quarantine" / "queue.db.old.20260202_024000_0123456789abcdef"
    kept.mkdir(parents=True)
    (kept / "queue.db.old").write_bytes(b"being copied")
    stranger = tmp_path / ".queue.db.old.restore-0123456789abcdef"
    stranger.mkdir()

    first.restore_backup(first.create_backup())

    assert kept.exists()
    assert stranger.exists()
    with pytest.raises(NothingToUndoError):
        second.undo_restore()
    assert first.undo_restore().tasks_restored == 1


HOLDER = """
import sqlite3
c = sqlite3.connect(argv[0])
c.execute("SELECT count(*) FROM task_queue").fetchall()
say("open"); wait()
"""


def test_undo_under_a_worker_is_refused_and_the_worker_named(spawn, backup, made):
    """An undo asks for the same quiet as a restore."""
    backup.restore_backup(made)
    worker = spawn(HOLDER, backup.path)
    assert worker.hear() == "open"

    with pytest.raises(DatabaseHeldError, match=f"process {worker.pid}"):
        backup.undo_restore()

    assert len(states(backup.path)) == 10


def test_destroyed_set_never_comes_back_under_a_worker(spawn, backup, made):
    """What cannot go in through SQLite is refused while anybody has the queue open, live or not."""
    backup.path.write_bytes(GARBAGE)
    backup.restore_backup(made)
    worker = spawn(HOLDER, backup.path)
    assert worker.hear() == "open"
    before = states(backup.path)

    with pytest.raises(DatabaseHeldError, match=f"process {worker.pid}.*stop everything"):
        backup.undo_restore(live=True)

    assert states(backup.path) == before
    worker.kill()
    backup.undo_restore(live=True)
    assert backup.path.read_bytes() == GARBAGE


@pytest.mark.parametrize("timeout", [-1, float("nan"), None])
def test_timeout_that_makes_no_sense_is_refused(backup, timeout):
    """A timeout that is no number of seconds is refused."""
    with pytest.raises(InvalidArgumentError, match="timeout_seconds"):
        backup.undo_restore(timeout_seconds=timeout)


@pytest.mark.parametrize("destroyed", ["deleted", "emptied", "garbage"])
@pytest.mark.parametrize("recorded", [True, False])
def test_old_state_survives_when_the_database_is_lost_after_a_cut_off_restore(
    backup, made, destroyed, recorded
):
    """Cut off, then destroyed: the copy in quarantine is all there is, is kept, and comes back."""
    result = backup.restore_backup(made)
    kept = result.quarantine
    before = _dump(kept / "queue.db")
    if not recorded:
        (kept / "restore.json").unlink()
    note = RestoreIntent(
        restore_id="another",
        route="interface",
        backup=str(made),
        staging=str(backup.path.parent / ".queue.db.restore-0123456789abcdef"),
        quarantine=str(kept),
        old=("queue.db",),
        new=("queue.db",),
        started_utc="2026-02-02 02:40:00.000",
    )
    write_intent(backup.path, note)
    backup.path.unlink()
    if destroyed != "deleted":
        backup.path.write_bytes(b"" if destroyed == "emptied" else GARBAGE)

    with pytest.raises(Exception, match="queuedrill"):
        QueueDatabase(backup.path)

    assert not intent_path(backup.path).exists()
    assert everything(kept)
    backup.undo_restore()
    assert _dump(backup.path) == before


def test_undo_leaves_nothing_but_the_queue_and_its_quarantines(backup, made):
    """No draft, note or staging folder is left by a restore and its undoing."""
    backup.restore_backup(made)
    backup.undo_restore()

    assert names(backup.path.parent) == [
        "backups",
        "quarantine",
        "queue.db",
        "queue.db-maintenance.lock",
    ]
    assert len(names(backup.path.parent / "quarantine")) == 2
