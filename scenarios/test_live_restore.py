"""Restoring while workers have the queue open: refused, or done live without costing a task.

Claim: a restore under open connections is refused unless it is asked for; a live one is seen by
every worker at its next transaction, and keeps each task that was acknowledged while it ran, in the
restored state or in the quarantine that an undo brings back; it waits for nobody for ever.
Faults: rival-process; otherwise none but the restore itself.
Method: a worker process has the queue open. For the live restore another process stands still at
every step, and the worker puts a task in wherever it is let; afterwards both states are read
through the same connection, the second by undoing.
A failure means: an operator who restores in a hurry loses what workers are doing at that moment.
"""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core.backup import QueueBackup
from core.errors import DatabaseHeldError, QueueError
from harness.checkers import nothing_lost, nothing_unexpected
from harness.closing import Books
from harness.crew import Crew
from harness.evidence import Evidence
from harness.faults import RivalProcess
from harness.history import Operation
from harness.ledger import Ledger
from harness.outcome import Inconclusive
from harness.stepwise import stepwise
from harness.waiting import WaitedTooLongError, wait_until
from harness.worker import InFlight, Worker
from harness.workload import fill

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

BEFORE_COUNT = 10
AFTER_COUNT = 5
ANSWER_WAIT_S = 0.1
RIVAL = RivalProcess(held_s=6.0)
TIMEOUT_S = 0.2


@dataclass(frozen=True)
class Bench:
    """A worker that has the queue open, and a backup that lacks what it did last.

    Attributes:
        path: the queue.
        worker: a process.
        backup: made under it.
        before: keys of the tasks in the backup.
        after: keys of those put in since.
    """

    path: Path
    worker: Worker
    backup: Path
    before: frozenset[str]
    after: frozenset[str]


@pytest.fixture
def bench(queue_path: Path, crew: Crew) -> Bench:
    """A worker, and the backup."""
    worker = crew.start(queue_path, "worker")
    before = _keys(fill([worker], BEFORE_COUNT, prefix="before"))
    backup = QueueBackup(queue_path).create_backup()
    after = _keys(fill([worker], AFTER_COUNT, prefix="after"))
    return Bench(queue_path, worker, backup, before, after)


def test_restore_under_a_worker_is_refused_and_costs_nothing(
    bench: Bench, crew: Crew, books: Books
) -> None:
    """While a worker has the queue open a restore is refused, and the worker loses nothing."""
    refused = ""
    try:
        QueueBackup(bench.path).restore_backup(bench.backup)
    except DatabaseHeldError as error:
        refused = str(error)
    bench.worker.enqueue("later")

    books.evidence.require(refused, "the queue was restored under a worker that has it open")
    witness = crew.start(bench.path, "witness")
    books.require_sound(witness, checkers=(nothing_lost, nothing_unexpected))


def test_live_restore_keeps_every_task_acknowledged_during_it(
    bench: Bench, evidence: Evidence
) -> None:
    """A task put in at any step of a live restore is in the restored state or in the quarantine."""
    writer = Writer(bench.worker)
    with stepwise(bench.path, "restore-live", bench.backup) as process:
        for _step in process:
            writer.offer()
    ended = process.ended
    acknowledged = writer.finish()
    restored = _present(bench.worker)
    QueueBackup(bench.path).undo_restore(live=True)
    undone = _present(bench.worker)

    evidence.require(ended == "done", f"the live restore ended so: {ended}")
    stale = restored & bench.after
    evidence.require(
        bench.before <= restored and not stale,
        f"the worker does not see the restored state: {len(bench.before - restored)} of its tasks "
        f"are missing, and {len(stale)} are there that it has not",
    )
    _require_kept(evidence, bench.before | bench.after | acknowledged, restored, undone)
    early, late = acknowledged & undone - restored, acknowledged & restored
    evidence.measure("acknowledged_before_it_took_effect", len(early), "tasks")
    evidence.measure("acknowledged_afterwards", len(late), "tasks")
    if not early or not late:
        raise Inconclusive(
            f"{len(early)} tasks were put in before it took effect, {len(late)} after"
        )


def test_live_restore_behind_a_writer_gives_up_in_time_and_changes_nothing(
    bench: Bench, ledger: Ledger, evidence: Evidence
) -> None:
    """Where a writer does not let go, a live restore ends by its deadline, the queue as it was."""
    refused = ""
    with ledger.injected(RIVAL, bench.path) as sighting:
        try:
            QueueBackup(bench.path).restore_backup(
                bench.backup, live=True, timeout_seconds=TIMEOUT_S
            )
        except QueueError as error:
            refused = str(error)
        sighting.effect = refused or "it waited until the writer was gone, and restored"
    found = _present(bench.worker)

    evidence.require(
        refused,
        f"told to wait {TIMEOUT_S} s, it waited for a writer that held on for {RIVAL.held_s} s",
    )
    missing = (bench.before | bench.after) - found
    evidence.limit("tasks missing", len(missing), 0, "tasks")
    evidence.require(not missing, f"it gave up, and {len(missing)} tasks are missing")


@dataclass
class Writer:
    """A worker that puts in one task after the other, wherever it is let.

    Attributes:
        worker: who does it.
        acknowledged: keys of what was put in.
    """

    worker: Worker
    acknowledged: set[str] = field(default_factory=set)
    _flight: InFlight | None = None
    _count: int = 0

    def offer(self) -> None:
        """Put a task in; where it is kept waiting, go on and look again the next time."""
        if self._flight is not None:
            self._take_answer()
            return
        self._count += 1
        self._flight = self.worker.send_enqueue(f"during-{self._count:05d}")
        try:
            wait_until(self._flight.answered, "the acknowledgement", timeout_s=ANSWER_WAIT_S)
        except WaitedTooLongError:
            return
        self._take_answer()

    def finish(self) -> frozenset[str]:
        """Return the keys of all that was acknowledged, the last one waited for."""
        if self._flight is not None:
            self._settle(self._flight)
        return frozenset(self.acknowledged)

    def _take_answer(self) -> None:
        if self._flight is not None and self._flight.answered():
            self._settle(self._flight)

    def _settle(self, flight: InFlight) -> None:
        self._flight = None
        self.acknowledged |= _keys((flight.settle(),))


def _require_kept(
    evidence: Evidence,
    acknowledged: frozenset[str],
    restored: frozenset[str],
    undone: frozenset[str],
) -> None:
    missing = sorted(acknowledged - restored - undone)
    evidence.limit("acknowledged and in neither state", len(missing), 0, "tasks")
    evidence.require(
        not missing,
        f"{len(missing)} of {len(acknowledged)} acknowledged tasks are neither in the restored "
        f"state nor in the quarantine: {', '.join(missing[:3])}",
    )


def _keys(operations: tuple[Operation, ...]) -> frozenset[str]:
    return frozenset(str(op.key) for op in operations if op.ok)


def _present(worker: Worker) -> frozenset[str]:
    """Return the keys of the tasks that the worker sees through its own connection."""
    return frozenset(str(task.key) for task in worker.final())
