"""Ctrl-C ends a verb with 130 and leaves nothing half done."""

import subprocess
import sys

import pytest
from cli_tools import DEADLINE_S, ROOT, add_tasks, everything_in, read

from core import QueueBackup

# The signal comes at the very moment at which the file is opened.
INTERRUPTED_AT = """
import signal, sys
part = sys.argv[1]
def strike(event, arguments):
    global part
    if event == "open" and part and part in str(arguments[0]):
        part = ""
        signal.raise_signal(signal.SIGINT)
sys.addaudithook(strike)
from harness.cli import main
sys.exit(main(sys.argv[2:]))
"""
LOCK = "queue.db-maintenance.lock"


def interrupted_at(part, *words):
    """Run ``queuedrill``; press Ctrl-C when it opens the first file with this in its path."""
    return subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AT, part, *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE_S,
        check=False,
    )


@pytest.mark.parametrize("moment", [".draft.db", "manifest.json", "backups"])
def test_an_interrupted_backup_leaves_nothing_half_done(queue_path, moment):
    """Ctrl-C at whatever moment leaves no draft, and no backup or manifest that is not whole."""
    add_tasks(queue_path, 100)

    done = interrupted_at(moment, "backup", "--db", queue_path)

    left = [path.name for path in (queue_path.parent / "backups").glob("*")]
    backups = QueueBackup(queue_path)
    listed = backups.list_backups()
    assert done.returncode == 130, done.stderr
    assert done.stderr == "queuedrill backup: interrupted; nothing was left half done.\n"
    assert all(backups.verify_backup(info.path) for info in listed)
    assert len(left) == 2 * len(listed)


def test_an_interrupted_copy_leaves_no_backup(queue_path):
    """Ctrl-C while the pages are copied leaves the folder empty."""
    interrupted_at(".draft.db", "backup", "--db", queue_path)

    assert list((queue_path.parent / "backups").iterdir()) == []


def test_an_interrupted_restore_leaves_the_old_state(queue_path):
    """Ctrl-C while the new state is made ready leaves the queue as it was."""
    QueueBackup(queue_path).create_backup()
    add_tasks(queue_path, 5)
    before = everything_in(queue_path.parent)

    done = interrupted_at("staging", "restore", "--yes", "--db", queue_path)

    left = everything_in(queue_path.parent)
    assert done.returncode == 130, done.stderr
    assert read(queue_path, "SELECT count(*) FROM task_queue") == [(5,)]
    assert {name for name in left if name != LOCK} == {name for name in before if name != LOCK}


def test_ctrl_c_at_the_question_is_130(queue_path):
    """Ctrl-C instead of an answer does nothing and ends with 130."""
    QueueBackup(queue_path).create_backup()
    add_tasks(queue_path, 5)
    asked = (
        "import sys\n"
        "class Person:\n"
        "    def isatty(self): return True\n"
        "    def readline(self): raise KeyboardInterrupt\n"
        "sys.stdin = Person()\n"
        "from harness.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", asked, "restore", "--db", queue_path],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE_S,
        check=False,
    )

    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert read(queue_path, "SELECT count(*) FROM task_queue") == [(5,)]


def test_a_reader_that_has_gone_is_no_traceback(queue_path):
    """``queuedrill list | head`` ends quietly when head has seen enough."""
    QueueBackup(queue_path).create_backup()
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.cli", "list", "--db", queue_path],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()

    _out, said = process.communicate(timeout=DEADLINE_S)

    assert process.returncode == 1
    assert said == b""
