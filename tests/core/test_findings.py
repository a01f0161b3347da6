"""What is wrong with a queue, as data."""

import pytest

from core.findings import Finding, HealthReport, Level, fixes, worst


def finding(finding_id, level, command=""):
    """Return a finding of this level."""
    return Finding(finding_id, level, 1, "Something.", command=command)


def test_levels_rank_so_that_what_is_unknown_is_never_hidden_by_a_warning():
    """What was not judged may hide anything, so it outranks a warning; certainty outranks it."""
    assert sorted(Level) == [Level.OK, Level.WARNING, Level.UNKNOWN, Level.CRITICAL]
    assert worst([Level.WARNING, Level.UNKNOWN, Level.OK]) is Level.UNKNOWN
    assert worst([Level.CRITICAL, Level.UNKNOWN]) is Level.CRITICAL


def test_report_without_findings_is_unknown():
    """Nothing judged is nothing known, and never green."""
    assert HealthReport(()).level is Level.UNKNOWN


def test_report_is_as_bad_as_its_worst_finding_and_finds_them_by_id():
    """The level of the whole is the worst, and each finding can be asked for."""
    report = HealthReport((finding("a", Level.OK), finding("b", Level.WARNING)))

    assert report.level is Level.WARNING
    assert report.finding("b").level is Level.WARNING
    with pytest.raises(KeyError):
        report.finding("c")


def test_fixes_are_the_commands_of_what_is_wrong_the_worst_first_each_once():
    """What is in order is left alone, and one command is not run twice."""
    report = HealthReport(
        (
            finding("fine", Level.OK, "never"),
            finding("slow", Level.WARNING, "one"),
            finding("lost", Level.CRITICAL, "two"),
            finding("also", Level.CRITICAL, "two"),
            finding("sad", Level.CRITICAL),
        )
    )

    assert fixes(report) == [("lost", "two"), ("slow", "one")]


def test_finding_reads_as_one_line_with_its_cure():
    """Level, id, message and command stand in one line."""
    assert str(finding("a", Level.CRITICAL, "mend")) == "CRITICAL a: Something. Run: mend"
    assert str(finding("a", Level.OK)) == "OK a: Something."
    assert Level.OK.__lt__("text") is NotImplemented
