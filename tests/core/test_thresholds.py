"""The figures that a queue is held against."""

import math

import pytest

from core.errors import InvalidArgumentError
from core.thresholds import AtLeast, AtMost, Thresholds


@pytest.mark.parametrize(
    ("threshold", "steps"),
    [
        (Thresholds().size_mb, [(500, "OK"), (500.001, "WARNING"), (1024, "WARNING"),
                                (1024.001, "CRITICAL")]),
        (Thresholds().wal_mb, [(50, "OK"), (50.001, "WARNING"), (100, "WARNING"),
                               (100.001, "CRITICAL")]),
        (Thresholds().fragmentation_pct, [(10, "OK"), (10.1, "WARNING"), (20, "WARNING"),
                                          (20.1, "CRITICAL")]),
        (Thresholds().stale_leases, [(10, "OK"), (11, "WARNING"), (50, "WARNING"),
                                     (51, "CRITICAL")]),
        (Thresholds().free_disk_gb, [(10, "OK"), (9.999, "WARNING"), (5, "WARNING"),
                                     (4.999, "CRITICAL")]),
        (Thresholds().backup_age_h, [(26, "OK"), (26.1, "WARNING"), (50, "WARNING"),
                                     (50.1, "CRITICAL")]),
        (Thresholds().late_tasks, [(0, "OK"), (1, "WARNING"), (10**9, "WARNING")]),
        (Thresholds().unknown_status, [(0, "OK"), (1, "WARNING"), (10**9, "WARNING")]),
        (Thresholds().unreadable_leases, [(0, "OK"), (1, "WARNING"), (10, "WARNING"),
                                          (11, "CRITICAL")]),
        (Thresholds().far_leases, [(0, "OK"), (1, "WARNING"), (10, "WARNING"), (11, "CRITICAL")]),
        (Thresholds().never_run, [(0, "OK"), (1, "WARNING"), (10, "WARNING"), (11, "CRITICAL")]),
        (Thresholds().waiting_h, [(1, "OK"), (1.1, "WARNING"), (24, "WARNING"),
                                  (24.1, "CRITICAL")]),
        (Thresholds().held_h, [(6, "OK"), (6.1, "WARNING"), (24, "WARNING"), (24.1, "CRITICAL")]),
        (Thresholds().clock_ahead_s, [(300, "OK"), (301, "WARNING"), (3600, "WARNING"),
                                      (3601, "CRITICAL")]),
        (Thresholds().content_age_h, [(192, "OK"), (192.1, "WARNING"), (10**9, "WARNING")]),
    ],
    ids=["size", "wal", "fragmentation", "stale-leases", "free-disk", "backup-age", "late-tasks",
         "unknown-status", "unreadable-leases", "far-leases", "never-run", "waiting", "held",
         "clock", "content-age"],
)  # fmt: skip
def test_limit_is_kept_at_its_figure_and_passed_just_beyond(threshold, steps):
    """At exactly the limit it is kept; the smallest step beyond passes it."""
    assert [(observed, threshold.judge(observed)) for observed, _level in steps] == steps


def test_grace_and_longest_lease_are_those_of_the_runbook():
    """A lease is stale five minutes after its end, and no lease makes sense beyond a day."""
    assert (Thresholds().stale_after_s, Thresholds().lease_horizon_s) == (300, 86_400)


@pytest.mark.parametrize("threshold", [AtMost(1, 2), AtLeast(2, 1)])
def test_figure_that_is_no_number_is_never_green(threshold):
    """Not-a-number keeps no limit."""
    assert threshold.judge(math.nan) == "CRITICAL"


@pytest.mark.parametrize(
    ("kind", "warning", "critical"),
    [
        (AtMost, 2, 1),
        (AtLeast, 1, 2),
        (AtMost, -1, 1),
        (AtLeast, 1, -1),
        (AtMost, math.nan, 1),
        (AtMost, 1, math.nan),
        (AtMost, 1, math.inf),
        (AtMost, "1", "2"),
        (AtMost, True, True),
        (AtMost, None, None),
        (AtLeast, 2, None),
    ],
)
def test_pair_that_makes_no_sense_is_refused(kind, warning, critical):
    """Limits in the wrong order, negative ones and what is no number are errors."""
    with pytest.raises(InvalidArgumentError, match="pair of limits"):
        kind(warning, critical)


def test_equal_limits_go_straight_to_critical():
    """Where both limits are one figure, there is no warning."""
    assert AtMost(3, 3).judge(3) == "OK"
    assert AtMost(3, 3).judge(4) == "CRITICAL"
    assert AtLeast(3, 3).judge(2) == "CRITICAL"


def test_limits_are_said_with_their_unit():
    """People read both limits and what they are counted in."""
    assert str(AtMost(500, 1024, "MB")) == "warning above 500 MB, critical above 1024 MB"
    assert str(AtMost(0, None, "tasks")) == "warning above 0 tasks"
    assert str(AtLeast(10, 5)) == "warning below 10, critical below 5"


@pytest.mark.parametrize("name", ["stale_after_s", "lease_horizon_s"])
@pytest.mark.parametrize("value", [-1, math.nan, "5"])
def test_time_that_makes_no_sense_is_refused(name, value):
    """A negative time or no number is an error that names it."""
    with pytest.raises(InvalidArgumentError, match=name):
        Thresholds(**{name: value})
