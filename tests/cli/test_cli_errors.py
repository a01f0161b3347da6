"""What goes wrong is one line with its cure, and an exit code that says what kind it is."""

import json
import logging
import os

import pytest
from cli_tools import queuedrill, write

USAGE_MISTAKES = {
    "no-such-verb": ["revive"],
    "no-such-option": ["backup", "--fast"],
    "no-value": ["backup", "--db"],
    "no-number": ["archive", "--older-than-days", "many"],
    "bad-mode": ["checkpoint", "--mode", "SIDEWAYS"],
    "bad-run": ["maintain", "yearly"],
    "nothing-kept": ["prune", "--keep", "0"],
    "negative-count": ["prune", "--daily", "-1"],
    "undo-of-a-backup": ["restore", "some.db", "--undo"],
    "undo-and-recover": ["restore", "--undo", "--recover"],
    "release-of-nothing": ["leases", "--release"],
    "free-and-task": ["leases", "--free", "--task", "1"],
    "one-and-all": ["verify", "some.db", "--all"],
}


@pytest.mark.parametrize("mistake", USAGE_MISTAKES)
def test_a_usage_mistake_is_one_line_and_exit_code_2(cli, queue_path, mistake):
    """A command line that makes no sense ends with 2, one line on stderr, and does nothing."""
    words = USAGE_MISTAKES[mistake]

    done = cli(words[0], *words[1:], *(["--db", queue_path] if mistake != "no-value" else []))

    assert done.code == 2
    assert done.out == ""
    assert done.err.count("\n") == 1
    assert done.err.startswith("queuedrill")
    assert "--help" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ["backup", "--name", "../outside"],
        ["backup", "--name", ""],
        ["backup", "--timeout-seconds", "-1"],
        ["leases", "--timeout-seconds", "-1"],
        ["backup", "--db", ""],
    ],
)
def test_a_value_that_the_core_refuses_is_a_usage_mistake(cli, queue_path, words):
    """A name, number or path that cannot be meant ends with 2 and says what would do."""
    done = cli(*words, *([] if "--db" in words else ["--db", queue_path]))

    assert done.code == 2
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("verb", ["backup", "verify", "restore", "leases", "integrity", "stats"])
def test_a_mistyped_path_is_an_error_and_makes_nothing(cli, tmp_path, verb):
    """A database that is not there ends with 1, says so, and no file appears."""
    missing = tmp_path / "quue.db"

    done = cli(verb, "--db", missing)

    assert done.code == 1
    assert done.err.count("\n") == 1
    assert str(missing) in done.err
    assert list(tmp_path.iterdir()) == []


def test_an_error_has_no_traceback_unless_asked_for(cli, tmp_path):
    """--debug adds the traceback, and the last line stays the same."""
    words = ["backup", "--db", tmp_path / "missing.db"]

    short, long = cli(*words), cli(*words, "--debug")

    assert "Traceback" not in short.err
    assert "Traceback" in long.err
    assert long.err.endswith(short.err)


def test_an_error_is_json_too(cli, tmp_path):
    """With --json an error is the one object on stdout, and still one line on stderr."""
    done = cli("backup", "--db", tmp_path / "missing.db", "--json")

    assert done.document["schema_version"] == 1
    assert (done.document["ok"], done.document["exit_code"]) == (False, 1)
    assert done.document["error"]["kind"] == "DatabaseMissingError"
    assert done.document["error"]["message"] in done.err


def test_a_usage_mistake_is_json_too(cli):
    """With --json a usage mistake is the one object on stdout as well."""
    done = cli("backup", "--fast", "--json")

    assert (done.document["ok"], done.document["exit_code"]) == (False, 2)


def test_what_was_not_foreseen_is_one_line_too(cli, monkeypatch, queue_path):
    """An error that nobody thought of ends with 1 and says how to see more."""
    monkeypatch.setattr("core.catalog.read_catalog", lambda *_: 1 / 0)

    done = cli("list", "--db", queue_path)

    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "ZeroDivisionError" in done.err
    assert "--debug" in done.err


@pytest.mark.parametrize("words", [["health", "--fast"], ["health", "--backup-dir"]])
def test_a_usage_mistake_of_health_is_unknown(cli, words):
    """Monitoring must not read a mistyped health command as CRITICAL: it ends with 3."""
    assert cli(*words).code == 3


def test_no_verb_shows_the_help_and_is_a_usage_mistake(cli):
    """The command alone lists the verbs on stderr and ends with 2."""
    done = cli()

    assert done.code == 2
    assert "restore" in done.err


def test_the_version_is_the_declared_one(cli):
    """--version prints one line and ends with 0."""
    done = cli("--version")

    assert done.code == 0
    assert done.out.startswith("queuedrill 0.")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_stdout_that_lacks_characters_does_not_end_it(queue_path, encoding):
    """Text that the redirected stdout cannot encode is replaced."""
    write(
        queue_path,
        "INSERT INTO task_queue (type, payload, status, locked_by, lease_until_utc)"
        " VALUES ('t', '{}', 'leased', ?, '2001-01-01 00:00:00')",
        ("b\u00fcro-\u4e2d\U0001f600",),
    )

    done = queuedrill(
        "leases",
        "--db",
        queue_path,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
    )

    assert done.code == 0, done.err
    assert "ro-??" in done.out


def test_what_the_core_logs_reaches_stderr_as_one_harmless_line(cli, monkeypatch, queue_path):
    """A note of the core is shown on stderr, never on the stdout of --json."""

    def noisy(*_arguments):
        logging.getLogger("queuedrill").warning("a restore was \x1b[31m finished")
        return []

    monkeypatch.setattr("core.catalog.read_catalog", noisy)

    done = cli("list", "--db", queue_path, "--json")

    assert json.loads(done.out)["backups"] == []
    assert done.err == "queuedrill: a restore was \\x1b[31m finished\n"
