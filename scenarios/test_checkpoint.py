"""Checkpoints behind those who stand in their way: a writer, and readers of old and new states.

Claim: a checkpoint ends in time whoever stands in its way, says that it is complete only where it
is, and leaves nothing once the way is free.
Faults: rival-writer, stuck-reader.
Method: the lock is held, or a state read, by another process while each mode runs with a short
deadline; then once more with nobody there.
A failure means: the -wal grows without end while the maintenance says that all is well.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.database import QueueDatabase
from core.maintenance import QueueMaintenance
from core.paths import wal_of
from core.tasks import TaskQueue
from harness.evidence import Evidence
from harness.faults import RivalWriter, StuckReader
from harness.ledger import Ledger

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

MODES = ("PASSIVE", "FULL", "RESTART", "TRUNCATE")
SEEDED_COUNT = 60
FILLING = "x" * 1000
RIVAL_TIMEOUT_S = 0.2
FRAMES_COUNT = 5


@pytest.fixture
def seeded(queue_path: Path) -> Iterator[QueueDatabase]:
    """The queue with tasks in its -wal, opened by the process that maintains it."""
    with QueueDatabase(queue_path) as database:
        tasks = TaskQueue(database, durability="normal")
        for number in range(SEEDED_COUNT):
            tasks.enqueue("t", {"number": number, "filling": FILLING})
        yield database


@pytest.mark.parametrize("mode", MODES)
def test_checkpoint_behind_a_rival_writer_ends_and_does_not_boast(
    mode: str, seeded: QueueDatabase, ledger: Ledger, evidence: Evidence
) -> None:
    """A checkpoint that cannot have its lock ends in time and does not say it is complete."""
    maintenance = QueueMaintenance(seeded)
    with ledger.injected(RivalWriter(), seeded.path) as sighting:
        result = maintenance.checkpoint(mode, timeout_seconds=RIVAL_TIMEOUT_S)
        sighting.effect = f"busy {result['busy']}, complete {result['complete']}"
    afterwards = maintenance.checkpoint(mode)

    evidence.measure("waited", result["seconds"], "s")
    boasts = result["complete"] and (result["busy"] or result["log"] != result["checkpointed"])
    waits = mode != "PASSIVE"
    evidence.require(not boasts, f"it says it is complete and is not: {result}")
    evidence.require(not (waits and result["complete"]), f"{mode} went past a writer: {result}")
    evidence.require(afterwards["complete"], f"with nobody in its way it left some: {afterwards}")


@pytest.mark.parametrize("mode", MODES)
def test_checkpoint_behind_a_stuck_reader_says_what_is_left(
    mode: str, seeded: QueueDatabase, ledger: Ledger, evidence: Evidence
) -> None:
    """A checkpoint that a reader holds back says so, and ends the -wal once the reader is gone."""
    maintenance, tasks = QueueMaintenance(seeded), TaskQueue(seeded)
    with ledger.injected(StuckReader(), seeded.path) as sighting:
        for number in range(FRAMES_COUNT):
            tasks.enqueue("t", {"number": number})
        result = maintenance.checkpoint(mode, timeout_seconds=RIVAL_TIMEOUT_S)
        left = result["log"] - result["checkpointed"]
        sighting.effect = f"busy {result['busy']}, {left} frames left"
    afterwards = maintenance.checkpoint(mode)

    evidence.measure("waited", result["seconds"], "s")
    evidence.require(left > 0, f"the reader held nothing back: {result}")
    evidence.require(not result["complete"], f"it says it is complete and is not: {result}")
    evidence.require(afterwards["complete"], f"with nobody in its way it left some: {afterwards}")
    length = wal_of(seeded.path).stat().st_size
    evidence.require(
        (length == 0) == (mode == "TRUNCATE"), f"{mode} left a -wal of {length} bytes behind"
    )


@pytest.mark.parametrize("mode", MODES)
def test_checkpoint_beside_a_reader_of_the_newest_state_waits_as_its_mode_says(
    mode: str, seeded: QueueDatabase, ledger: Ledger, evidence: Evidence
) -> None:
    """A reader who needs no old page stands in the way of the modes that begin the -wal anew."""
    maintenance = QueueMaintenance(seeded)
    TaskQueue(seeded).enqueue("t", {})
    with ledger.injected(StuckReader(), seeded.path) as sighting:
        result = maintenance.checkpoint(mode, timeout_seconds=RIVAL_TIMEOUT_S)
        sighting.effect = f"busy {result['busy']}, complete {result['complete']}"

    evidence.measure("waited", result["seconds"], "s")
    begins_anew = mode in ("RESTART", "TRUNCATE")
    evidence.require(result["log"] == result["checkpointed"], f"it left frames behind: {result}")
    evidence.require(
        result["complete"] != begins_anew, f"{mode} beside a reader says complete: {result}"
    )
