"""health ends with what monitoring expects, names the cure, and writes nothing."""

import contextlib
import sqlite3
import subprocess
import sys

import pytest
from cli_tools import DEADLINE_S, add_held, everything_in, queuedrill

from core import QueueBackup
from harness.cli.verbs.health import _CODES


@pytest.fixture
def stale(queue_path):
    """Return the path of a queue with 51 stale leases."""
    for number in range(51):
        add_held(queue_path, worker=f"w{number % 3}")
    return queue_path


def test_the_exit_codes_are_those_of_monitoring():
    """0 is OK, 1 WARNING, 2 CRITICAL and 3 UNKNOWN."""
    assert _CODES == {"OK": 0, "WARNING": 1, "CRITICAL": 2, "UNKNOWN": 3}


def test_a_critical_queue_ends_with_2_and_names_the_cure(cli, stale):
    """The first line is the verdict, and under it each finding has its command."""
    done = cli("health", "--db", stale)

    assert done.code == 2
    assert done.out.startswith("CRITICAL: ")
    assert "leases.stale" in done.out.splitlines()[0]
    assert f'mend it with: queuedrill leases --db "{stale}" --free' in done.out


def test_limit_of_one_s_own_is_what_the_queue_is_held_against(cli, stale, tmp_path):
    """The command line goes before the file, and the document says who has set which."""
    config = tmp_path / "limits.toml"
    config.write_text("[limits]\nstale_leases = { warn = 100, fail = 200 }\nheld_h = 3\n")

    by_file = cli("health", "--db", stale, "--config", config, "--json").document
    by_word = cli(
        *("health", "--db", stale, "--config", config, "--limit", "stale_leases=50/60", "--json")
    ).document

    def level(document):
        return next(each for each in document["findings"] if each["id"] == "leases.stale")["level"]

    assert (level(by_file), level(by_word)) == ("OK", "WARNING")
    origins = {bound["name"]: bound["origin"] for bound in by_word["limits"]}
    assert origins["stale_leases"] == "--limit"
    assert origins["held_h"] == str(config)
    assert origins["wal_mb"] == "the runbook"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--limit", "stale_lease=1/2"], "Did you mean 'stale_leases'"),
        (["--config", "no/such.toml"], "cannot be read"),
    ],
)
def test_limit_that_is_none_is_unknown_to_monitoring(cli, queue_path, arguments, message):
    """A mistyped limit is a usage error, and monitoring reads UNKNOWN."""
    done = cli("health", "--db", queue_path, *arguments)

    assert done.code == 3
    assert message in done.err


def test_a_backed_up_empty_queue_is_not_critical(cli, queue_path):
    """A sound queue with a fresh backup ends with 0, or 1 where SQLite itself is to be upgraded."""
    QueueBackup(queue_path).create_backup()

    done = cli("health", "--db", queue_path, "--json")

    expected = {finding["id"] for finding in done.document["findings"] if finding["level"] != "OK"}
    assert expected <= {"sqlite.version", "disk.free"}
    assert done.code == (1 if expected else 0)
    assert done.document["ok"] is (done.code == 0)


def test_health_as_json_has_every_finding(cli, stale):
    """The document holds the level, each finding with figures, and what was judged."""
    facts = cli("health", "--db", stale, "--json").document

    finding = next(found for found in facts["findings"] if found["id"] == "leases.stale")
    assert facts["level"] == "CRITICAL"
    assert (finding["level"], finding["observed"]) == ("CRITICAL", 51)
    assert finding["threshold"] == {"warning": 10, "critical": 50, "unit": "tasks"}
    assert str(stale) in facts["judged"]


def test_a_missing_database_is_a_finding(cli, tmp_path):
    """A queue that is not there is CRITICAL with its cure, not an error."""
    done = cli("health", "--db", tmp_path / "missing.db")

    assert done.code == 2
    assert done.out.startswith("CRITICAL: ")
    assert ": file.opens, " in done.out.splitlines()[0]
    assert "queuedrill init" in done.out
    assert done.out.count("Not judged") == 1
    assert list(tmp_path.iterdir()) == []


def test_backups_are_looked_for_in_the_folder_that_is_named(cli, queue_path, tmp_path):
    """--backup-dir is where health expects the newest backup."""
    elsewhere = tmp_path / "elsewhere"
    QueueBackup(queue_path, elsewhere).create_backup()

    def age_level(*words):
        found = cli("health", "--db", queue_path, "--json", *words).document["findings"]
        return next(finding["level"] for finding in found if finding["id"] == "backups.age")

    assert age_level() == "CRITICAL"
    assert age_level("--backup-dir", elsewhere) == "OK"


@pytest.mark.parametrize("verb", [["health"], ["health", "--full"], ["leases"]])
def test_looking_at_an_unheld_queue_writes_nothing(stale, verb):
    """Health and leases leave every byte in the folder, and add no file."""
    before = everything_in(stale.parent)

    queuedrill(*verb, "--db", stale)

    assert everything_in(stale.parent) == before


@pytest.mark.parametrize("verb", ["health", "leases"])
def test_looking_at_a_log_left_behind_writes_nothing(stale, verb):
    """A -wal that a crash left is neither replayed nor removed, and its rows are seen."""
    child = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
        "c.execute(\"UPDATE task_queue SET locked_by = 'in-the-log'\"); c.commit(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", child, stale], check=True, timeout=DEADLINE_S)
    before = everything_in(stale.parent)

    done = queuedrill(verb, "--db", stale)

    assert "in-the-log" in done.out
    assert everything_in(stale.parent) == before


@pytest.mark.parametrize("verb", ["health", "leases"])
def test_looking_at_a_live_queue_writes_nothing_and_waits_for_nobody(stale, verb):
    """While a writer holds the write lock, both look beside it and change no file."""
    with contextlib.closing(sqlite3.connect(stale, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE task_queue SET locked_by = 'not-committed'")
        names = {file.name for file in stale.parent.iterdir()}

        done = queuedrill(verb, "--db", stale)

        assert {file.name for file in stale.parent.iterdir()} == names
        writer.execute("ROLLBACK")
    assert done.code == (2 if verb == "health" else 0), done.err
    assert "not-committed" not in done.out
    assert "w0" in done.out
