"""backup, verify, list and prune: what is said of backups is true, and what stays is safe."""

import shutil

import pytest
from cli_tools import add_tasks

from core import QueueBackup, QueueDatabase

FLIPPED_AT = 5000


def flip(path):
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[FLIPPED_AT] ^= 1
    path.write_bytes(content)


def make_backups(queue_path, count):
    """Return the paths of so many new backups, oldest first."""
    return [QueueBackup(queue_path).create_backup() for _ in range(count)]


def test_init_makes_a_queue(cli, tmp_path):
    """Init leaves a queue where there was nothing, its folder included."""
    path = tmp_path / "new" / "queue.db"

    done = cli("init", "--db", path)

    assert (done.code, done.err) == (0, "")
    assert f'"{path}"' in done.out
    QueueDatabase(path).close()


def test_init_leaves_a_queue_that_is_there(cli, queue_path):
    """Init on an existing queue changes nothing and says so."""
    add_tasks(queue_path, 3)
    before = queue_path.read_bytes()

    done = cli("init", "--db", queue_path, "--json")

    assert done.document["created"] is False
    assert queue_path.read_bytes() == before


def test_init_leaves_what_is_no_queue(cli, tmp_path):
    """Init on some other file is an error and leaves it as it was."""
    path = tmp_path / "notes.txt"
    path.write_text("these are notes, and no queue at all")

    done = cli("init", "--db", path)

    assert done.code == 1
    assert path.read_text() == "these are notes, and no queue at all"


def test_a_backup_is_made_listed_and_verified(cli, queue_path):
    """What backup makes is what list shows and verify proves."""
    add_tasks(queue_path, 7)

    made = cli("backup", "--db", queue_path, "--name", "daily", "--json")
    listed = cli("list", "--db", queue_path, "--json")
    proved = cli("verify", "--db", queue_path, "--json")

    assert (made.code, listed.code, proved.code) == (0, 0, 0)
    assert made.document["manifest"]["counts"] == {"queued": 7}
    (backup,) = listed.document["backups"]
    assert backup["path"] == made.document["path"]
    assert (backup["name"], backup["ours"], backup["state"]) == ("daily", True, "proved when made")
    assert proved.document["backups"][0]["path"] == made.document["path"]


def test_backups_go_to_the_folder_that_is_named(cli, queue_path, tmp_path):
    """--backup-dir is where backup writes and list looks."""
    elsewhere = tmp_path / "elsewhere"

    cli("backup", "--db", queue_path, "--backup-dir", elsewhere)

    assert list(elsewhere.glob("queue_backup_*.db"))
    assert "No backup" in cli("list", "--db", queue_path).out
    assert "queue_backup_" in cli("list", "--db", queue_path, "--backup-dir", elsewhere).out


def test_the_listing_is_plain_text_with_both_times(cli, queue_path):
    """A person sees name, size, local time, UTC, tasks and state, and where the files lie."""
    add_tasks(queue_path, 7)
    (path,) = make_backups(queue_path, 1)

    lines = cli("list", "--db", queue_path).out.splitlines()

    assert lines[0] == f'Backups in "{path.parent}"'
    assert lines[1].split() == ["BACKUP", "SIZE", "MB", "LOCAL", "TIME", "UTC", "TASKS", "STATE"]
    assert lines[2].startswith(path.name)
    assert lines[2].endswith("7      proved when made")


def test_a_broken_backup_is_named_and_ends_with_1(cli, queue_path):
    """Verify says which check found it, and its exit code says that a backup is not good."""
    (path,) = make_backups(queue_path, 1)
    flip(path)

    done = cli("verify", path.name, "--db", queue_path)

    assert done.code == 1
    assert f'BROKEN    "{path}"' in done.out
    assert "digest" in done.out


def test_verify_all_looks_at_every_backup(cli, queue_path):
    """Verify --all tells the sound ones from the broken one."""
    _oldest, middle, _newest = make_backups(queue_path, 3)
    flip(middle)

    done = cli("verify", "--all", "--db", queue_path, "--json")

    assert done.code == 1
    assert [proof["ok"] for proof in done.document["backups"]] == [True, False, True]


