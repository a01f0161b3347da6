"""Gathers the run in the controlling process, from the reports of its tests."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from harness.evidence import KEY_PREFIX
from harness.verdicts import ABOUT, INCONCLUSIVE
from reports.journal import Journal
from reports.model import Check, NotApplicable, Outcome, Run, State
from reports.plain import from_plain
from reports.text import first_line, printable

# A test that prints without end must not make a report that no browser opens.
_DETAILS_CHARACTERS = 40_000
_LISTS = {
    "limit": "limits",
    "measure": "measures",
    "fault": "faults",
    "finding": "findings",
    "cell": "cells",
    "artefact": "artefacts",
    "judged": "judged",
}
_OUTCOMES = ("passed", "failed", "skipped")
_PREFIXES = ("Failed: ", "AssertionError: ", "INCONCLUSIVE: ", "harness.outcome.Inconclusive: ")


@dataclass
class _Phases:
    """What is known of a check that has not ended."""

    reports: list[pytest.TestReport] = field(default_factory=list)
    properties: list[tuple[str, object]] = field(default_factory=list)


class Recorder:
    """Keeps the run and writes it to the journal, one check at a time.

    Args:
        run: what is known before the first check.
        journal: where each check goes as it ends.
        replay: makes the command that runs one check again.
    """

    def __init__(self, run: Run, journal: Journal, replay: Callable[[str], str]) -> None:
        self.run = run
        self._journal = journal
        self._replay = replay
        self._open: dict[tuple[str, object], _Phases] = {}
        self._checks: list[Check] = []

    def planned(self, count: int) -> None:
        """Note how many checks were selected."""
        if count != self.run.planned:
            self.run = replace(self.run, planned=count)
            self._journal.planned(count)

    def not_applicable(self, left_out: Sequence[NotApplicable]) -> None:
        """Note which checks judge what the queue does not promise; twice is harmless."""
        found = tuple(dict.fromkeys(left_out))
        if found and found != self.run.not_applicable:
            self.run = replace(self.run, not_applicable=found)
            self._journal.not_applicable(found)

    def learned(self, facts: Mapping[str, str]) -> None:
        """Add to what the run ran on; twice is harmless."""
        self.run = replace(self.run, environment={**self.run.environment, **facts})

    def begun(self, check_id: str) -> None:
        """Note that a check begins."""
        self._journal.begun(check_id)

    def report(self, report: pytest.TestReport) -> None:
        """Take one phase of a check; with its last phase the check is written down."""
        properties = take_properties(report)
        if report.outcome not in _OUTCOMES:
            return  # another plugin's: the check is run once more
        key = (report.nodeid, getattr(report, "node", None))
        phases = self._open.setdefault(key, _Phases())
        phases.reports.append(report)
        phases.properties = properties or phases.properties
        # A report out of the three phases is of a test process that crashed.
        if report.when == "teardown" or report.when not in ("setup", "call"):
            del self._open[key]
            self._add(_check(report.nodeid, phases, self._replay(report.nodeid)))

    def uncollected(self, report: pytest.CollectReport) -> None:
        """Add a file that could not be read, as a check that could not be made."""
        self._add(
            Check(
                id=report.nodeid,
                title=f"{report.nodeid} can be read",
                group=report.nodeid,
                outcome=Outcome.INCONCLUSIVE,
                seconds=0.0,
                message=f"It could not be collected: {_last_line(report.longreprtext)}",
                details=_shortened(printable(report.longreprtext)),
                replay=self._replay(report.nodeid),
            )
        )

    def end(self, runner_status: int, state: State, reason: str) -> Run:
        """Return the whole run, which is then in the journal too.

        Args:
            runner_status: pytest's own exit status.
            state: whether it came to its end.
            reason: why not, or empty.
        """
        sentences = [sentence for check in self._checks for sentence in check.judged]
        self.run = replace(
            self.run,
            checks=tuple(self._checks),
            judged=tuple(dict.fromkeys((*self.run.judged, *sentences))),
            runner_status=runner_status,
            state=state,
            reason=reason,
            ended=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        self._journal.end(self.run)
        return self.run

    def close(self) -> None:
        """Close the journal. Twice is harmless."""
        self._journal.close()

    def _add(self, check: Check) -> None:
        self._checks.append(check)
        self._journal.check(check)


def take_properties(report: pytest.TestReport) -> list[tuple[str, object]]:
    """Take our facts out of the report, and return them.

    Left in, they would become properties of a test case in junit.xml, which Jenkins' schema does
    not allow.
    """
    ours = [(name, value) for name, value in report.user_properties if _is_ours(name)]
    report.user_properties = [
        (name, value) for name, value in report.user_properties if not _is_ours(name)
    ]
    return ours


def _is_ours(name: object) -> bool:
    return isinstance(name, str) and name.startswith(KEY_PREFIX)


def _check(check_id: str, phases: _Phases, replay: str) -> Check:
    facts = _facts(phases.properties)
    words = {"title": check_id.rpartition("::")[2], "group": check_id.partition("::")[0]}
    outcome, decisive = _outcome(phases.reports, facts)
    described = json.loads(str(facts[ABOUT][0])) if ABOUT in facts else {}
    told = {
        "id": check_id,
        "outcome": outcome,
        "seconds": round(sum(report.duration for report in phases.reports), 3),
        "message": _message(outcome, decisive),
        "details": "" if outcome is Outcome.PASSED else _details(phases.reports),
        "replay": replay,
        "blind": KEY_PREFIX + "blind" in facts,
    }
    return from_plain(Check, {**words, **described, **told, **_lists(facts)})


def _facts(properties: Iterable[tuple[str, object]]) -> dict[str, list[object]]:
    facts: dict[str, list[object]] = {}
    for name, value in properties:
        facts.setdefault(name, []).append(value)
    return facts


def _lists(facts: dict[str, list[object]]) -> dict[str, list[object]]:
    return {
        attribute: [json.loads(str(value)) for value in facts.get(KEY_PREFIX + kind, [])]
        for kind, attribute in _LISTS.items()
    }


def _outcome(
    reports: list[pytest.TestReport], facts: dict[str, list[object]]
) -> tuple[Outcome, pytest.TestReport | None]:
    """The outcome of a check, and the report that decided it: false over unknown over true.

    Trouble before and after the test body is the harness's, and says nothing about the queue.
    """
    failed = [report for report in reports if report.failed]
    bodies = [report for report in failed if report.when == "call"]
    if bodies and "call" not in facts.get(INCONCLUSIVE, ()):
        return Outcome.FAILED, bodies[0]
    if failed:
        return Outcome.INCONCLUSIVE, failed[0]
    skipped = next((report for report in reports if report.skipped), None)
    if skipped is not None:
        return Outcome.SKIPPED, skipped
    if not any(report.when == "call" for report in reports):
        return Outcome.INCONCLUSIVE, None
    return Outcome.PASSED, None


def _message(outcome: Outcome, report: pytest.TestReport | None) -> str:
    if report is None:
        return "" if outcome is Outcome.PASSED else "The test body was not executed"
    text = _crash_message(report)
    for prefix in _PREFIXES:
        text = text.removeprefix(prefix)
    where = {"setup": "In its setup: ", "teardown": "In its teardown: "}
    return where.get(report.when, "") * report.failed + text


def _crash_message(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return printable(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    # The text as a whole begins with the name of the test process, if there is one.
    text = crash.message if crash is not None else str(report.longrepr)
    return printable(text.strip()) or first_line(printable(report.longreprtext))


def _details(reports: list[pytest.TestReport]) -> str:
    parts = [printable(report.longreprtext) for report in reports if report.longreprtext]
    last = reports[-1]
    parts += [f"--- {name} ---\n{printable(text)}" for name, text in last.sections if text.strip()]
    return _shortened("\n\n".join(parts))


def _last_line(text: str) -> str:
    """Of a traceback: the error itself."""
    return first_line("\n".join(reversed(printable(text).splitlines()))).removeprefix("E ").strip()


def _shortened(text: str) -> str:
    if len(text) <= _DETAILS_CHARACTERS:
        return text
    half = _DETAILS_CHARACTERS // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]}\n[... {left_out:,} characters left out ...]\n{text[-half:]}"
