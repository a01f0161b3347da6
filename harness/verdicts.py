"""The report of one phase of a test, made to say what its check is worth.

Runs where the test runs. What it adds travels in the report's properties, which reach the
controlling process from a test process as well.
"""

import pytest

from harness.describe import about
from harness.drivers.client import DriverGoneError, DriverTimeoutError, DriverWrongError
from harness.evidence import KEY_PREFIX, unconfirmed_fault
from harness.outcome import Inconclusive
from reports.plain import to_line
from reports.text import printable

ABOUT = KEY_PREFIX + "about"
INCONCLUSIVE = KEY_PREFIX + "inconclusive"
# What a driver does against the protocol is no word about the queue, and neither is its silence.
_SAYS_NOTHING = (Inconclusive, DriverGoneError, DriverTimeoutError, DriverWrongError)


def describe_item(item: pytest.Item) -> None:
    """Put what the test says about itself into its properties."""
    item.user_properties.append((ABOUT, to_line(about(item))))


def judge_phase(item: pytest.Item, report: pytest.TestReport, call: pytest.CallInfo[None]) -> None:
    """Mark the report where it is inconclusive, and make its text fit for every consumer."""
    reason = _why_inconclusive(report, call)
    if reason:
        report.outcome = "failed"
        report.longrepr = f"INCONCLUSIVE: {reason}"
        # pytest's junit.xml takes whatever was expected to fail for skipped.
        vars(report).pop("wasxfail", None)
        item.user_properties.append((INCONCLUSIVE, report.when))
        report.user_properties = list(item.user_properties)
    _make_sendable(report)


def _why_inconclusive(report: pytest.TestReport, call: pytest.CallInfo[None]) -> str:
    if call.excinfo is not None and isinstance(call.excinfo.value, _SAYS_NOTHING):
        return printable(str(call.excinfo.value)) or "no reason was given"
    if report.when == "call" and report.passed:
        if hasattr(report, "wasxfail"):
            return "it is marked as expected to fail, and passed"
        return printable(unconfirmed_fault(report.user_properties))
    return ""


def _make_sendable(report: pytest.TestReport) -> None:
    """Spell out lone surrogates: one in a message would end the test process that sends it."""
    if not _is_sendable(report.longreprtext):
        report.longrepr = printable(report.longreprtext)
    report.sections = [
        (name, text if _is_sendable(text) else printable(text)) for name, text in report.sections
    ]


def _is_sendable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
