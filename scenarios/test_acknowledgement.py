"""What a worker is told: done is done for good, not done is not done, and unknown says so.

Claim: what was acknowledged is committed, and synced before the answer, so that neither the death
of the process nor a power cut undoes it. A commit that failed is told as unknown and as nothing
else, and who asks again does no harm.
Faults: died-answering, killed-worker, died-unsaid, failed-commit.
Method: a driver dies the moment its answer has left it, or before that; its commit fails, though
it is done or not. What the queue then has is compared with what was said. No kill shows a missing
sync: the process's calls are followed from the last write to the answer, and where they cannot be,
its connection is asked for its setting.
A failure means: producers and workers are told what is not so, and tasks are lost or run twice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.database import QueueDatabase
from core.timestamps import parse
from harness.checkers import CHECKERS, completed_once, done_in_the_end
from harness.closing import Books
from harness.crew import Crew
from harness.drivers.protocol import ErrorCode
from harness.drivers.traps import SAID, UNSAID
from harness.faults import Asked, DiedAnswering, DiedUnsaid, KilledWorker
from harness.history import Operation, Outcome
from harness.ledger import Ledger
from harness.outcome import Inconclusive
from harness.strikes import can_trace, traced
from harness.trial import trial_command
from harness.worker import InFlight, Worker

pytestmark = pytest.mark.scenario

STRUCK = "struck"
SHORT_LEASE_S = 1.0
LONG_LEASE_S = 600.0
ROUNDS_COUNT = 2
FULL = 2
ANSWER = "write"
SYNCS = ("fsync", "fdatasync")
WRITES = ("pwrite64", *SYNCS, ANSWER)
# Nothing has to be worked off, nor to be completed at all, for these to judge.
UNFINISHED = tuple(each for each in CHECKERS if each not in (done_in_the_end, completed_once))


@dataclass(frozen=True)
class Row:
    """What the queue's file has of the task.

    Attributes:
        status: of it.
        attempts: that are counted.
        lease_s: what is left of its lease, in seconds; 0 without one.
    """

    status: str
    attempts: int
    lease_s: float


@dataclass(frozen=True)
class Verb:
    """An operation that a worker asks for.

    Attributes:
        id: its name.
        ask: sends it.
        done: whether it is done, by what the file has of its task.
        holds: whether the task must be held before.
    """

    id: str
    ask: Callable[[Worker], InFlight]
    done: Callable[[Row], bool]
    holds: bool = True


VERBS = (
    Verb(
        "enqueue",
        lambda worker: worker.send_enqueue(STRUCK),
        lambda row: row.status == "queued",
        holds=False,
    ),
    Verb(
        "claim",
        lambda worker: worker.send_claim(lease_s=LONG_LEASE_S),
        lambda row: row.status == "leased",
        holds=False,
    ),
    Verb(
        "heartbeat",
        lambda worker: worker.send_about("heartbeat", lease_s=LONG_LEASE_S),
        lambda row: row.lease_s > LONG_LEASE_S / 2,
    ),
    Verb(
        "complete",
        lambda worker: worker.send_about("complete"),
        lambda row: row.status == "completed",
    ),
    Verb(
        "fail",
        lambda worker: worker.send_about("fail", error="for trial", retry_after_s=0.0),
        lambda row: (row.status, row.attempts) == ("queued", 1),
    ),
)
DURABLE = tuple(verb for verb in VERBS if verb.id in ("enqueue", "complete", "fail"))


def _id(verb: Verb) -> str:
    return verb.id


@pytest.mark.needs("core")
@pytest.mark.parametrize("verb", VERBS, ids=_id)
def test_killed_at_its_answer_has_done_what_it_said(
    verb: Verb, queue_path: Path, crew: Crew, books: Books, ledger: Ledger
) -> None:
    """What was acknowledged is there though its process died before it could do anything more."""
    words = trial_command(queue_path, "--die-in", verb.id, f"--die-at={SAID}")
    victim = crew.start_program(words, "victim")
    _prepare(verb, victim)

    with ledger.injected(DiedAnswering(), Asked(victim.driver, verb.ask(victim))) as sighting:
        row = _row(queue_path)
        sighting.effect = f"the file has {row}"

    _require_done(books, verb, row)
    books.require_sound(crew.start(queue_path, "witness"), checkers=UNFINISHED)


def test_killed_right_after_its_answer_has_done_what_it_said(
    queue_path: Path, crew: Crew, books: Books, ledger: Ledger
) -> None:
    """Producers and workers that are killed as soon as they have answered take nothing back."""
    for number in range(ROUNDS_COUNT):
        producer, worker = (
            crew.start(queue_path, f"{role}{number}") for role in ("producer", "worker")
        )
        producer.enqueue(f"t-{number}")
        with ledger.injected(KilledWorker(), producer.driver):
            worker.claim()
        if worker.task is None:
            continue
        worker.complete()
        with ledger.injected(KilledWorker(), worker.driver):
            pass

    books.require_sound(crew.start(queue_path, "witness"))


@pytest.mark.needs("core")
@pytest.mark.parametrize("verb", DURABLE, ids=_id)
def test_acknowledged_verb_is_synced_before_its_answer(
    verb: Verb, queue_path: Path, scratch: Path, crew: Crew, books: Books
) -> None:
    """The last that was written is on the disk, and not only with the system, when it is said."""
    tracing = can_trace(scratch)
    words = trial_command(queue_path, "--tell-synchronous-of", verb.id)
    worker = crew.start(queue_path, "worker") if tracing else crew.start_program(words, "worker")
    if verb.holds:
        crew.start(queue_path, "producer").enqueue(STRUCK)
    # Claims are not synced, and their connection is the one that has to be for what follows.
    if (worker.claim().task_id is not None) is not verb.holds:
        raise Inconclusive("the only task could not be claimed, or there was one")

    if tracing:
        synced, how = _calls(verb, worker, scratch)
    else:
        synced, how = _setting(verb, worker)

    books.evidence.require(synced, f"{verb.id} was acknowledged and not synced before: {how}")
    books.require_sound(worker, checkers=UNFINISHED)


@pytest.mark.needs("core")
@pytest.mark.parametrize("done", [True, False], ids=["done", "undone"])
@pytest.mark.parametrize("verb", VERBS, ids=_id)
def test_failed_commit_is_told_as_unknown(
    verb: Verb, done: bool, queue_path: Path, crew: Crew, books: Books
) -> None:
    """Whether it is done or not, a commit that failed is said to be neither; asking again tells."""
    options = ["--fail-commit-of", verb.id, *(["--though-done"] if done else [])]
    worker = crew.start_program(trial_command(queue_path, *options), "worker")
    _prepare(verb, worker)

    told = verb.ask(worker).settle()
    is_done = verb.done(_row(queue_path))
    again = verb.ask(worker).settle()

    books.evidence.fault(
        "failed-commit",
        f"the commit of {verb.id} fails, and is {'done' if done else 'undone'}",
        is_done is done,
        f"the file has it {'done' if is_done else 'not done'}",
        f"its worker was told {told.outcome}: {told.error}",
    )
    books.evidence.require(
        told.outcome is Outcome.UNKNOWN and told.error.startswith(ErrorCode.COMMIT_UNKNOWN),
        f"{verb.id} was told {told.outcome} and not that it is unknown: {told.error}",
    )
    books.evidence.require(
        again.ok or again.error.startswith(ErrorCode.LEASE_LOST),
        f"asked again, {verb.id} was not told whether it is done: {again.error}",
    )
    books.require_sound(worker, checkers=UNFINISHED)


@pytest.mark.needs("core")
def test_enqueue_without_an_answer_is_asked_again_and_is_one_task(
    queue_path: Path, crew: Crew, books: Books, ledger: Ledger
) -> None:
    """A producer that never heard of its task puts it in again under its key: it runs once."""
    words = trial_command(queue_path, "--die-in", "enqueue", f"--die-at={UNSAID}")
    victim, worker = crew.start_program(words, "victim"), crew.start(queue_path, "worker")
    flight = victim.send_enqueue(STRUCK)

    with ledger.injected(DiedUnsaid(), Asked(victim.driver, flight)) as sighting:
        before = len(worker.final())
        again = worker.enqueue(STRUCK)
        sighting.effect = f"{before} task was there when it was asked for again"
    runs = _work_off(worker)

    if before != 1:
        raise Inconclusive(f"{before} tasks were there when the producer had died, not 1")
    books.evidence.require(again.ok, f"it was refused when asked for again: {again.error}")
    books.evidence.require(runs == 1, f"the task ran {runs} times, not once")
    books.require_sound(worker)


@pytest.mark.needs("keys")
@pytest.mark.parametrize("state", ["queued", "held", "completed"])
def test_enqueue_under_a_known_key_puts_nothing_in(
    state: str, queue_path: Path, crew: Crew, books: Books
) -> None:
    """Wherever the task is by then, a second enqueue is told its id and changes nothing."""
    first, second = (crew.start(queue_path, name) for name in ("first", "second"))
    put_in = first.enqueue(STRUCK)
    if state != "queued":
        first.claim()
    if state == "completed":
        first.complete()

    again = second.enqueue(STRUCK)
    if state == "held":
        first.complete()
    runs = _work_off(second)

    books.evidence.require(again.ok, f"a known key was refused: {again.error}")
    books.evidence.require(
        again.task_id == put_in.task_id,
        f"it was told task {again.task_id}, and its key is that of {put_in.task_id}",
    )
    wanted = int(state == "queued")
    books.evidence.require(runs == wanted, f"the task ran {runs} more times, not {wanted}")
    books.require_sound(second)


def _prepare(verb: Verb, worker: Worker) -> None:
    """Leave everything as the verb needs it; the worker has opened the queue by then."""
    worker.final()
    if verb.id != "enqueue":
        worker.enqueue(STRUCK)
    if verb.holds and worker.claim(lease_s=SHORT_LEASE_S).task_id is None:
        raise Inconclusive("the only task could not be claimed")


def _require_done(books: Books, verb: Verb, row: Row) -> None:
    __tracebackhide__ = True
    books.evidence.require(
        verb.done(row), f"{verb.id} was acknowledged, and is not done: the file has {row}"
    )


def _row(queue_path: Path) -> Row:
    sql = "SELECT status, attempts, lease_until_utc FROM task_queue"
    with QueueDatabase(queue_path, read_only=True) as database:
        rows = database.connection().execute(sql).fetchall()
    if not rows:
        return Row("missing", 0, 0.0)
    ((status, attempts, lease_until),) = rows
    now_ms = SystemClock().now_ms()
    return Row(status, attempts, ((parse(lease_until) or now_ms) - now_ms) / 1000)


def _calls(verb: Verb, worker: Worker, scratch: Path) -> tuple[bool, str]:
    """Return whether a sync came between the last write to a file and the answer."""
    with traced(worker.driver.pid, scratch / f"{verb.id}.strace") as trace:
        told = verb.ask(worker).settle()
        _require_acknowledged(told)
    calls = [call for call in trace.calls if call in WRITES]
    if ANSWER not in calls or "pwrite64" not in calls:
        raise Inconclusive(f"strace saw no write and answer of {verb.id}: {calls}")
    before = calls[: calls.index(ANSWER)]
    return bool(before) and before[-1] in SYNCS, f"the process called {calls}"


def _setting(verb: Verb, worker: Worker) -> tuple[bool, str]:
    """Return whether the connection was told to sync, where its calls cannot be followed."""
    flight = verb.ask(worker)
    _require_acknowledged(flight.settle())
    seen = (flight.answer or {}).get("synchronous") or 0
    return seen >= FULL, f"its commit ran with PRAGMA synchronous = {seen}"


def _require_acknowledged(told: Operation) -> None:
    if not told.ok:
        raise Inconclusive(f"{told.op} was not acknowledged: {told.error}")


def _work_off(worker: Worker) -> int:
    """Have the worker do all that is queued; return how often the task in question ran."""
    runs = 0
    while (claim := worker.claim()).task_id is not None:
        runs += 1
        worker.complete()
    if not claim.ok:
        raise Inconclusive(f"a claim was refused: {claim.error}")
    return runs
