"""verify, list, restore and health on files of others: what is strange is told."""

import contextlib
import os
import sqlite3

import pytest
from cli_tools import add_tasks

from core import QueueBackup

TRIGGER = "CREATE TRIGGER audit AFTER DELETE ON workers BEGIN SELECT 1; END"
LEGACY = "queue_backup_20250101_000000.db"


@pytest.fixture
def foreign(queue_path):
    """Return a backup of the old kind with a trigger in it, in the queue's own folder."""
    add_tasks(queue_path, 3)
    made = QueueBackup(queue_path).create_backup()
    path = made.rename(made.with_name(LEGACY))
    made.with_name(made.name + ".manifest.json").unlink()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(TRIGGER)
    return path


@pytest.mark.usefixtures("foreign")
def test_trigger_in_a_backup_is_told_and_can_be_declared(cli, queue_path):
    """Verify and list call it broken and say what to do; with --declare they do not."""
    told = cli("verify", LEGACY, "--db", queue_path)
    listed = cli("list", "--verify", "--db", queue_path)
    declared = cli("verify", LEGACY, "--db", queue_path, "--declare", "audit")

    assert (told.code, listed.code, declared.code) == (1, 1, 0)
    assert 'trigger "audit" acts when workers is written to' in told.out
    assert "--declare NAME" in told.out
    assert "BROKEN" in listed.out
    assert cli("list", "--verify", "--db", queue_path, "--declare", "audit").code == 0


@pytest.mark.usefixtures("foreign")
def test_trigger_in_a_backup_is_restored_only_if_declared(cli, queue_path):
    """A restore refuses it by name, also where it is only shown; declared, it is done."""
    refused = cli("restore", LEGACY, "--db", queue_path, "--yes")
    shown = cli("restore", LEGACY, "--db", queue_path, "--dry-run")
    done = cli("restore", LEGACY, "--db", queue_path, "--yes", "--declare", "audit")

    assert (refused.code, shown.code, done.code) == (1, 1, 0)
    assert "audit" in refused.err
    assert "audit" in shown.out


@pytest.mark.usefixtures("foreign")
def test_health_is_told_what_belongs_in_the_queue(cli, queue_path):
    """A trigger of the queue's own is critical until it is declared."""
    cli("restore", LEGACY, "--db", queue_path, "--yes", "--declare", "audit")

    told = cli("health", "--db", queue_path, "--json").document
    declared = cli("health", "--db", queue_path, "--json", "--declare", "audit").document

    levels = [
        {finding["id"]: finding["level"] for finding in report["findings"]}["schema.triggers"]
        for report in (told, declared)
    ]
    assert levels == ["CRITICAL", "OK"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_names_of_others_cannot_write_to_the_terminal(cli, queue_path, foreign):
    """What is printed of a file's name, a schema or a manifest is one line without controls."""
    odd = foreign.rename(foreign.with_name("queue_backup_\x1b[2J\r_20250101_000000.db"))
    with contextlib.closing(sqlite3.connect(odd, isolation_level=None)) as connection:
        connection.execute(
            'CREATE TRIGGER "\x1b]0;me\x07" AFTER DELETE ON workers BEGIN SELECT 1; END'
        )
    odd.with_name(odd.name + ".manifest.json").write_text('{"format": "\\u001b[31m"}')

    for words in (("list", "--verify"), ("verify", odd), ("restore", odd, "--yes"), ("list",)):
        done = cli(*words, "--db", queue_path)
        printed = (done.out + done.err).replace("\n", "")
        assert printed.isprintable(), (words, printed)
        assert "x1b" in printed
