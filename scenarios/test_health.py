"""Every metric of the health check, crossed from below and from above, at both levels.

Claim: the health check tells a queue that keeps its limits from one that does not, at the limit
exactly, and goes back to OK once the cause is mended.
Faults: growth, fragmentation, dead and stuck holders, old backups, wrong clocks, full disks.
Method: a real file is made worse by the means of the field and mended again by the command that
the finding names; the figure is compared with what is seen by other means, and the limits are set
around it. The room on a disk is a figure that is put in its place, at the runbook's own limits.
A failure means: the health check is blind to something, or cries wolf.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from core.findings import Level
from core.health import check_health
from core.paths import wal_of
from core.thresholds import AtMost, Thresholds
from core.timestamps import to_text
from harness.evidence import Evidence
from harness.outcome import Inconclusive
from harness.patient import Patient, require_level

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

HOUR_S = 3600.0
GIGABYTE = 1024**3
MEGABYTE = 1024**2
TASKS_COUNT = 40
FILLING = "x" * 4000
LEVELS = (Level.WARNING, Level.CRITICAL)


Step = Callable[[Patient], object]


@dataclass(frozen=True)
class Metric:
    """A figure of the health check, and how it comes about.

    Attributes:
        finding: id of its finding.
        limits: name of its pair of limits.
        worsen: makes the figure worse.
        seen: what the figure must be then, seen by other means.
        mend: brings it back.
        prepare: what must be there before; among it what must not be counted.
        way: tells two ways to one finding apart.
    """

    finding: str
    limits: str
    worsen: Step
    seen: Callable[[Patient], float]
    mend: Step
    prepare: Step = lambda _patient: None
    way: str = ""

    def __str__(self) -> str:
        return self.finding + (f"-{self.way}" if self.way else "")


def _grow(patient: Patient) -> None:
    patient.put_in(TASKS_COUNT, FILLING)


def _empty(patient: Patient) -> None:
    patient.execute("DELETE FROM task_queue")
    patient.maintenance.vacuum()


def _fragment(patient: Patient) -> None:
    patient.put_in(TASKS_COUNT, FILLING)
    patient.execute("DELETE FROM task_queue")


def _free_pct(patient: Patient) -> float:
    pages = patient.pages()
    return 100.0 * (pages - patient.pages_at_first) / pages


def _size_mb(patient: Patient) -> float:
    return patient.pages() * patient.page_bytes / MEGABYTE


def _wal_mb(patient: Patient) -> float:
    return wal_of(patient.path).stat().st_size / MEGABYTE


def _exactly(figure: float) -> Callable[[Patient], float]:
    return lambda _patient: figure


def _die_holding(patient: Patient) -> None:
    patient.put_in(4)
    for _number in range(3):
        patient.tasks.claim("dead", lease_seconds=1)
    patient.clock.advance_s(HOUR_S)
    patient.tasks.claim("alive")


def _hold_two(patient: Patient) -> None:
    patient.put_in(2)
    for worker in ("odd", "alive"):
        patient.tasks.claim(worker)


def _lease_without_time(patient: Patient) -> None:
    patient.execute("UPDATE task_queue SET lease_until_utc = NULL WHERE locked_by = 'odd'")


def _lease_ends_in(hours: float) -> Step:
    def extend(patient: Patient) -> None:
        end = to_text(patient.clock.now_ms() + round(hours * HOUR_S * 1000))
        patient.execute("UPDATE task_queue SET lease_until_utc = ? WHERE locked_by = 'odd'", end)

    return extend


def _hold_for_a_day(patient: Patient) -> None:
    _hold_two(patient)
    _lease_ends_in(23)(patient)


def _record(patient: Patient) -> None:
    patient.maintenance.check_content()


def _release(patient: Patient) -> None:
    patient.maintenance.release_lease(1)


def _keep_alive(patient: Patient) -> None:
    patient.put_in(2)
    task = patient.tasks.claim("slow")
    assert task is not None
    patient.clock.advance_s(2 * HOUR_S)
    patient.tasks.heartbeat(task)
    patient.tasks.claim("fresh")


def _wait_long(patient: Patient) -> None:
    patient.put_in(1)
    patient.clock.advance_s(2 * HOUR_S)
    patient.put_in(1)


def _work_off(patient: Patient) -> None:
    while task := patient.tasks.claim("worker"):
        patient.tasks.complete(task)


def _spoil(assignment: str) -> Step:
    """Spoil one of two tasks."""

    def spoil(patient: Patient) -> None:
        patient.put_in(2)
        patient.execute(f"UPDATE task_queue SET {assignment} WHERE id = 2")

    return spoil


def _clear(patient: Patient) -> None:
    patient.execute("DELETE FROM task_queue")


def _write_ahead(patient: Patient) -> None:
    moment = to_text(patient.clock.now_ms() + round(2 * HOUR_S * 1000))
    patient.put_in(1)
    patient.execute("UPDATE task_queue SET updated_at_utc = ?", moment)


def _truncate_log(patient: Patient) -> None:
    patient.maintenance.checkpoint("TRUNCATE")


def _back_up(patient: Patient) -> None:
    patient.backups.create_backup()


def _pass_two_hours(patient: Patient) -> None:
    patient.clock.advance_s(2 * HOUR_S)


METRICS = (
    Metric("database.size", "size_mb", _grow, _size_mb, _empty),
    Metric("wal.size", "wal_mb", _grow, _wal_mb, _truncate_log, _truncate_log),
    Metric("database.fragmentation", "fragmentation_pct", _fragment, _free_pct, _empty),
    Metric(
        "leases.stale",
        "stale_leases",
        _die_holding,
        _exactly(3),
        lambda patient: patient.maintenance.cleanup_stale_leases(),
    ),
    Metric(
        "leases.unreadable",
        "unreadable_leases",
        _lease_without_time,
        _exactly(1),
        _release,
        _hold_two,
    ),
    Metric("leases.far", "far_leases", _lease_ends_in(25), _exactly(1), _release, _hold_for_a_day),
    Metric("backups.age", "backup_age_h", _pass_two_hours, _exactly(2), _back_up, _back_up),
    Metric("tasks.held", "held_h", _keep_alive, _exactly(2), _release),
    Metric("tasks.waiting", "waiting_h", _wait_long, _exactly(2), _work_off),
    Metric("tasks.never_run", "never_run", _spoil("attempts = max_attempts"), _exactly(1), _clear),
    Metric(
        "tasks.never_run",
        "never_run",
        _spoil("run_after_utc = 'soon'"),
        _exactly(1),
        _clear,
        way="unreadable",
    ),
    Metric(
        "tasks.run_after_format",
        "late_tasks",
        _spoil("run_after_utc = '2026-01-01T00:00:00Z'"),
        _exactly(1),
        _clear,
    ),
    Metric("tasks.status", "unknown_status", _spoil("status = 'paused'"), _exactly(1), _clear),
    Metric(
        "content.finished",
        "content_age_h",
        lambda patient: patient.clock.advance_s(2 * HOUR_S),
        _exactly(2),
        _record,
        _record,
    ),
    Metric(
        "tasks.clock",
        "clock_ahead_s",
        _write_ahead,
        _exactly(2 * HOUR_S),
        lambda patient: patient.clock.advance_s(3 * HOUR_S),
    ),
)


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_metric_crossed_both_ways_is_told(
    metric: Metric, patient: Patient, evidence: Evidence
) -> None:
    """A figure at its limits is OK, beyond each it has the level of that, and mended is OK."""
    metric.prepare(patient)
    low = _figure(patient, metric)
    metric.worsen(patient)
    high = _figure(patient, metric)
    evidence.require(low < high, f"{metric.finding} was made worse and went from {low} to {high}")

    between = (low + high) / 2
    beyond = {
        level: patient.look(metric.finding, _limits(metric, level, between, high))
        for level in LEVELS
    }
    at_limits = patient.look(metric.finding, _limits(metric, Level.CRITICAL, high, high))
    seen = metric.seen(patient)
    metric.mend(patient)
    mended = patient.look(metric.finding, _limits(metric, Level.CRITICAL, between, high))

    unit = at_limits.threshold.unit if at_limits.threshold else ""
    evidence.measure("before", low, unit)
    evidence.measure("worse", high, unit)
    evidence.require(
        high == pytest.approx(seen), f"{metric.finding} is {high} {unit}, and {seen} was seen"
    )
    wrong = [
        f"is {found.level}, not {level}: {found.message}"
        for level, found in beyond.items()
        if found.level is not level
    ]
    evidence.require(not wrong, f"{metric.finding} {'; and '.join(wrong)}")
    require_level(evidence, at_limits, Level.OK)
    require_level(evidence, mended, Level.OK)


PLENTY_GB = 1000.0
FREE_DISK_GB = (
    (10.0, Level.OK),
    (9.99, Level.WARNING),
    (5.0, Level.WARNING),
    (4.99, Level.CRITICAL),
    (10.01, Level.OK),
)
"""The runbook's limits are 10 and 5 GB."""


