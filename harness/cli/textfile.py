"""What a health check found, for a Prometheus textfile collector (node or Windows exporter)."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from core.findings import Finding, HealthReport

SUFFIX = ".prom"
_LAST_SUCCESS = "queuedrill_health_last_success_timestamp_seconds"
# Monitoring's numbers and not ours: they are the exit codes too.
_LEVELS = {"OK": 0, "WARNING": 1, "CRITICAL": 2, "UNKNOWN": 3}


class TextfileError(ValueError):
    """The file cannot be one of a textfile collector; the message holds the cure."""


def check_name(path: Path) -> None:
    """Return if a collector would read the file, and nothing else is overwritten.

    Raises:
        TextfileError: it has another ending, or holds something else.
    """
    if path.suffix != SUFFIX:
        raise TextfileError(f"{path} is read by no collector. Give a name that ends in {SUFFIX}")
    if path.is_dir() or not path.parent.is_dir():
        raise TextfileError(f"{path} is a folder, or its folder is not there. Check the path")


def write_textfile(path: Path, queue: Path, report: "HealthReport", now_s: float) -> None:
    """Put the findings into the file, which others see as it was or as it is.

    The time of the last success is that of the last check in which everything could be judged; a
    check in which something could not be keeps the one that is there.

    Args:
        path: ends in ``.prom``; replaced.
        queue: the queue that was judged.
        report: what was found.
        now_s: seconds since 1970.

    Raises:
        OSError: it cannot be written; it is as it was.
    """
    registry = CollectorRegistry()
    # A path need be no UTF-8.
    name = os.fsencode(queue).decode("utf-8", "replace")
    judged = all(finding.level.name != "UNKNOWN" for finding in report.findings)
    for metric, help_, value in (
        (
            "queuedrill_health_level",
            "0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.",
            _LEVELS[report.level.name],
        ),
        ("queuedrill_health_last_run_timestamp_seconds", "When it was checked.", now_s),
        (
            _LAST_SUCCESS,
            "When all of it could be judged.",
            now_s if judged else _last_success(path, name),
        ),
        ("queuedrill_health_seconds", "How long the check took.", report.seconds),
    ):
        if value is not None:
            _gauge(registry, metric, help_).labels(name).set(value)
    _add_findings(registry, name, report)
    write_to_textfile(str(path), registry)


def _add_findings(registry: CollectorRegistry, queue: str, report: "HealthReport") -> None:
    level = _gauge(registry, "queuedrill_finding_level", "Of each finding, as of all.", "finding")
    seen = _gauge(
        registry, "queuedrill_finding_observed", "The figure that was seen.", "finding", "unit"
    )
    limit = _gauge(
        registry,
        "queuedrill_finding_limit",
        "What the figure is held against.",
        *("finding", "unit", "side"),
    )
    tasks = _gauge(registry, "queuedrill_tasks", "Tasks in each status.", "status")
    for finding in report.findings:
        level.labels(queue, finding.id).set(_LEVELS[finding.level.name])
        for side, figure, unit in _figures(finding):
            if side == "observed":
                seen.labels(queue, finding.id, unit).set(figure)
            else:
                limit.labels(queue, finding.id, unit, side).set(figure)
    by_status = report.metrics.get("tasks")
    if isinstance(by_status, dict):
        for status, count in by_status.items():
            tasks.labels(queue, status).set(count)


def _figures(finding: "Finding") -> Iterator[tuple[str, float, str]]:
    limits = finding.threshold
    if limits is None or not isinstance(finding.observed, int | float):
        return
    yield "observed", float(finding.observed), limits.unit
    yield "warning", limits.warning, limits.unit
    if limits.critical is not None:
        yield "critical", limits.critical, limits.unit


def _gauge(registry: CollectorRegistry, name: str, help_: str, *labels: str) -> Gauge:
    return Gauge(name, help_, ["queue", *labels], registry=registry)


def _last_success(path: Path, queue: str) -> float | None:
    """Return what the file that is there says; a broken one says nothing."""
    with contextlib.suppress(OSError, ValueError):
        for family in text_string_to_metric_families(path.read_text(encoding="utf-8")):
            for sample in family.samples:
                if sample.name == _LAST_SUCCESS and sample.labels.get("queue") == queue:
                    return float(sample.value)
    return None
