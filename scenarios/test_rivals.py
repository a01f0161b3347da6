"""Others at the same file: they may delay the workers, and cost nothing that was acknowledged.

Claim: a rival delays the workers for as long as it is there, up to the time that they are willing
to wait; beyond that they are told that nothing was done, and so it is.
Faults: rival-process, snapshot-process, passing-opener, restart-storm, idle-holder.
Method: workers go on while another process holds a lock, reads, opens the file or dies beside them;
what they were told is compared with what the queue has, and every checker judges.
A failure means: somebody else's program at the file costs tasks, or stops the workers for good.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from core.database import AUTOCHECKPOINT_PAGES, BUSY_TIMEOUT_MS
from core.paths import wal_of
from harness.checkers.record import OPEN
from harness.closing import Books, Window, fault_on
from harness.crew import Crew
from harness.drivers.client import Driver
from harness.drivers.protocol import ErrorCode
from harness.faults import (
    IdleHolder,
    PassingOpener,
    RestartStorm,
    RivalProcess,
    SnapshotProcess,
)
from harness.history import History, Operation, Outcome
from harness.ledger import Ledger
from harness.outcome import Inconclusive
from harness.waiting import let_pass, wait_until
from harness.worker import LEASE_S, InFlight, Worker
from harness.workload import fill, work_off

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

BUSY_TIMEOUT_S = BUSY_TIMEOUT_MS / 1000
HELD_S = (0.3, 2.0)
HELD_NIGHTLY_S = (0.1, 4.0)
MET_LEAST_S = 0.02
BATCH_COUNT = 10
CALM_COUNT = 10
CALM_KINDS = ("enqueue", "complete")
TOLERANCE_S = 1.5
SHORT_S = 0.1
RIVALS_COUNT = 6
TASKS_COUNT = 60
STORM_COUNT = 6
HOLDER_LEASE_S = 2.0
SNAPSHOT_TASKS_COUNT = 250
FILLING = "x" * 30_000
PAGE_BYTES = 4096
VERBS = ("enqueue", "claim", "heartbeat", "complete", "fail")
WAIT_S = 20.0
DRAIN_TIMEOUT_S = 30.0


@pytest.mark.parametrize(
    "held_s",
    [
        *HELD_S,
        *(pytest.param(each, marks=pytest.mark.profile("nightly")) for each in HELD_NIGHTLY_S),
    ],
)
def test_rival_writer_within_the_busy_timeout_delays_and_costs_nothing(
    held_s: float, queue_path: Path, crew: Crew, books: Books, ledger: Ledger
) -> None:
    """Every verb that meets a held lock waits for it, and is done, whole, when it is let go."""
    workers = _holders(crew, queue_path)
    free_again_s = time.time() + held_s

    with ledger.injected(RivalProcess(held_s=held_s), queue_path) as sighting:
        done = [flight.settle() for flight in _every_verb(workers)]
        waits_s = {op.op: _took_s(op) for op in done}
        sighting.effect = f"the verbs took {min(waits_s.values()):.2f} s or more"
    if max(waits_s.values()) < MET_LEAST_S:
        raise Inconclusive("the lock was let go before a verb met it")
    refused = [f"{op.op}: {op.error}" for op in done if not op.ok]
    lacking_s = free_again_s + LEASE_S - _lease_until_s(workers["claim"])
    _end(workers, crew, queue_path)

    for op, wait_s in waits_s.items():
        books.evidence.limit(f"{op} took", wait_s, held_s + TOLERANCE_S, "s")
    books.evidence.require(not refused, f"{len(refused)} of {len(done)} verbs gave up: {refused}")
    books.evidence.require(
        lacking_s <= 0, f"the claim lost {lacking_s:.2f} s of its lease to the wait for the lock"
    )
    books.require_sound(workers["complete"])


def test_rival_writer_beyond_the_busy_timeout_is_told_and_nothing_was_done(
    queue_path: Path, crew: Crew, books: Books, ledger: Ledger
) -> None:
    """Every verb that waits in vain says that nothing was done, and can be asked again."""
    workers = _holders(crew, queue_path)
    before = workers["claim"].final()

    with ledger.injected(RivalProcess(held_s=60.0), queue_path) as sighting:
        done = [flight.settle() for flight in _every_verb(workers)]
        after = workers["claim"].final()
        sighting.effect = f"{sum(not op.ok for op in done)} of {len(done)} verbs gave up"
    again = [flight.settle() for flight in _every_verb(workers)]
    _end(workers, crew, queue_path)

    for op in done:
        books.evidence.limit(
            f"{op.op} gave up after", _took_s(op), BUSY_TIMEOUT_S + TOLERANCE_S, "s"
        )
    wrong = [f"{op.op} {op.outcome}: {op.error}" for op in done if not _is_busy(op)]
    refused = [f"{op.op}: {op.error}" for op in again if not op.ok]
    books.evidence.require(not wrong, f"not told that nothing was done: {wrong}")
    books.evidence.require(before == after, "verbs that gave up have changed tasks")
    books.evidence.require(not refused, f"refused when the lock was free again: {refused}")
    books.require_sound(workers["complete"])


def test_rival_writers_one_after_the_other_cost_nothing(
    queue_path: Path, crew: Crew, books: Books, ledger: Ledger
) -> None:
    """Workers get through a workload while rivals take the lock again and again."""
    with _working(crew, queue_path, books.history):
        for _number in range(RIVALS_COUNT):
            with ledger.injected(RivalProcess(held_s=2 * SHORT_S), queue_path) as sighting:
                with fault_on(books.history, "") as window:
                    # Real time is the subject: a lock that is let go at once delays nobody.
                    let_pass(SHORT_S)
                waiting = _waiting_since(books.history, window)
                sighting.effect = f"{waiting} operations waited for the lock"

    books.tell_latencies()
    refused = [op for op in books.history.operations() if not op.ok]
    books.evidence.measure("longest_operation", max(map(_took_s, books.history.operations())), "s")
    books.evidence.require(not refused, f"{len(refused)} operations were refused: {refused[:1]}")
    books.require_sound(crew.start(queue_path, "witness"))


def test_snapshot_reader_lets_the_wal_grow_and_it_recovers(
    queue_path: Path, crew: Crew, books: Books, ledger: Ledger
) -> None:
    """While a reader keeps an old state the -wal grows and workers go on; then it starts anew."""
    worker = crew.start(queue_path, "worker", durability="normal")
    limit_bytes = AUTOCHECKPOINT_PAGES * PAGE_BYTES
    worker.enqueue("first")  # a reader of an empty -wal holds nobody up

    with ledger.injected(SnapshotProcess(), queue_path) as sighting:
        put_in = fill([worker], SNAPSHOT_TASKS_COUNT, filling=FILLING)
        grown_bytes = wal_of(queue_path).stat().st_size
        claimed = worker.claim()
        completed = worker.complete() if claimed.task_id is not None else claimed
        sighting.effect = (
            f"the -wal grew to {grown_bytes} bytes; checkpoints begin at {limit_bytes}"
        )
    if grown_bytes < 1.5 * limit_bytes:
        raise Inconclusive(f"the -wal has only {grown_bytes} bytes: no checkpoint starved")
    # The first commit checkpoints all of it; what comes next is written at its beginning.
    more = fill([worker], SNAPSHOT_TASKS_COUNT, prefix="more", filling=FILLING)
    later_bytes = wal_of(queue_path).stat().st_size
    checkpoint = worker.driver.send("checkpoint", mode="TRUNCATE", timeout_s=WAIT_S).wait()
    _work_off(crew, queue_path)

    refused = [op.error for op in (*put_in, completed, *more) if not op.ok]
    evidence = books.evidence
    evidence.measure("wal_under_the_reader", grown_bytes, "bytes")
    evidence.require(not refused, f"{len(refused)} operations were refused: {refused[:1]}")
    evidence.limit("growth after the reader", later_bytes - grown_bytes, limit_bytes, "bytes")
    evidence.require(
        later_bytes - grown_bytes <= limit_bytes,
        f"the -wal went on growing, from {grown_bytes} to {later_bytes} bytes",
    )
    evidence.require(checkpoint["complete"], f"the -wal could not be emptied: {checkpoint}")
    books.require_sound(crew.start(queue_path, "witness"))


def test_passing_openers_beside_workers_cost_nothing(
    queue_path: Path, crew: Crew, books: Books, ledger: Ledger
) -> None:
    """Processes that open the file, read it and exit take nobody's locks and nobody's tasks."""
    with (
        _working(crew, queue_path, books.history),
        fault_on(books.history, ""),
        ledger.injected(PassingOpener(count=RIVALS_COUNT), queue_path),
    ):
        pass

    books.tell_latencies()
    refused = [op for op in books.history.operations() if not op.ok]
    books.evidence.require(not refused, f"{len(refused)} operations were refused: {refused[:1]}")
    books.require_sound(crew.start(queue_path, "witness"))


def test_restart_storm_beside_workers_costs_nothing(
    queue_path: Path, crew: Crew, books: Books, ledger: Ledger
) -> None:
    """Workers that start and are killed again and again leave the others to their work."""

    def start(number: int) -> Driver:
        return crew.start(queue_path, f"storm{number}").driver

    with (
        _working(crew, queue_path, books.history),
        fault_on(books.history, ""),
        ledger.injected(RestartStorm(count=STORM_COUNT), start),
    ):
        pass

    books.tell_latencies()
    refused = [op for op in books.history.operations() if not op.ok]
    books.evidence.require(not refused, f"{len(refused)} operations were refused: {refused[:1]}")
    books.require_sound(crew.start(queue_path, "witness"))


def test_idle_holder_keeps_one_task_and_no_other(
    queue_path: Path, crew: Crew, books: Books, ledger: Ledger
) -> None:
    """A worker that heartbeats and never works keeps its task alone, and only while it does."""
    idle, worker = crew.start(queue_path, "idle"), crew.start(queue_path, "worker")
    fill([worker], TASKS_COUNT)
    kept = idle.claim(lease_s=HOLDER_LEASE_S)
    if kept.task_id is None:
        raise Inconclusive(f"the idle worker got no task: {kept.error}")

    with ledger.injected(IdleHolder(lease_s=HOLDER_LEASE_S), idle) as sighting:
        work_off([worker], lambda: _open_count(worker) == 1, timeout_s=DRAIN_TIMEOUT_S)
        # Until the claim's own lease is over, so that the heartbeats alone keep the task.
        past_s = kept.invoked_s + 1.1 * HOLDER_LEASE_S
        wait_until(
            lambda: books.history.now_s() > past_s, "the first lease's end", timeout_s=WAIT_S
        )
        taken = worker.reclaim().facts["count"]
        left = _open_count(worker)
        sighting.effect = f"{left} of {TASKS_COUNT} tasks was not worked off"
    freed = wait_until(
        lambda: worker.reclaim().facts["count"], "the end of its lease", timeout_s=WAIT_S
    )
    late = idle.complete()
    _work_off(crew, queue_path)

    books.evidence.limit("tasks kept from the others", left, 1, "tasks")
    books.evidence.require(left == 1, f"{left} tasks were kept, not 1")
    books.evidence.require(taken == 0, "a lease that was extended in time was taken")
    books.evidence.require(freed == 1, f"{freed} leases were over when the heartbeats had stopped")
    books.evidence.require(not late.ok, "who had lost the task could complete it")
    books.require_sound(worker)


def _holders(crew: Crew, queue_path: Path) -> dict[str, Worker]:
    """Return a worker for each verb; those that need a task hold one."""
    workers = {op: crew.start(queue_path, op) for op in VERBS}
    for number in range(len(VERBS)):
        workers["enqueue"].enqueue(f"t-{number}")
    for op in ("heartbeat", "complete", "fail"):
        if workers[op].claim().task_id is None:
            raise Inconclusive(f"the worker that is to {op} got no task")
    return workers


def _every_verb(workers: dict[str, Worker]) -> list[InFlight]:
    """Ask for every verb at once, each of another process."""
    return [
        workers["enqueue"].send_enqueue("sent"),
        workers["claim"].send_claim(),
        workers["heartbeat"].send_about("heartbeat", lease_s=60.0),
        workers["complete"].send_about("complete"),
        workers["fail"].send_about("fail", error="for trial", retry_after_s=0.0),
    ]


def _end(workers: dict[str, Worker], crew: Crew, queue_path: Path) -> None:
    """Complete what is still held, and work off what is left."""
    for op in ("claim", "heartbeat"):
        if workers[op].task is not None:
            workers[op].complete()
    _work_off(crew, queue_path)


def _lease_until_s(worker: Worker) -> float:
    """Return when the lease of what the worker holds ends; infinity where it holds nothing."""
    return float("inf") if worker.task is None else worker.task["lease_until_ms"] / 1000


def _took_s(op: Operation) -> float:
    return (op.returned_s or op.invoked_s) - op.invoked_s


def _is_busy(op: Operation) -> bool:
    return op.outcome is Outcome.FAILED and op.error.startswith(ErrorCode.BUSY)


@contextmanager
def _working(crew: Crew, queue_path: Path, history: History) -> Iterator[None]:
    """Have tasks put in and worked off before, while and after the body runs, until all are done.

    Raises:
        Inconclusive: no task was done while the body ran.
    """
    producer = crew.start(queue_path, "producer")
    workers = crew.start_all(queue_path, "worker", 2)
    over = Event()

    def put_in() -> None:
        while not over.is_set():
            fill([producer], BATCH_COUNT, prefix=f"t-{history.now_s():.6f}")

    with ThreadPoolExecutor(2) as pool:
        producing = pool.submit(put_in)
        working = pool.submit(
            work_off,
            workers,
            lambda: producing.done() and _open_count(producer) == 0,
            timeout_s=DRAIN_TIMEOUT_S,
        )
        try:
            began_s = _after_calm(history)
            yield
            ended_s = history.now_s()
            _after_calm(history)
        finally:
            over.set()
        producing.result()
        working.result()
    if not any(began_s < op.invoked_s < ended_s for op in _completed(history)):
        raise Inconclusive("no task was done while the fault was there")


def _after_calm(history: History) -> float:
    """Return when some more tasks have been put in and completed, on the history's clock."""
    since_s = history.now_s()

    def calm() -> bool:
        later = [op for op in history.operations() if op.ok and op.invoked_s > since_s]
        return all(sum(op.op == kind for op in later) >= CALM_COUNT for kind in CALM_KINDS)

    wait_until(calm, f"{CALM_COUNT} tasks put in and done", timeout_s=DRAIN_TIMEOUT_S)
    return history.now_s()


def _completed(history: History) -> list[Operation]:
    return [op for op in history.operations() if op.op == "complete" and op.ok]


def _waiting_since(history: History, window: Window) -> int:
    """Return how many operations wait, or have waited, for what was there in that time.

    Raises:
        Inconclusive: none does.
    """
    waited_s = [
        min(op.returned_s or window.ended_s, window.ended_s) - max(op.invoked_s, window.began_s)
        for op in history.operations()
        if op.op != "fault"
    ]
    waiting = sum(each >= MET_LEAST_S for each in waited_s)
    if not waiting:
        raise Inconclusive("nobody waited for the lock")
    return waiting


def _open_count(worker: Worker) -> int:
    return sum(task.status in OPEN for task in worker.final())


def _work_off(crew: Crew, queue_path: Path) -> None:
    """Have another worker do all that is queued."""
    work_off([crew.start(queue_path, "last")], lambda: True, timeout_s=DRAIN_TIMEOUT_S)
