"""Faults in combinations that nobody thought of, drawn from the seed of the run.

Claim: what is survived alone is survived together, in any order.
Faults: killed-worker, suspended-worker, killed-while-suspended, killed-in-flight, rival-writer,
rival-process, passing-opener, snapshot-process, clock-ahead, clock-behind, backwards-clock.
Method: hypothesis draws which of them strike the workers of a small queue, one after the other,
while a reader sits on its snapshot and the workers' clocks are wrong. Each combination has a queue
of its own, and every checker judges it. One that fails is shrunk to the smallest that still does.
A failure means: faults that are each survived are together fatal. The first line has the smallest
combination and the command that finds it again.
"""

import itertools
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException

from core.database import QueueDatabase
from harness.checkers import CLOCK_ERROR_S, Record, Ruling, Valid, compose
from harness.checkers.record import OPEN
from harness.closing import Books
from harness.crew import Crew
from harness.drivers.clock_file import ClockFile, WrongTime
from harness.evidence import Evidence
from harness.faults import (
    Asked,
    BackwardsClock,
    ClockAhead,
    ClockBehind,
    Fault,
    KilledInFlight,
    KilledWhileSuspended,
    KilledWorker,
    PassingOpener,
    RivalProcess,
    RivalWriter,
    SnapshotProcess,
    SuspendedWorker,
)
from harness.faults.clocks import TEN_MINUTES_MS, DrivenClock
from harness.history import History
from harness.ledger import Ledger
from harness.outcome import Inconclusive
from harness.profile import Profile
from harness.promises import PromiseLog
from harness.replay import replay_check
from harness.settings import Settings
from harness.trial import trial_command
from harness.waiting import wait_until
from harness.worker import Worker
from harness.workload import work_off

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

EXAMPLES_COUNT = {Profile.GATE: 7, Profile.NIGHTLY: 60, Profile.SOAK: 300}
STRIKES_MOST = 5
TASKS_COUNT = 12
LEASE_S = 0.3
RIVAL_HELD_S = 0.1
SHRINKING_MOST_S = 60.0
DRAIN_TIMEOUT_S = 30.0
WAIT_S = 20.0
MUCH_EARLIER = WrongTime(offset_ms=-2 * TEN_MINUTES_MS)
MUCH_LATER = WrongTime(offset_ms=2 * TEN_MINUTES_MS)

CLOCKS: dict[str, Fault[DrivenClock]] = {
    each.name: each for each in (ClockAhead(), ClockBehind(), BackwardsClock())
}


class BrokenError(Exception):
    """A combination was not survived."""


@dataclass(frozen=True)
class Combination:
    """What happens to one queue.

    Attributes:
        strikes: names of the faults that strike, each another worker, in this order.
        snapshot: whether a reader holds an old state all the while.
        clock: name of what is wrong with the clocks of those struck; empty for right ones.
    """

    strikes: tuple[str, ...]
    snapshot: bool
    clock: str

    def __str__(self) -> str:
        """Return it for people."""
        around = [*([SnapshotProcess.name] if self.snapshot else []), *filter(None, [self.clock])]
        return f"{' then '.join(self.strikes)}{' under ' if around else ''}{' and '.join(around)}"

    @property
    def size(self) -> tuple[int, str]:
        """What makes one smaller than another."""
        return len(self.strikes) + self.snapshot + bool(self.clock), str(self)


@dataclass
class Entries:
    """The entries of a ledger, kept until it is known whether they are wanted."""

    kept: list[tuple[str, str, bool, str, str]] = field(default_factory=list)

    def fault(
        self, name: str, asked: str, confirmed: bool, evidence: str, effect: str = ""
    ) -> None:
        """Keep one entry."""
        self.kept.append((name, asked, confirmed, evidence, effect))


@dataclass(frozen=True)
class Bench:
    """A queue of one combination, and who works on it.

    Attributes:
        path: of the queue.
        keeper: whose clock is right, but where it is moved on purpose.
        ledger: of the combination.
    """

    path: Path
    keeper: Worker
    ledger: Ledger


def _killed(bench: Bench, victim: Worker) -> None:
    with bench.ledger.injected(KilledWorker(), victim.driver):
        _work_one(bench.keeper)


