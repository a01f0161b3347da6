"""The figures that a queue is held against; all can be changed.

A limit is passed by going beyond it: at exactly 500 MB a limit of 500 MB is kept.
"""

import math
from dataclasses import dataclass
from typing import Literal

from .arguments import check_seconds
from .errors import InvalidArgumentError

Verdict = Literal["OK", "WARNING", "CRITICAL"]


# Before the classes: their defaults are checked while this module is read.
def _check_number(limit: float) -> None:
    number = not isinstance(limit, bool) and isinstance(limit, int | float)
    if not (number and math.isfinite(limit) and limit >= 0):
        _refuse(limit, "Give numbers of 0 or more.")


def _refuse(value: object, cure: str) -> None:
    raise InvalidArgumentError(what="the pair of limits", value=value, cure=cure)


@dataclass(frozen=True)
class AtMost:
    """A figure that must not rise above its limits.

    Args:
        warning: above this it is a warning.
        critical: above this it is critical; with None it never is.
        unit: of both, as people write it.

    Raises:
        InvalidArgumentError: a limit is negative or no number, or warning lies above critical.
    """

    warning: float
    critical: float | None
    unit: str = ""

    def __post_init__(self) -> None:
        _check_number(self.warning)
        if self.critical is None:
            return
        _check_number(self.critical)
        if self.warning > self.critical:
            _refuse(f"{self.warning:g}/{self.critical:g}", "Let warning be at most critical.")

    def judge(self, observed: float) -> Verdict:
        """Return what this figure means; one that is no number keeps no limit."""
        if self.critical is not None and not observed <= self.critical:
            return "CRITICAL"
        return "OK" if observed <= self.warning else "WARNING"

    def __str__(self) -> str:
        """Return both limits in words."""
        unit = f" {self.unit}" if self.unit else ""
        warning = f"warning above {self.warning:g}{unit}"
        if self.critical is None:
            return warning
        return f"{warning}, critical above {self.critical:g}{unit}"


@dataclass(frozen=True)
class AtLeast:
    """A figure that must not fall below its limits.

    Args:
        warning: below this it is a warning.
        critical: below this it is critical.
        unit: of both, as people write it.

    Raises:
        InvalidArgumentError: a limit is negative or no number, or warning lies below critical.
    """

    warning: float
    critical: float
    unit: str = ""

    def __post_init__(self) -> None:
        _check_number(self.warning)
        _check_number(self.critical)
        if self.warning < self.critical:
            _refuse(f"{self.warning:g}/{self.critical:g}", "Let warning be at least critical.")

    def judge(self, observed: float) -> Verdict:
        """Return what this figure means; one that is no number keeps no limit."""
        if not observed >= self.critical:
            return "CRITICAL"
        return "OK" if observed >= self.warning else "WARNING"

    def __str__(self) -> str:
        """Return both limits in words."""
        unit = f" {self.unit}" if self.unit else ""
        return f"warning below {self.warning:g}{unit}, critical below {self.critical:g}{unit}"


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The limits of a health check. MB and GB are 1024 * 1024 bytes and 1024 MB.

    Attributes:
        size_mb: size of the database.
        wal_mb: size of its -wal.
        fragmentation_pct: free pages in percent of all pages.
        stale_leases: held tasks whose lease ran out more than ``stale_after_s`` ago.
        unreadable_leases: held tasks whose lease has no time that can be read.
        far_leases: held tasks whose lease ends more than ``lease_horizon_s`` from now.
        free_disk_gb: free space for the database and for its backups.
        backup_age_h: age of the newest verified backup.
        waiting_h: how long the longest due task has waited.
        held_h: how long the longest held task is held under a lease that is kept alive.
        never_run: waiting tasks that nothing will ever claim.
        late_tasks: waiting tasks that text-comparing workers claim at the wrong time.
        unknown_status: tasks in a status that no program knows.
        content_age_h: age of the record of what finished tasks hold, where there is one.
        clock_ahead_s: how far the newest change lies in the future of this machine's clock.
        stale_after_s: grace after the end of a lease, in seconds.
        lease_horizon_s: the longest lease that makes sense, in seconds.

    Raises:
        InvalidArgumentError: a time is negative or no number.
    """

    size_mb: AtMost = AtMost(500, 1024, "MB")
    wal_mb: AtMost = AtMost(50, 100, "MB")
    fragmentation_pct: AtMost = AtMost(10, 20, "%")
    stale_leases: AtMost = AtMost(10, 50, "tasks")
    unreadable_leases: AtMost = AtMost(0, 10, "tasks")
    far_leases: AtMost = AtMost(0, 10, "tasks")
    free_disk_gb: AtLeast = AtLeast(10, 5, "GB")
    backup_age_h: AtMost = AtMost(26, 50, "h")
    waiting_h: AtMost = AtMost(1, 24, "h")
    held_h: AtMost = AtMost(6, 24, "h")
    never_run: AtMost = AtMost(0, 10, "tasks")
    late_tasks: AtMost = AtMost(0, None, "tasks")
    unknown_status: AtMost = AtMost(0, None, "tasks")
    content_age_h: AtMost = AtMost(192, None, "h")
    clock_ahead_s: AtMost = AtMost(300, 3600, "s")
    stale_after_s: float = 300.0
    lease_horizon_s: float = 86_400.0

    def __post_init__(self) -> None:
        check_seconds("stale_after_s", self.stale_after_s)
        check_seconds("lease_horizon_s", self.lease_horizon_s)
