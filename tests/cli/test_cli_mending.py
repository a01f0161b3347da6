"""health --fix does what loses nothing, after asking, and leaves the rest to a person."""

import os
import sqlite3

import pytest
from cli_tools import add_held, add_tasks, everything_in, queuedrill, read

from core import QueueBackup
from harness.cli import mending
from harness.cli.mending import mends, words_of

BACKED_UP = 'queuedrill backup --db "C:\\Data\\my queue.db"'


@pytest.fixture
def stale(queue_path):
    """Return the path of a queue without a backup, and with 51 stale leases."""
    for number in range(51):
        add_held(queue_path, worker=f"w{number % 3}")
    return queue_path


def test_fix_backs_up_first_and_frees_the_stale_leases(stale):
    """With --yes both are done, the backup before anything is changed, and health looks again."""
    done = queuedrill("health", "--db", stale, "--fix", "--yes", "--json")

    facts = done.document
    (backup,) = QueueBackup(stale).list_backups()
    assert [mend["exit_code"] for mend in facts["mends"]] == [0, 0]
    assert " backup " in facts["mends"][0]["command"]
    assert backup.manifest.counts == {"leased": 51}
    assert read(stale, "SELECT DISTINCT status FROM task_queue") == [("queued",)]
    level = {finding["id"]: finding["level"] for finding in facts["findings"]}
    assert (level["leases.stale"], level["backups.age"]) == ("OK", "OK")


def test_fix_says_what_it_does_and_what_is_there_now(stale):
    """A person reads each command, what it said, and the new verdict."""
    out = queuedrill("health", "--db", stale, "--fix", "--yes").out

    told = out.index("would run: queuedrill backup")
    made = out.index("Backup made and verified")
    now = out.index("Now:")
    assert told < made < now
    assert "leases.stale" in out[:told]
    assert "leases.stale" not in out[now:]


def test_fix_without_a_terminal_and_without_yes_does_nothing(stale):
    """Nobody can be asked, so that nothing is done, and monitoring reads UNKNOWN."""
    before = everything_in(stale.parent)

    done = queuedrill("health", "--db", stale, "--fix")

    assert done.code == 3
    assert "add --yes to do it" in done.err
    assert everything_in(stale.parent) == before


def test_fix_never_restores_by_itself(queue_path):
    """A damaged queue has a command that replaces it: that one is for a person to type."""
    add_tasks(queue_path, 20)
    QueueBackup(queue_path).create_backup()
    content = bytearray(queue_path.read_bytes())
    content[4096:8192] = bytes(4096)
    queue_path.write_bytes(content)
    before = everything_in(queue_path.parent)

    done = queuedrill("health", "--db", queue_path, "--fix", "--yes", "--json")

    (restore,) = [mend for mend in done.document["mends"] if " restore " in mend["command"]]
    assert restore["exit_code"] is None
    assert done.code == 2
    after = everything_in(queue_path.parent)
    assert {name: content for name, content in after.items() if name in before} == before


def test_fix_that_fails_is_told_and_stops_the_rest(stale):
    """Without the backup nothing is changed: its command is named, and the findings stay."""
    (stale.parent / "backups").symlink_to(stale.parent / "gone" / "away")

    done = queuedrill("health", "--db", stale, "--fix", "--yes")

    assert "not done: queuedrill backup" in done.out
    assert "1 more were not run" in done.out
    assert read(stale, "SELECT DISTINCT status FROM task_queue") == [("leased",)]
    assert done.code == 2


@pytest.mark.skipif(os.name != "posix", reason="a terminal of a test's own is a POSIX matter")
@pytest.mark.parametrize(("answer", "freed"), [(b"n\n", False), (b"y\n", True)])
def test_fix_on_a_terminal_asks(stale, answer, freed):
    """A no leaves everything, and the exit code is that of what was found."""
    master, slave = os.openpty()
    try:
        os.write(master, answer)
        done = queuedrill("health", "--db", stale, "--fix", stdin=slave)
    finally:
        os.close(master)
        os.close(slave)

    assert "Run 2 of them? [y/N]" in done.err
    assert (read(stale, "SELECT DISTINCT status FROM task_queue") == [("queued",)]) is freed
    assert done.code == (2 if not freed else 1 if "sqlite.version" in done.out else 0)


def test_words_of_a_command_leave_paths_as_they_are():
    """Quotes group, and a backslash is a character of a path."""
    assert words_of(BACKED_UP) == ["queuedrill", "backup", "--db", "C:\\Data\\my queue.db"]


@pytest.mark.parametrize(
    ("command", "harmless"),
    [
        ('queuedrill backup --db "q"', True),
        ('queuedrill leases --db "q" --free', True),
        ('queuedrill restore --db "q" --recover', True),
        ('queuedrill checkpoint --db "q" --mode TRUNCATE', True),
        ('queuedrill restore --db "q"', False),
        ('queuedrill leases --db "q" --task 1 --release', False),
        ('queuedrill prune --db "q"', False),
        ('queuedrill archive --db "q" --older-than-days 30', False),
        ('queuedrill init --db "q"', False),
        ('queuedrill backups --db "q"', False),
        ('rm "q"', False),
    ],
)
def test_only_what_loses_nothing_is_harmless(command, harmless):
    """Whatever is not known to be harmless is for a person to do."""
    assert [mend.harmless for mend in mends([("x", command)])] == [harmless]


def test_what_is_not_harmless_cannot_be_run_from_here():
    """The last net: a mistake above it ends in an error, not in a restore."""
    (mend,) = mends([("x", 'queuedrill restore --db "q"')])

    with pytest.raises(AssertionError):
        mending.run(mend, quiet=True)


def test_backup_comes_before_what_writes():
    """What goes wrong later can be taken back."""
    commands = [
        ("a", 'queuedrill vacuum --db "q"'),
        ("b", 'queuedrill restore --db "q"'),
        ("c", 'queuedrill leases --db "q" --free'),
        ("d", 'queuedrill backup --db "q"'),
    ]

    assert [mend.finding for mend in mends(commands)] == ["d", "c", "a", "b"]


def test_database_is_still_one(stale):
    """Nothing of a run of --fix is left half done."""
    queuedrill("health", "--db", stale, "--fix", "--yes")

    assert sqlite3.connect(stale).execute("PRAGMA integrity_check").fetchall() == [("ok",)]