def _killed_while_suspended(bench: Bench, victim: Worker) -> None:
    with bench.ledger.injected(KilledWhileSuspended(), victim.driver):
        _work_one(bench.keeper)


def _suspended(bench: Bench, victim: Worker) -> None:
    """Let the lease end in the meantime; what the worker does then is for the checkers."""
    with bench.ledger.injected(SuspendedWorker(), victim.driver):
        over_s = bench.keeper.history.now_s() + LEASE_S
        wait_until(
            lambda: bench.keeper.history.now_s() > over_s, "the end of a lease", timeout_s=WAIT_S
        )
        bench.keeper.reclaim()
        # Held, and not done yet, when the one that was suspended goes on with it.
        bench.keeper.claim()
    _finish(victim)
    _complete(bench.keeper)


def _killed_in_flight(bench: Bench, victim: Worker) -> None:
    with bench.ledger.injected(RivalWriter(), bench.path):
        flight = victim.send_about("complete") if victim.task else victim.send_claim()
        with bench.ledger.injected(KilledInFlight(), Asked(victim.driver, flight)):
            pass


def _rivalled(bench: Bench, victim: Worker) -> None:
    with bench.ledger.injected(RivalProcess(held_s=RIVAL_HELD_S), bench.path):
        _finish(victim)


def _opened(bench: Bench, victim: Worker) -> None:
    with bench.ledger.injected(PassingOpener(count=2), bench.path):
        _finish(victim)


STRIKES: dict[str, Callable[[Bench, Worker], None]] = {
    KilledWorker.name: _killed,
    SuspendedWorker.name: _suspended,
    KilledWhileSuspended.name: _killed_while_suspended,
    KilledInFlight.name: _killed_in_flight,
    RivalProcess.name: _rivalled,
    PassingOpener.name: _opened,
}
# Places of which each may be empty: what is not needed to fail shrinks away, wherever it stands.
_PLACES = st.tuples(*[st.sampled_from(["", *sorted(STRIKES)])] * STRIKES_MOST)
COMBINATIONS = st.builds(
    Combination,
    strikes=_PLACES.map(lambda places: tuple(filter(None, places))).filter(bool),
    snapshot=st.booleans(),
    clock=st.sampled_from(["", *sorted(CLOCKS)]),
)


def test_drawn_combination_of_faults_is_survived(
    scratch: Path,
    evidence: Evidence,
    queue_settings: Settings,
    request: pytest.FixtureRequest,
) -> None:
    """Whatever is drawn, no acknowledged task is lost or completed twice, and all end done."""
    trials = Trials(scratch, evidence)

    draw_all(trials.run, queue_settings)

    again = replay_check(request.config, queue_settings, request.node.nodeid)
    trials.report(again)


def draw_all(run: Callable[[Combination], None], settings: Settings) -> None:
    """Run what the seed draws; once one has failed, smaller ones, until none of them fails."""
    drawn = hypothesis.settings(
        max_examples=EXAMPLES_COUNT[settings.profile],
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        print_blob=False,
        verbosity=hypothesis.Verbosity.quiet,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        suppress_health_check=list(hypothesis.HealthCheck),
    )

    @hypothesis.seed(settings.seed)
    @drawn
    @hypothesis.given(COMBINATIONS)
    def try_one(combination: Combination) -> None:
        run(combination)

    # Who ran it knows what failed, also where a race makes it fail only now and then.
    with suppress(BrokenError, HypothesisException):
        try_one()


