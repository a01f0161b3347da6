"""One look at one queue: what every check of the health check works with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from .clock import Clock
from .connection import Connect, Connection
from .findings import Finding, Level, Metric, Observed
from .leases import StaleLeases, stale_leases
from .printable import visible
from .schema import Layout, count_by_status
from .thresholds import AtLeast, AtMost, Thresholds
from .viewpoint import Viewpoint
from .waiting import WaitingTasks, read_waiting

NAMED_MOST = 10
"""How many tasks or workers a message names before it only counts them."""
RECOVER = "--recover"
"""What ends a restore that was cut off, which knows itself what it restores."""
_ABOUT_BACKUPS = ("backup", "restore", "prune")


@dataclass
class Case:
    """A queue to be judged, before its file is opened.

    Attributes:
        path: the database.
        backup_dir: its backups' folder, or None for the usual one.
        thresholds: what it is held against.
        full: whether to look at everything, however long it takes.
        copying: whether a file that nobody has open is copied in any case, and the copy judged.
        declared_triggers: names of triggers that belong there.
        connect: the door to SQLite.
        clock: where the time comes from.
        now_ms: the one moment that all is judged at, UTC milliseconds.
        metrics: figures gathered so far.
    """

    path: Path
    backup_dir: Path | None
    thresholds: Thresholds
    full: bool
    copying: bool
    declared_triggers: frozenset[str]
    connect: Connect
    clock: Clock
    now_ms: int
    metrics: dict[str, Metric] = field(default_factory=dict)

    def command(self, verb: str, options: str = "") -> str:
        """Return the command line of a verb for this database, and for its backups' folder."""
        words = [f'queuedrill {verb} --db "{self.path}"']
        if self.backup_dir is not None and verb in _ABOUT_BACKUPS and options != RECOVER:
            words.append(f'--backup-dir "{self.backup_dir}"')
        return " ".join([*words, options] if options else words)


@dataclass
class Examination:
    """The case with its file opened and one snapshot of it pinned.

    Attributes:
        case: what is judged.
        view: where it is looked at from.
        layout: what it holds of a queue.
    """

    case: Case
    view: Viewpoint
    layout: Layout

    @property
    def connection(self) -> Connection:
        """The connection that reads the snapshot."""
        return self.view.connection

    @cached_property
    def leases(self) -> StaleLeases:
        """All held tasks, sorted by their leases."""
        timeout_s = self.case.thresholds.stale_after_s
        return stale_leases(self.connection, self.case.now_ms, timeout_s)

    @cached_property
    def waiting(self) -> WaitingTasks:
        """What the waiting tasks' times say."""
        return read_waiting(self.connection, self.case.now_ms)

    @cached_property
    def counts(self) -> dict[str, int]:
        """The number of tasks in each status."""
        return count_by_status(self.connection)


@dataclass(frozen=True)
class Outcome:
    """What one check found; the table of checks gives it its id."""

    level: Level
    observed: Observed
    message: str
    threshold: AtMost | AtLeast | None = None
    command: str = ""

    def finding(self, finding_id: str) -> Finding:
        """Return the finding; what is in order needs no command."""
        return Finding(
            id=finding_id,
            level=self.level,
            observed=self.observed,
            # Names in the file, and what SQLite says of it, may be somebody else's words.
            message=visible(self.message),
            threshold=self.threshold,
            command="" if self.level is Level.OK else self.command,
        )


FileCheck = Callable[[Case], Outcome]
ContentCheck = Callable[[Examination], Outcome]


def held_against(
    threshold: AtMost | AtLeast, observed: float, message: str, command: str = ""
) -> Outcome:
    """Return the outcome of a figure held against its limits, which the message then names."""
    level = Level[threshold.judge(observed)]
    return Outcome(level, observed, f"{message} ({threshold}).", threshold, command)


def named(names: list[str], most: int = NAMED_MOST) -> str:
    """Return the first of the names, and how many there are more."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
