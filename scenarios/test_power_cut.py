"""Power cuts: at every moment of an operation, with whatever a disk may have kept of it.

Claim: what was acknowledged is there after a power cut, and so is every backup that was reported;
the queue is as it was before an operation or as it is after it, and no listed backup is bad. Under
durability "normal" the last operations may be lost, and the file stays sound.
Faults: power-cut, lying-disk.
Method: a process does the operation and records all that it and SQLite write, name and sync. From
the record come the states that a power cut may leave: all that was synced, and of the rest any
part, in any order, torn at sectors (docs/power-cuts.md). Each is laid out and opened. No power is
cut, and no run depends on the disk's luck. That the sweep sees is tried on a disk that lies.
A failure means: a power cut costs work that somebody was told is done, or the whole queue.
"""

import random
from collections import Counter
from pathlib import Path

import pytest

from harness.disk.cuts import Budget
from harness.disk.losses import losses
from harness.disk.operations import NORMAL, OPERATIONS, new_disk
from harness.disk.sweep import Survey, lay_out
from harness.evidence import Evidence
from harness.outcome import Inconclusive

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

GATE = Budget(enumerated=32, drawn=3)
NIGHTLY = Budget(enumerated=4096, drawn=400)
LYING = Budget(enumerated=0, drawn=12)
IN_GATE = (
    *("enqueue", "complete", "fail", "complete-rollback"),
    *("backup", "prune", "restore", "restore-live", "restore-swap"),
)


@pytest.mark.parametrize("name", IN_GATE)
def test_power_cut_at_any_moment_costs_nothing_acknowledged(
    name: str, scratch: Path, evidence: Evidence, queue_random: random.Random
) -> None:
    """Of some of the states that a cut may leave, each has all that was acknowledged."""
    require_survived(name, GATE, scratch, evidence, queue_random)


@pytest.mark.profile("nightly")
@pytest.mark.parametrize("name", OPERATIONS)
def test_power_cut_with_any_remains_costs_nothing_acknowledged(
    name: str, scratch: Path, evidence: Evidence, queue_random: random.Random
) -> None:
    """The same, of all states where they are few and of many where they are not."""
    require_survived(name, NIGHTLY, scratch, evidence, queue_random)


def test_power_cut_under_normal_durability_costs_the_last_tasks_and_never_the_file(
    scratch: Path, evidence: Evidence, queue_random: random.Random
) -> None:
    """The file is sound and has the first so many tasks; how many are lost is told, not judged."""
    with NORMAL.recorded(scratch) as recorded:
        promised = recorded.promised()
        found = list(
            losses(recorded.record, promised, recorded.sweep(promised), queue_random, new_disk())
        )
    bad = [cut for cut, cost in found if cost is None]
    costs = Counter(cost for _cut, cost in found if cost is not None)

    lossy = sum(count for cost, count in costs.items() if cost)
    evidence.fault(
        "power-cut",
        "cuts right after each of the acknowledgements, under durability normal",
        lossy > 0,
        f"{len(found)} cuts, of which {lossy} cost something",
        f"acknowledged operations lost: {dict(sorted(costs.items()))}",
    )
    evidence.measure("lost_most", max(costs, default=0), "operations")
    evidence.measure("lost_mean", _mean(costs), "operations")
    evidence.measure("lossless_cuts", costs[0], "cuts")
    evidence.measure("cuts", len(found), "cuts")
    evidence.limit("unsound_states", len(bad), 0, "states")
    evidence.require(
        not bad, f"{len(bad)} of {len(found)} power cuts leave no sound queue; {bad[:1]}"
    )


def test_disk_that_lies_about_sync_is_seen_to_lose(
    scratch: Path, evidence: Evidence, queue_random: random.Random
) -> None:
    """The same sweep, with every sync swallowed, finds acknowledged tasks lost: it sees."""
    with OPERATIONS["enqueue"].recorded(scratch) as recorded:
        survey = recorded.sweep().run(LYING, queue_random, new_disk(lies=True))

    lost = survey.cuts - survey.survived
    evidence.fault(
        "lying-disk",
        "a disk that says that it synced, and does not",
        survey.states > 0,
        f"{survey.cuts} power cuts at the end of the operation, {survey.states} different states",
        f"{lost} of them cost what was acknowledged, or the queue",
    )
    evidence.measure("lost_cuts", lost, "cuts")
    if not survey.failures:
        evidence.blind("a disk that syncs nothing cost nothing: the sweep of power cuts is blind")


# -- helpers -----------------------------------------------------------------------------------


def require_survived(
    name: str, budget: Budget, scratch: Path, evidence: Evidence, chance: random.Random
) -> None:
    """Fail where a power cut costs what may not be lost; keep the state that it leaves."""
    __tracebackhide__ = True
    with OPERATIONS[name].recorded(scratch) as recorded:
        survey = recorded.sweep().run(budget, chance, new_disk())
    for number, failure in enumerate(survey.failures, start=1):
        lay_out(failure.state, scratch / f"left-{number}")

    _write_down(name, survey, evidence)
    bad = survey.cuts - survey.survived
    told = "; ".join(map(str, survey.failures))
    evidence.require(
        not bad, f"{survey.survived} of {survey.cuts} power cuts in {name} survived; {told}"
    )
    if survey.outcomes < 2:
        raise Inconclusive(f"whatever the cut of {name} was, the same was there afterwards")


def _write_down(name: str, survey: Survey, evidence: Evidence) -> None:
    evidence.fault(
        "power-cut",
        f"the power cut at every moment of {name}, with parts of what was not synced",
        survey.states > 0,
        f"{survey.moments} moments, {survey.cuts} cuts, {survey.states} different states laid out",
        f"{survey.survived} of {survey.cuts} survived",
    )
    evidence.measure("points", survey.moments, "points")
    evidence.measure("cuts", survey.cuts, "cuts")
    evidence.measure("states", survey.states, "states")
    evidence.measure("survived_cuts", survey.survived, "cuts")
    evidence.limit("lost_cuts", survey.cuts - survey.survived, 0, "cuts")


def _mean(costs: Counter[int]) -> float:
    return sum(cost * count for cost, count in costs.items()) / max(1, costs.total())
