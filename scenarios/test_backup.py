"""Backups: of one moment, proved, each under a name of its own, and their owner's alone.

Claim: a backup is one moment of the queue, and no worker waits for it. A copy that is not what the
queue was is never published, and a backup that went bad never chosen, one of the old kind, without
a manifest, neither. None takes another's place, and nobody but its owner can read it.
Faults: busy-queue; in the copy: zeroed-page, lost-rows, truncated-file; in a backup of the old
kind: truncated-file, stale-index, zeroed-page.
Method: a producer writes and the -wal is checkpointed at every step of a copy of some steps. Copies
are damaged when their last page is written and they are not proved yet. Two backups are made while
the clock stands still, and restored.
A failure means: the backup that is reached for after a disaster is torn, lacks tasks, or is not
the one that it says.
"""

import contextlib
import itertools
import os
import stat
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core.backup import QueueBackup
from core.clock import ManualClock, SystemClock
from core.connection import connect_stdlib
from core.copying import CopyProgress
from core.database import QueueDatabase
from core.errors import QueueError
from core.manifest import manifest_path
from core.paths import uri
from core.tasks import TaskQueue
from harness.crew import Crew
from harness.evidence import Evidence
from harness.faults import Fault, LostRows, StaleIndex, TruncatedFile, ZeroedPage
from harness.history import Operation
from harness.ledger import Ledger
from harness.outcome import Inconclusive
from harness.proof import Prover, keys_in
from harness.worker import Worker

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

TASKS_COUNT = 20
LARGE_COUNT = 16
LARGE_FILLING = "x" * 400_000
"""So many of these are some steps of a copy."""
STEPS_LEAST = 3
FILLING = "y" * 6000
"""More than a page: whoever lacks a page lacks a task."""
WRITES_COUNT = 3
MINUTE_S = 60.0
OTHERS = stat.S_IRWXG | stat.S_IRWXO
IN_THE_COPY: dict[str, Fault[Path]] = {
    "zeroed-page": ZeroedPage(),
    "lost-rows": LostRows(),
    "emptied": TruncatedFile(kept=0.0),
}
IN_THE_OLD_KIND: dict[str, Fault[Path]] = {
    "emptied": TruncatedFile(kept=0.0),
    "stale-index": StaleIndex(),
    "zeroed-page": ZeroedPage(),
}


class StoppedError(Exception):
    """The backup was stopped, since it breaks its promise."""


@dataclass
class Passage:
    """Lets a writer write and the -wal be checkpointed at every step of a copy, one by one.

    Attributes:
        producer: writes, in a process of its own.
        rival: checkpoints, as a worker's connection does by itself.
        steps: pages that were done after each step.
        frames: how many frames were checkpointed at each.
        written: all enqueues, in order.
    """

    producer: Worker
    rival: QueueDatabase
    steps: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    written: list[Operation] = field(default_factory=list)

    def __call__(self, progress: CopyProgress) -> None:
        """Let both pass, unless the copy went back to its beginning."""
        before = self.steps[-1] if self.steps else -1
        self.steps.append(progress.done_pages)
        if progress.done_pages <= before:
            raise StoppedError(
                f"a commit began the copy anew: {progress.done_pages} pages after {before}"
            )
        self.write()
        row = self.rival.connection().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()[0]
        self.frames.append(int(row[2]))
        self.write()

    def write(self) -> None:
        """Put some tasks in, each acknowledged before the next."""
        for _write in range(WRITES_COUNT):
            key = f"busy-{len(self.written):05d}"
            self.written.append(self.producer.enqueue(key, filling=FILLING))
            if not self.written[-1].ok:
                error = self.written[-1].error
                raise StoppedError(f"a writer was refused while the backup was made: {error}")

    def longest_wait_s(self) -> float:
        """Return how long the slowest enqueue took."""
        return max((op.returned_s or op.invoked_s) - op.invoked_s for op in self.written)


@pytest.fixture
def filled(queue_path: Path) -> Path:
    """A queue with some tasks, which nobody has open."""
    _add(queue_path, TASKS_COUNT)
    return queue_path


# -- one moment, whole -------------------------------------------------------------------------


def test_writes_and_checkpoints_at_every_step_backup_is_one_moment(
    queue_path: Path, crew: Crew, evidence: Evidence
) -> None:
    """A backup of a busy queue ends, holds no writer up, and has all up to one moment, no more."""
    _add(queue_path, LARGE_COUNT, filling=LARGE_FILLING)
    backups = QueueBackup(queue_path)
    with QueueDatabase(queue_path) as rival:
        passage = Passage(crew.start(queue_path, "producer"), rival)
        passage.write()
        before = keys_in(queue_path)
        backup, stopped = _made(backups, passage)

    evidence.fault(
        "busy-queue",
        f"{2 * WRITES_COUNT} commits and a checkpoint at every step of the copy",
        max(passage.frames, default=0) > 0 and len(passage.written) > WRITES_COUNT,
        f"{len(passage.steps)} steps, {len(passage.written)} enqueues, "
        f"{sum(passage.frames)} frames checkpointed",
    )
    evidence.measure("longest_wait_of_a_writer", passage.longest_wait_s() * 1000, "ms")
    evidence.require(backup is not None, f"no backup of a busy queue: {stopped}")
    assert backup is not None
    if len(passage.steps) < STEPS_LEAST:
        raise Inconclusive(f"the copy had only {len(passage.steps)} steps")
    _require_one_moment(evidence, passage.written, before, _held(backup))
    evidence.require(backups.verify_backup(backup), "the backup of a busy queue does not verify")


