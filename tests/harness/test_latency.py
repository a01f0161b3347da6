"""Latencies before, during and after faults, on histories written by hand."""

import math

import pytest
from histories import Script

from harness.history import Outcome
from harness.latency import (
    Phase,
    Window,
    fault_windows,
    latencies,
    latency_s,
    measure_latencies,
    measure_spread,
    percentile,
    phase_of,
    spread,
)

FAULT = (Window(10.0, 20.0),)


def only(script):
    """The one operation of a script."""
    (operation,) = script.operations
    return operation


@pytest.mark.parametrize(
    ("percent", "value"), [(0, 1), (1, 1), (50, 50), (95, 95), (99, 99), (99.5, 100), (100, 100)]
)
def test_a_percentile_is_a_value_that_was_seen(percent, value):
    """It is the least one that so many percent do not exceed, in whatever order they come."""
    assert percentile(list(range(100, 0, -1)), percent) == value


def test_a_percentile_of_few_is_the_longest():
    """Among ten the p99 is the longest: nothing is cut off."""
    assert percentile([0.1] * 9 + [7.0], 99) == 7.0
    assert percentile([0.1] * 99 + [7.0], 99) == 0.1
    assert percentile([], 99) is None


def test_what_was_not_answered_is_counted_and_has_no_latency():
    """An operation without an answer does not make the others look slower, or vanish."""
    figures = spread([0.2, None, 0.1, None, 0.3])

    assert (figures.count, figures.unanswered) == (3, 2)
    assert (figures.p50_s, figures.longest_s) == (0.2, 0.3)


def test_a_spread_of_nothing_has_no_figures():
    """No operation, no latency: not zero."""
    figures = spread([None])

    assert (figures.count, figures.unanswered) == (0, 1)
    assert {figures.p50_s, figures.p95_s, figures.p99_s, figures.longest_s} == {None}


def test_a_latency_counts_from_the_scheduled_moment():
    """A request that was sent late by half a second has waited that half second too."""
    late = only(Script().enqueue("k", 5.5, facts={"scheduled_s": 5.0}))
    unplanned = only(Script().claim("w", 1, 5.5))

    assert latency_s(late) == pytest.approx(0.6)
    assert latency_s(unplanned) == pytest.approx(0.1)


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.UNKNOWN])
def test_a_latency_needs_an_acknowledgement(outcome):
    """A refusal is fast, and no latency."""
    assert latency_s(only(Script().claim("w", 1, 0.0, outcome=outcome))) is None


def test_a_fault_is_there_from_its_beginning_to_its_end():
    """Every fault of the history has its window; one that never ended lasts for ever."""
    script = Script().add("w", "fault", 1.0, lasted_s=2.0).claim("w", 1, 2.0)
    script.add("", "fault", 5.0, outcome=Outcome.UNKNOWN)

    assert fault_windows(script.operations) == (Window(1.0, 3.0), Window(5.0, math.inf))


@pytest.mark.parametrize(
    ("at_s", "lasted_s", "phase"),
    [
        (8.0, 1.0, Phase.BEFORE),
        (9.5, 1.0, Phase.DURING),
        (9.5, 20.0, Phase.DURING),
        (12.0, 1.0, Phase.DURING),
        (19.5, 1.0, Phase.DURING),
        (20.5, 1.0, Phase.AFTER),
    ],
)
def test_a_phase_is_told_by_what_the_operation_met(at_s, lasted_s, phase):
    """Whoever met the fault at all, at either end, was there during it."""
    operation = only(Script().claim("w", 1, at_s, lasted_s=lasted_s))

    assert phase_of(operation, FAULT) is phase


def test_a_phase_begins_with_the_scheduled_moment():
    """What was to be sent under the fault belongs to it, though it was sent when it was over."""
    operation = only(Script().enqueue("k", 21.0, facts={"scheduled_s": 19.0}))

    assert phase_of(operation, FAULT) is Phase.DURING


def test_a_request_that_nobody_answered_reaches_into_the_fault():
    """It was sent before, and still waited when the fault came."""
    operation = only(Script().claim("w", 1, 1.0, outcome=Outcome.UNKNOWN))

    assert phase_of(operation, FAULT) is Phase.DURING


def test_between_two_faults_is_after_the_first():
    """What had no fault around it and one behind it is after."""
    windows = (*FAULT, Window(40.0, 50.0))
    found = [phase_of(only(Script().claim("w", 1, at_s)), windows) for at_s in (5.0, 30.0, 60.0)]

    assert found == [Phase.BEFORE, Phase.AFTER, Phase.AFTER]


def test_without_a_fault_all_is_before():
    """No fault, no during and no after."""
    assert phase_of(only(Script().claim("w", 1, 99.0)), ()) is Phase.BEFORE


def test_latencies_are_told_by_operation_and_phase():
    """Each group has its own figures, an empty claim counts, and the fault itself is no group."""
    script = Script().enqueue("k1", 1.0).enqueue("k2", 12.0, lasted_s=3.0)
    script.enqueue("k3", 13.0, outcome=Outcome.FAILED)
    script.claim("w", 1, 2.0).add("w", "claim", 30.0, lasted_s=0.4)
    script.add("w", "fault", 10.0, lasted_s=10.0)

    found = latencies(script.operations, fault_windows(script.operations))

    assert set(found) == {
        ("enqueue", Phase.BEFORE),
        ("enqueue", Phase.DURING),
        ("claim", Phase.BEFORE),
        ("claim", Phase.AFTER),
    }
    during = found["enqueue", Phase.DURING]
    assert (during.count, during.unanswered) == (1, 1)
    assert during.longest_s == pytest.approx(3.0)
    assert found["claim", Phase.AFTER].p50_s == pytest.approx(0.4)


class Measures(dict):
    """Takes measures as a check's evidence does."""

    def __call__(self, name, value, unit):
        """Keep one."""
        assert name not in self
        self[name] = (value, unit)


def test_measures_have_their_phase_in_their_names():
    """The report gets each percentile in milliseconds, and how many were not answered."""
    script = Script().enqueue("k1", 12.0, lasted_s=0.25).enqueue("k2", 13.0, outcome=Outcome.FAILED)
    measures = Measures()

    measure_latencies(measures, script.operations, FAULT)

    assert measures["enqueue_during_p99"] == (pytest.approx(250.0), "ms")
    assert set(measures) == {
        *(f"enqueue_during_{each}" for each in ("p50", "p95", "p99", "max", "unanswered"))
    }
    assert measures["enqueue_during_unanswered"] == (1, "operations")


def test_each_percentile_is_told_under_its_own_name():
    """Latencies of 1 to 101 ms: each percentile is its number or the next, the longest the last."""
    measures = Measures()

    measure_spread(measures, "claim", spread(number / 1000 for number in range(1, 102)))

    told = {name: round(value) for name, (value, _unit) in measures.items()}
    assert told == {"claim_p50": 51, "claim_p95": 96, "claim_p99": 100, "claim_max": 101}


def test_a_measure_without_a_value_stays_without_one():
    """Nothing was answered: the report says so instead of zero."""
    measures = Measures()

    measure_spread(measures, "claim", spread([]))

    assert set(measures.values()) == {(None, "ms")}
