"""The gate's power as figures: the score, and the bound on what clean runs cannot exclude."""

import math
from dataclasses import replace

import pytest
from runs import HOSTILE, check, run

from reports.detection import CleanRuns, DefectRow, Detection, upper_bound
from reports.html import render
from reports.json_report import report_value

ROW = DefectRow(
    name="double-claim",
    group="claiming",
    wrong="Two have one task.",
    profile="gate",
    caught=2,
    tried=2,
    by=("test_a.py::test_one: one-holder",),
)
KNOWN = Detection(
    ended="2026-03-01T12:00:00+00:00",
    code="abc",
    rows=(ROW, replace(ROW, name="missed", caught=1, missed_seeds=(7,))),
    clean=CleanRuns(runs=200, alarms=0),
    clean_ever=CleanRuns(runs=300, alarms=1),
)


@pytest.mark.parametrize("trials", [1, 10, 200, 3000])
def test_without_an_event_the_bound_is_the_exact_one(trials):
    """No alarm in n runs leaves every rate below 1 - 0.05^(1/n) possible."""
    assert math.isclose(upper_bound(0, trials), 1 - 0.05 ** (1 / trials), rel_tol=1e-9)


@pytest.mark.parametrize(
    ("events", "trials", "bound"), [(1, 10, 0.3942), (5, 100, 0.1023), (10, 10, 1.0), (0, 0, 1.0)]
)
def test_with_events_the_bound_is_that_of_the_tables(events, trials, bound):
    """Clopper and Pearson's one-sided 95 per cent."""
    assert upper_bound(events, trials) == pytest.approx(bound, abs=5e-5)


def test_the_sentence_says_score_alarms_and_bound():
    """A reader learns how many were caught, and how often the gate cries wolf at most."""
    assert KNOWN.sentence == (
        "1 of 2 planted defects are caught; 0 false alarms in 200 clean runs (rate below 1.5% at "
        "95%) with these sources, 1 false alarms in 300 clean runs (rate below 1.6% at 95%) in all."
    )


def test_an_untried_defect_is_not_caught():
    """Nothing tried is no catch, and no clean run is no low rate."""
    untried = replace(ROW, caught=0, tried=0)
    assert not untried.ok
    assert (
        "no clean run"
        in replace(KNOWN, rows=(untried,), clean=CleanRuns(runs=0, alarms=0)).sentence
    )


def test_results_of_other_sources_say_nothing_of_these():
    """An old score is not shown as if it were this code's."""
    old = replace(KNOWN, current=False)
    page = render(run(check(), detection=old))
    assert "queuedrill selftest" in page
    assert "double-claim" not in page


def test_the_page_shows_each_defect_and_who_caught_it():
    """Caught and missed ones, with the seed that was missed; a missed one opens the table."""
    page = render(run(check(), detection=KNOWN))
    assert "test_a.py::test_one: one-holder" in page
    assert "missed with seed 7" in page
    assert "<details open>\n<summary>Every planted defect" in page


def test_the_page_escapes_what_checks_said():
    """A defect's texts are escaped like all others."""
    hostile = replace(KNOWN, rows=(replace(ROW, by=(HOSTILE,)),))
    assert "<img src=x" not in render(run(check(), detection=hostile))


def test_programs_get_the_same_as_people():
    """report.json has the rows and the runs."""
    value = report_value(run(check(), detection=KNOWN))
    assert value["detection"]["rows"][0]["caught"] == 2
    assert value["detection"]["clean"] == {"runs": 200, "alarms": 0}
