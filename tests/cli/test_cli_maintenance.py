"""maintain and the single maintenance verbs do what they say, and their exit codes tell."""

import contextlib
import sqlite3

import pytest
from cli_tools import LONG_AGO, add_held, add_tasks, everything_in, queuedrill, read, write

from core import QueueBackup

COUNT = "SELECT count(*) FROM task_queue"


def finish_all(path):
    """Let every task have finished long ago."""
    write(path, "UPDATE task_queue SET status = 'completed', finished_at_utc = ?", (LONG_AGO,))


@pytest.mark.parametrize("which", ["hourly", "daily", "weekly"])
def test_maintain_frees_stale_leases_in_every_run(cli, queue_path, which):
    """Every run frees what dead workers hold, says each step, and ends with 0."""
    add_held(queue_path)

    done = cli("maintain", which, "--db", queue_path, "--json")

    steps = done.document["steps"]
    assert done.code == 0, steps
    assert [step["name"] for step in steps if not step["ok"]] == []
    assert read(queue_path, "SELECT status FROM task_queue") == [("queued",)]


def test_maintain_daily_backs_up_where_it_is_told(cli, queue_path, tmp_path):
    """The daily run leaves a verified backup in --backup-dir."""
    elsewhere = tmp_path / "elsewhere"

    cli("maintain", "daily", "--db", queue_path, "--backup-dir", elsewhere)

    assert QueueBackup(queue_path, elsewhere).newest_verified() is not None


def test_maintain_that_fails_ends_with_1_and_says_where(cli, queue_path):
    """A step that failed is marked, and the run is not called done."""
    (queue_path.parent / "backups").write_text("in the way")

    done = cli("maintain", "daily", "--db", queue_path)

    assert done.code == 1
    assert "\nFAILED   backup" in done.out
    assert done.out.endswith("The daily run is NOT whole.\n")


def test_checkpoint_truncate_empties_the_wal(queue_path):
    """Checkpoint --mode TRUNCATE leaves nothing in the -wal, beside an open connection too."""
    with contextlib.closing(sqlite3.connect(queue_path)) as connection:
        connection.execute("INSERT INTO task_queue (type, payload) VALUES ('t', '{}')")
        connection.commit()

        done = queuedrill("checkpoint", "--mode", "truncate", "--db", queue_path, "--json")

        assert (queue_path.parent / "queue.db-wal").stat().st_size == 0
    assert done.code == 0
    assert (done.document["mode"], done.document["complete"]) == ("TRUNCATE", True)


def test_a_checkpoint_that_is_not_complete_ends_with_1(queue_path):
    """A reader of an old snapshot keeps TRUNCATE from its end, and the exit code says so."""
    with contextlib.closing(sqlite3.connect(queue_path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute(COUNT).fetchall()
        writer = sqlite3.connect(queue_path)
        with contextlib.closing(writer), writer:
            writer.execute("INSERT INTO task_queue (type, payload) VALUES ('t', '{}')")

        done = queuedrill(
            "checkpoint", "--mode", "TRUNCATE", "--timeout-seconds", "0.1", "--db", queue_path
        )

    assert done.code == 1
    assert "NOT complete" in done.out


def test_vacuum_gives_space_back(cli, queue_path):
    """Vacuum --yes shrinks the file and says by how much."""
    write(
        queue_path,
        "INSERT INTO task_queue (type, payload) VALUES ('t', ?)",
        *[(f'"{"x" * 1000}"',)] * 500,
    )
    write(queue_path, "DELETE FROM task_queue WHERE id > ?", (1,))
    before = queue_path.stat().st_size

    done = cli("vacuum", "--yes", "--db", queue_path, "--json")

    assert done.code == 0
    assert queue_path.stat().st_size < before / 2
    assert done.document["size_after_bytes"] == queue_path.stat().st_size


@pytest.mark.parametrize("words", [["vacuum"], ["archive", "--older-than-days", "1"]])
def test_what_changes_the_file_refuses_where_nobody_can_be_asked(cli, queue_path, words):
    """Without a terminal and without --yes nothing is done, and the exit code is 2."""
    add_tasks(queue_path, 3)
    finish_all(queue_path)
    before = everything_in(queue_path.parent)

    done = cli(*words, "--db", queue_path)

    assert done.code == 2
    assert "--yes" in done.err
    assert everything_in(queue_path.parent) == before


def test_archive_moves_old_finished_tasks(cli, queue_path, tmp_path):
    """Archive --yes moves what finished long ago to the file that is named."""
    add_tasks(queue_path, 3)
    finish_all(queue_path)
    add_tasks(queue_path, 2)
    target = tmp_path / "kept.db"

    done = cli(
        "archive", "--older-than-days", "30", "--archive", target, "--yes", "--db", queue_path
    )

    assert done.code == 0
    assert done.out.startswith(f'3 tasks moved to "{target}"')
    assert read(queue_path, COUNT) == [(2,)]


def test_analyze_updates_the_statistics(cli, queue_path):
    """Analyze --table leaves statistics of that table."""
    add_tasks(queue_path, 3)

    done = cli("analyze", "--table", "task_queue", "--db", queue_path)

    assert done.code == 0
    assert ("task_queue",) in read(queue_path, "SELECT DISTINCT tbl FROM sqlite_stat1")


def test_analyze_of_no_table_names_those_there_are(cli, queue_path):
    """A table that does not exist is a usage mistake whose message lists the tables."""
    done = cli("analyze", "--table", "tasks", "--db", queue_path)

    assert done.code == 2
    assert "task_queue" in done.err


def test_integrity_of_a_sound_file(cli, queue_path):
    """Integrity ends with 0 where every page is in order."""
    done = cli("integrity", "--db", queue_path, "--json")

    assert (done.code, done.document["rows"]) == (0, ["ok"])


def test_integrity_of_a_damaged_file_names_the_cure(cli, queue_path):
    """Integrity ends with 1, shows what SQLite found, and names the way back."""
    add_tasks(queue_path, 500)
    content = bytearray(queue_path.read_bytes())
    content[4096 * 8 : 4096 * 9] = bytes(4096)
    queue_path.write_bytes(content)

    done = cli("integrity", "--db", queue_path)

    assert done.code == 1
    assert "DAMAGED" in done.out
    assert f'queuedrill restore --db "{queue_path}"' in done.out


def test_enable_wal_changes_the_journal_mode(cli, queue_path):
    """enable-wal leaves a file that was in another mode in WAL mode."""
    read(queue_path, "PRAGMA journal_mode = DELETE")

    done = cli("enable-wal", "--db", queue_path)

    assert done.code == 0
    assert read(queue_path, "PRAGMA journal_mode") == [("wal",)]


def test_stats_shows_the_figures_of_the_runbook(cli, queue_path):
    """Stats has size, pages, free pages, journal mode and -wal size."""
    facts = cli("stats", "--db", queue_path, "--json").document
    plain = cli("stats", "--db", queue_path).out

    assert facts["wal_mode"] is True
    for name in ("total_size_mb", "page_count", "page_size", "freelist_count", "wal_size_mb"):
        assert name in facts
        assert name in plain
