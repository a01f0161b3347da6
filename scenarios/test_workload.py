"""A queue worked by real processes, one of which is killed.

Claim: what was acknowledged is done in the end, once, also when a worker dies with a task in hand.
Faults: killed-worker.
Method: producer processes fill a new queue; worker processes empty it; one is killed while it
holds a task, and its lease is left to run out; the history is judged by every checker.
A failure means: tasks get lost, done twice, or stuck in ordinary operation.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.checkers import Record, judge
from harness.crew import Crew
from harness.evidence import Evidence
from harness.faults import KilledWorker
from harness.history import History
from harness.judgement import require_all
from harness.ledger import Ledger
from harness.outcome import Inconclusive
from harness.worker import Worker
from harness.workload import Arrivals, fill, produce, work_off

pytestmark = pytest.mark.scenario

TASKS_COUNT = 240
PRODUCERS_COUNT = 2
WORKERS_COUNT = 3
VICTIM_LEASE_S = 0.5
DRAIN_TIMEOUT_S = 30.0
RATE_PER_MINUTE = 400
ARRIVALS_COUNT = 20


@pytest.mark.needs("leases")
def test_killed_worker_while_holding_loses_nothing(
    queue_path: Path, crew: Crew, history: History, ledger: Ledger, evidence: Evidence
) -> None:
    """A worker that is killed with a task in hand costs no task, and none is done twice."""
    producers = crew.start_all(queue_path, "producer", PRODUCERS_COUNT)
    workers = crew.start_all(queue_path, "worker", WORKERS_COUNT)
    victim = crew.start(queue_path, "victim")
    began_s = history.now_s()
    fill(producers, TASKS_COUNT)
    evidence.measure("enqueue_rate", TASKS_COUNT / (history.now_s() - began_s), "tasks/s")

    held = victim.claim(lease_s=VICTIM_LEASE_S)
    if held.task_id is None:
        raise Inconclusive(f"the worker that was to be killed got no task: {held.error}")
    with ledger.injected(KilledWorker(), victim.driver) as sighting:
        began_s = history.now_s()
        work_off(workers, lambda: _rescued(workers[0]), timeout_s=DRAIN_TIMEOUT_S)
        again = [op for op in history.operations() if op.op == "claim" and op.ok]
        runs = sum(op.task_id == held.task_id for op in again)
        sighting.effect = f"task {held.task_id} was handed out {runs} times"
    evidence.measure("work_rate", TASKS_COUNT / (history.now_s() - began_s), "tasks/s")

    _require_sound(evidence, history, producers[0])
    evidence.require(runs == 2, f"the dead worker's task was handed out {runs} times, not 2")


def test_steady_arrivals_are_worked_off_as_they_come(
    queue_path: Path, crew: Crew, history: History, evidence: Evidence
) -> None:
    """Tasks that arrive at the runbook's highest rate are all done by two workers meanwhile."""
    producer = crew.start(queue_path, "producer")
    workers = crew.start_all(queue_path, "worker", 2)
    arrivals = Arrivals(RATE_PER_MINUTE, ARRIVALS_COUNT)

    with ThreadPoolExecutor(1) as pool:
        producing = pool.submit(produce, producer, arrivals, prefix="t")
        work_off(
            workers,
            lambda: producing.done() and _nothing_left(workers[0]),
            timeout_s=DRAIN_TIMEOUT_S,
        )

    evidence.measure("latest_arrival", producing.result().latest_s * 1000, "ms")
    evidence.measure("longest_wait_for_a_worker", _longest_wait_s(history) * 1000, "ms")
    _require_sound(evidence, history, producer)


def _require_sound(evidence: Evidence, history: History, witness: Worker) -> None:
    """Judge the whole history by every checker."""
    record = Record(
        operations=history.operations(),
        final=witness.final(),
        capabilities=witness.driver.capabilities,
    )
    require_all(evidence, judge(record))


def _rescued(worker: Worker) -> bool:
    """Free what dead holders left; return whether nothing is left to do."""
    worker.reclaim()
    return _nothing_left(worker)


def _nothing_left(worker: Worker) -> bool:
    return not any(task.status in ("queued", "leased", "processing") for task in worker.final())


def _longest_wait_s(history: History) -> float:
    """Return the longest time from an acknowledgement to the first claim of that task."""
    ended_s = {
        op: {each.key: each.returned_s or 0.0 for each in history.operations() if each.op == op}
        for op in ("enqueue", "claim")
    }
    waits_s = [ended_s["claim"].get(key, at_s) - at_s for key, at_s in ended_s["enqueue"].items()]
    return max(waits_s, default=0.0)
