"""Defects of the health check: it is blind to something, cries wolf, or does not only look."""

import contextlib
from dataclasses import replace
from typing import Any

from core import file_checks
from core.connection import Connection
from core.database import QueueDatabase
from core.errors import QueueError
from core.examination import Case, Outcome
from core.findings import Finding, Level
from core.leases import StaleLeases
from core.paths import wal_of
from core.releasing import release_stale
from core.thresholds import AtMost, Verdict
from harness.planted.defect import Catch, Change, Defect

Right = Any
"""The right part, which the wrong one may call."""

CROSSED = "test_health.py::test_metric_crossed_both_ways_is_told"


def _mend(right: Right) -> Right:
    """Free what is stale while one is at it."""

    def judge_content(case: Case, *arguments: Any) -> Any:  # noqa: ANN401 - as the right one
        found = right(case, *arguments)
        with (
            contextlib.suppress(QueueError),
            QueueDatabase(case.path, clock=case.clock) as database,
        ):
            release_stale(database, case.thresholds.stale_after_s)
        return found

    return judge_content


def _green(right: Right) -> Right:
    def looked(finding_id: str, check: object) -> Finding:
        finding: Finding = right(finding_id, check)
        failed = finding.message.startswith("Could not be judged")
        return replace(finding, level=Level.OK) if failed else finding

    return looked


def _swap_levels(right: Right) -> Right:
    swapped: dict[Verdict, Verdict] = {"WARNING": "CRITICAL", "CRITICAL": "WARNING"}

    def judge(self: AtMost, observed: float) -> Verdict:
        verdict: Verdict = right(self, observed)
        return swapped.get(verdict, verdict)

    return judge


def _without_grace(right: Right) -> Right:
    def stale_leases(connection: Connection, now_ms: int, _timeout_s: float) -> StaleLeases:
        found: StaleLeases = right(connection, now_ms, 0.0)
        return found

    return stale_leases


def _relative_wal(right: Right) -> Right:
    """Also say how large the -wal is in percent of the database."""

    def check_wal_size(case: Case) -> Outcome:
        wal = wal_of(case.path)
        size = wal.stat().st_size if wal.exists() else 0
        case.metrics["wal_pct"] = 100 * size / case.path.stat().st_size
        return file_checks.check_wal_size(case)

    return tuple((name, check_wal_size if name == "wal.size" else check) for name, check in right)


def _kilobyte(_right: Right) -> Right:
    return 1024


def _skip_walk(_right: Right) -> Right:
    def judge_frames(_case: Case, _walk: object) -> Outcome:
        return Outcome(Level.OK, "none", "All committed frames of the -wal can be read.")

    return judge_frames


DEFECTS = (
    Defect(
        name="health-check-mends",
        group="maintenance",
        wrong="The health check frees the stale leases that it sees: whoever only looks takes "
        "tasks from their holders.",
        changes=(Change("core.health", "_judge_content", _mend),),
        catches=(Catch("test_witness.py::test_look_changes_nothing", "looking changed"),),
    ),
    Defect(
        name="green-on-an-exception",
        group="maintenance",
        wrong="A check of health that could not be made counts as OK.",
        changes=(Change("core.health", "_looked", _green),),
        catches=(
            Catch(
                "test_witness.py::test_what_cannot_be_looked_at_is_unknown_and_never_ok",
                "could not be judged, and is OK",
            ),
        ),
    ),
    Defect(
        name="thresholds-swapped",
        group="maintenance",
        wrong="What is a warning is told as critical, and what is critical as a warning.",
        changes=(Change("core.thresholds", "AtMost.judge", _swap_levels),),
        catches=(
            Catch(
                "test_health.py::test_metric_crossed_both_ways_is_told", "is CRITICAL, not WARNING"
            ),
            Catch(
                "test_health.py::test_metric_crossed_both_ways_is_told", "is WARNING, not CRITICAL"
            ),
        ),
    ),
    Defect(
        name="health-ignores-the-timeout",
        group="maintenance",
        wrong="To the health check a lease is stale as soon as it has run out, and the clean-up "
        "that it names frees nothing.",
        changes=(Change("core.examination", "stale_leases", _without_grace),),
        catches=(
            Catch(
                "test_witness.py::test_look_and_clean_up_agree_on_every_lease",
                "stale leases, and the clean-up frees",
            ),
        ),
    ),
    Defect(
        name="division-by-zero",
        group="maintenance",
        wrong="The health check falls over an empty file: the figure of its -wal is divided by "
        "the size of the database.",
        changes=(Change("core.health", "FILE_CHECKS", _relative_wal),),
        catches=(
            Catch(
                "test_witness.py::test_file_that_is_no_queue_is_told_and_nothing_is_raised[empty]",
                "the health check fell over: ZeroDivisionError",
            ),
        ),
    ),
    Defect(
        name="size-in-another-unit",
        group="maintenance",
        wrong="The size of the -wal is held against megabytes in kilobytes: every queue at work "
        "is critical, until nobody looks any more.",
        changes=(Change("core.file_checks", "MEGABYTE", _kilobyte),),
        catches=(Catch("test_witness.py::test_figures_are_those_of_the_file", "look wal_size_mb"),),
    ),
    Defect(
        name="wal-not-walked",
        group="maintenance",
        wrong="The frames of a -wal that a crash left are not walked: a bad bit in it drops all "
        "that was committed behind it, and nobody is told before.",
        changes=(
            Change("core.content_checks", "judge_frames", _skip_walk),
            Change("core.health", "judge_frames", _skip_walk),
        ),
        catches=(
            Catch(
                "test_corruption.py::test_damaged_wal_is_found_before_it_is_replayed",
                "the damaged -wal was told as",
            ),
        ),
    ),
)
