"""How long the operations of a history took: before, during and after its faults.

Pure functions from what was seen to figures. Where an operation was to be sent at a moment, its
latency counts from that moment: a queue that stalls must not hide behind requests sent late.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.history import Operation

Measured = Callable[[str, float | None, str], None]
"""Takes the name, the value and the unit of a measure; ``Evidence.measure`` is one."""


class Phase(StrEnum):
    """When an operation was under way, seen from the faults."""

    BEFORE = "before"
    DURING = "during"
    AFTER = "after"


@dataclass(frozen=True)
class Window:
    """From when to when a fault was there, in seconds of the history."""

    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How latencies are spread, in seconds; None where there are none.

    Attributes:
        count: how many were answered.
        unanswered: how many were not, or refused. They have no latency, and are not forgotten.
    """

    count: int
    unanswered: int
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    longest_s: float | None


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the least value that so many percent of the values do not exceed."""
    if not values:
        return None
    rank = math.ceil(len(values) * percent / 100)
    return sorted(values)[max(rank, 1) - 1]


def spread(values: Iterable[float | None]) -> Spread:
    """Return how the values are spread; each None is one that was not answered."""
    listed = list(values)
    known = [value for value in listed if value is not None]
    return Spread(
        count=len(known),
        unanswered=len(listed) - len(known),
        p50_s=percentile(known, 50),
        p95_s=percentile(known, 95),
        p99_s=percentile(known, 99),
        longest_s=max(known, default=None),
    )


def latency_s(operation: Operation) -> float | None:
    """Return the seconds from its scheduled moment to its acknowledgement; None without one."""
    if not operation.ok or operation.returned_s is None:
        return None
    return operation.returned_s - float(operation.facts.get("scheduled_s", operation.invoked_s))


def fault_windows(operations: Iterable[Operation]) -> tuple[Window, ...]:
    """Return when the faults of the history were there; one that never ended lasts for ever."""
    return tuple(
        Window(op.invoked_s, math.inf if op.returned_s is None else op.returned_s)
        for op in operations
        if op.op == "fault"
    )


def phase_of(operation: Operation, windows: Sequence[Window]) -> Phase:
    """Return ``during`` if it met a fault at all, else ``before`` the first one or ``after``."""
    since_s = min(operation.invoked_s, operation.facts.get("scheduled_s", operation.invoked_s))
    until_s = math.inf if operation.returned_s is None else operation.returned_s
    if any(since_s <= window.end_s and until_s >= window.start_s for window in windows):
        return Phase.DURING
    later = any(since_s > window.end_s for window in windows)
    return Phase.AFTER if later else Phase.BEFORE


def latencies(
    operations: Iterable[Operation], windows: Sequence[Window]
) -> Mapping[tuple[str, Phase], Spread]:
    """Return for each operation and phase how its latencies are spread.

    A claim that found nothing to do counts too: it took the same way through the queue.

    Args:
        operations: of a history; its faults are left out.
        windows: when the faults were there.
    """
    groups: dict[tuple[str, Phase], list[float | None]] = defaultdict(list)
    for op in operations:
        if op.op != "fault":
            groups[op.op, phase_of(op, windows)].append(latency_s(op))
    return {key: spread(values) for key, values in sorted(groups.items())}


def measure_latencies(
    measured: Measured, operations: Iterable[Operation], windows: Sequence[Window]
) -> None:
    """Report every operation's latencies in each phase, in milliseconds.

    Args:
        measured: takes the figures.
        operations: of a history.
        windows: when the faults were there.
    """
    for (op, phase), figures in latencies(operations, windows).items():
        measure_spread(measured, f"{op}_{phase}", figures)
        measured(f"{op}_{phase}_unanswered", figures.unanswered, "operations")


def measure_spread(measured: Measured, name: str, figures: Spread) -> None:
    """Report the percentiles and the longest under the name, in milliseconds."""
    told_s = {
        "p50": figures.p50_s,
        "p95": figures.p95_s,
        "p99": figures.p99_s,
        "max": figures.longest_s,
    }
    for label, value_s in told_s.items():
        measured(f"{name}_{label}", None if value_s is None else value_s * 1000, "ms")
