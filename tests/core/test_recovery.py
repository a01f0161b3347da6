"""What opening a queue does about a restore that was cut off."""

import contextlib
import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from core import QueueDatabase, connect_stdlib, errors, quarantine
from core.connection import scalar
from core.intent import RESTORE_KEY, RestoreIntent, intent_path, read_intent, write_intent
from core.locks import maintenance_lock
from core.recovery import on_opening, swap_in
from core.schema import write_meta
from core.staging import staging_folder

OLD, NEW = 3, 5
ID = "0123456789abcdef"


def make_queue(path, tasks):
    """Make a queue with so many tasks."""
    with QueueDatabase(path, create=True) as database, database.transaction() as connection:
        for _number in range(tasks):
            connection.execute("INSERT INTO task_queue (type, payload) VALUES ('t', '{}')")


def count(path):
    """Return how many tasks the queue has, whatever opening it does first."""
    with QueueDatabase(path) as database:
        return scalar(database.connection(), "SELECT count(*) FROM task_queue"), database.recovered


@pytest.fixture
def swap(tmp_path):
    """Return the note of a swap in which nothing has moved yet, and its database."""
    database = tmp_path / "queue.db"
    staging, kept = staging_folder(database, ID), quarantine.new_folder(database, ID, 0)
    staging.mkdir()
    make_queue(database, OLD)
    make_queue(staging / "queue.db", NEW)
    database.with_name("queue.db-wal").write_bytes(b"")
    intent = RestoreIntent(
        restore_id=ID,
        route="swap",
        backup="b.db",
        staging=str(staging),
        quarantine=str(kept),
        old=("queue.db", "queue.db-wal"),
        new=("queue.db",),
        started_utc="2025-11-05 14:30:22.000",
    )
    write_intent(database, intent)
    return database, intent


class PowerCutError(Exception):
    """The power was cut here."""


def strike_at(monkeypatch, step):
    """Cut the power before the step-th move; return the counter of moves."""
    from core import files  # noqa: PLC0415 - patched where it lives

    moves = itertools.count(1)
    move = files.move

    def moving(source, target):
        if next(moves) == step:
            raise PowerCutError
        move(source, target)

    monkeypatch.setattr(files, "move", moving)


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_swap_that_was_cut_off_at_any_step_ends_old_whole_or_new_whole(swap, monkeypatch, step):
    """Wherever a swap is cut off, the next opening finds one state whole and leaves no rest."""
    database, intent = swap
    with monkeypatch.context() as patched:
        strike_at(patched, step)
        struck = False
        try:
            swap_in(database, intent)
        except PowerCutError:
            struck = True
    assert struck is (step <= 3)

    found, recovered = count(database)

    assert (found, recovered.state) == ((OLD, "old") if step == 1 else (NEW, "new"))
    assert "cut off" in str(recovered)
    assert not intent_path(database).exists()
    assert count(database) == (found, None)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_swap_that_was_cut_off_is_ended_wherever_its_folder_is_by_then(
    swap, monkeypatch, tmp_path, step
):
    """A volume that is mounted elsewhere, or a folder that was moved, takes its restore along."""
    database, intent = swap
    with monkeypatch.context() as patched, contextlib.suppress(PowerCutError):
        strike_at(patched, step)
        swap_in(database, intent)
    moved = tmp_path.rename(tmp_path.with_name(tmp_path.name + "-moved")) / database.name

    found, recovered = count(moved)

    assert (found, recovered.state) == ((OLD, "old") if step == 1 else (NEW, "new"))
    assert Path(recovered.intent.quarantine).is_relative_to(moved.parent)
    assert count(moved) == (found, None)


@pytest.mark.parametrize("name", ["queue.db", "queue.db-wal", "new"])
def test_move_that_a_power_cut_left_half_done_is_ended(swap, name):
    """A file that has the new name and still the old one is not met by one of the other set."""
    database, intent = swap
    kept, staging = Path(intent.quarantine), Path(intent.staging)
    for moved in intent.old if name != "queue.db" else ():
        database.with_name(moved).rename(kept / moved)
    left, there = {
        "queue.db": (database, kept / "queue.db"),
        "queue.db-wal": (database.with_name("queue.db-wal"), kept / "queue.db-wal"),
        "new": (staging / "queue.db", database),
    }[name]
    if there.exists():
        left.hardlink_to(there)
    else:
        there.hardlink_to(left)

    recovered = on_opening(database, read_only=False, connect=connect_stdlib)

    assert recovered.state == "new"
    assert not database.with_name("queue.db-wal").exists()
    assert {path.name for path in kept.iterdir()} == set(intent.old)
    assert not staging.exists()
    assert count(database) == (NEW, None)


def test_stranger_in_the_place_of_a_database_that_was_moved_is_refused(swap):
    """Only a second name of the same file goes; a database that somebody made meanwhile stays."""
    database, intent = swap
    database.rename(Path(intent.quarantine) / database.name)
    shutil.copy(Path(intent.staging) / database.name, database)

    with pytest.raises(errors.InterruptedRestoreError, match="new database was made"):
        QueueDatabase(database)

    assert database.exists()


