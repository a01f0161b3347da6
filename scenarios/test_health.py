"""Every metric of the health check, crossed from below and from above, at both levels.

Claim: the health check tells a queue that keeps its limits from one that does not, at the limit
exactly, and goes back to OK once the cause is mended.
Faults: growth, fragmentation, dead and stuck holders, old backups, wrong clocks, drift.
Method: a real file is made worse by the means of the field and mended again by the command that
the finding names; the limits are set around the figures that were seen.
A failure means: the health check is blind to something, or cries wolf.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from core.backup import QueueBackup
from core.clock import ManualClock, SystemClock
from core.database import QueueDatabase
from core.findings import Finding, Level
from core.health import check_health
from core.maintenance import QueueMaintenance
from core.paths import wal_of
from core.tasks import TaskQueue
from core.thresholds import AtLeast, AtMost, Thresholds
from core.timestamps import to_text
from harness.evidence import Evidence
from harness.outcome import Inconclusive

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

HOUR_S = 3600.0
TASKS_COUNT = 40
FILLING = "x" * 4000
LEVELS = (Level.WARNING, Level.CRITICAL)


class Patient:
    """A queue with a clock that stands still until it is moved."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock(SystemClock().now_ms())
        self.database = QueueDatabase(path, clock=self.clock)
        self.tasks = TaskQueue(self.database, durability="normal")
        self.maintenance = QueueMaintenance(self.database)
        self.backups = QueueBackup(self.database)

    def look(self, finding_id: str, thresholds: Thresholds | None = None) -> Finding:
        """Return one finding of a health check by these limits."""
        report = check_health(self.path, thresholds=thresholds, clock=self.clock)
        return report.finding(finding_id)

    def execute(self, statement: str, *values: object) -> None:
        """Do to the file what some other program did."""
        with self.database.transaction() as connection:
            connection.execute(statement, values).close()

    def put_in(self, count: int, filling: str = "") -> None:
        """Put so many tasks in."""
        for _number in range(count):
            self.tasks.enqueue("t", {"filling": filling})


@pytest.fixture
def patient(queue_path: Path) -> Iterator[Patient]:
    """A queue to be made worse and mended again."""
    patient = Patient(queue_path)
    with contextlib.closing(patient.database):
        yield patient


Step = Callable[[Patient], object]


@dataclass(frozen=True)
class Metric:
    """A figure of the health check, and how it comes about.

    Attributes:
        finding: id of its finding.
        limits: name of its pair of limits.
        worsen: makes the figure worse.
        mend: brings it back.
        prepare: what must be there before.
    """

    finding: str
    limits: str
    worsen: Step
    mend: Step
    prepare: Step = lambda _patient: None


def _grow(patient: Patient) -> None:
    patient.put_in(TASKS_COUNT, FILLING)


def _empty(patient: Patient) -> None:
    patient.execute("DELETE FROM task_queue")
    patient.maintenance.vacuum()


def _fragment(patient: Patient) -> None:
    patient.put_in(TASKS_COUNT, FILLING)
    patient.execute("DELETE FROM task_queue")


def _die_holding(patient: Patient) -> None:
    patient.put_in(3)
    for _number in range(3):
        patient.tasks.claim("dead", lease_seconds=1)
    patient.clock.advance_s(HOUR_S)


def _hold_under(lease: str | None) -> Step:
    def hold(patient: Patient) -> None:
        patient.put_in(1)
        patient.tasks.claim("odd")
        patient.execute("UPDATE task_queue SET lease_until_utc = ?", lease)

    return hold


def _release(patient: Patient) -> None:
    patient.maintenance.release_lease(1)


def _keep_alive(patient: Patient) -> None:
    patient.put_in(1)
    task = patient.tasks.claim("slow")
    assert task is not None
    patient.clock.advance_s(2 * HOUR_S)
    patient.tasks.heartbeat(task)


def _wait_long(patient: Patient) -> None:
    patient.put_in(1)
    patient.clock.advance_s(2 * HOUR_S)


def _work_off(patient: Patient) -> None:
    while task := patient.tasks.claim("worker"):
        patient.tasks.complete(task)


def _spoil(assignment: str) -> Step:
    def spoil(patient: Patient) -> None:
        patient.put_in(1)
        patient.execute(f"UPDATE task_queue SET {assignment}")

    return spoil


def _clear(patient: Patient) -> None:
    patient.execute("DELETE FROM task_queue")


def _write_ahead(patient: Patient) -> None:
    moment = to_text(patient.clock.now_ms() + round(2 * HOUR_S * 1000))
    patient.put_in(1)
    patient.execute("UPDATE task_queue SET updated_at_utc = ?", moment)


