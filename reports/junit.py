"""What ``junit.xml`` says beside the test cases, and a whole file where the runner left none.

The layout is what Jenkins' ``junit-10.xsd`` takes: properties belong to the suite, and a test
case has none (https://github.com/jenkinsci/xunit-plugin).
"""

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET

from reports.files import write_atomically
from reports.measures import run_measures
from reports.model import Check, Outcome, Run, Verdict
from reports.text import first_line, printable
from reports.verdict import judge, of_outcome

JUNIT_NAME = "junit.xml"
# Consumers show a failure's message on one line.
_MESSAGE_CHARACTERS = 500
# https://www.w3.org/TR/xml/#charsets
_ILLEGAL_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = {Outcome.FAILED: "failure", Outcome.INCONCLUSIVE: "error", Outcome.SKIPPED: "skipped"}


def suite_properties(run: Run) -> list[tuple[str, str]]:
    """Return names and values of the properties of the suite, RPO and RTO among them."""
    judgement = judge(run)
    figures = [
        (measure.name, f"{measure.value:.6g}")
        for measure in run_measures(run)
        if measure.value is not None
    ]
    return [
        ("verdict", judgement.verdict.value),
        ("verdict_reason", legal_xml(judgement.reason)),
        ("seed", str(run.seed)),
        ("profile", legal_xml(run.profile)),
        ("state", run.state.value),
        *[("judged", legal_xml(sentence)) for sentence in run.judged],
        *[
            ("not_applicable", legal_xml(f"{each.id}: {each.reason}"))
            for each in run.not_applicable
        ],
        *figures,
    ]


def write_junit(run: Run, path: Path) -> None:
    """Put a ``junit.xml`` in place that holds every recorded check of the run."""
    suites = ET.Element("testsuites")
    suites.append(_suite(run))
    content: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    write_atomically(path, content)


def case_of_run(run: Run) -> Check | None:
    """Return a case for the run itself where it is not READY and none of its checks is red.

    A consumer that counts failures and errors takes a file without any for a good one.
    """
    judgement = judge(run)
    if judgement.verdict is Verdict.READY or of_outcome(run, Outcome.FAILED, Outcome.INCONCLUSIVE):
        return None
    return Check(
        id="gate::run",
        title="The run",
        outcome=Outcome.INCONCLUSIVE,
        seconds=0.0,
        message=judgement.reason,
    )


def legal_xml(text: str) -> str:
    """Return the text without a character that XML cannot hold; those are spelled out."""
    return _ILLEGAL_XML.sub("\ufffd", printable(text))


def _suite(run: Run) -> ET.Element:
    own = case_of_run(run)
    shown = run if own is None else replace(run, checks=(*run.checks, own))
    counts = {
        "errors": len(of_outcome(shown, Outcome.INCONCLUSIVE)),
        "failures": len(of_outcome(shown, Outcome.FAILED)),
        "skipped": len(of_outcome(shown, Outcome.SKIPPED)),
        "tests": len(shown.checks),
    }
    suite = ET.Element("testsuite", {name: str(count) for name, count in counts.items()})
    suite.set("name", "queuedrill")
    suite.set("time", f"{sum(check.seconds for check in run.checks):.3f}")
    suite.set("timestamp", _timestamp(run.started))
    properties = ET.SubElement(suite, "properties")
    for name, value in suite_properties(run):
        ET.SubElement(properties, "property", name=name, value=value)
    suite.extend(_case(check) for check in shown.checks)
    return suite


def _case(check: Check) -> ET.Element:
    path, _, name = check.id.partition("::")
    case = ET.Element(
        "testcase",
        classname=legal_xml(path.removesuffix(".py").replace("/", ".")),
        name=legal_xml(name or check.id),
        time=f"{check.seconds:.3f}",
    )
    tag = _TAGS.get(check.outcome)
    if tag is not None:
        message = legal_xml(first_line(check.message))[:_MESSAGE_CHARACTERS]
        problem = ET.SubElement(case, tag, message=message)
        problem.text = legal_xml(check.details or check.message)
    return case


def _timestamp(started: str) -> str:
    try:
        return datetime.fromisoformat(started).strftime("%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return "1970-01-01T00:00:00"