@pytest.mark.parametrize("damage", IN_THE_COPY)
def test_copy_gone_bad_before_its_proof_is_not_published(
    damage: str, filled: Path, ledger: Ledger, evidence: Evidence
) -> None:
    """A copy that is not what the queue was is refused and gone; earlier backups stay."""
    backups = QueueBackup(filled)
    good = backups.create_backup("good")
    before = _names(backups.folder)
    struck = []

    with contextlib.ExitStack() as stack:

        def strike(progress: CopyProgress) -> None:
            if progress.done_pages == progress.total_pages:
                (draft,) = _names(backups.folder) - before
                struck.append(
                    stack.enter_context(
                        ledger.injected(IN_THE_COPY[damage], backups.folder / draft)
                    )
                )

        made, refused = _made(backups, strike)
        listed = [info.path for info in backups.list_backups()]
        left = _names(backups.folder) - before
        for sighting in struck:
            sighting.effect = refused or "none was seen: it was published"

    if not struck:
        raise Inconclusive("the copy was over before it could be damaged")
    evidence.require(made is None, f"a copy with {damage} was published as a backup")
    evidence.require(listed == [good], f"after a refused copy the list has {len(listed)} backups")
    evidence.require(not left, f"a refused copy left {sorted(left)}")


# -- chosen, named, read -----------------------------------------------------------------------


@pytest.mark.parametrize("damage", IN_THE_OLD_KIND)
def test_damaged_backup_of_the_old_kind_is_neither_verified_nor_chosen(
    damage: str, filled: Path, ledger: Ledger, evidence: Evidence
) -> None:
    """One without a manifest is known to be damaged by what is in it, and an older one is taken."""
    clock = ManualClock(SystemClock().now_ms())
    backups = QueueBackup(filled, clock=clock)
    good = backups.create_backup("good")
    clock.advance_s(MINUTE_S)
    damaged = backups.create_backup("damaged")
    manifest_path(damaged).unlink()
    sound = backups.newest_verified()

    with ledger.injected(IN_THE_OLD_KIND[damage], damaged) as sighting:
        verification = backups.check_backup(damaged)
        chosen = backups.newest_verified()
        sighting.effect = f"{verification}; chosen: {chosen and chosen.path.name}"

    evidence.require(
        sound is not None and sound.path == damaged, "a sound backup of the old kind is not chosen"
    )
    evidence.require(
        not verification.ok, f"a backup of the old kind with {damage} was verified as sound"
    )
    evidence.require(
        chosen is not None and chosen.path == good, f"one with {damage} is chosen to restore"
    )


def test_second_backup_of_one_second_leaves_the_first_as_it_is(
    filled: Path, scratch: Path, evidence: Evidence
) -> None:
    """Two backups whose names would be the same are two, and each brings its own tasks back."""
    clock = ManualClock(SystemClock().now_ms())
    backups = QueueBackup(filled, clock=clock)
    known: list[tuple[Path, frozenset[str]]] = []
    for _number in range(2):
        _add(filled, 1, prefix=f"more{len(known)}")
        known.append((backups.create_backup("daily"), keys_in(filled)))

    listed = {info.path for info in backups.list_backups()}
    prover = Prover(scratch)
    evidence.require(
        len(listed) == len(known), f"of {len(known)} backups of one second {len(listed)} are listed"
    )
    for path, keys in known:
        back = prover.keys(path)
        evidence.require(back == keys, f"{path.name} had {len(keys)} tasks, {len(back)} came back")


# On Windows a file has the rights of its folder.
@pytest.mark.machine("posix")
def test_backup_under_an_open_umask_is_its_owner_s_alone(filled: Path, evidence: Evidence) -> None:
    """Nobody but the owner may read a backup, its manifest, or the folder made for them."""
    backups = QueueBackup(filled)
    before = os.umask(0)
    try:
        backups.create_backup()
    finally:
        os.umask(before)

    made = [backups.folder, *backups.folder.iterdir()]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in made}
    opened = [f"{name} is {mode:o}" for name, mode in modes.items() if mode & OTHERS]
    evidence.limit("files that others may read", len(opened), 0, "files")
    evidence.require(not opened, f"others may read: {', '.join(opened)}")


# -- helpers -----------------------------------------------------------------------------------


def _add(path: Path, count: int, *, prefix: str = "t", filling: str = "") -> None:
    with QueueDatabase(path) as database:
        tasks = TaskQueue(database, durability="normal")
        for number in range(count):
            key = f"{prefix}-{number:05d}"
            tasks.enqueue("t", {"key": key, "filling": filling}, idempotency_key=key)


def _made(backups: QueueBackup, progress: object) -> tuple[Path | None, str]:
    """Return the backup, or why there is none."""
    assert callable(progress)
    try:
        return backups.create_backup(progress=progress), ""
    except (QueueError, StoppedError) as error:
        return None, str(error)


def _held(backup: Path) -> set[str]:
    connection = connect_stdlib(uri(backup, mode="ro", immutable=1), timeout_s=0.0)
    with contextlib.closing(connection):
        rows = connection.execute("SELECT idempotency_key FROM task_queue").fetchall()
    return {str(row[0]) for row in rows}


def _require_one_moment(
    evidence: Evidence, written: Sequence[Operation], before: Set[str], held: Set[str]
) -> None:
    """Judge what one producer wrote, one task after the other: the backup has the first so many."""
    missing = before - held
    evidence.limit("acknowledged before the backup and not in it", len(missing), 0, "tasks")
    acknowledged = [str(op.key) for op in written if op.ok]
    first_so_many = list(itertools.takewhile(held.__contains__, acknowledged))
    later = len(held & set(acknowledged)) - len(first_so_many)
    evidence.limit("in the backup, and an earlier one is not", later, 0, "tasks")
    evidence.require(not missing, f"{len(missing)} of {len(before)} tasks are not in the backup")
    evidence.require(not later, f"{later} tasks are in the backup, and an earlier one is not")


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
