"""The command that runs a check again: all that the run was told, in words that can be typed."""

import os
import shlex
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.replay import replay_check, replay_run
from harness.settings import Profile, Settings

ROOT = Path("/checkout")
CHECK = "scenarios/test_a.py::test_b[c d]"
SETTINGS = Settings(
    db=None,
    backup_dir=None,
    driver=None,
    report_dir=ROOT / "queue-report",
    seed=17,
    profile=Profile.GATE,
    min_checks=1,
)


def config(*arguments, folder=ROOT):
    """What pytest knows of a command line that was typed in a folder."""
    return SimpleNamespace(
        rootpath=ROOT, invocation_params=SimpleNamespace(dir=folder, args=arguments)
    )


def split(line):
    """The words of a line, as the shell of this platform has them."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    if os.name == "nt":
        lexer.escape = ""
    return list(lexer)


def words_of(**told):
    """The words of a check's command."""
    return split(replay_check(config(), replace(SETTINGS, **told), CHECK))


def test_a_check_is_named_whole_and_with_its_seed():
    """An id with spaces and brackets is one word; the defaults are not repeated."""
    assert words_of() == ["pytest", CHECK, "--queue-seed", "17"]


@pytest.mark.parametrize("profile", [Profile.NIGHTLY, Profile.SOAK])
def test_a_check_of_a_longer_profile_names_it(profile):
    """Under the default it would not be selected at all."""
    assert words_of(profile=profile)[-2:] == ["--queue-profile", profile.value]


def test_the_queue_that_was_judged_is_named():
    """File, backups and driver are told as one word each, so that pytest looks beside no path."""
    told = words_of(db=Path("/data/my queue.db"), backup_dir=Path("/b"), driver="mine --db {db}")

    assert told[4:] == [
        f"--queue-db={Path('/data/my queue.db')}",
        f"--queue-backup-dir={Path('/b')}",
        "--queue-driver=mine --db {db}",
    ]


def test_a_check_is_named_from_where_the_run_was_started():
    """Typed in another folder the path is whole; brackets of the id are left alone."""
    typed = replay_check(config(folder=Path("/elsewhere")), SETTINGS, CHECK)

    assert split(typed)[1] == f"{ROOT / 'scenarios/test_a.py'}::test_b[c d]"


def test_a_run_is_its_command_line_with_its_seed():
    """A seed that was chosen for it is added, so that it can be chosen again."""
    typed = replay_run(config("scenarios", "-k", "a b"), SETTINGS)

    assert split(typed) == ["pytest", "scenarios", "-k", "a b", "--queue-seed", "17"]


@pytest.mark.parametrize("given", [("--queue-seed", "17"), ("--queue-seed=17",)])
def test_a_seed_that_was_given_is_not_given_twice(given):
    """In whichever form it was typed."""
    assert split(replay_run(config(*given), SETTINGS)) == ["pytest", *given]
