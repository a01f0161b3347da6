"""report.html, report.json and junit.xml of a run."""

import itertools
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from runs import HOSTILE, check, run

from reports.figures import duration, figure, limit_bar, margin_of, quantity
from reports.html import render, write_html
from reports.json_report import write_json
from reports.junit import write_junit
from reports.measures import cell_rows, limit_rows, measure_rows
from reports.model import (
    Bound,
    Fault,
    Finding,
    Limit,
    MatrixCell,
    Measure,
    NotApplicable,
    Outcome,
    State,
)
from reports.text import ascii_only, one_argument, printable
from reports.verdict import judge

OVER = Limit(name="claim p99", observed=310, limit=250, unit="ms", ok=False, margin=-60)
FINDING = Finding(
    id="leases.stale",
    level="CRITICAL",
    observed="57",
    threshold="0",
    message="held",
    command="mend",
)
FORBIDDEN_TAGS = {"script", "img", "link", "iframe", "object", "embed", "form", "base"}


class Tags(HTMLParser):
    """Every tag of a page, with its attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        """Keep it."""
        self.found.append((tag, dict(attrs)))


def _cell(region, outcome):
    return MatrixCell(
        region=region, damage=region, outcome=outcome, seen_by=region, effect=region, cure=region
    )


def hostile_run():
    """Return a run in which every text is hostile."""
    limit = Limit(name=HOSTILE, observed=None, limit=1, unit=HOSTILE)
    bad = check(
        HOSTILE,
        Outcome.FAILED,
        title=HOSTILE,
        group=HOSTILE,
        claim=HOSTILE,
        message=HOSTILE,
        details=HOSTILE,
        limits=(limit,),
        measures=(Measure(name=HOSTILE, value=1.0, unit=HOSTILE),),
        faults=(Fault(name=HOSTILE, asked=HOSTILE, confirmed=True, evidence=HOSTILE),),
        findings=(
            Finding(
                id=HOSTILE,
                level=HOSTILE,
                observed=HOSTILE,
                threshold=HOSTILE,
                message=HOSTILE,
                command=HOSTILE,
            ),
        ),
        cells=(_cell(HOSTILE, HOSTILE),),
        artefacts=(HOSTILE, "javascript:alert(1)", "../../etc/passwd", "//evil.example/x"),
        judged=(HOSTILE,),
        replay=HOSTILE,
    )
    return run(bad, judged=(HOSTILE,), environment={HOSTILE: HOSTILE}, replay=HOSTILE)


def test_hostile_text_makes_no_tag_and_no_address():
    """Nothing from a database can act: no tag, no handler, no style, no foreign address."""
    tags = Tags(render(hostile_run())).found

    assert not {tag for tag, _ in tags} & FORBIDDEN_TAGS
    attributes = {name for _, given in tags for name in given}
    assert not {name for name in attributes if name.startswith("on")} | (attributes & {"style"})
    addresses = [given["href"] for _, given in tags if "href" in given]
    assert all(address.startswith(("#", "./")) for address in addresses)


def test_what_cannot_be_shown_is_spelled_out():
    """Control characters, lone surrogates and reordering marks stand there as their codes."""
    page = render(hostile_run())

    for code in (r"\x1b", r"\x00", r"\udc80", r"\u202e"):
        assert code in page
    assert not re.search("[\x00\x1b\ud800-\udfff\u202e]", page)


def test_the_page_allows_its_own_style_and_nothing_else(tmp_path):
    """The policy names the hash of the style sheet as it stands in the file."""
    import base64  # noqa: PLC0415 - for this alone
    import hashlib  # noqa: PLC0415 - for this alone

    write_html(hostile_run(), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_bytes().decode("utf-8")
    style = page.partition("<style>")[2].partition("</style>")[0]

    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = next(given["content"] for tag, given in Tags(page).found if "http-equiv" in given)
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert "url(" not in style
    assert "@import" not in style


def test_the_verdict_stands_first_and_the_failed_check_is_open():
    """Who opens the page sees verdict, limits, findings, scenarios; the failed first, unfolded."""
    bad = check("test_bad", Outcome.FAILED, limits=(OVER,), findings=(FINDING,))
    page = render(run(check("test_good"), bad))

    order = ["<h1>NOT READY</h1>", 'id="judged"', 'id="limits"', 'id="findings"', 'id="scenarios"']
    places = [page.index(each) for each in (*order, "test_bad</small>", "test_good</small>")]
    assert places == sorted(places)
    opened = [given for tag, given in Tags(page).found if tag == "details" and "open" in given]
    assert [given["class"] for given in opened] == ["group failed", "check failed"]


def test_a_limit_that_nobody_judged_is_not_shown_as_kept():
    """A passed check may pass a limit; the page says that it was not judged."""
    page = render(run(check(limits=(OVER,))))

    assert "no, and not judged in this profile" in page
    assert "<h1>READY</h1>" in page


def test_kept_limits_of_one_name_are_one_row_and_broken_ones_are_not():
    """The closest of those that were kept; each of those that were not, the judged first."""
    kept = [Limit(name="lost", observed=n, limit=9, unit="", ok=True, margin=9 - n) for n in (1, 5)]
    judged = run(
        check("test_a", limits=(kept[0], OVER)),
        check("test_b", limits=(kept[1],)),
        check("test_c", Outcome.FAILED, limits=(OVER,)),
    )

    rows = [(row.limit.name, row.check.id[-1], row.count) for row in limit_rows(judged)]

    assert rows == [("claim p99", "c", 1), ("claim p99", "a", 1), ("lost", "b", 2)]


def test_damaged_places_are_one_table_with_the_blind_ones_first():
    """The matrix of all checks stands together, counted, and nothing is hidden behind a pass."""
    matrix = run(
        check("test_a", cells=(_cell("overflow", "found"), _cell("gap", "harmless"))),
        check("test_b", cells=(_cell("payload", "blind"),)),
    )

    page = render(matrix)

    assert [cell.region for cell, _check in cell_rows(matrix)] == ["payload", "overflow", "gap"]
    assert "3 places were damaged, 1 blind, 1 found, 1 harmless." in page
    assert 'id="matrix"' not in render(run(check("test_c")))


def test_measures_of_one_name_are_one_row():
    """From the least to the most, and where the most was; what is unknown is left out."""
    values = {"test_a": 3.0, "test_b": None, "test_c": 1.0}
    checks = [
        check(name, measures=(Measure(name="x_s", value=value, unit="s"),))
        for name, value in values.items()
    ]

    (row,) = measure_rows(run(*checks))

    assert (row.least, row.most, row.check.id[-1], row.count) == (1.0, 3.0, "a", 3)


def test_warning_of_a_check_that_passed_is_listed_with_its_command():
    """A queue within its limits may have something to mend; what is in order is not listed."""
    warning = replace(FINDING, level="WARNING", message="12 tasks are held")
    fine = replace(FINDING, level="OK", message="the rate was held")
    page = render(run(check("test_a", findings=(fine,)), check("test_b", findings=(warning,))))

    listed = page.partition('id="findings"')[2].partition("</section>")[0]
    assert "12 tasks are held" in listed
    assert "mend" in listed
    assert "the rate was held" not in listed
    assert 'id="findings"' not in render(run(check(findings=(fine,))))


def test_headings_leave_no_level_out_and_columns_have_names():
    """Who reads the page by its headings and tables, without seeing it, finds the way."""
    judged = replace(hostile_run(), not_applicable=(NotApplicable(id="a", title="b", reason="c"),))
    tags = Tags(render(judged)).found

    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert max(levels) > 2
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert {given.get("scope") for tag, given in tags if tag == "th"} == {"col"}


def test_json_has_the_verdict_and_every_check(tmp_path):
    """The layout has a version, and only ASCII in it."""
    write_json(run(check(message=HOSTILE), check("test_two")), tmp_path / "report.json")

    report = json.loads((tmp_path / "report.json").read_bytes().decode("ascii"))
    assert (report["schema_version"], report["verdict"]) == (1, "READY")
    assert report["reason"] == "All 2 checks passed."
    assert report["counts"]["passed"] == len(report["checks"]) == 2


@pytest.mark.parametrize("judged", [hostile_run(), run()])
def test_junit_is_well_formed_and_counts_right(tmp_path, judged):
    """Whatever the text; an empty run has one case, an error, so that nobody takes it for good."""
    write_junit(judged, tmp_path / "junit.xml")

    suite = ET.parse(tmp_path / "junit.xml").getroot()[0]  # noqa: S314 - our own file
    cases = suite.findall("testcase")
    assert int(suite.get("tests")) == len(cases) == 1
    assert int(suite.get("failures")) + int(suite.get("errors")) == 1
    assert suite.find("testcase/properties") is None


@pytest.mark.parametrize(
    "judged",
    [
        pytest.param(run(check(outcome=Outcome.SKIPPED)), id="all-skipped"),
        pytest.param(run(check(), planned=2), id="unfinished"),
        pytest.param(run(check(), state=State.INTERRUPTED), id="interrupted"),
        pytest.param(run(check(), min_checks=2), id="too-few"),
    ],
)
def test_junit_of_a_run_without_a_verdict_is_red(tmp_path, judged):
    """Where no check says that something is wrong, a case of the run does, with the reason."""
    write_junit(judged, tmp_path / "junit.xml")

    suite = ET.parse(tmp_path / "junit.xml").getroot()[0]  # noqa: S314 - our own file
    assert (suite.get("errors"), suite.get("tests")) == ("1", "2")
    assert suite.find("testcase/error").get("message") == judge(judged).reason


def test_junit_tells_the_outcomes_apart(tmp_path):
    """A failure, an error or skipped; the first line has the figures."""
    checks = [check(f"test_{outcome}", outcome, message="9 > 5\nmore") for outcome in Outcome]
    write_junit(run(*checks), tmp_path / "junit.xml")

    suite = ET.parse(tmp_path / "junit.xml").getroot()[0]  # noqa: S314 - our own file
    tags = [[child.tag for child in case] for case in suite.findall("testcase")]
    assert tags == [[], ["failure"], ["error"], ["skipped"]]
    assert suite.find("testcase/failure").get("message") == "9 > 5"


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (figure(None), "not observed"),
        (figure(1234567.891), "1,234,568"),
        (figure(0.123456), "0.1235"),
        (quantity(0.25, "s"), "0.25 s"),
        (quantity(57, "tasks"), "57 tasks"),
        (duration(59.9999), "60 s"),
        (duration(185), "3 min 5 s"),
        (duration(11520), "3 h 12 min"),
        (duration(-75), "-1 min 15 s"),
    ],
)
def test_figures_are_shown_as_a_reader_says_them(shown, text):
    """Few digits, and the unit."""
    assert shown == text


@pytest.mark.parametrize(
    ("observed", "limit", "kind", "margin"),
    [(3, 5, Bound.MAX, 2), (7, 5, Bound.MAX, -2), (7, 5, Bound.MIN, 2), (None, 5, Bound.MAX, None)],
)
def test_a_margin_is_what_is_left(observed, limit, kind, margin):
    """Below zero is beyond the limit."""
    assert margin_of(observed, limit, kind) == margin


@pytest.mark.parametrize("observed", [None, 0, 250, 1e12, -5])
def test_a_bar_stays_within_its_drawing(observed):
    """Whatever was observed."""
    bar = limit_bar(Limit(name="x", observed=observed, limit=250, unit="ms"))

    width = float(re.search(r'class="value" width="([\d.]+)"', bar)[1])
    assert 0 <= width <= 120


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("--queue-seed", "--queue-seed"),
        ("a.py::t[x y]", '"a.py::t[x y]"'),
        ('a"b', "'a\"b'"),
        ("$(rm)", "'$(rm)'"),
    ],
)
def test_a_command_can_be_pasted(word, quoted, monkeypatch):
    """What stands in a command does what it did, and nothing else."""
    monkeypatch.setattr("sys.platform", "linux")

    assert one_argument(word) == quoted


def test_a_terminal_gets_ascii_alone():
    """Any encoding of a log file takes it."""
    assert ascii_only("\u2713 \x1b\n\tx") == "\\u2713 \\x1b\n\tx"
    assert printable("\u2713") == "\u2713"
