"""What a queue is held against: each limit, its origin, and what is refused."""

from dataclasses import fields

import pytest

from core.thresholds import AtLeast, AtMost, Thresholds
from harness.limits import (
    CONFIG_NAME,
    RUNBOOK,
    LimitError,
    find_config,
    runbook_limits,
)

FILE = """
[limits]
wal_mb = { warn = 20, fail = 40 }
size_mb = 2048
stale_after_s = 600
"""


@pytest.fixture
def config(tmp_path):
    """Return a file with some limits."""
    path = tmp_path / CONFIG_NAME
    path.write_text(FILE, encoding="utf-8")
    return path


def test_without_a_word_all_are_the_runbook_s():
    """Nobody has set one: the health check gets its own defaults, and each says so."""
    limits = runbook_limits()

    assert limits.thresholds() == Thresholds()
    assert {bound.origin for bound in limits.bounds} == {RUNBOOK}
    names = {bound.name for bound in limits.bounds}
    assert names == {field.name for field in fields(Thresholds)} | {"rpo_s", "rto_s"}


def test_file_goes_before_the_runbook_and_words_before_the_file(config):
    """Each limit is its nearest giver's, and says whose it is."""
    limits = runbook_limits().with_file(config)
    limits = limits.with_words(["wal_mb=10/30"], "PYTEST_QUEUE_LIMIT")
    limits = limits.with_words(["held_h=2/"], "--queue-limit")

    known = limits.thresholds()
    assert known.wal_mb == AtMost(10, 30, "MB")
    assert known.size_mb == AtMost(500, 2048, "MB")
    assert known.held_h == AtMost(2, 24, "h")
    assert known.stale_after_s == 600
    origins = {name: limits[name].origin for name in ("wal_mb", "size_mb", "held_h", "waiting_h")}
    assert origins == {
        "wal_mb": "PYTEST_QUEUE_LIMIT",
        "size_mb": str(config),
        "held_h": "--queue-limit",
        "waiting_h": RUNBOOK,
    }


def test_failure_below_the_runbook_s_warning_takes_the_warning_along():
    """Who says only when it fails is not refused for a warning that he never set."""
    limits = runbook_limits().with_words(["size_mb=/100", "free_disk_gb=/20"], "here")

    assert limits.thresholds().size_mb == AtMost(100, 100, "MB")
    assert limits.thresholds().free_disk_gb == AtLeast(20, 20, "GB")


def test_limit_says_itself_in_words():
    """The report shows figures, unit and origin of each."""
    limits = runbook_limits().with_words(["rto_s=60/120", "stale_after_s=600"], "--queue-limit")

    assert str(limits["rto_s"]) == "warns above 60 s, fails above 120 s (--queue-limit)"
    assert str(limits["rpo_s"]) == "no limit (the runbook)"
    assert str(limits["free_disk_gb"]) == "warns below 10 GB, fails below 5 GB (the runbook)"
    assert str(limits["stale_after_s"]) == "600 s (--queue-limit)"
    assert str(limits["late_tasks"]) == "warns above 0 tasks (the runbook)"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("wall_mb=1/2", "Did you mean 'wal_mb'"),
        ("wal_mb", "Give NAME=WARN/FAIL"),
        ("wal_mb=a/b", "'a' is no number"),
        ("wal_mb=nan", "no number of 0 or more"),
        ("wal_mb=-1/2", "no number of 0 or more"),
        ("wal_mb=inf/inf", "no number of 0 or more"),
        ("wal_mb=60/50", "before it warns"),
        ("free_disk_gb=5/10", "before it warns"),
        ("stale_after_s=1/2", "warns of nothing"),
        ("stale_after_s=1e12", "at most ten years"),
    ],
)
def test_word_that_is_no_limit_is_refused_with_its_cure(word, message):
    """A mistyped limit is never one that holds nothing."""
    with pytest.raises(LimitError, match=message):
        runbook_limits().with_words([word], "here")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[limit]\nwal_mb = 1", "Did you mean 'limits'"),
        ("[limits]\nwal_md = 1", "Did you mean 'wal_mb'"),
        ("[limits]\nwal_mb = { warm = 1 }", "Did you mean 'warn'"),
        ("[limits]\nwal_mb = true", "is no number"),
        ("[limits]\nwal_mb = { fail = '50' }", "is no number"),
        ("limits = 5", "is no table"),
        ("[limits\n", "cannot be read"),
        ("[limits]\nwal_mb = 1\nwal_mb = 2", "cannot be read"),
    ],
)
def test_file_that_says_no_limit_is_refused_with_its_cure(config, text, message):
    """An unknown key is an error that names the nearest known one."""
    config.write_text(text, encoding="utf-8")

    with pytest.raises(LimitError, match=message):
        runbook_limits().with_file(config)


def test_file_that_is_no_text_is_refused(config):
    """What cannot be read sets no limit in silence."""
    config.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(LimitError, match="cannot be read"):
        runbook_limits().with_file(config)


def test_first_folder_with_a_file_counts(tmp_path, config):
    """The file beside the run goes before the one beside the project."""
    other = tmp_path / "other"
    other.mkdir()

    assert find_config([other, tmp_path]) == config
    assert find_config([other]) is None
