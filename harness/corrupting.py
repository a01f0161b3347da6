"""A way to corrupt a queue, tried: it happens, who finds it is told, and a restore ends it."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from core.backup import QueueBackup
from core.errors import QueueError
from core.findings import Finding, Level
from core.health import check_health
from core.salvage import salvage
from harness.evidence import Evidence
from harness.outcome import Inconclusive
from harness.ways.harm import harm_to, tasks_of
from harness.ways.stage import Stage, new_stage
from harness.ways.way import Way

NO_CHECK = "none of health's checks"


def rows(ways: Sequence[Way], gate: Sequence[str] = ()) -> list[object]:
    """Return the parameters of a check: one a way, most in nightly alone.

    Args:
        ways: of the check.
        gate: ids of those that the gate tries too.
    """
    return [pytest.param(way, id=way.id, marks=_marks(way, way.id in gate)) for way in ways]


def _marks(way: Way, in_gate: bool) -> list[pytest.MarkDecorator]:
    marks = [pytest.mark.machine(*way.machine)] if way.machine else []
    return marks if in_gate else [*marks, pytest.mark.profile("nightly")]


def require_found_and_ended(way: Way, folder: Path, evidence: Evidence) -> None:
    """Pass if the way did harm, who is known to find it finds it, and a restore ends it.

    Args:
        way: is made to happen on a queue of its own.
        folder: where that lies.
        evidence: takes what was seen.

    Raises:
        Inconclusive: it did no harm.
    """
    __tracebackhide__ = True
    stage = new_stage(folder / "tried" / "queue.db", journal=way.journal)
    before = critical(stage.path)
    seen, harm = bring_about(way, stage)
    found = [each.id for each in critical(stage.path) if each.id not in {b.id for b in before}]
    told = ", ".join(found) or NO_CHECK
    evidence.fault("way-to-corrupt", way.asked, bool(harm), f"{seen}; {harm}", f"found by {told}")
    if not harm:
        raise Inconclusive(f"{way.id}: {seen}, and it did no harm")
    judge_finders(way, found, evidence)
    back = brought_back(stage, folder / "salvaged.db")
    evidence.measure("salvaged_tasks", back, "tasks")
    evidence.measure("acknowledged_tasks", len(stage.acknowledged), "tasks")
    QueueBackup(stage.path).restore_newest()
    left = harm_to(stage.path, stage.in_backup)
    evidence.require(not left, f"after {way.id} and a restore of the backup: {left}")


def bring_about(way: Way, stage: Stage) -> tuple[str, str]:
    """Return what was seen of the way, and which harm SQLite itself sees that it did.

    Raises:
        Inconclusive: the queue was harmed before.
    """
    if harm := harm_to(stage.path, stage.acknowledged):
        raise Inconclusive(f"the queue was not sound before {way.id}: {harm}")
    return way.happens(stage), harm_to(stage.path, stage.acknowledged)


def brought_back(stage: Stage, out: Path) -> int:
    """Return how many of the acknowledged tasks a salvage brings back as they were.

    Args:
        stage: whose queue is damaged.
        out: where the salvaged queue goes.
    """
    try:
        salvage(stage.path, out)
    except QueueError:
        return 0
    back = tasks_of(out) if out.exists() else {}
    return sum(back.get(key) == payload for key, payload in stage.acknowledged.items())


def judge_finders(way: Way, found: Sequence[str], evidence: Evidence) -> None:
    """Fail where health does not find what it is said to find, or finds what it is said not to."""
    __tracebackhide__ = True
    evidence.measure("checks_that_found_it", len(found), "checks")
    if way.found_by:
        evidence.require(
            set(way.found_by) & set(found),
            f"{way.id} is to be found by {' or '.join(way.found_by)}, and was by "
            f"{', '.join(found) or NO_CHECK}",
        )
        return
    evidence.require(
        not found, f"{way.id} is said to be seen by {NO_CHECK}, and was by {', '.join(found)}"
    )


def critical(path: Path) -> list[Finding]:
    """Return the critical findings of a full look at a queue."""
    findings = check_health(path, full=True).findings
    return [each for each in findings if each.level is Level.CRITICAL]
