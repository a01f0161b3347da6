"""Workers whose clocks are wrong: a task may run once more or later, and is completed once.

Claim: who holds a task is decided by its token and by nobody's clock. A wrong clock moves the
moment at which a lease counts as over, and a task as due, by as much as it is wrong, no further. A
time zone moves nothing.
Faults: clock-ahead, clock-behind, jumping-clock, backwards-clock, foreign-zone.
Method: one worker's clock is moved. Leases and delays a little shorter and a little longer than
the error are judged by it and by right clocks; no time has to pass for that. Whoever lost a task
tries to complete it all the same. A workload goes through workers with every wrong clock.
A failure means: one machine with a wrong clock makes tasks be completed twice, or lost for good.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.checkers import CHECKERS, done_in_the_end
from harness.checkers.record import OPEN
from harness.closing import Books
from harness.crew import Crew
from harness.drivers.client import Driver
from harness.drivers.clock_file import ClockFile, WrongTime
from harness.drivers.protocol import ErrorCode, Message
from harness.faults import (
    BackwardsClock,
    ClockAhead,
    ClockBehind,
    Fault,
    ForeignZone,
    JumpingClock,
)
from harness.faults.clocks import TEN_MINUTES_MS, DrivenClock
from harness.history import Operation
from harness.ledger import Ledger
from harness.outcome import Inconclusive
from harness.trial import trial_command
from harness.waiting import wait_until
from harness.worker import Worker
from harness.workload import work_off

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

ERROR_S = TEN_MINUTES_MS / 1000
MARGIN_S = 30.0
SHORTER_S = ERROR_S - MARGIN_S
LONGER_S = ERROR_S + MARGIN_S
OVER_AT_ONCE_S = 0.001
JUMP_S = JumpingClock.offset_ms / 1000
TASKS_COUNT = 40
ATTEMPTS_MOST = 1000
ROUNDS_COUNT = 5
DRAIN_TIMEOUT_S = 30.0
WAIT_S = 20.0
ZONES = ("EAST-14", "WEST+12")
WRONG: tuple[Fault[DrivenClock], ...] = (
    ClockAhead(),
    ClockBehind(),
    JumpingClock(),
    BackwardsClock(),
)

UNFINISHED = tuple(each for each in CHECKERS if each is not done_in_the_end)

Start = Callable[[str], tuple[Worker, DrivenClock]]


@pytest.fixture
def start(queue_path: Path, scratch: Path, crew: Crew) -> Start:
    """Starts a worker whose clock can be moved, and is right until it is."""

    def start_one(name: str) -> tuple[Worker, DrivenClock]:
        file = ClockFile(scratch / f"{name}.clock.json")
        words = trial_command(queue_path, "--clock-file", str(file.path))
        worker = crew.start_program(words, name)
        return worker, DrivenClock(worker.driver, file)

    return start_one


@pytest.mark.parametrize("fault", [ClockAhead(), ClockBehind()], ids=lambda fault: fault.name)
def test_early_lease_loses_by_no_more_than_the_error(
    fault: Fault[DrivenClock], start: Start, books: Books, ledger: Ledger
) -> None:
    """A lease is taken early by at most the error, and who lost it is refused everything."""
    (holder, holder_clock), (taker, taker_clock) = start("holder"), start("taker")
    holder_is_wrong = isinstance(fault, ClockBehind)

    with ledger.injected(fault, holder_clock if holder_is_wrong else taker_clock) as sighting:
        # By the holder's own clock, so that it finds them due.
        for key in ("shorter", "longer"):
            holder.enqueue(key)
        claimed_s = time.time()
        lost = _claim(holder, SHORTER_S)
        kept = _claim(holder, LONGER_S)
        freed = taker.reclaim().facts["count"]
        early_s = claimed_s + SHORTER_S - time.time()
        _claim(taker, LONGER_S)
        sighting.effect = f"{freed} of 2 leases were taken, one of them {early_s:.1f} s early"
        holder.task = lost
        refusals = [holder.heartbeat(), holder.complete(), holder.fail("late")]
        holder.task = kept
        own = holder.complete()
    done = taker.complete()

    books.evidence.limit("lease taken early by", early_s, ERROR_S, "s")
    books.evidence.require(freed == 1, f"{freed} of 2 leases were taken, not the shorter alone")
    _require_refused(books, refusals)
    books.evidence.require(own.ok, f"who kept its lease was refused: {own.error}")
    books.evidence.require(done.ok, f"who has the task now was refused: {done.error}")
    books.require_sound(taker, clock_error_s=LONGER_S)


@pytest.mark.parametrize("fault", [ClockAhead(), ClockBehind()], ids=lambda fault: fault.name)
def test_dead_holder_is_found_late_by_no_more_than_the_error(
    fault: Fault[DrivenClock], start: Start, books: Books, ledger: Ledger
) -> None:
    """A lease that is over is taken at most the error too late, and the task is done then."""
    (holder, holder_clock), (taker, taker_clock) = start("holder"), start("taker")
    later, later_clock = start("later")
    holder_is_wrong = isinstance(fault, ClockAhead)
    error_ms = TEN_MINUTES_MS if holder_is_wrong else 0

    with ledger.injected(fault, holder_clock if holder_is_wrong else taker_clock) as sighting:
        (holder if holder_is_wrong else taker).enqueue("a")
        _claim(holder, OVER_AT_ONCE_S)
        wait_until(lambda: _is_over(holder, error_ms), "the end of the lease", timeout_s=WAIT_S)
        too_early = taker.reclaim().facts["count"]
        sighting.effect = f"{too_early} of 1 ended leases was taken without the delay"
        _move(later_clock, error_ms - MARGIN_S * 1000)
        before = later.reclaim().facts["count"]
    _move(later_clock, error_ms + MARGIN_S * 1000)
    freed = later.reclaim().facts["count"]
    _claim(later, LONGER_S)
    done = later.complete()

    books.evidence.measure("found late by at most", ERROR_S, "s")
    books.evidence.require(too_early + before == 0, "the lease was taken before its end")
    books.evidence.require(freed == 1, "the ended lease was not taken after the error was over")
    books.evidence.require(done.ok, f"the task could not be completed: {done.error}")
    books.require_sound(later, clock_error_s=LONGER_S)


def test_delayed_task_runs_early_by_no_more_than_the_error(
    start: Start, books: Books, ledger: Ledger
) -> None:
    """A worker that is ahead takes what is due within its error, and nothing that is due later."""
    (producer, _right), (worker, clock) = start("producer"), start("worker")
    producer.enqueue("longer", delay_s=LONGER_S)
    producer.enqueue("shorter", delay_s=SHORTER_S)

    with ledger.injected(ClockAhead(), clock) as sighting:
        taken = worker.claim()
        done = worker.complete() if taken.task_id is not None else taken
        more = worker.claim()
        sighting.effect = f"{taken.key} ran {SHORTER_S:g} s early"

    books.evidence.limit("task run early by", SHORTER_S, ERROR_S, "s")
    books.evidence.require(taken.key == "shorter", f"{taken.key} was claimed, and not shorter")
    books.evidence.require(
        more.task_id is None, f"{more.key} was claimed more than the error early"
    )
    books.evidence.require(done.ok, f"the task could not be completed: {done.error}")
    books.require_sound(producer, clock_error_s=LONGER_S, checkers=UNFINISHED)


def test_jump_between_two_claims_lets_nobody_complete_twice(
    start: Start, books: Books, ledger: Ledger
) -> None:
    """A worker whose clock jumps ahead and back loses its own task once, and completes it once."""
    worker, clock = start("worker")
    worker.enqueue("a")
    first = _claim(worker, SHORTER_S)

    with ledger.injected(JumpingClock(), clock) as sighting:
        freed = worker.reclaim().facts["count"]
        second = _claim(worker, SHORTER_S)
        sighting.effect = f"it took {freed} of its own leases {SHORTER_S:g} s early"
    worker.task = first
    refusals = [worker.heartbeat(), worker.complete(), worker.fail("late")]
    worker.task = second
    done = worker.complete()
    again = worker.complete()

    books.evidence.limit("lease taken early by", SHORTER_S, JUMP_S, "s")
    books.evidence.require(freed == 1, f"{freed} of 1 lease was over after the jump")
    _require_refused(books, [*refusals, again])
    books.evidence.require(done.ok, f"the new holding was refused: {done.error}")
    books.require_sound(worker, clock_error_s=JUMP_S)


def test_clock_running_backwards_keeps_what_it_holds_and_no_more(
    start: Start, books: Books, ledger: Ledger
) -> None:
    """A worker whose clock runs backwards completes what it holds, and nothing that it lost."""
    (worker, clock), (keeper, keeper_clock) = start("worker"), start("keeper")
    # Due long before, so that the worker's clock does not come to a time when they are not.
    _move(keeper_clock, -MARGIN_S * 1000)
    for number in range(ROUNDS_COUNT + 1):
        keeper.enqueue(f"t-{number}")
    _move(keeper_clock, 0)

    with ledger.injected(BackwardsClock(), clock) as sighting:
        _claim(worker, LONGER_S)
        own = [worker.heartbeat(lease_s=LONGER_S), worker.complete()]
        lost = _claim_all(worker, OVER_AT_ONCE_S)
        wait_until(lambda: _is_over(worker, 0), "the end of the lease", timeout_s=WAIT_S)
        freed = keeper.reclaim().facts["count"]
        taken = _claim_all(keeper, LONGER_S)
        refusals = _ask_for_each(worker, lost)
        sighting.effect = f"{freed} of {len(lost)} leases were over at once by the right clock"
    done = [_complete(keeper, task) for task in taken]

    refused = [op.error for op in (*own, *done) if not op.ok]
    books.evidence.measure("tasks that changed hands", len(taken), "tasks")
    _require_refused(books, refusals)
    books.evidence.require(not refused, f"who held the task was refused: {refused}")
    books.require_sound(keeper, clock_error_s=MARGIN_S)


def test_workload_through_all_wrong_clocks_is_done_once(
    start: Start, books: Books, ledger: Ledger
) -> None:
    """Workers with every wrong clock reclaim from each other all the time; each task ends once."""
    (producer, _right), (right, _clock) = start("producer"), start("right")
    workers = {fault: start(fault.name) for fault in WRONG}

    with ExitStack() as stack:
        for fault, (_worker, clock) in workers.items():
            stack.enter_context(ledger.injected(fault, clock))
        for number in range(TASKS_COUNT):
            producer.enqueue(f"t-{number:03d}", max_attempts=ATTEMPTS_MOST)
        crew = [right, *(worker for worker, _clock in workers.values())]
        takers = [worker for worker, _clock in workers.values()]
        ended = work_off(
            crew,
            lambda: _reclaimed_all(takers, right),
            timeout_s=DRAIN_TIMEOUT_S,
            lease_s=SHORTER_S,
        )

    operations = books.history.operations()
    claims = sum(op.op == "claim" and op.task_id is not None for op in operations)
    refused = sum(op.error.startswith(ErrorCode.LEASE_LOST) for op in operations)
    books.evidence.measure("runs beyond one for each task", claims - TASKS_COUNT, "runs")
    books.evidence.measure("refused for a lost lease", refused, "operations")
    books.evidence.require(ended, f"{TASKS_COUNT} tasks were not done in {DRAIN_TIMEOUT_S:g} s")
    books.require_sound(producer, clock_error_s=JUMP_S)


@pytest.mark.parametrize("zones", [ZONES, ZONES[::-1]], ids=" to ".join)
def test_other_time_zone_moves_no_lease_and_no_delay(
    zones: tuple[str, str], queue_path: Path, crew: Crew, books: Books, ledger: Ledger
) -> None:
    """Workers a day apart by the clock on the wall agree on what is due, held and over."""
    holder, taker = (_start_in(zone, queue_path, crew, ledger) for zone in zones)
    for key in ("held", "over", "due"):
        holder.enqueue(key)
    held = _claim(holder, LONGER_S)
    _claim(holder, OVER_AT_ONCE_S)
    over_s = books.history.now_s() + 2 * OVER_AT_ONCE_S
    wait_until(lambda: books.history.now_s() > over_s, "the lease's end", timeout_s=WAIT_S)

    freed = taker.reclaim().facts["count"]
    taken = [_claim_and_complete(taker) for _number in range(2)]
    own = _complete(holder, held)

    where = f"from the time zone {zones[0]} to {zones[1]}"
    books.evidence.require(freed == 1, f"{freed} of 2 leases were taken {where}, not the ended one")
    books.evidence.require(
        set(taken) == {"over", "due"}, f"{taken} were handed out {where}, not what was due"
    )
    books.evidence.require(own.ok, f"who held its task was refused {where}: {own.error}")
    books.require_sound(taker)


def _start_in(zone: str, queue_path: Path, crew: Crew, ledger: Ledger) -> Worker:
    """Return a worker whose process is in the time zone."""
    started: list[Worker] = []

    def start() -> Driver:
        started.append(crew.start(queue_path, f"in-{zone}"))
        return started[0].driver

    with ledger.injected(ForeignZone(zone), start):
        return started[0]


def _claim_and_complete(worker: Worker) -> str | None:
    claim = worker.claim()
    if worker.task is not None:
        worker.complete()
    return claim.key


def _claim(worker: Worker, lease_s: float) -> Message:
    """Have the worker hold a task; return the task as it was told."""
    operation = worker.claim(lease_s=lease_s)
    if worker.task is None:
        raise Inconclusive(f"{worker.name} got no task: {operation.error or 'none was due'}")
    return worker.task


def _claim_all(worker: Worker, lease_s: float) -> list[Message]:
    """Have the worker hold so many tasks; return them as they were told."""
    return [_claim(worker, lease_s) for _number in range(ROUNDS_COUNT)]


def _ask_for_each(worker: Worker, tasks: Sequence[Message]) -> list[Operation]:
    """Have the worker extend and complete each task, as if it were still its own."""
    asked = []
    for worker.task in tasks:
        asked += [worker.heartbeat(), worker.complete()]
    return asked


def _complete(worker: Worker, task: Message) -> Operation:
    worker.task = task
    return worker.complete()


def _is_over(holder: Worker, error_ms: int) -> bool:
    """Return whether the lease is over by a right clock."""
    assert holder.task is not None
    return time.time() * 1000 > int(holder.task["lease_until_ms"]) - error_ms + 1


def _move(clock: DrivenClock, offset_ms: float) -> None:
    """Let a clock show a later time, as if it had passed."""
    clock.file.write(WrongTime(offset_ms=round(offset_ms)))


def _reclaimed(keeper: Worker) -> bool:
    return bool(keeper.reclaim().facts["count"])


def _reclaimed_all(takers: Sequence[Worker], witness: Worker) -> bool:
    """Take what each worker's clock lets it take; return whether nothing is left to do."""
    for taker in takers:
        taker.reclaim()
    return not any(task.status in OPEN for task in witness.final())


def _require_refused(books: Books, operations: Sequence[Operation]) -> None:
    __tracebackhide__ = True
    accepted = [op.op for op in operations if op.ok]
    books.evidence.require(
        not accepted, f"{len(accepted)} of {len(operations)} late operations accepted: {accepted}"
    )
    others = [op.error for op in operations if not op.error.startswith(ErrorCode.LEASE_LOST)]
    books.evidence.require(not others, f"a refusal is no lost lease: {others}")
