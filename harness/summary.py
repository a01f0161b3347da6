"""The end of the run on a terminal: plain ASCII, the verdict last where the eye is."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from reports.figures import quantity
from reports.measures import limit_rows, run_measures
from reports.model import Bound, Check, Outcome, Run, Verdict
from reports.text import ascii_only, first_line
from reports.verdict import Judgement, counted, judge, of_outcome, warnings

_LIMITS_SHOWN = 5
_REPLAYS_SHOWN = 10
_LABELS = {"rpo_s": "RPO", "rto_s": "RTO"}


def print_summary(reporter: pytest.TerminalReporter, run: Run, reports: list[Path]) -> None:
    """Print the verdict with all that a person needs in order to act on it."""
    judgement = judge(run)
    color = _color(judgement)
    reporter.write_sep("=", f"queuedrill: {judgement.verdict.value}", bold=True, **color)
    for line in summary_lines(run, judgement, reports):
        reporter.write_line(ascii_only(line))
    reporter.write_line(f"VERDICT: {judgement.verdict.value}", bold=True, **color)


def summary_lines(run: Run, judgement: Judgement, reports: list[Path]) -> Iterator[str]:
    """Return the lines between the two verdicts."""
    yield f"Why:     {judgement.reason}"
    for sentence in run.judged:
        yield f"Judged:  {sentence}"
    yield from _not_applicable(run)
    yield from _power(run)
    yield from _figures(run)
    yield from _worst_limits(run)
    for finding in warnings(run):
        yield f"Warning: {finding.id}: {first_line(finding.message)}"
    yield f"Do now:  {judgement.advice}"
    yield from _commands(run)
    yield from _replays(run)
    for path in reports:
        yield f"Report:  {path}"


def _not_applicable(run: Run) -> Iterator[str]:
    for reason, count in Counter(each.reason for each in run.not_applicable).items():
        yield f"Not applicable: {counted(count, 'check')}: {reason}"


def _power(run: Run) -> Iterator[str]:
    if run.detection is not None:
        yield f"Power:   {run.detection.sentence}"


def _figures(run: Run) -> Iterator[str]:
    for measure in run_measures(run):
        label = _LABELS.get(measure.name, measure.name)
        yield f"{label}:     {quantity(measure.value, measure.unit)} (the worst of this run)"


def _worst_limits(run: Run) -> Iterator[str]:
    for row in limit_rows(run)[:_LIMITS_SHOWN]:
        limit = row.limit
        side = "at most" if limit.kind is Bound.MAX else "at least"
        mark = "ok  " if limit.ok else "FAIL" if row.is_judged else "note"
        yield (
            f"Limit:   {mark} {limit.name}: {quantity(limit.observed, limit.unit)}"
            f" ({side} {quantity(limit.limit, limit.unit)})"
        )


def _commands(run: Run) -> Iterator[str]:
    """The worst first: those of the checks that are red, then those of warnings."""
    broken = of_outcome(run, Outcome.FAILED, Outcome.INCONCLUSIVE)
    found = [finding for check in broken for finding in check.findings] + warnings(run)
    for command in dict.fromkeys(finding.command for finding in found if finding.command):
        yield f"  mend:    {command}"


def _replays(run: Run) -> Iterator[str]:
    broken = of_outcome(run, Outcome.FAILED) + of_outcome(
        run, Outcome.INCONCLUSIVE, Outcome.SKIPPED
    )
    for check in broken[:_REPLAYS_SHOWN]:
        yield from _replay(check)
    if len(broken) > _REPLAYS_SHOWN:
        yield f"  ... and {len(broken) - _REPLAYS_SHOWN} more, in the report"


def _replay(check: Check) -> Iterator[str]:
    mark = {Outcome.FAILED: "FAIL", Outcome.SKIPPED: "SKIP"}.get(check.outcome, "OPEN")
    yield f"  {mark}  {check.title}: {first_line(check.message)}"
    yield f"    again: {check.replay}"


def _color(judgement: Judgement) -> dict[str, bool]:
    names = {Verdict.READY: "green", Verdict.NOT_READY: "red", Verdict.INCONCLUSIVE: "yellow"}
    return {names[judgement.verdict]: True}