def test_list_verify_proves_each(cli, queue_path):
    """List --verify marks the broken ones and ends with 1."""
    _old, new = make_backups(queue_path, 2)
    flip(new)

    done = cli("list", "--verify", "--db", queue_path, "--json")

    states = [backup["state"] for backup in done.document["backups"]]
    assert done.code == 1
    assert states[0].startswith("BROKEN")
    assert states[1] == "verified"


def test_another_queues_backups_are_shown_only_on_demand_and_marked(cli, queue_path, tmp_path):
    """List counts another queue's backups, and --all shows whose they are."""
    other = tmp_path / "other.db"
    QueueDatabase(other, create=True).close()
    QueueBackup(other, tmp_path / "backups").create_backup(name="theirs")

    usual = cli("list", "--db", queue_path)
    every = cli("list", "--all", "--db", queue_path)

    assert "theirs" not in usual.out
    assert "Of other queues: 1 more" in usual.out
    assert f"of another queue: {other}" in every.out


def test_a_backup_without_a_manifest_is_listed_as_such(cli, queue_path):
    """A backup that the runbook made is listed, and said to have no manifest."""
    folder = queue_path.parent / "backups"
    folder.mkdir()
    shutil.copyfile(queue_path, folder / "queue_backup_daily_20251105_143022.db")

    done = cli("list", "--db", queue_path)

    assert "2025-11-05 14:30:22" in done.out
    assert "no manifest" in done.out


def test_verify_without_any_backup_is_an_error_with_its_cure(cli, queue_path):
    """Nothing to verify is not a success."""
    done = cli("verify", "--db", queue_path)

    assert done.code == 1
    assert "queuedrill backup" in done.err


@pytest.mark.parametrize("verb", [("list",), ("list", "--all"), ("prune", "--yes")])
def test_mistyped_path_is_no_queue_without_backups(cli, tmp_path, verb):
    """Where there is neither a queue nor a backup, the path is wrong; that is an error."""
    done = cli(*verb, "--db", tmp_path / "typo.db")

    assert done.code == 1
    assert "There is no database at" in done.err
    assert list(tmp_path.iterdir()) == []


def test_backups_of_a_queue_that_is_gone_are_listed(cli, queue_path):
    """After a disaster the backups are what counts."""
    cli("backup", "--db", queue_path)
    queue_path.unlink()

    done = cli("list", "--db", queue_path)

    assert done.code == 0
    assert "queue_backup_" in done.out


def test_prune_shows_and_refuses_without_yes(cli, queue_path):
    """Where nobody can be asked, prune removes nothing, ends with 2 and says what would do."""
    make_backups(queue_path, 3)

    done = cli("prune", "--keep", "1", "--db", queue_path)

    assert done.code == 2
    assert "--yes" in done.err
    assert done.out.count("remove") == 2
    assert len(QueueBackup(queue_path).list_backups()) == 3


def test_prune_dry_run_removes_nothing(cli, queue_path):
    """--dry-run shows the plan and ends with 0, with --yes too."""
    make_backups(queue_path, 3)

    done = cli("prune", "--keep", "1", "--dry-run", "--yes", "--db", queue_path, "--json")

    assert done.code == 0
    assert len(done.document["plan"]["remove"]) == 2
    assert len(QueueBackup(queue_path).list_backups()) == 3


def test_prune_keeps_the_newest_sound_ones(cli, queue_path):
    """Prune --yes keeps as many sound backups as asked for, the newest."""
    _oldest, middle, newest = make_backups(queue_path, 3)

    done = cli("prune", "--keep", "2", "--yes", "--db", queue_path, "--json")

    kept = [info.path for info in QueueBackup(queue_path).list_backups()]
    assert (done.code, len(done.document["removed"])) == (0, 1)
    assert kept == [newest, middle]


def test_prune_keeps_ten_when_no_rule_is_given(cli, queue_path):
    """Prune alone keeps the newest ten."""
    make_backups(queue_path, 11)

    cli("prune", "--yes", "--db", queue_path)

    assert len(QueueBackup(queue_path).list_backups()) == 10


def test_prune_by_days_keeps_one_of_a_day(cli, queue_path):
    """--daily counts days and not backups."""
    make_backups(queue_path, 3)

    cli("prune", "--daily", "7", "--yes", "--db", queue_path)

    # Around midnight two days have one each.
    assert 1 <= len(QueueBackup(queue_path).list_backups()) <= 2
