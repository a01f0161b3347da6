"""Thinning out: what a run of retention leaves can be restored, and the last good one always stays.

Claim: a run keeps the newest so many sound backups of this queue and never the last good one less,
whatever is broken, touched or dead around it; what is not this queue's, or has no manifest, stays.
Faults: flipped-bit, garbage-file and truncated-file (in newer backups), zeroed-page (in the queue),
changed-file-times.
Method: backups are made one after the other, each known by the tasks that the queue had then. After
each run every backup that is left is restored in a new place, and must bring those tasks back.
A failure means: on the day of the disaster the backup that was needed is the one that was removed.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core.backup import QueueBackup
from core.database import QueueDatabase
from core.errors import QueueError
from core.manifest import manifest_path
from core.schedule import run_daily
from core.tasks import TaskQueue
from harness.evidence import Evidence
from harness.faults import Fault, FlippedBit, GarbageFile, TruncatedFile, ZeroedPage
from harness.ledger import Ledger
from harness.outcome import Inconclusive
from harness.proof import Prover, keys_in

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

KEEP_COUNT = 2
MADE_COUNT = 3
HOUR_S = 3600.0
BROKEN: tuple[Fault[Path], ...] = (
    FlippedBit(offset=5000),
    GarbageFile(),
    TruncatedFile(kept=0.0),
)


@dataclass
class Shelf:
    """The backups of one queue, and what each must bring back.

    Attributes:
        backups: of the queue.
        prover: restores them.
        made: every backup that was made, oldest first, with the keys of its tasks.
    """

    backups: QueueBackup
    prover: Prover
    made: dict[Path, frozenset[str]] = field(default_factory=dict)

    def add(self, count: int = 1) -> list[Path]:
        """Put a task in and make a backup, so many times; return all backups, oldest first."""
        for _number in range(count):
            key = f"{self.backups.path.stem}-{len(self.made)}"
            with QueueDatabase(self.backups.path) as database:
                TaskQueue(database).enqueue("t", {"key": key}, idempotency_key=key)
            self.made[self.backups.create_backup()] = keys_in(self.backups.path)
        return list(self.made)

    @property
    def left(self) -> list[Path]:
        """The backups that are still there, oldest first, whatever the list says."""
        return [path for path in self.made if path.exists()]

    def worthless(self, paths: Sequence[Path]) -> Iterator[str]:
        """Restore these; yield what is wrong with those that do not bring back what they had."""
        for path in paths:
            try:
                keys = self.prover.keys(path)
            except QueueError as error:
                yield f"{path.name} cannot be restored: {error}"
                continue
            if keys != self.made[path]:
                yield f"{path.name} brings {len(keys)} tasks back, not its {len(self.made[path])}"


@pytest.fixture
def shelf(queue_path: Path, scratch: Path) -> Shelf:
    """The backups of a queue, of which there is none yet."""
    return Shelf(QueueBackup(queue_path), Prover(scratch))


# -- the last good one -------------------------------------------------------------------------


@pytest.mark.parametrize("keep_count", [1, KEEP_COUNT])
def test_all_newer_ones_broken_prune_keeps_the_last_good_one(
    keep_count: int, shelf: Shelf, ledger: Ledger, evidence: Evidence
) -> None:
    """However many newer backups are broken, the last good one stays, is chosen and comes back."""
    good, *newer = shelf.add(1 + len(BROKEN))

    with contextlib.ExitStack() as stack:
        for fault, path in zip(BROKEN, newer, strict=True):
            stack.enter_context(ledger.injected(fault, path))
        removed = shelf.backups.cleanup_old_backups(keep_count)
        stays = good.exists()
        chosen = shelf.backups.newest_verified()

    evidence.measure("removed", removed, "backups")
    evidence.require(stays, f"the last good backup was removed, {len(newer)} broken ones counted")
    evidence.require(chosen is not None and chosen.path == good, "the last good one is not chosen")
    _require_worth(evidence, shelf, [good])


def test_failed_backup_daily_run_removes_nothing(
    shelf: Shelf, ledger: Ledger, evidence: Evidence
) -> None:
    """A daily run that cannot make its backup leaves all of those before as they are."""
    made = shelf.add(MADE_COUNT)
    queue = shelf.backups.path

    with ledger.injected(ZeroedPage(), queue) as sighting, QueueDatabase(queue) as database:
        report = run_daily(database, keep_count=KEEP_COUNT)
        steps = {step.name: step for step in report.steps}
        sighting.effect = f"backup: {steps['backup'].detail}"

    if steps["backup"].ok and steps["verify backup"].ok:
        raise Inconclusive("the daily run made its backup of the damaged queue")
    gone = [path.name for path in made if path not in shelf.left]
    evidence.limit("removed though there is no new one", len(gone), 0, "backups")
    evidence.require(not gone, f"a run without a new backup removed {len(gone)}: {gone[0:1]}")
    _require_worth(evidence, shelf, made)


# -- the newest so many ------------------------------------------------------------------------


def test_after_every_backup_prune_keeps_the_newest_so_many(
    shelf: Shelf, evidence: Evidence
) -> None:
    """Run after every backup, it leaves the newest so many, and each brings its tasks back."""
    for number in range(1, MADE_COUNT + 1):
        wanted = shelf.add()[-KEEP_COUNT:]
        shelf.backups.cleanup_old_backups(KEEP_COUNT)

        _require_left(evidence, shelf, wanted, f"after {number} backups and a run that keeps")
        _require_worth(evidence, shelf, wanted)


def test_changed_file_times_prune_goes_by_the_snapshots(shelf: Shelf, evidence: Evidence) -> None:
    """What a copy or a touch does to a file's times changes nothing: the newest snapshots stay."""
    made = shelf.add(MADE_COUNT)
    for age, path in enumerate(made):
        moment_s = path.stat().st_mtime - age * HOUR_S
        os.utime(path, (moment_s, moment_s))
    by_times = sorted(made, key=lambda path: path.stat().st_mtime)

    chosen = shelf.backups.newest_verified()
    shelf.backups.cleanup_old_backups(KEEP_COUNT)

    evidence.fault(
        "changed-file-times",
        "the files' times in the opposite order of their snapshots",
        by_times == made[::-1],
        f"by their times the newest is {by_times[-1].name}, by their snapshots {made[-1].name}",
    )
    evidence.require(
        chosen is not None and chosen.path == made[-1], "the newest by its file's time is chosen"
    )
    _require_left(evidence, shelf, made[-KEEP_COUNT:], "with changed file times, a run that keeps")
    _require_worth(evidence, shelf, shelf.left)


