"""What a run was and what it found, as frozen data without behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reports.detection import Detection

SCHEMA_VERSION = 1


class Verdict(StrEnum):
    """What a run says about the queue."""

    READY = "READY"
    NOT_READY = "NOT READY"
    INCONCLUSIVE = "INCONCLUSIVE"

    @property
    def exit_status(self) -> int:
        """The exit status of a process that ends with this verdict."""
        return {Verdict.READY: 0, Verdict.NOT_READY: 1, Verdict.INCONCLUSIVE: 7}[self]


class Outcome(StrEnum):
    """How one check ended. Only ``PASSED`` says anything good about the queue."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    SKIPPED = "skipped"


class State(StrEnum):
    """How far a run came."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"


class Bound(StrEnum):
    """The side on which a limit lies."""

    MAX = "max"
    MIN = "min"


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A figure that was observed, beside the figure that it has to keep.

    Attributes:
        name: what was observed, for a reader.
        observed: the figure, or None where it could not be observed.
        limit: the figure to keep.
        unit: of both, for example ``s``.
        kind: whether ``limit`` is the most or the least.
        ok: whether it was kept; a figure that was not observed was not kept.
        margin: what is left up to the limit, in ``unit``; below zero where it is passed.
    """

    name: str
    observed: float | None
    limit: float
    unit: str
    kind: Bound = Bound.MAX
    ok: bool = False
    margin: float | None = None


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A figure that was observed and that nothing limits."""

    name: str
    value: float | None
    unit: str


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault: what was asked for, whether it was seen to happen, by what, and what it did."""

    name: str
    asked: str
    confirmed: bool
    evidence: str
    effect: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is wrong with the queue, and the command that mends it."""

    id: str
    level: str
    observed: str
    threshold: str
    message: str
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class MatrixCell:
    """One cell of the corruption matrix: a region of the files, damaged in one way.

    Attributes:
        region: that was struck.
        damage: that struck it.
        outcome: found, blind (it does harm and nothing sees it) or harmless.
        seen_by: who saw it, with the milliseconds that it took.
        effect: what it does to whoever works on.
        cure: what was seen to recover it.
    """

    region: str
    damage: str
    outcome: str
    seen_by: str
    effect: str
    cure: str


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check: what it promises, how it ended, and all that it saw.

    Attributes:
        id: stable from run to run; holds neither seed nor time.
        message: its first line holds the figures of the verdict.
        details: the rest of the failure: traceback, captured output.
        artefacts: paths, relative to the report where they lie below it.
        judged: sentences that say what this check judged.
        blind: whether it showed that the harness does not see what it has to see.
        replay: the one command that runs it again.
    """

    id: str
    title: str
    outcome: Outcome
    seconds: float
    group: str = ""
    claim: str = ""
    fault_plan: str = ""
    method: str = ""
    failure_means: str = ""
    message: str = ""
    details: str = ""
    limits: tuple[Limit, ...] = ()
    measures: tuple[Measure, ...] = ()
    faults: tuple[Fault, ...] = ()
    findings: tuple[Finding, ...] = ()
    cells: tuple[MatrixCell, ...] = ()
    artefacts: tuple[str, ...] = ()
    judged: tuple[str, ...] = ()
    blind: bool = False
    replay: str = ""


@dataclass(frozen=True, kw_only=True)
class NotApplicable:
    """A check that was left out, since the queue does not promise what it judges. No pass."""

    id: str
    title: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of the gate.

    Attributes:
        started: UTC, ISO 8601.
        ended: likewise; empty while it runs.
        not_applicable: checks that judge what the queue does not promise.
        planned: how many checks were selected, or None before that is known.
        min_checks: with fewer executed checks than this no verdict is reached.
        runner_status: the exit status of the test runner itself, or None if it left none.
        reason: why it stopped early, or empty.
        replay: the command that runs all of it again.
        detection: what selftests have found of the gate's power, or None where there were none.
    """

    started: str
    seed: int
    profile: str
    ended: str = ""
    state: State = State.RUNNING
    judged: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    not_applicable: tuple[NotApplicable, ...] = ()
    planned: int | None = None
    min_checks: int = 1
    runner_status: int | None = None
    reason: str = ""
    replay: str = ""
    detection: Detection | None = None
    schema_version: int = SCHEMA_VERSION
