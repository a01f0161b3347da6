"""What is wrong with a queue, as data."""

import enum
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .thresholds import AtLeast, AtMost

Metric = float | int | str | None | Mapping[str, int]
Observed = float | int | str | None


@functools.total_ordering
class Level(enum.Enum):
    """How bad a finding is, in rising order.

    UNKNOWN ranks above WARNING: a warning has been judged and is bounded, while what could not be
    looked at may hide anything. It ranks below CRITICAL, which is certain.
    """

    OK = 0
    WARNING = 1
    UNKNOWN = 2
    CRITICAL = 3

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Level):
            return NotImplemented
        return int(self.value) < int(other.value)

    def __str__(self) -> str:
        """Return the level's name."""
        return self.name


def worst(levels: Iterable[Level]) -> Level:
    """Return the worst of the levels; UNKNOWN where nothing was judged at all."""
    return max(levels, default=Level.UNKNOWN)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, also when it is in order.

    Attributes:
        id: stable from version to version.
        level: how bad it is.
        observed: what was seen: a figure, or a word.
        message: a sentence for people, with figures and units.
        threshold: the limit that the figure was held against, if it was one.
        command: the command that mends it, or "" where none does or none is needed.
    """

    id: str
    level: Level
    observed: Observed
    message: str
    threshold: AtMost | AtLeast | None = None
    command: str = ""

    def __str__(self) -> str:
        """Return the finding in one line."""
        cure = f" Run: {self.command}" if self.command else ""
        return f"{self.level} {self.id}: {self.message}{cure}"


@dataclass(frozen=True)
class HealthReport:
    """All that a health check found.

    Attributes:
        findings: one for each check, in a fixed order.
        metrics: figures by name, for reports and trends.
        judged: which file was looked at, and how.
        seconds: how long it took.
    """

    findings: tuple[Finding, ...]
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    judged: str = ""
    seconds: float = 0.0

    @property
    def level(self) -> Level:
        """The worst level of all findings."""
        return worst(finding.level for finding in self.findings)

    def finding(self, finding_id: str) -> Finding:
        """Return the finding with this id.

        Raises:
            KeyError: there is none.
        """
        for found in self.findings:
            if found.id == finding_id:
                return found
        raise KeyError(finding_id)


def fixes(report: HealthReport) -> list[tuple[str, str]]:
    """Return the commands that mend what was found, the worst finding's first, each once.

    Nothing is run.

    Returns:
        Pairs of a finding's id and its command.
    """
    seen: set[str] = set()
    commands = []
    for found in sorted(report.findings, key=lambda found: found.level, reverse=True):
        if found.level is not Level.OK and found.command and found.command not in seen:
            seen.add(found.command)
            commands.append((found.id, found.command))
    return commands
