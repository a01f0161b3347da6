"""How fast a cell of load was: told in every profile, and judged where it lasted long enough."""

from collections.abc import Callable, Sequence

from harness.cells import HELD_WITHIN_S, CellRun
from harness.latency import Measured, Spread, measure_spread, spread

# A commit that is synced takes some milliseconds on any disk, and a worker that found nothing
# waits a tenth of a second: ten times of both is a stall, and no latency.
ACKNOWLEDGED_P99_MS = 250.0
CLAIMED_P99_MS = 500.0
DONE_P99_MS = 750.0
HELD_LEAST = 0.99

_LIMITS_MS = {
    "acknowledged_after": ACKNOWLEDGED_P99_MS,
    "claimed_after": CLAIMED_P99_MS,
    "done_after": DONE_P99_MS,
}

Limited = Callable[[str, float | None, float, str, str], bool]
"""Takes name, figure, limit, unit and kind, and says whether it is kept; ``Evidence.limit``."""


def paces(run: CellRun) -> dict[str, Spread]:
    """Return how long tasks took to be acknowledged, claimed and done, from their arrival on."""
    ways = run.ways()
    return {
        "acknowledged_after": spread(way.took_s(way.acknowledged_s) for way in ways),
        "claimed_after": spread(way.took_s(way.claimed_s) for way in ways),
        "done_after": spread(way.took_s(way.done_s) for way in ways),
    }


def measure_pace(measured: Measured, run: CellRun) -> None:
    """Report the rates, the latencies, and what the machine did; judge none of them."""
    measured("rate_offered", run.cell.per_minute, "tasks/min")
    measured("rate_held", run.cell.per_minute * run.rate_held(), "tasks/min")
    measured("latest_arrival", run.latest_s * 1000, "ms")
    for name, figures in paces(run).items():
        measure_spread(measured, name, figures)
    effort = run.effort
    used_s = {"harness": effort.harness_s, "queue": effort.queue_s, "others": effort.others_s}
    for name, seconds in used_s.items():
        measured(f"processors_used_by_{name}", effort.share(seconds), "processors")


def broken_limits(limited: Limited, run: CellRun) -> list[str]:
    """Return what was too slow, one sentence each with its figures; nothing where all was kept.

    Args:
        limited: takes every figure beside its limit.
        run: of a cell that lasted for minutes.
    """
    broken = []
    for name, figures in paces(run).items():
        limit_ms = _LIMITS_MS[name]
        observed_ms = None if figures.p99_s is None else figures.p99_s * 1000
        if not limited(f"{name}, p99", observed_ms, limit_ms, "ms", "max"):
            told = "not known" if observed_ms is None else f"{observed_ms:.0f} ms"
            broken.append(f"{name} p99 is {told} (limit {limit_ms:.0f} ms)")
    held = run.rate_held()
    if not limited("part of the rate that was held", held, HELD_LEAST, "", "min"):
        broken.append(f"{held:.1%} of the rate was held (at least {HELD_LEAST:.0%})")
    return broken


def unfit(run: CellRun, broken: Sequence[str]) -> str:
    """Return why this machine says nothing about the queue's pace; empty where it does.

    Args:
        run: of a cell.
        broken: what was too slow. Where that is nothing the queue was fast enough in any company.
    """
    if run.latest_s > HELD_WITHIN_S:
        return f"this machine sent a task {run.latest_s:.1f} s late"
    crowded = run.effort.crowded() if broken else ""
    return f"this machine had no time for the queue: {crowded}" if crowded else ""
