"""Holders that live and are too slow: at the very end of their lease, or without a processor.

Claim: whose task it is is decided once, however close to the end of a lease its holder goes on: it
completes the task or is refused, and another one has it then. A slow worker delays its own task.
Faults: paused-up-to-lease, starved-worker.
Method: a holder stands still until some milliseconds before or after the end of its lease, and goes
on while others reclaim and claim without a pause. A worker shares one processor with busy processes
while others work. Every checker judges, and latency is told before, during and after.
A failure means: a task that was late by a moment is done twice, or by nobody.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from harness.cells import nothing_left
from harness.closing import Books, fault_on
from harness.crew import Crew
from harness.drivers.protocol import ErrorCode
from harness.faults import PausedUpToLease, StarvedWorker
from harness.history import Operation
from harness.ledger import Ledger
from harness.outcome import Inconclusive
from harness.reclaiming import Reclaimer
from harness.waiting import let_pass, wait_until
from harness.worker import Worker
from harness.workload import Arrivals, produce, work_off

pytestmark = [pytest.mark.scenario, pytest.mark.needs("leases", "fencing")]

PAUSED_LEASE_S = 0.3
AFTER_MS = (-20, -5, 0, 5, 20)
HARDLY_A_PAUSE_S = 0.002
STARVED_LEASE_S = 1.0
STARVED_PER_MINUTE = 900
STARVED_COUNT = 45
STRUCK_AFTER_COUNT = 10
STARVED_COMPLETIONS_LEAST = 10
DRAIN_TIMEOUT_S = 30.0


@pytest.mark.parametrize("after_ms", AFTER_MS)
def test_pause_up_to_the_end_of_a_lease_leaves_one_holder(
    after_ms: int, queue_path: Path, crew: Crew, ledger: Ledger, books: Books
) -> None:
    """A holder that goes on at that moment completes its task or is told that it lost it."""
    holder, keeper, rescuer = (
        crew.start(queue_path, name) for name in ("holder", "keeper", "rescuer")
    )
    keeper.enqueue("only")
    claimed = holder.claim(lease_s=PAUSED_LEASE_S)
    if claimed.task_id is None:
        raise Inconclusive(f"the only task could not be claimed: {claimed.error}")

    told = Event()
    with ThreadPoolExecutor(1) as pool, Reclaimer(keeper, every_s=HARDLY_A_PAUSE_S):
        rescuing = pool.submit(_rescue, rescuer, told)
        try:
            with ledger.injected(PausedUpToLease(after_ms=after_ms), holder) as sighting:
                done = holder.complete()
                sighting.effect = f"it {'completed' if done.ok else 'had lost'} its task"
        finally:
            told.set()
        all_done = rescuing.result()

    rescued = _completions(books.history.operations(), rescuer)
    books.evidence.measure("completed_by_the_holder", int(done.ok), "tasks")
    books.require_sound(keeper)
    books.evidence.require(all_done, f"the task was not done within {DRAIN_TIMEOUT_S:.0f} s")
    books.evidence.require(
        done.ok or done.error.startswith(ErrorCode.LEASE_LOST),
        f"who had lost the task was told: {done.error}",
    )
    books.evidence.require(
        done.ok != bool(rescued), f"completed by its holder: {done.ok}; by another: {rescued} times"
    )


@pytest.mark.profile("nightly")
def test_starved_worker_delays_its_own_task_alone(
    queue_path: Path, crew: Crew, ledger: Ledger, books: Books
) -> None:
    """While a worker gets next to no processor the others go on, and every task is done once."""
    history = books.history
    producer, keeper = crew.start(queue_path, "producer"), crew.start(queue_path, "keeper")
    starved, other = crew.start(queue_path, "starved"), crew.start(queue_path, "other")
    arrivals = Arrivals(STARVED_PER_MINUTE, STARVED_COUNT)

    with ThreadPoolExecutor(2) as pool, Reclaimer(keeper, every_s=STARVED_LEASE_S / 4):
        producing = pool.submit(produce, producer, arrivals, prefix="t")
        working = pool.submit(
            work_off,
            [starved, other],
            lambda: producing.done() and nothing_left(keeper),
            timeout_s=DRAIN_TIMEOUT_S,
            lease_s=STARVED_LEASE_S,
        )
        _wait_for_completions(other, STRUCK_AFTER_COUNT)
        with (
            fault_on(history, starved.name),
            ledger.injected(StarvedWorker(), starved.driver) as sighting,
        ):
            before = _completions(history.operations(), starved)
            _wait_for_completions(other, STARVED_COMPLETIONS_LEAST, since=history.now_s())
            own = _completions(history.operations(), starved) - before
            sighting.effect = f"it completed {own} tasks while another completed 10 or more"
        all_done = working.result()

    books.tell_latencies()
    books.require_sound(keeper)
    books.evidence.require(all_done, f"not all was done within {DRAIN_TIMEOUT_S:.0f} s")


def _rescue(rescuer: Worker, told: Event) -> bool:
    """Take the task once it is to be had, and keep it until the first holder has its answer."""
    over_s = rescuer.history.now_s() + DRAIN_TIMEOUT_S
    while rescuer.history.now_s() < over_s:
        if rescuer.claim().task_id is not None:
            told.wait(DRAIN_TIMEOUT_S)
            rescuer.complete()
        if told.is_set() and nothing_left(rescuer):
            return True
        # Real time is the subject: who asks seldom is not there when a lease ends.
        let_pass(HARDLY_A_PAUSE_S)
    return False


def _completions(operations: tuple[Operation, ...], worker: Worker, since: float = 0.0) -> int:
    return sum(
        op.op == "complete" and op.ok and op.worker == worker.name and op.invoked_s >= since
        for op in operations
    )


def _wait_for_completions(worker: Worker, count: int, since: float = 0.0) -> None:
    wait_until(
        lambda: _completions(worker.history.operations(), worker, since) >= count,
        f"{count} completions of {worker.name}",
        timeout_s=DRAIN_TIMEOUT_S,
    )
