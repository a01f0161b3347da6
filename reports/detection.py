"""What a gate catches and how often it cries wolf: planted defects and clean runs, counted."""

import math
from dataclasses import dataclass

CONFIDENCE = 0.95
_BISECTIONS = 60


@dataclass(frozen=True, kw_only=True)
class DefectRow:
    """One planted defect, over all seeds that it was tried with.

    Attributes:
        name: stable, kebab-case.
        group: what it is a defect of.
        wrong: what it does wrong, in one sentence.
        profile: the least profile in which it can be seen.
        caught: with how many seeds every check that must see it did.
        tried: with how many seeds it was tried.
        by: the checks that saw it, each with what it said.
        missed_seeds: those with which it was not caught.
        red_in: the scenario files that had a failed check; only where all of them were run.
    """

    name: str
    group: str
    wrong: str
    profile: str
    caught: int
    tried: int
    by: tuple[str, ...] = ()
    missed_seeds: tuple[int, ...] = ()
    red_in: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it was tried, and caught each time."""
        return 0 < self.tried == self.caught


@dataclass(frozen=True, kw_only=True)
class CleanRuns:
    """Runs of the whole gate on the core as it is: red is a false alarm.

    Attributes:
        runs: how many came to an end.
        alarms: how many of them were not READY.
    """

    runs: int
    alarms: int

    @property
    def rate_most(self) -> float:
        """The highest rate of false alarms that is still credible, at 95 per cent."""
        return upper_bound(self.alarms, self.runs)


@dataclass(frozen=True, kw_only=True)
class Detection:
    """What is known of the gate's power.

    Attributes:
        ended: when the last trial ended, UTC, ISO 8601.
        code: digest of the sources that were tried.
        rows: every defect of these sources.
        clean: clean runs of these sources.
        clean_ever: clean runs of these and of earlier sources.
        current: whether the sources are still those that were tried.
    """

    ended: str
    code: str
    rows: tuple[DefectRow, ...]
    clean: CleanRuns
    clean_ever: CleanRuns
    current: bool = True

    @property
    def caught(self) -> int:
        """How many defects were caught each time that they were tried."""
        return sum(row.ok for row in self.rows)

    @property
    def sentence(self) -> str:
        """The score in one sentence."""
        if not self.current:
            return "The last selftest was of other sources. Run: queuedrill selftest"
        return (
            f"{self.caught} of {len(self.rows)} planted defects are caught; "
            f"{_alarms(self.clean)} with these sources, {_alarms(self.clean_ever)} in all."
        )


def upper_bound(events: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """Return the highest probability of an event under which so few in so many are credible.

    Clopper and Pearson's exact one-sided bound (Biometrika 26, 1934); without an event it is about
    3 in ``trials``.
    """
    if events >= trials:
        return 1.0
    low, high = events / trials, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _at_most(events, trials, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _at_most(events: int, trials: int, chance: float) -> float:
    """Return the probability of no more than so many events."""
    return sum(
        math.comb(trials, count) * chance**count * (1 - chance) ** (trials - count)
        for count in range(events + 1)
    )


def _alarms(clean: CleanRuns) -> str:
    if not clean.runs:
        return "no clean run"
    return (
        f"{clean.alarms} false alarms in {clean.runs} clean runs "
        f"(rate below {clean.rate_most:.1%} at {CONFIDENCE:.0%})"
    )
