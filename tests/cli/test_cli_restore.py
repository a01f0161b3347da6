"""restore says what it will do, asks, and says what it cost."""

import contextlib
import io
import sqlite3
import subprocess
import sys

import pytest
from cli_tools import (
    DEADLINE_S,
    ROOT,
    add_held,
    add_tasks,
    everything_in,
    queuedrill,
    read,
)

from core import QueueBackup, QueueDatabase

COUNT = "SELECT count(*) FROM task_queue"
KILLED = 9
# Dies without a word at the first thing it does once the note of the restore is there.
KILLED_AFTER_THE_NOTE = f"""
import os, sys
note = sys.argv[1]
sys.addaudithook(lambda *_event: os._exit({KILLED}) if os.path.exists(note) else None)
from harness.cli import main
sys.exit(main(sys.argv[2:]))
"""


class Typed(io.StringIO):
    """A terminal at which somebody has typed an answer."""

    def isatty(self):
        """Say that it is a terminal."""
        return True


@pytest.fixture
def backed_up(queue_path):
    """Return the path of a queue of 5 tasks whose backup has 3, one of them held."""
    add_tasks(queue_path, 2)
    add_held(queue_path)
    QueueBackup(queue_path).create_backup()
    add_tasks(queue_path, 2)
    return queue_path


def test_restore_puts_the_newest_backup_in_place(cli, backed_up):
    """Restore --yes brings the backup's tasks, frees its leases and counts what was lost."""
    done = cli("restore", "--yes", "--db", backed_up, "--json")

    facts = done.document
    assert done.code == 0
    assert (facts["tasks_restored"], facts["tasks_lost"], facts["leases_released"]) == (3, 2, 1)
    assert read(backed_up, COUNT) == [(3,)]


def test_restore_says_what_it_cost(cli, backed_up):
    """A person reads what was lost, where the old state is, and how to take it back."""
    done = cli("restore", "--yes", "--db", backed_up)

    assert "Tasks lost: 2" in done.out
    assert f'queuedrill restore --db "{backed_up}" --undo' in done.out


def test_restore_says_which_newer_backup_it_passed_over(cli, backed_up):
    """Whoever restores an older state hears of it, in words and as a fact."""
    newest = QueueBackup(backed_up).create_backup()
    newest.write_bytes(newest.read_bytes()[:-4096])

    told = cli("restore", "--dry-run", "--db", backed_up)
    done = cli("restore", "--yes", "--db", backed_up, "--json")

    assert f'Passed over "{newest}", which is newer' in told.out
    (passed_over,) = done.document["passed_over"]
    assert passed_over["backup"] == str(newest)
    assert passed_over["why"]


def test_undo_brings_back_what_was_there(cli, backed_up):
    """Restore --undo takes the restore back."""
    cli("restore", "--yes", "--db", backed_up)

    done = cli("restore", "--undo", "--yes", "--db", backed_up)

    assert done.code == 0
    assert read(backed_up, COUNT) == [(5,)]


def test_undo_of_nothing_is_an_error(cli, backed_up):
    """Without a restore there is nothing to undo, and nothing happens."""
    done = cli("restore", "--undo", "--yes", "--db", backed_up)

    assert done.code == 1
    assert read(backed_up, COUNT) == [(5,)]


@pytest.mark.parametrize("words", [[], ["--undo"]])
def test_restore_refuses_where_nobody_can_be_asked(backed_up, words):
    """Without a terminal and without --yes restore ends with 2 at once and changes nothing."""
    before = everything_in(backed_up.parent)

    done = queuedrill("restore", *words, "--db", backed_up)

    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "--yes" in done.err
    assert everything_in(backed_up.parent) == before


@pytest.mark.parametrize("answer", ["y\n", "Yes\n", "n\n", "\n", "", "yesterday\n"])
def test_restore_does_what_the_answer_says(cli, monkeypatch, backed_up, answer):
    """At a terminal restore shows the backup and asks; only a yes restores."""
    monkeypatch.setattr(sys, "stdin", Typed(answer))

    done = cli("restore", "--db", backed_up)

    agreed = answer in {"y\n", "Yes\n"}
    assert done.code == (0 if agreed else 1)
    assert "[y/N]" in done.err
    assert "3 tasks (1 leased, 2 queued)" in done.out
    assert read(backed_up, COUNT) == [(3 if agreed else 5,)]


def test_a_no_is_one_json_object_too(cli, monkeypatch, backed_up):
    """Asked for JSON, a declined restore says so in one object."""
    monkeypatch.setattr(sys, "stdin", Typed("n\n"))

    done = cli("restore", "--db", backed_up, "--json")

    assert done.code == 1
    assert done.document["declined"] is True