# -- what is not for it to remove --------------------------------------------------------------


def test_shared_folder_prune_leaves_the_other_queue_s_alone(
    shelf: Shelf, scratch: Path, evidence: Evidence
) -> None:
    """Of a folder that two queues share, a run thins out its own backups and no other's."""
    path = scratch / "other.db"
    QueueDatabase(path, create=True).close()
    other = Shelf(QueueBackup(path, shelf.backups.folder), shelf.prover)
    theirs = other.add(KEEP_COUNT)
    ours = shelf.add(KEEP_COUNT)

    shelf.backups.cleanup_old_backups(1)

    gone = len(theirs) - len(other.left)
    evidence.limit("removed of another queue", gone, 0, "backups")
    evidence.require(not gone, f"{gone} backups of another queue were removed")
    _require_left(evidence, shelf, ours[-1:], "in a shared folder, a run that keeps")
    _require_worth(evidence, other, theirs)


def test_old_kind_prune_leaves_what_has_no_manifest(shelf: Shelf, evidence: Evidence) -> None:
    """A backup of the old kind, which has no manifest, is never removed, however old it is."""
    oldest, *later = shelf.add(KEEP_COUNT + 1)
    manifest_path(oldest).unlink()

    shelf.backups.cleanup_old_backups(1)

    evidence.require(oldest.exists(), "a backup without a manifest was removed")
    _require_left(
        evidence, shelf, [oldest, later[-1]], "with one of the old kind, a run that keeps"
    )
    _require_worth(evidence, shelf, [oldest])


# -- helpers -----------------------------------------------------------------------------------


def _require_left(evidence: Evidence, shelf: Shelf, wanted: Sequence[Path], what: str) -> None:
    left = shelf.left
    evidence.require(
        left == list(wanted),
        f"{what} {len(wanted)} left {len(left)} of {len(shelf.made)}, and not the right ones: "
        f"{', '.join(path.name for path in left)}",
    )


def _require_worth(evidence: Evidence, shelf: Shelf, paths: Sequence[Path]) -> None:
    worthless = list(shelf.worthless(paths))
    evidence.measure("backups_restored", shelf.prover.restored, "backups")
    evidence.require(not worthless, f"{len(worthless)} of {len(paths)} left: {worthless[:1]}")
