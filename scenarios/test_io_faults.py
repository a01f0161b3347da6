"""Every verb of the core, with an I/O fault at every call that it makes.

Claim: a verb that meets a full disk, an error of the disk or an interruption is done, or says in
words of its own what stopped it; what it said to be done is there, and what it said not to be done
is not; nothing is half done, and it can be run again once the fault is gone.
Faults: io-fault: disk full, an error on reading, writing, syncing, truncating, measuring, deleting
or opening a file, an interrupt; ENOSPC, EIO and EACCES at the core's own calls.
Method: SQLite reads and writes through a file system that fails at call 1, 2, 3 until a run passes
in which nothing struck; each time once, and from then on. After each run the fault is gone: the
file is checked and compared with that of a run without a fault, and the verb is run again.
A failure means: a disk that has a bad day costs tasks or backups, or is taken for success.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.disk.faulted import VERBS
from harness.disk.striker import KINDS, Mode
from harness.evidence import Evidence
from harness.iofaults import FaultedVerbs, Struck, Tally, faulted_verbs, one_of_each_kind
from harness.outcome import Inconclusive
from harness.settings import Settings

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

MOST_POINTS_COUNT = 2000
DRAWN_COUNT = {"worker": 99, "maintenance": 5, "backups": 6, "restore": 4}
GROUPS = {
    "worker": ("enqueue", "enqueue-journal", "claim", "heartbeat", "complete", "fail"),
    "maintenance": ("open", "reclaim", "checkpoint", "vacuum", "archive", "content", "health"),
    "backups": ("backup", "verify", "verify-damaged", "prune"),
    "restore": ("restore", "restore-live", "restore-swap", "undo"),
}


@pytest.mark.parametrize("group", GROUPS)
def test_fault_at_some_calls_is_survived_or_told(
    group: str, scratch: Path, evidence: Evidence, queue_settings: Settings
) -> None:
    """Struck once at calls that the seed draws, no verb loses anything or says what is not so."""
    tally = Tally()
    with faulted_verbs(_new(scratch)) as process:
        for verb in GROUPS[group]:
            chance = random.Random(f"{queue_settings.seed}/{verb}")
            for run in _drawn(process, verb, DRAWN_COUNT[group], chance):
                tally.add(run)

    _require_survived(evidence, f"calls of {', '.join(GROUPS[group])}", tally)


@pytest.mark.profile("nightly")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("verb", VERBS)
def test_fault_at_every_call_is_survived_or_told(
    verb: str, scratch: Path, evidence: Evidence
) -> None:
    """Struck at each of its calls, the verb loses nothing and says nothing that is not so."""
    whole = Tally()
    with faulted_verbs(_new(scratch)) as process:
        for kind in KINDS:
            for mode in Mode:
                tally = process.exhaust(verb, kind, mode, most=MOST_POINTS_COUNT)
                evidence.measure(f"{kind}, {mode}", tally.survived, f"of {tally.struck} points")
                _add(whole, tally)

    _require_survived(evidence, f"every call of {verb}", whole)


def _drawn(process: FaultedVerbs, verb: str, most: int, chance: random.Random) -> Sequence[Struck]:
    points = one_of_each_kind(verb, process.counts(verb), chance)
    runs = [process.strike(point) for point in chance.sample(points, min(most, len(points)))]
    missed = [str(run.point) for run in runs if not run.call]
    if missed:
        raise Inconclusive(f"nothing struck at {missed[0]}, though a run without a fault got there")
    return runs


def _add(whole: Tally, part: Tally) -> None:
    whole.struck += part.struck
    whole.survived += part.survived
    whole.bad += part.bad


def _require_survived(evidence: Evidence, asked: str, tally: Tally) -> None:
    evidence.fault(
        "io-fault",
        f"I/O faults at {asked}",
        tally.struck > 0,
        f"{tally.struck} calls were struck before they were made",
        f"{tally.survived} of {tally.struck} survived",
    )
    evidence.judged(f"{tally.survived} of {tally.struck} I/O faults survived at {asked}")
    evidence.measure("struck_points", tally.struck, "points")
    evidence.measure("survived_points", tally.survived, "points")
    evidence.limit("lost_points", tally.struck - tally.survived, 0, "points")
    evidence.require(
        not tally.bad,
        f"{len(tally.bad)} of {tally.struck} runs went wrong: {tally.bad[0] if tally.bad else ''}",
    )


def _new(scratch: Path) -> Path:
    folder = scratch / "struck"
    folder.mkdir()
    return folder
