"""The journal, and the values in it."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import HOSTILE, check, run

from reports.files import write_atomically
from reports.journal import Journal, read_journal
from reports.model import Bound, Check, Fault, Finding, Limit, Measure, Outcome, Run, State
from reports.plain import from_plain, to_line, to_plain

TEXTS = st.text(st.characters(exclude_categories=()))
FIGURES = st.none() | st.floats(allow_nan=False, allow_infinity=False)
CHECKS = st.builds(
    Check,
    id=TEXTS,
    title=TEXTS,
    outcome=st.sampled_from(Outcome),
    seconds=st.floats(0, 1e6),
    message=TEXTS,
    limits=st.lists(
        st.builds(
            Limit,
            name=TEXTS,
            observed=FIGURES,
            limit=st.floats(-1e9, 1e9),
            unit=TEXTS,
            kind=st.sampled_from(Bound),
        ),
        max_size=2,
    ).map(tuple),
    measures=st.lists(st.builds(Measure, name=TEXTS, value=FIGURES, unit=TEXTS), max_size=2).map(
        tuple
    ),
    faults=st.lists(
        st.builds(Fault, name=TEXTS, asked=TEXTS, confirmed=st.booleans(), evidence=TEXTS),
        max_size=2,
    ).map(tuple),
    findings=st.just((Finding(id="a", level="OK", observed="", threshold="", message=HOSTILE),)),
    artefacts=st.lists(TEXTS, max_size=2).map(tuple),
)


@given(CHECKS)
def test_a_check_survives_the_way_to_the_file_and_back(written):
    """Whatever text and figures it holds, lone surrogates too."""
    assert from_plain(Check, json.loads(to_line(written))) == written


@pytest.mark.parametrize("figure", [math.nan, math.inf, -math.inf])
def test_figures_that_json_lacks_become_null(figure):
    """No reader of the report has to know NaN."""
    assert to_plain({"figure": figure}) == {"figure": None}


def test_keys_of_a_later_schema_are_left_out():
    """An older program reads a newer file."""
    plain = {**to_plain(check()), "invented_later": 1}

    assert from_plain(Check, plain) == check()


def test_a_whole_run_is_read_back(tmp_path):
    """What was written is what is read."""
    first, second = check("test_one"), check("test_two", Outcome.FAILED, message=HOSTILE)
    with Journal(tmp_path / "run.jsonl", run(state=State.RUNNING)) as journal:
        journal.planned(2)
        for each in (first, second):
            journal.begun(each.id)
            journal.check(each)
        journal.end(run(first, second, planned=2))

    assert read_journal(tmp_path / "run.jsonl").as_run() == run(first, second, planned=2)


def test_a_torn_journal_keeps_all_but_the_torn_line(tmp_path):
    """Cut at any byte, it gives the checks that were whole before."""
    path = tmp_path / "run.jsonl"
    checks = [check(f"test_{number}") for number in range(3)]
    with Journal(path, run(state=State.RUNNING)) as journal:
        for each in checks:
            journal.begun(each.id)
            journal.check(each)
    content = path.read_bytes()
    first_line = content.index(b"\n")

    for cut in range(first_line, len(content)):
        path.write_bytes(content[:cut])
        read = read_journal(path)
        whole = content[:cut].count(b'"event": "check"')
        assert whole - 1 <= len(read.run.checks) <= whole
        assert read.run.checks == tuple(checks[: len(read.run.checks)])


def test_a_check_without_an_end_is_open(tmp_path):
    """What was running when the run died is INCONCLUSIVE."""
    with Journal(tmp_path / "run.jsonl", run(state=State.RUNNING)) as journal:
        journal.begun(check().id)

    found = read_journal(tmp_path / "run.jsonl").as_run()

    assert [each.outcome for each in found.checks] == [Outcome.INCONCLUSIVE]


def test_a_file_that_is_no_journal_is_refused(tmp_path):
    """Not taken for an empty run."""
    (tmp_path / "run.jsonl").write_text("{}\nnothing\n")

    with pytest.raises(ValueError, match="does not begin"):
        read_journal(tmp_path / "run.jsonl")


def test_a_report_is_replaced_whole_or_not_at_all(tmp_path):
    """A failed write leaves the old file, and no other one."""
    target = tmp_path / "report.html"
    write_atomically(target, b"old")

    with pytest.raises(TypeError):
        write_atomically(target, "no bytes")

    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_report_is_for_everybody_that_a_file_of_the_user_is_for(tmp_path):
    """A web server or another account of the CI reads it: the umask alone decides."""
    ordinary = tmp_path / "ordinary"
    ordinary.write_bytes(b"")
    write_atomically(tmp_path / "report.html", b"new")

    modes = [path.stat().st_mode for path in (tmp_path / "report.html", ordinary)]
    assert modes[0] == modes[1]


def test_a_run_needs_its_description():
    """A run without a seed is not guessed."""
    with pytest.raises(TypeError):
        from_plain(Run, {"started": "2026"})