def test_dry_run_says_what_would_happen_and_writes_nothing(cli, backed_up):
    """--dry-run shows backup, tasks and leases, and changes no byte in the folder."""
    before = everything_in(backed_up.parent)

    done = cli("restore", "--dry-run", "--db", backed_up, "--json")

    facts = done.document
    assert done.code == 0
    assert (facts["counts"], facts["leases_released"]) == ({"leased": 1, "queued": 2}, 1)
    assert (facts["holders"], facts["obstacles"]) == ([], [])
    assert everything_in(backed_up.parent) == before


def test_dry_run_names_who_has_the_queue_open(backed_up):
    """A queue that somebody has open is an obstacle unless --live is said, and ends with 1."""
    with contextlib.closing(sqlite3.connect(backed_up)) as connection:
        connection.execute(COUNT).fetchall()
        shut = queuedrill("restore", "--dry-run", "--db", backed_up, "--json")
        live = queuedrill("restore", "--dry-run", "--live", "--db", backed_up, "--json")

    assert (shut.code, live.code) == (1, 0)
    assert "stop them, or add --live" in shut.document["obstacles"][0]


def test_a_queue_that_is_open_is_restored_live_only(backed_up):
    """A held queue is refused, and --live restores it under its holder."""
    with contextlib.closing(sqlite3.connect(backed_up)) as connection:
        connection.execute(COUNT).fetchall()
        shut = queuedrill("restore", "--yes", "--db", backed_up)
        live = queuedrill("restore", "--yes", "--live", "--db", backed_up)
        (seen,) = connection.execute(COUNT).fetchall()

    assert (shut.code, live.code) == (1, 0), live.err
    assert seen == (3,)


def test_dry_run_of_a_broken_backup_ends_with_1(cli, backed_up):
    """A backup that fails its verification is said to be no way back."""
    path = QueueBackup(backed_up).list_backups()[0].path
    path.write_bytes(path.read_bytes()[:-4096])

    done = cli("restore", path, "--dry-run", "--db", backed_up)

    assert done.code == 1
    assert "the backup is broken" in done.out


def test_another_queues_backup_needs_foreign(cli, backed_up, tmp_path):
    """A backup of another queue is refused unless --foreign says that it is meant."""
    other = tmp_path / "other" / "queue.db"
    QueueDatabase(other, create=True).close()
    theirs = QueueBackup(other).create_backup()

    looked = cli("restore", theirs, "--dry-run", "--db", backed_up)
    refused = cli("restore", theirs, "--yes", "--db", backed_up)
    taken = cli("restore", theirs, "--yes", "--foreign", "--db", backed_up)

    assert (looked.code, refused.code, taken.code) == (1, 1, 0)
    assert "--foreign" in looked.out
    assert "--foreign" in refused.err
    assert read(backed_up, COUNT) == [(0,)]


def test_a_deleted_database_is_restored(cli, backed_up):
    """Where the queue's file is gone, restore brings it back from the newest backup."""
    backed_up.unlink()

    done = cli("restore", "--yes", "--db", backed_up)

    assert done.code == 0
    assert "Tasks lost: unknown" in done.out
    assert read(backed_up, COUNT) == [(3,)]


def test_restore_without_a_backup_is_an_error_with_its_cure(cli, queue_path):
    """With no backup there is nothing to restore, and the message says how to make one."""
    done = cli("restore", "--yes", "--db", queue_path)

    assert done.code == 1
    assert "queuedrill backup" in done.err


def test_recover_with_nothing_cut_off_does_nothing(cli, backed_up):
    """--recover without an interrupted restore says so and ends with 0."""
    before = everything_in(backed_up.parent)

    done = cli("restore", "--recover", "--db", backed_up, "--json")

    assert (done.code, done.document["recovered"]) == (0, None)
    assert everything_in(backed_up.parent) == before


@pytest.mark.parametrize("deleted", [False, True])
def test_recover_ends_a_restore_that_was_killed(cli, backed_up, deleted):
    """--recover ends what a killed restore left, and says truly which state is in place."""
    if deleted:
        backed_up.unlink()
    note = backed_up.with_name("queue.db-restore.json")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AFTER_THE_NOTE, note, "restore", "--yes", "--db", backed_up],
        cwd=ROOT,
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (killed.returncode, note.exists()) == (KILLED, True), killed.stderr

    done = cli("restore", "--recover", "--db", backed_up, "--json")

    tasks = {"old": 5, "new": 3}[done.document["recovered"]]
    assert done.code == 0
    assert read(backed_up, COUNT) == [(tasks,)]
    assert not note.exists()
