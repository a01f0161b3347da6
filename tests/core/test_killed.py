"""Killed at any step, a backup, a restore, an undo or a retention run leaves old or new, whole.

The process is real and so is the kill; it strikes before every file operation, SQL statement and
step of a copy, until a run passes untouched.
"""

import contextlib
import shutil
import sqlite3

import pytest
from killing import Sweep
from queue_files import add_tasks, listed, make_queue, names, set_status, states

from core import QueueBackup, QueueDatabase
from core.errors import DatabaseMissingError, NotADatabaseError
from core.intent import intent_path
from core.manifest import manifest_path
from core.paths import uri

RESTORE = "backup.restore_backup(backup.list_backups()[0].path)"
GARBAGE = b"no database" * 3000
AGAIN_EVERY = 8
POINTS_LEAST = 60


@pytest.fixture
def backup(tmp_path):
    """Return the backups of a queue that has two, and has gone on since."""
    backup = QueueBackup(make_queue(tmp_path / "here" / "queue.db", 40))
    add_tasks(backup.path, 3, status="leased")
    for _ in range(2):
        backup.create_backup()
    add_tasks(backup.path, 5)
    set_status(backup.path, [1, 2], "completed")
    return backup


def _is_clean(backup):
    """Assert that nothing lies there but the queue and whole, proved backups with manifests."""
    expected = {path.name for path in listed(backup)}
    expected |= {manifest_path(path).name for path in listed(backup)}
    assert set(names(backup.folder)) == expected
    known = {"backups", "quarantine", "queue.db", "queue.db-maintenance.lock"}
    assert set(names(backup.path.parent)) <= known
    for kept in (backup.path.parent / "quarantine").glob("*"):
        assert "restore.json" in names(kept)
        assert not [name for name in names(kept) if name.startswith(".")]


def test_killed_backup_is_never_listed_half(spawn, backup):
    """No half backup is ever listed; the next run clears the rest and makes its own."""
    wanted = states(backup.path)
    sweep = Sweep(spawn, backup.path.parent, "backup.create_backup('new')")
    for _point in sweep:
        found = listed(backup)
        assert len(found) in {2, 3}
        assert all(map(backup.verify_backup, found))
        assert all(manifest_path(path).exists() for path in found)
        assert states(backup.path) == wanted

        made = backup.create_backup("new")

        assert states(made) == wanted
        _is_clean(backup)

    assert sweep.points >= POINTS_LEAST


def test_killed_retention_never_leaves_a_backup_without_its_proof(spawn, backup):
    """What is still listed verifies, the newest stays, and the next run ends the work."""
    newest = listed(backup)[0]
    sweep = Sweep(spawn, backup.path.parent, "backup.cleanup_old_backups(1)")
    for _point in sweep:
        assert newest in listed(backup)
        assert not any(info.is_legacy for info in backup.list_backups())
        assert all(map(backup.verify_backup, listed(backup)))

        backup.cleanup_old_backups(1)

        assert listed(backup) == [newest]
        _is_clean(backup)

    assert sweep.points >= 10


@pytest.mark.parametrize("live", [False, True])
def test_killed_restore_leaves_old_or_new_and_says_which(spawn, backup, live):
    """At every step any program finds one state whole, and the next opening of ours names it."""
    old = states(backup.path)
    new = dict.fromkeys(states(listed(backup)[0]), "queued")
    verb = RESTORE.replace(".path)", f".path, live={live})")

    found = _sweep(spawn, backup, verb, old, new)

    assert found == {"old", "new", "old, untold", "new, untold"}


def test_killed_undo_leaves_old_or_new_and_says_which(spawn, backup):
    """The same holds for the way back."""
    new = states(backup.path)
    backup.restore_newest()

    found = _sweep(spawn, backup, "backup.undo_restore()", states(backup.path), new)

    assert found == {"old", "new", "old, untold", "new, untold"}


def _sweep(spawn, backup, verb, old, new):
    found = set()
    sweep = Sweep(spawn, backup.path.parent, verb)
    for point in sweep:
        assert _read_by_others(backup.path) in (old, new)

        with QueueDatabase(backup.path) as database:
            recovered = database.recovered

        left = states(backup.path)
        assert left in (old, new)
        state = "new" if left == new else "old"
        assert recovered is None or recovered.state == state
        assert recovered is None or str(recovered)
        found.add(state if recovered else f"{state}, untold")
        _can_go_on(backup, point)

    assert sweep.points >= POINTS_LEAST
    assert states(backup.path) == new
    return found


def _can_go_on(backup, point):
    assert not intent_path(backup.path).exists()
    if point % AGAIN_EVERY == 0:
        backup.restore_newest(live=True)
        assert states(backup.path) == dict.fromkeys(states(listed(backup)[0]), "queued")
        _is_clean(backup)


@pytest.mark.parametrize("disaster", ["destroyed", "deleted with its log left"])
def test_killed_swap_never_shows_a_mixture(spawn, backup, disaster):
    """Where files are swapped there is the old set, nothing, or the new one; never a mixture."""
    log = backup.path.with_name("queue.db-wal")
    backup.path.write_bytes(GARBAGE)
    if disaster != "destroyed":
        backup.path.unlink()
        log.write_bytes(b"a log" * 2000)
    old = backup.path.read_bytes() if backup.path.exists() else None
    new = dict.fromkeys(states(listed(backup)[0]), "queued")
    seen = set()
    sweep = Sweep(spawn, backup.path.parent, RESTORE)
    for point in sweep:
        assert _read_by_others(backup.path) in (None, "no database", new)
        assert not (log.exists() and backup.path.exists()), "an old log beside new rows"

        try:
            with QueueDatabase(backup.path) as database:
                seen.add("new" if database.recovered else "new, untold")
            assert states(backup.path) == new
        except (NotADatabaseError, DatabaseMissingError):
            seen.add("old")
            assert (backup.path.read_bytes() if backup.path.exists() else None) == old
        _can_go_on(backup, point)

    assert sweep.points >= POINTS_LEAST
    assert seen == {"old", "new", "new, untold"}


def _read_by_others(path):
    """Return what a program that knows nothing of restores finds, from a copy of the folder."""
    folder = path.parent.with_name("copied")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for file in path.parent.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    copied = folder / path.name
    if not copied.exists():
        return None
    try:
        connection = sqlite3.connect(uri(copied, mode="rw"), uri=True)
        with contextlib.closing(connection):
            connection.execute("SELECT 1 FROM sqlite_master").fetchall()
    except sqlite3.DatabaseError:
        return "no database"
    return states(copied)