def test_lost_staging_folder_is_told_with_the_way_out(swap):
    """Where the restored state is gone, the error says how the old one comes back."""
    database, intent = swap
    for name in intent.old:
        shutil.move(database.with_name(name), intent.quarantine)
    shutil.rmtree(intent.staging)

    with pytest.raises(errors.InterruptedRestoreError, match=r"queue\.db-restore\.json") as caught:
        QueueDatabase(database)

    assert intent.quarantine in str(caught.value)


def test_read_only_opening_of_a_half_done_swap_is_refused_and_changes_nothing(swap):
    """Somebody who may not write is told that there is a restore to finish."""
    database, _intent = swap
    before = sorted(database.parent.rglob("*"))

    with pytest.raises(errors.InterruptedRestoreError, match="read-only"):
        QueueDatabase(database, read_only=True)

    assert sorted(database.parent.rglob("*")) == before


def test_restore_that_is_under_way_is_not_taken_for_a_dead_one(swap):
    """While the restoring process lives, another opening keeps its hands off."""
    database, _intent = swap
    with (
        maintenance_lock(database, "restore"),
        pytest.raises(errors.InterruptedRestoreError, match="under way"),
    ):
        QueueDatabase(database)

    assert read_intent(database) is not None


@pytest.mark.parametrize("later", [False, True])
def test_opening_that_meets_the_beginning_of_a_swap_backs_off(swap, later):
    """A note that appears while the queue is being opened is seen; nobody works on a ghost."""
    database, intent = swap
    intent_path(database).unlink()
    openings = []

    def connect(uri, *, timeout_s):
        openings.append(uri)
        connection = connect_stdlib(uri, timeout_s=timeout_s)
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        if len(openings) == 1 + later:
            write_intent(database, intent)
        return connection

    def open_twice():
        with QueueDatabase(database, connect=connect) as queue:
            queue.close()
            queue.connection()

    with pytest.raises(errors.InterruptedRestoreError, match="under way"):
        open_twice()

    assert len(openings) == 1 + later
    assert read_intent(database) is not None


def test_database_made_in_between_is_never_overwritten(swap):
    """A stranger's new database in the middle of a swap is refused, and kept."""
    database, intent = swap
    for name in intent.old:
        shutil.move(database.with_name(name), intent.quarantine)
    database.write_bytes(b"somebody else's")

    with pytest.raises(errors.InterruptedRestoreError, match="made in its place"):
        QueueDatabase(database)

    assert database.read_bytes() == b"somebody else's"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"route": "swap"}', b"\xff\xfe", b'{"old": 1, "new": 2}']
)
def test_unreadable_note_is_told_and_kept(queue_path, content):
    """A note that cannot be read stops the opening, names itself, and stays."""
    intent_path(queue_path).write_bytes(content)

    with pytest.raises(errors.InterruptedRestoreError, match=r"restore\.json"):
        QueueDatabase(queue_path)

    assert intent_path(queue_path).read_bytes() == content


@pytest.mark.parametrize(
    "planted",
    [
        {"staging": "elsewhere"},
        {"staging": "backups"},
        {"staging": "."},
        {"quarantine": "elsewhere"},
        {"quarantine": "quarantine"},
        {"quarantine": "quarantine/../elsewhere"},
        {"old": ("elsewhere/precious",)},
        {"new": ("queue.db", "backups")},
    ],
)
def test_note_that_names_what_no_restore_of_this_queue_would_is_not_followed(
    swap, tmp_path, planted
):
    """Whoever may write to the folder cannot have another user remove or move other files."""
    database, intent = swap
    for folder in ("elsewhere", "backups"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "precious").write_text("here")
    facts = {
        name: str(tmp_path / value) if isinstance(value, str) else value
        for name, value in planted.items()
    }
    intent_path(database).unlink()
    write_intent(database, replace(intent, **facts))

    with pytest.raises(errors.InterruptedRestoreError, match="no restore of this queue"):
        QueueDatabase(database)

    assert (tmp_path / "elsewhere" / "precious").exists()
    assert (tmp_path / "backups" / "precious").exists()
    assert database.exists()


@pytest.mark.parametrize("done", [False, True])
def test_restore_through_the_interface_is_judged_by_what_the_queue_says(tmp_path, done):
    """Where SQLite itself decides, its own content tells which state is in place."""
    database = tmp_path / "queue.db"
    make_queue(database, OLD)
    staging, kept = staging_folder(database, ID), quarantine.new_folder(database, ID, 0)
    staging.mkdir()
    if done:
        with QueueDatabase(database) as opened, opened.transaction() as connection:
            write_meta(connection, RESTORE_KEY, ID)
    write_intent(
        database,
        RestoreIntent(
            ID, "interface", "b.db", str(staging), str(kept), (), (), "2025-11-05 14:30:22.000",
        ),
    )  # fmt: skip

    found, recovered = count(database)

    assert (found, recovered.state) == (OLD, "new" if done else "old")
    assert not staging.exists()
    assert kept.exists() is done