FAR_FUTURE = "2999-01-01 00:00:00"
METRICS = (
    Metric("database.size", "size_mb", _grow, _empty),
    Metric(
        "wal.size",
        "wal_mb",
        _grow,
        lambda patient: patient.maintenance.checkpoint("TRUNCATE"),
        lambda patient: patient.maintenance.checkpoint("TRUNCATE"),
    ),
    Metric("database.fragmentation", "fragmentation_pct", _fragment, _empty),
    Metric(
        "leases.stale",
        "stale_leases",
        _die_holding,
        lambda patient: patient.maintenance.cleanup_stale_leases(),
    ),
    Metric("leases.unreadable", "unreadable_leases", _hold_under(None), _release),
    Metric("leases.far", "far_leases", _hold_under(FAR_FUTURE), _release),
    Metric(
        "backups.age",
        "backup_age_h",
        lambda patient: patient.clock.advance_s(2 * HOUR_S),
        lambda patient: patient.backups.create_backup(),
        lambda patient: patient.backups.create_backup(),
    ),
    Metric("tasks.held", "held_h", _keep_alive, _release),
    Metric("tasks.waiting", "waiting_h", _wait_long, _work_off),
    Metric("tasks.never_run", "never_run", _spoil("attempts = max_attempts"), _clear),
    Metric(
        "tasks.run_after_format",
        "late_tasks",
        _spoil("run_after_utc = '2026-01-01T00:00:00Z'"),
        _clear,
    ),
    Metric("tasks.status", "unknown_status", _spoil("status = 'paused'"), _clear),
    Metric(
        "tasks.clock",
        "clock_ahead_s",
        _write_ahead,
        lambda patient: patient.clock.advance_s(3 * HOUR_S),
    ),
)


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.finding)
def test_metric_crossed_both_ways_is_told(
    metric: Metric, level: Level, patient: Patient, evidence: Evidence
) -> None:
    """A figure at its limit is OK, beyond it has the level of that limit, and mended is OK."""
    metric.prepare(patient)
    low = _figure(patient, metric)
    metric.worsen(patient)
    high = _figure(patient, metric)
    evidence.require(low < high, f"{metric.finding} was made worse and went from {low} to {high}")

    beyond = patient.look(metric.finding, _limits(metric, level, (low + high) / 2))
    at_limit = patient.look(metric.finding, _limits(metric, level, high))
    metric.mend(patient)
    mended = patient.look(metric.finding, _limits(metric, level, (low + high) / 2))

    unit = beyond.threshold.unit if beyond.threshold else ""
    evidence.measure("before", low, unit)
    evidence.measure("worse", high, unit)
    _require_level(evidence, beyond, level)
    _require_level(evidence, at_limit, Level.OK)
    _require_level(evidence, mended, Level.OK)


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_free_disk_crossed_both_ways_is_told(
    level: Level, patient: Patient, evidence: Evidence
) -> None:
    """Less free space than the limit has the level of that limit, more is OK."""
    free_gb = float(patient.look("disk.free").observed or 0.0)
    evidence.measure("free", free_gb, "GB")

    for limit_gb, expected in ((free_gb + 1, level), (free_gb / 2, Level.OK)):
        lower_gb = limit_gb if level is Level.CRITICAL else 0
        limits = Thresholds(free_disk_gb=AtLeast(limit_gb, lower_gb, "GB"))
        _require_level(evidence, patient.look("disk.free", limits), expected)


@dataclass(frozen=True)
class Defect:
    """Something that is there or not.

    Attributes:
        finding: id of the finding that tells it.
        level: of that finding.
        plant: brings it about.
        mend: takes it away.
    """

    finding: str
    level: Level
    plant: Step
    mend: Step


def _second_name(patient: Patient) -> Path:
    return patient.path.with_name("second.db")


def _journal(mode: str) -> Step:
    def switch(patient: Patient) -> None:
        connection = patient.database.connection()
        if connection.execute(f"PRAGMA journal_mode = {mode}").fetchall() != [(mode,)]:
            raise Inconclusive(f"the journal mode could not be set to {mode}")

    return switch


TRIGGER = "CREATE TRIGGER odd AFTER INSERT ON task_queue BEGIN DELETE FROM task_queue; END"
INDEX = "CREATE INDEX ix_task_type_status ON task_queue (type, status)"
DEFECTS = (
    Defect(
        "file.names",
        Level.WARNING,
        lambda patient: _second_name(patient).hardlink_to(patient.path),
        lambda patient: _second_name(patient).unlink(),
    ),
    Defect("database.journal_mode", Level.WARNING, _journal("delete"), _journal("wal")),
    Defect(
        "schema.complete",
        Level.WARNING,
        lambda patient: patient.execute("DROP INDEX ix_task_type_status"),
        lambda patient: patient.execute(INDEX),
    ),
    Defect(
        "schema.triggers",
        Level.CRITICAL,
        lambda patient: patient.execute(TRIGGER),
        lambda patient: patient.execute("DROP TRIGGER odd"),
    ),
)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.finding)
def test_planted_defect_is_told_and_its_absence_too(
    defect: Defect, patient: Patient, evidence: Evidence
) -> None:
    """A defect is told while it is there, and not before or afterwards."""
    before = patient.look(defect.finding)
    defect.plant(patient)
    planted = patient.look(defect.finding)
    defect.mend(patient)
    mended = patient.look(defect.finding)

    _require_level(evidence, before, Level.OK)
    _require_level(evidence, planted, defect.level)
    _require_level(evidence, mended, Level.OK)


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


def _limits(metric: Metric, level: Level, limit: float) -> Thresholds:
    """Return limits in which passing this one means exactly this level."""
    known = getattr(Thresholds(), metric.limits)
    critical = limit if level is Level.CRITICAL else None
    changed: dict[str, Any] = {metric.limits: AtMost(limit, critical, known.unit)}
    return replace(Thresholds(), **changed)


def _require_level(evidence: Evidence, finding: Finding, level: Level) -> None:
    evidence.require(
        finding.level is level, f"{finding.id} is {finding.level}, not {level}: {finding.message}"
    )
