"""A queue that a scenario makes ill and mends again, on a clock that the scenario moves."""

from pathlib import Path

from core.backup import QueueBackup
from core.clock import ManualClock, SystemClock
from core.database import QueueDatabase
from core.findings import Finding, Level
from core.health import check_health
from core.maintenance import QueueMaintenance
from core.tasks import TaskQueue
from core.thresholds import Thresholds
from harness.evidence import Evidence


class Patient:
    """A queue with a clock that stands still until it is moved."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock(SystemClock().now_ms())
        self.database = QueueDatabase(path, clock=self.clock)
        self.tasks = TaskQueue(self.database, durability="normal")
        self.maintenance = QueueMaintenance(self.database)
        self.backups = QueueBackup(self.database)
        self.page_bytes = int(self.ask("PRAGMA page_size"))
        self.pages_at_first = self.pages()

    def ask(self, statement: str) -> float:
        """Return the one figure that the statement returns."""
        return float(self.database.connection().execute(statement).fetchall()[0][0])

    def look(
        self, finding_id: str, thresholds: Thresholds | None = None, *, full: bool = False
    ) -> Finding:
        """Return one finding of a health check by these limits."""
        report = check_health(self.path, thresholds=thresholds, clock=self.clock, full=full)
        return report.finding(finding_id)

    def pages(self) -> int:
        """Return how many pages the file has once nothing is left in its -wal."""
        self.maintenance.checkpoint("TRUNCATE")
        return self.path.stat().st_size // self.page_bytes

    def execute(self, statement: str, *values: object) -> None:
        """Do to the file what some other program did."""
        with self.database.transaction() as connection:
            connection.execute(statement, values).close()

    def put_in(self, count: int, filling: str = "") -> None:
        """Put so many tasks in."""
        for _number in range(count):
            self.tasks.enqueue("t", {"filling": filling})


def require_level(evidence: Evidence, finding: Finding, level: Level) -> None:
    """Fail the check unless the finding has exactly this level."""
    __tracebackhide__ = True
    evidence.require(
        finding.level is level, f"{finding.id} is {finding.level}, not {level}: {finding.message}"
    )
