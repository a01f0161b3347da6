"""``report.json``: the run and its verdict for other programs."""

import json
from dataclasses import replace
from pathlib import Path

from reports.files import write_atomically
from reports.measures import run_measures
from reports.model import Outcome, Run
from reports.plain import to_plain
from reports.verdict import judge, of_outcome

JSON_NAME = "report.json"


def report_value(run: Run) -> dict[str, object]:
    """Return what ``report.json`` holds: the verdict first, then all that was recorded.

    The layout is versioned by ``schema_version``: keys may be added under one number, never
    renamed, removed or given another meaning.
    """
    judgement = judge(run)
    counts = {str(outcome): len(of_outcome(run, outcome)) for outcome in Outcome}
    described = to_plain(replace(run, checks=()))
    assert isinstance(described, dict)
    stopped_because = described.pop("reason")
    return {
        "schema_version": run.schema_version,
        "verdict": judgement.verdict.value,
        "reason": judgement.reason,
        "advice": judgement.advice,
        "exit_status": judgement.exit_status(run.runner_status),
        "counts": {"planned": run.planned, "recorded": len(run.checks), **counts},
        "measures": to_plain(run_measures(run)),
        **described,
        "stopped_because": stopped_because,
        "checks": to_plain(run.checks),
    }


def write_json(run: Run, path: Path) -> None:
    """Put ``report.json`` in place; pure ASCII, so every reader gets the same characters."""
    text = json.dumps(report_value(run), indent=1, ensure_ascii=True, allow_nan=False, default=str)
    write_atomically(path, text.encode("ascii") + b"\n")
