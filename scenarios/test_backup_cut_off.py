"""Backups that are cut off anywhere by a kill; for power cuts see ``test_power_cut.py``.

Claim: what is listed is whole and has its proof, whenever a run was cut off; and the next run
clears what the one before left.
Faults: killed-at-step.
Method: a process that backs up is killed at step 1, 3, 9 … until one is left untouched.
A failure means: after a crash the list has half backups, or one that nothing can prove and no run
removes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core.backup import QueueBackup
from core.manifest import SUFFIX
from harness.checkers import nothing_lost, nothing_unexpected
from harness.closing import Books
from harness.crew import Crew
from harness.drivers.client import DriverGoneError, DriverRefusedError
from harness.evidence import Evidence
from harness.outcome import Inconclusive
from harness.proof import unproved
from harness.step import Step
from harness.strikes import STATEMENT, start_struck
from harness.workload import fill

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

TASKS_COUNT = 20
FARTHER = 3
KILLS_MOST = 9
STEPS_MOST = 10_000
WAIT_S = 20.0


@dataclass
class Sweep:
    """Backs one queue up again and again, by a process that is killed at another step each time.

    Attributes:
        database: the queue's file.
        folder: where the backups go.
        crew: to which the processes belong.
        struck: the steps at which one died.
        half: backups that were listed after a kill, and had no proof.
        refused: why a run that was not killed made no backup; empty if it did.
    """

    database: Path
    folder: Path
    crew: Crew
    struck: list[int] = field(default_factory=list)
    half: list[str] = field(default_factory=list)
    refused: str = ""

    def run(self, steps: Iterable[int]) -> None:
        """Strike at these steps, from 1 on, until a run is left untouched."""
        backups = QueueBackup(self.database, self.folder)
        for step in steps:
            if not self._dies_at(step):
                return
            self.struck.append(step)
            self.half += [f"{name} (killed at step {step})" for name in unproved(backups)]
        raise Inconclusive(f"a backup has more than {self.struck[-1]} steps")

    def _dies_at(self, step: int) -> bool:
        moment = Step(step, STATEMENT)
        victim = start_struck(self.crew, self.database, f"victim{step}", "backup", moment)
        try:
            victim.driver.request("backup", folder=str(self.folder))
        except DriverRefusedError as error:
            self.refused = str(error)
        except DriverGoneError:
            victim.driver.process.wait(WAIT_S)
            if not victim.driver.killed_by_signal():
                raise Inconclusive(f"it ended at step {step}, and not of the signal") from None
            return True
        victim.driver.close()
        return False


def test_killed_at_some_steps_backup_is_never_listed_half(
    queue_path: Path, scratch: Path, crew: Crew, books: Books
) -> None:
    """Killed while it backs up, a process leaves no half backup; the next run clears the rest."""
    sweep = Sweep(queue_path, scratch / "kept", crew)
    _require_survived(sweep, books, [FARTHER**number for number in range(KILLS_MOST)])


@pytest.mark.profile("nightly")
def test_killed_at_every_step_backup_is_never_listed_half(
    queue_path: Path, scratch: Path, crew: Crew, books: Books
) -> None:
    """The same, killed at every step, one after the other."""
    _require_survived(Sweep(queue_path, scratch / "kept", crew), books, range(1, STEPS_MOST))


# -- helpers -----------------------------------------------------------------------------------


def _require_nothing_else(evidence: Evidence, backups: QueueBackup) -> None:
    """Require that the last run left its backup, and nothing of the runs that were killed."""
    listed = [info.path.name for info in backups.list_backups()]
    left = sorted(
        {path.name for path in backups.folder.iterdir()}
        - {*listed, *(name + SUFFIX for name in listed)}
    )
    evidence.require(listed, "the run that was left untouched lists no backup")
    evidence.require(not left, f"what runs that were killed left is never cleared: {left[:3]}")


def _require_survived(sweep: Sweep, books: Books, steps: Iterable[int]) -> None:
    evidence, backups = books.evidence, QueueBackup(sweep.database, sweep.folder)
    witness = sweep.crew.start(sweep.database, "witness")
    fill([witness], TASKS_COUNT)
    sweep.run(steps)

    kills = len(sweep.struck)
    evidence.fault(
        "killed-at-step",
        "killed before and after statements and steps of the copy, until left untouched",
        kills > 0,
        f"{kills} processes died of the signal, the last of them at step {sweep.struck[-1:]}",
        f"{len(sweep.half)} half backups listed",
    )
    evidence.limit("half backups listed", len(sweep.half), 0, "backups")
    evidence.require(
        not sweep.half, f"{len(sweep.half)} half backups are listed: {'; '.join(sweep.half[:2])}"
    )
    evidence.require(not sweep.refused, f"after a kill no backup is made: {sweep.refused}")
    _require_nothing_else(evidence, backups)
    books.require_sound(witness, checkers=(nothing_lost, nothing_unexpected))