class Trials:
    """Runs combinations, and knows the smallest that was not survived.

    Args:
        folder: where each has its queue.
        evidence: of the check.
    """

    def __init__(self, folder: Path, evidence: Evidence) -> None:
        self._folder = folder
        self._evidence = evidence
        self._numbers = itertools.count(1)
        self._survived: list[Entries] = []
        self._broken: list[tuple[Combination, str, Entries]] = []
        self._open: list[str] = []
        self._stop_s = float("inf")

    def run(self, combination: Combination) -> None:
        """Try one.

        Raises:
            BrokenError: it was not survived.
        """
        if time.monotonic() > self._stop_s:
            return
        entries = Entries()
        folder = self._folder / f"queue{next(self._numbers)}"
        try:
            rulings = _judged(combination, folder, self._evidence, entries)
        except Inconclusive as error:
            self._open.append(f"{combination}: {error}")
            return
        answer = compose(rulings)
        decisive = next((str(each) for each in rulings if each.valid is answer), "no checker")
        if answer is Valid.UNKNOWN:
            self._open.append(f"{combination}: {decisive}")
        elif answer is Valid.FALSE:
            self._stop_s = min(self._stop_s, time.monotonic() + SHRINKING_MOST_S)
            self._broken.append((combination, decisive, entries))
            raise BrokenError(decisive)
        else:
            self._survived.append(entries)

    def report(self, again: str) -> None:
        """Write down what happened, and end the check.

        Args:
            again: the command that draws the same.

        Raises:
            Inconclusive: none was broken, and one could not be judged.
        """
        __tracebackhide__ = True
        smallest = min(self._broken, key=lambda each: each[0].size, default=None)
        for entries in [smallest[2]] if smallest else self._survived:
            for entry in entries.kept:
                self._evidence.fault(*entry)
        self._evidence.measure("combinations survived", len(self._survived), "combinations")
        if smallest is not None:
            combination, decisive, _entries = smallest
            self._evidence.require(False, f"{combination}: {decisive}. Again: {again}")
        if self._open or not self._survived:
            raise Inconclusive(self._open[0] if self._open else "nothing was drawn")


def _judged(
    combination: Combination, folder: Path, evidence: Evidence, entries: Entries
) -> tuple[Ruling, ...]:
    """Run the combination on a new queue, and return what every checker says."""
    folder.mkdir()
    path = folder / "queue.db"
    QueueDatabase(path, create=True).close()
    with (
        PromiseLog(folder / "promises.jsonl") as promises,
        History(folder / "history.jsonl", promises) as history,
        Crew(history, folder) as crew,
    ):
        books = Books(history=history, promises=promises, evidence=evidence)
        keeper_clock, clock = ClockFile(folder / "keeper.json"), ClockFile(folder / "clock.json")
        keeper = _start(crew, path, "keeper", keeper_clock)
        victims = [
            _start(crew, path, f"victim{number}", clock)
            for number in range(len(combination.strikes))
        ]
        _fill(keeper, keeper_clock)
        with ExitStack() as stack:
            bench = Bench(path, keeper, Ledger(entries))
            _surround(stack, combination, bench, DrivenClock(victims[0].driver, clock))
            for strike, victim in zip(combination.strikes, victims, strict=True):
                victim.claim(lease_s=LEASE_S)
                STRIKES[strike](bench, victim)
        if combination.clock:
            keeper_clock.write(MUCH_LATER)
        work_off([keeper], lambda: _nothing_left(keeper), timeout_s=DRAIN_TIMEOUT_S)
        record = Record(
            operations=history.operations(),
            final=keeper.final(),
            capabilities=keeper.driver.capabilities,
            clock_error_s=2 * MUCH_LATER.offset_ms / 1000 if combination.clock else CLOCK_ERROR_S,
        )
        return books.rulings(record)


def _start(crew: Crew, path: Path, name: str, clock: ClockFile) -> Worker:
    return crew.start_program(trial_command(path, "--clock-file", str(clock.path)), name)


def _fill(keeper: Worker, clock: ClockFile) -> None:
    """Put tasks in that are due by every clock."""
    clock.write(MUCH_EARLIER)
    for number in range(TASKS_COUNT):
        keeper.enqueue(f"t-{number}")
    clock.write(WrongTime())


def _surround(stack: ExitStack, combination: Combination, bench: Bench, clock: DrivenClock) -> None:
    """Bring about what lasts while the strikes come."""
    if combination.snapshot:
        stack.enter_context(bench.ledger.injected(SnapshotProcess(), bench.path))
    if combination.clock:
        stack.enter_context(bench.ledger.injected(CLOCKS[combination.clock], clock))


def _work_one(worker: Worker) -> None:
    worker.claim()
    _complete(worker)


def _complete(worker: Worker) -> None:
    if worker.task is not None:
        worker.complete()


def _finish(victim: Worker) -> None:
    if victim.task is not None:
        victim.heartbeat(lease_s=LEASE_S)
    _complete(victim)


def _nothing_left(keeper: Worker) -> bool:
    keeper.reclaim()
    return not any(task.status in OPEN for task in keeper.final())
