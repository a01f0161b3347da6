"""Workers that die holding a task, at every moment of its life.

Claim: the task of a dead holder runs again within the recovery budget, its attempt is counted
once, and one that kills every worker ends in dead_letter with its history.
Faults: killed-worker, killed-in-flight, died-unsaid, restart-storm, rival-writer.
Method: a worker takes a task and is killed: after the claim, during the work, before complete, and
with each request on its way, before it was done and after. Another worker reclaims at even pauses
and works; the pause, the lease and a slack are the budget.
A failure means: a crash strands tasks, runs them without end, or loses count of their attempts.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.database import QueueDatabase
from harness.checkers import RecoveryBudget
from harness.closing import Books, fault_on
from harness.crew import Crew
from harness.faults import (
    Asked,
    DiedUnsaid,
    Fault,
    KilledInFlight,
    KilledWorker,
    RestartStorm,
    RivalWriter,
    Sighting,
)
from harness.history import Operation
from harness.ledger import Ledger
from harness.outcome import Inconclusive
from harness.reclaiming import Reclaimer, reclaim_until_freed
from harness.trial import trial_command
from harness.waiting import let_pass
from harness.worker import InFlight, Worker
from harness.workload import work_off

pytestmark = [pytest.mark.scenario, pytest.mark.needs("leases")]

LEASE_S = 0.4
RECLAIM_EVERY_S = 0.1
SLACK_S = 3.0
REACHES_LOCK_S = 0.05
BUDGET = RecoveryBudget(lease_s=LEASE_S, reclaim_every_s=RECLAIM_EVERY_S, work_s=SLACK_S)
STORM_COUNT = 4
MAX_ATTEMPTS = 3
STRUCK = "struck"


@dataclass(frozen=True)
class Death:
    """When a worker dies, and what its task has to show for it at the end.

    Attributes:
        id: of the row.
        ask: what is on its way at that moment, or None.
        before: what it has done until then.
        unsaid: whether it dies after the commit, else while it waits for the lock.
        attempts: of its task once another worker has completed it.
        again: whether its task is handed out again.
    """

    id: str
    ask: Callable[[Worker], InFlight] | None = None
    before: tuple[Callable[[Worker], Operation], ...] = ()
    unsaid: bool = False
    attempts: int = 1
    again: bool = True

    @property
    def op(self) -> str:
        """The operation in which it dies."""
        return self.id.partition("-")[0]


def _claim(worker: Worker) -> Operation:
    return worker.claim(lease_s=LEASE_S)


def _work(worker: Worker) -> Operation:
    return worker.heartbeat(lease_s=LEASE_S)


def _ask_claim(worker: Worker) -> InFlight:
    return worker.send_claim(lease_s=LEASE_S)


def _ask_heartbeat(worker: Worker) -> InFlight:
    return worker.send_about("heartbeat", lease_s=LEASE_S)


def _ask_complete(worker: Worker) -> InFlight:
    return worker.send_about("complete")


def _ask_fail(worker: Worker) -> InFlight:
    return worker.send_about("fail", error="no luck", retry_after_s=0.0)


DEATHS = (
    Death("after-the-claim", before=(_claim,)),
    Death("during-the-work", before=(_claim, _work)),
    Death("between-work-and-complete", before=(_claim, _work, _work)),
    Death("claim-waiting", _ask_claim, attempts=0),
    Death("heartbeat-waiting", _ask_heartbeat, (_claim,)),
    Death("complete-waiting", _ask_complete, (_claim,)),
    Death("fail-waiting", _ask_fail, (_claim,)),
)
UNSAID = (
    Death("claim-unsaid", _ask_claim, unsaid=True),
    Death("heartbeat-unsaid", _ask_heartbeat, (_claim,), unsaid=True),
    Death("complete-unsaid", _ask_complete, (_claim,), unsaid=True, attempts=0, again=False),
    Death("fail-unsaid", _ask_fail, (_claim,), unsaid=True),
)
ROWS = (
    *(pytest.param(death, id=death.id) for death in DEATHS),
    *(pytest.param(death, id=death.id, marks=pytest.mark.needs("core")) for death in UNSAID),
)


@pytest.mark.parametrize("death", ROWS)
def test_killed_holder_is_replaced_in_time(
    death: Death, queue_path: Path, crew: Crew, ledger: Ledger, books: Books
) -> None:
    """The task of a worker that dies then is done by another one within the budget."""
    history, evidence = books.history, books.evidence
    rescuer = crew.start(queue_path, "rescuer")
    victim = _victim(death, queue_path, crew)
    rescuer.enqueue(STRUCK)
    rescuer.enqueue("another")
    _prepare(death, victim)

    with _struck(death, queue_path, victim, ledger) as sighting:
        with fault_on(history, victim.name, lost=True) as window:
            pass
        with Reclaimer(rescuer, every_s=RECLAIM_EVERY_S):
            _work_off(rescuer)
        recovered_s = history.now_s() - window.began_s
        sighting.effect = f"the task was done {recovered_s:.2f} s after the kill"

    evidence.limit("from the kill to the task's end", recovered_s, BUDGET.seconds, "s")
    final = books.require_sound(rescuer, budget=BUDGET)
    (task,) = (task for task in final if task.key == STRUCK)
    runs = _runs(history.operations(), rescuer.name)
    evidence.require(
        recovered_s <= BUDGET.seconds, f"recovered in {recovered_s:.2f} s of {BUDGET.seconds} s"
    )
    evidence.require(runs == death.again, f"it ran {runs} times again, not {int(death.again)}")
    evidence.require(
        task.attempts == death.attempts,
        f"{task.attempts} attempts are counted, not {death.attempts}",
    )


@pytest.mark.needs("retries", "core")
def test_task_that_kills_every_worker_ends_in_dead_letter(
    queue_path: Path, crew: Crew, ledger: Ledger, books: Books
) -> None:
    """A task that kills whoever takes it is given up in the end, and its history says why."""
    history, evidence = books.history, books.evidence
    rescuer = crew.start(queue_path, "rescuer")
    rescuer.enqueue("poison", max_attempts=MAX_ATTEMPTS)
    rescuer.enqueue("harmless", max_attempts=MAX_ATTEMPTS)

    for number in range(MAX_ATTEMPTS):
        victim = crew.start(queue_path, f"victim{number}")
        claimed = victim.claim(lease_s=LEASE_S)
        evidence.require(claimed.key == "poison", f"victim {number} was given {claimed.key}")
        with (
            ledger.injected(KilledWorker(), victim.driver),
            fault_on(history, victim.name, lost=True),
        ):
            pass
        reclaim_until_freed(rescuer)
    harmless = rescuer.claim()
    rescuer.complete()
    nothing = rescuer.claim()

    final = {task.key: task for task in books.require_sound(rescuer, budget=BUDGET)}
    poison = final["poison"]
    evidence.limit("attempts of the task", poison.attempts, MAX_ATTEMPTS, "attempts")
    evidence.require(
        (poison.status, poison.attempts) == ("dead_letter", MAX_ATTEMPTS),
        f"it is {poison.status} after {poison.attempts} of {MAX_ATTEMPTS} attempts",
    )
    evidence.require(harmless.key == "harmless", f"after it {harmless.key} was handed out")
    evidence.require(nothing.task_id is None, f"{nothing.key} was handed out at the end")
    told = _history_of(queue_path, poison.id)
    missing = [f"victim{number}" for number in range(MAX_ATTEMPTS)]
    missing = [name for name in missing if not any(name in line for line in told)]
    evidence.require(not missing, f"its history has nothing of {missing}: {told}")
    evidence.require(
        len(told) == MAX_ATTEMPTS and "dead_letter" in told[-1], f"its history says {told}"
    )


def test_storm_of_restarts_costs_nothing(
    queue_path: Path, crew: Crew, ledger: Ledger, books: Books
) -> None:
    """Workers that start, claim and die one after the other strand no task."""
    history = books.history
    rescuer = crew.start(queue_path, "rescuer")
    for number in range(STORM_COUNT):
        # Where starting takes longer than a lease, all of the storm take the same task.
        rescuer.enqueue(f"t-{number}", max_attempts=STORM_COUNT + 1)

    def start_and_claim(number: int) -> Worker:
        worker = crew.start(queue_path, f"storm{number}")
        worker.claim(lease_s=LEASE_S)
        return worker

    storm = RestartStorm(STORM_COUNT)
    with (
        Reclaimer(rescuer, every_s=RECLAIM_EVERY_S),
        ledger.injected(storm, lambda number: start_and_claim(number).driver) as sighting,
    ):
        for number in range(STORM_COUNT):
            with fault_on(history, f"storm{number}", lost=True):
                pass
        began_s = history.now_s()
        _work_off(rescuer)
        sighting.effect = f"{STORM_COUNT} tasks done in {history.now_s() - began_s:.2f} s"

    final = books.require_sound(rescuer, budget=BUDGET)
    undone = [task.key for task in final if task.status != "completed"]
    books.evidence.require(not undone, f"{len(undone)} tasks are not completed: {undone}")


def _victim(death: Death, queue_path: Path, crew: Crew) -> Worker:
    if not death.unsaid:
        return crew.start(queue_path, "victim")
    command = trial_command(queue_path, "--die-in", death.op, "--die-at=-1")
    return crew.start_program(command, "victim")


def _prepare(death: Death, victim: Worker) -> None:
    for step in death.before:
        done = step(victim)
        if not done.ok or done.task_id is None:
            raise Inconclusive(f"the worker that was to be killed got no task: {done}")


@contextlib.contextmanager
def _struck(death: Death, queue_path: Path, victim: Worker, ledger: Ledger) -> Iterator[Sighting]:
    """Kill the victim at its moment; nobody holds a lock any more when the body runs."""
    with contextlib.ExitStack() as struck:
        if death.ask is None:
            yield struck.enter_context(ledger.injected(KilledWorker(), victim.driver))
            return
        with contextlib.ExitStack() as waiting:
            if not death.unsaid:
                waiting.enter_context(ledger.injected(RivalWriter(), queue_path))
            asked = Asked(victim.driver, death.ask(victim))
            fault: Fault[Asked] = DiedUnsaid() if death.unsaid else KilledInFlight()
            if not death.unsaid:
                let_pass(REACHES_LOCK_S)
            sighting = struck.enter_context(ledger.injected(fault, asked))
        yield sighting


def _work_off(rescuer: Worker) -> bool:
    """Have all tasks done; what never comes back is found by the checkers."""
    return work_off([rescuer], lambda: _nothing_left(rescuer), timeout_s=2 * BUDGET.seconds)


def _nothing_left(worker: Worker) -> bool:
    return not any(task.status in ("queued", "leased", "processing") for task in worker.final())


def _runs(operations: tuple[Operation, ...], rescuer: str) -> int:
    return sum(op.op == "claim" and op.worker == rescuer and op.key == STRUCK for op in operations)


def _history_of(queue_path: Path, task_id: int) -> list[str]:
    """Return what the queue has written down about a task, in order."""
    with QueueDatabase(queue_path, read_only=True) as database:
        rows = (
            database.connection()
            .execute(
                "SELECT message || ' ' || details FROM task_logs WHERE task_id = ? ORDER BY log_id",
                (task_id,),
            )
            .fetchall()
        )
    return [str(row[0]) for row in rows]
