"""Backups and their thinning out, cut off anywhere by a kill or a power cut.

Claim: what is listed is whole and has its proof, whenever a run was cut off; a backup that was
reported is on the disk; and the next run clears what the one before left.
Faults: killed-at-step, kill, power-cut.
Method: a process that backs up is killed at step 1, 3, 9 … until one is left untouched. The calls
of a whole run that name and sync files are recorded, and what a kill or a power cut would leave at
each is laid out as a folder and looked at: a file has what was synced of it, or nothing, and a name
that was not synced may be there or not. No power is cut, and so no run depends on the disk's luck.
A failure means: after a crash the list has half backups, or lacks the one that was reported, or has
one that nothing can prove and no run removes.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core.backup import QueueBackup
from core.database import QueueDatabase
from core.manifest import SUFFIX, manifest_path
from core.tasks import TaskQueue
from harness.checkers import nothing_lost, nothing_unexpected
from harness.closing import Books
from harness.crew import Crew
from harness.drivers.client import DriverGoneError, DriverRefusedError
from harness.evidence import Evidence
from harness.outcome import Inconclusive
from harness.proof import unproved
from harness.remains import POWER_CUT, Recorder, Remains
from harness.strikes import STATEMENT, Step, start_struck
from harness.workload import fill

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

TASKS_COUNT = 20
MADE_COUNT = 4
KEEP_COUNT = 2
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


@pytest.fixture
def backups(queue_path: Path) -> QueueBackup:
    """The backups of a queue with some tasks, which nobody has open; there is none yet."""
    with QueueDatabase(queue_path) as database:
        tasks = TaskQueue(database, durability="normal")
        for number in range(TASKS_COUNT):
            tasks.enqueue("t", {"number": number})
    return QueueBackup(queue_path)


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


def test_cut_off_at_any_call_backup_is_whole_or_not_listed(
    backups: QueueBackup, scratch: Path, evidence: Evidence
) -> None:
    """Whatever a kill or a power cut leaves lists only whole backups; a reported one is there."""
    first = backups.create_backup("first")
    recorder = Recorder(backups.folder)
    with recorder.recording():
        made = backups.create_backup("second", progress=lambda _step: recorder.look("in the copy"))
    proved = _contents([first, made])

    half, gone = [], []
    for remains, left in _laid_out(recorder, backups, scratch):
        half += [f"{name} after a {remains}" for name in _not_as_proved(remains, left, proved)]
        wanted = [first, made] if remains.returned else [first]
        gone += [f"{name} after a {remains}" for name in _not_listed(left, wanted)]

    named = {made.name, manifest_path(made).name} <= recorder.appeared
    _write_down(evidence, recorder, named, half, gone)
    evidence.limit("half backups listed", len(half), 0, "backups")
    evidence.limit("reported backups gone", len(gone), 0, "backups")
    evidence.require(not half, f"{len(half)} half backups are listed: {'; '.join(half[:2])}")
    evidence.require(not gone, f"{len(gone)} reported backups are gone: {'; '.join(gone[:2])}")


def test_cut_off_at_any_call_prune_leaves_no_backup_without_its_proof(
    backups: QueueBackup, scratch: Path, evidence: Evidence
) -> None:
    """Whatever a kill or a power cut leaves of a run, what is listed is proved, and enough."""
    made = [backups.create_backup() for _number in range(MADE_COUNT)]
    kept, proved = made[-KEEP_COUNT:], _contents(made)
    recorder = Recorder(backups.folder)
    with recorder.recording():
        backups.cleanup_old_backups(KEEP_COUNT)

    half, gone = [], []
    for remains, left in _laid_out(recorder, backups, scratch):
        half += [f"{name} after a {remains}" for name in _not_as_proved(remains, left, proved)]
        gone += [f"{name} after a {remains}" for name in _not_listed(left, kept)]

    _write_down(evidence, recorder, len(recorder.calls) > len(made) - len(kept), half, gone)
    evidence.limit("unproved backups listed", len(half), 0, "backups")
    evidence.limit("backups gone that were to stay", len(gone), 0, "backups")
    evidence.require(not half, f"{len(half)} unproved backups are listed: {'; '.join(half[:2])}")
    evidence.require(not gone, f"{len(gone)} that were to stay are gone: {'; '.join(gone[:2])}")


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


def _contents(made: Iterable[Path]) -> dict[str, bytes]:
    """Return what the backups and their manifests hold, by name."""
    files = [file for backup in made for file in (backup, manifest_path(backup))]
    return {file.name: file.read_bytes() for file in files}


def _laid_out(
    recorder: Recorder, backups: QueueBackup, scratch: Path
) -> Iterator[tuple[Remains, QueueBackup]]:
    """Yield all that could be left, each as the backups of the same queue in another folder."""
    for number, remains in enumerate(recorder.remains):
        folder = scratch / "remains" / str(number)
        remains.lay_out(folder)
        yield remains, QueueBackup(backups.path, folder)


def _not_as_proved(
    remains: Remains, left: QueueBackup, proved: Mapping[str, bytes]
) -> Iterator[str]:
    """Yield the listed backups that are not byte for byte what was proved, or do not verify."""
    bad = unproved(left)
    for name in (info.path.name for info in left.list_backups()):
        pair = (name, name + SUFFIX)
        if name in bad or any(remains.files.get(each) != proved.get(each) for each in pair):
            yield name


def _not_listed(left: QueueBackup, wanted: Iterable[Path]) -> list[str]:
    listed = {info.path.name for info in left.list_backups()}
    return [path.name for path in wanted if path.name not in listed]


def _write_down(
    evidence: Evidence, recorder: Recorder, seen: bool, half: list[str], gone: list[str]
) -> None:
    """Record the cuts; where the run's own calls were not seen, none of them was tried."""
    power_cuts = sum(remains.fault == POWER_CUT for remains in recorder.remains)
    evidence.fault(
        "power-cut",
        "a kill and a power cut at every call of the run that names or syncs a file",
        seen,
        f"{len(recorder.calls)} calls recorded; {len(recorder.remains)} states of the folder laid "
        f"out, {power_cuts} of them of power cuts",
        f"{len(half)} unproved backups listed, {len(gone)} gone that had to be there",
    )