@pytest.mark.parametrize("disk", ["of-the-queue", "of-the-backups"])
def test_free_disk_crossed_both_ways_is_told(
    disk: str, patient: Patient, evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Less room than the limit, on either disk, has the level of that limit; at it, it is OK."""
    filling = patient.path.parent if disk == "of-the-queue" else patient.backups.folder
    free_gb = {patient.path.parent: PLENTY_GB, patient.backups.folder: PLENTY_GB}
    monkeypatch.setattr(
        "core.file_checks.free_bytes", lambda folder: round(free_gb[folder] * GIGABYTE)
    )

    for room_gb, expected in FREE_DISK_GB:
        free_gb[filling] = room_gb
        found = patient.look("disk.free")
        require_level(evidence, found, expected)
        evidence.require(
            found.observed == pytest.approx(room_gb),
            f"{found.observed} GB are told, and {room_gb} GB are free on the disk {disk}",
        )


def test_free_disk_is_that_of_the_real_one(patient: Patient, evidence: Evidence) -> None:
    """The room is asked of the disk that the queue is on."""
    free_gb = float(patient.look("disk.free").observed or 0.0)
    seen_gb = shutil.disk_usage(patient.path.parent).free / GIGABYTE

    evidence.measure("free", free_gb, "GB")
    # Others write to the same disk meanwhile.
    evidence.require(
        free_gb == pytest.approx(seen_gb, rel=0.2, abs=1.0), f"{free_gb} GB told, {seen_gb} seen"
    )


def test_healthy_queue_with_a_backup_raises_nothing(patient: Patient, evidence: Evidence) -> None:
    """A queue in good order, worked and backed up, has no finding but this machine's own."""
    patient.put_in(TASKS_COUNT)
    _work_off(patient)
    patient.backups.create_backup()

    report = check_health(patient.path, clock=patient.clock, full=True)

    others = ("disk.free", "sqlite.version")
    raised = [str(each) for each in report.findings if each.level is not Level.OK]
    ours = [line for line in raised if not any(each in line for each in others)]
    evidence.limit("findings on a healthy queue", len(ours), 0, "findings")
    evidence.require(not ours, f"{len(ours)} findings on a healthy queue: {'; '.join(ours)}")
    evidence.require(wal_of(patient.path).exists(), "the check took the -wal of a live queue")


def _figure(patient: Patient, metric: Metric) -> float:
    observed = patient.look(metric.finding).observed
    if not isinstance(observed, int | float):
        raise Inconclusive(f"{metric.finding} has no figure but {observed!r}")
    return float(observed)


def _limits(metric: Metric, level: Level, limit: float, high: float) -> Thresholds:
    """Return limits in which passing this one means exactly this level, up to ``high``."""
    known = getattr(Thresholds(), metric.limits)
    critical = limit if level is Level.CRITICAL else high
    changed: dict[str, Any] = {metric.limits: AtMost(limit, critical, known.unit)}
    return replace(Thresholds(), **changed)
