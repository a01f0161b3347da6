"""The worker's verbs, killed at every call to the file system that they make.

Claim: a verb that was killed anywhere was done whole or not at all, and can be run again.
Faults: killed-at-step.
Method: the process is killed at call 1, 2, 3 of one verb until a run is left untouched; after each
kill the file is opened anew, checked and compared, and another worker runs the verb again. Where
nothing can strike at calls, it is struck around the statements.
A failure means: a worker that dies at the wrong moment leaves a task half changed, or loses one.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core.database import QueueDatabase
from core.maintenance import QueueMaintenance
from core.schema import TASK_COLUMNS
from harness.closing import Books
from harness.crew import Crew
from harness.history import Operation
from harness.outcome import Inconclusive
from harness.step import Step
from harness.strikes import STATEMENT, Trace, can_trace, start_struck, steps_of, traced
from harness.waiting import wait_until
from harness.worker import Worker

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

VERBS = ("enqueue", "claim", "heartbeat", "complete", "fail")
GATE_POINTS_COUNT = {"claim": 12, "complete": 12}
GATE_OTHERS_COUNT = 5
EVERY_POINT = 10_000
LEASE_S = 0.05
HEARTBEAT_LEASE_S = 0.08
WAIT_S = 20.0
NEVER = Step(EVERY_POINT, STATEMENT)
Row = dict[str, object]


@pytest.mark.parametrize("verb", VERBS)
def test_killed_at_some_calls_verb_is_whole_or_not_at_all(
    verb: str, queue_path: Path, scratch: Path, crew: Crew, books: Books
) -> None:
    """Killed at calls spread over the whole verb, the first and last too, no task is half done."""
    most = GATE_POINTS_COUNT.get(verb, GATE_OTHERS_COUNT)
    _require_survived(Sweep(verb, queue_path, scratch, crew, can_trace(scratch)), books, most)


@pytest.mark.profile("nightly")
@pytest.mark.parametrize("verb", VERBS)
def test_killed_at_every_call_verb_is_whole_or_not_at_all(
    verb: str, queue_path: Path, scratch: Path, crew: Crew, books: Books
) -> None:
    """Killed at every call of the verb, one after the other, no task is half done."""
    sweep = Sweep(verb, queue_path, scratch, crew, can_trace(scratch))
    _require_survived(sweep, books, EVERY_POINT)


@pytest.mark.profile("nightly")
@pytest.mark.parametrize("verb", VERBS)
def test_killed_around_every_statement_verb_is_whole_or_not_at_all(
    verb: str, queue_path: Path, scratch: Path, crew: Crew, books: Books
) -> None:
    """Killed before and after every statement of the verb, no task is half done."""
    _require_survived(Sweep(verb, queue_path, scratch, crew, tracing=False), books, EVERY_POINT)


@dataclass(frozen=True)
class Attempt:
    """One run of the verb.

    Attributes:
        struck: where the process was killed, or None.
        state: ``old``, ``new``, or what is between the two.
        integrity: what the check of the whole file said.
        again: whether another worker could run the verb again, and end the task.
    """

    struck: Step | None
    state: str
    integrity: list[str]
    again: bool


@dataclass
class Sweep:
    """Runs one verb again and again on one queue, killed elsewhere each time.

    Attributes:
        verb: an operation of a worker.
        database: the queue's file.
        folder: for the logs of strace.
        crew: of the workers.
        tracing: whether calls are struck, or statements.
        attempts: all runs so far, but for the first.
        points: how many moments there are to be killed at.
    """

    verb: str
    database: Path
    folder: Path
    crew: Crew
    tracing: bool
    attempts: list[Attempt] = field(default_factory=list)
    points: int = 0
    witness: Worker | None = None
    _runs: int = 0
    _new: Row = field(default_factory=dict)

    def run(self, most: int) -> None:
        """Strike at so many points, evenly spread, and at last run untouched behind all of them."""
        trace = Trace()
        self._attempt((), trace)
        steps = steps_of(trace.calls)
        behind = Counter(trace.calls) if self.tracing else Counter({STATEMENT: 0})
        for step in _evenly(steps, most):
            self.attempts.append(self._attempt((step,), Trace()))
        struck = True
        while struck:
            beyond = tuple(Step(count + 1, call) for call, count in behind.items())
            attempt = self._attempt(beyond, Trace())
            self.attempts.append(attempt)
            struck = attempt.struck is not None
            if attempt.struck is not None:
                behind[attempt.struck.what] += 1
        self.points = behind.total()

    def _attempt(self, steps: tuple[Step, ...], trace: Trace) -> Attempt:
        self._runs += 1
        victim = self._victim(steps)
        key = f"{self.verb}-{self._runs}"
        _prepare(victim, self.verb, key)
        before = _row(self.database, key)

        with self._armed(victim, steps, trace):
            done = _verbs(victim, key)[self.verb]()
            # Its end is waited for while strace follows, which has to write down why.
            died = not done.ok and _killed(victim)
        if not done.ok and not died:
            raise Inconclusive(f"{self.verb} was not done, and nothing struck: {done.error}")
        if died and self.tracing and not trace.killed:
            raise Inconclusive(f"process {victim.driver.pid} died, and strace did not see why")
        if not self.tracing or died:
            victim.driver.close()

        with QueueDatabase(self.database) as database:
            integrity = QueueMaintenance(database).integrity_check()
        change = _change(before, _row(self.database, key))
        self._new = self._new or change
        state = _state(change, self._new, acknowledged=done.ok)
        self.witness = self._next(victim, died)
        return Attempt(
            struck=self._struck(steps, trace) if died else None,
            state=state,
            integrity=integrity,
            again=_again(self.witness, self.verb, key, state),
        )

    def _victim(self, steps: tuple[Step, ...]) -> Worker:
        name = f"victim{self._runs}"
        if not self.tracing:
            if self.witness is not None:
                # A queue that nobody else has open: whoever comes next has to recover its -wal.
                self.witness.driver.close()
            step = steps[0] if steps else NEVER
            return start_struck(self.crew, self.database, name, self.verb, step)
        return self.witness or self.crew.start(self.database, name)

    def _next(self, victim: Worker, died: bool) -> Worker:
        if self.tracing and not died:
            return victim
        return self.crew.start(self.database, f"worker{self._runs}")

    @contextlib.contextmanager
    def _armed(self, victim: Worker, steps: tuple[Step, ...], trace: Trace) -> Iterator[None]:
        if not self.tracing:
            yield
            return
        log = self.folder / f"{self.verb}-{self._runs}.strace"
        with traced(victim.driver.pid, log, steps) as seen:
            yield
        trace.calls, trace.killed = seen.calls, seen.killed

    def _struck(self, steps: tuple[Step, ...], trace: Trace) -> Step:
        return steps_of(trace.calls)[-1] if self.tracing else steps[0]


def _require_survived(sweep: Sweep, books: Books, most: int) -> None:
    """Judge a whole sweep; one in which nothing struck says nothing."""
    evidence = books.evidence
    sweep.run(most)
    struck = [attempt for attempt in sweep.attempts if attempt.struck is not None]
    states = Counter(attempt.state for attempt in struck)
    survived = sum(
        attempt.state in ("old", "new") and attempt.integrity == ["ok"] and attempt.again
        for attempt in struck
    )
    kind = "file-system calls" if sweep.tracing else "moments around statements"
    evidence.fault(
        "killed-at-step",
        f"{sweep.verb} killed at {most if most < EVERY_POINT else 'all'} of its {kind}",
        bool(struck),
        f"{len(struck)} processes died of the signal; the last run was left untouched",
        f"{survived} of {len(struck)} survived: {dict(states)}",
    )
    evidence.measure("points", sweep.points, "points")
    evidence.measure("struck_points", len(struck), "points")
    evidence.measure("survived_points", survived, "points")
    evidence.limit("lost_points", len(struck) - survived, 0, "points")
    bad = [attempt for attempt in sweep.attempts if _wrong(attempt)]
    evidence.require(not bad, f"{len(bad)} of {len(sweep.attempts)} runs went wrong: {bad[:1]}")
    if not states["old"] or not states["new"]:
        raise Inconclusive(f"no kill before the commit, or none after it: {dict(states)}")
    assert sweep.witness is not None
    books.require_sound(sweep.witness)


def _killed(victim: Worker) -> bool:
    """Return whether the system says that the process, which did not answer, died of the signal."""
    victim.driver.process.wait(WAIT_S)
    return victim.driver.killed_by_signal()


def _evenly(steps: list[Step], most: int) -> list[Step]:
    """Return so many of the steps, spread over all; the first and the last are among them."""
    if len(steps) <= most:
        return steps
    return [steps[round(place * (len(steps) - 1) / (most - 1))] for place in range(most)]


def _wrong(attempt: Attempt) -> bool:
    whole = attempt.state in ("old", "new")
    return not (whole and attempt.integrity == ["ok"] and attempt.again)


def _prepare(victim: Worker, verb: str, key: str) -> None:
    """Leave everything as the verb needs it; the victim has opened the queue by then."""
    victim.final()
    if verb != "enqueue":
        victim.enqueue(key)
    if verb in ("heartbeat", "complete", "fail") and victim.claim(lease_s=LEASE_S).key != key:
        raise Inconclusive(f"the only task, {key}, could not be claimed")


def _verbs(worker: Worker, key: str) -> dict[str, Callable[[], Operation]]:
    return {
        "enqueue": lambda: worker.enqueue(key),
        "claim": lambda: worker.claim(lease_s=LEASE_S),
        "heartbeat": lambda: worker.heartbeat(lease_s=HEARTBEAT_LEASE_S),
        "complete": worker.complete,
        "fail": lambda: worker.fail("no luck"),
    }


def _again(worker: Worker, verb: str, key: str, state: str) -> bool:
    """Return whether the worker can run the verb on the task, and then end it."""
    if verb == "complete" and state == "new":
        return worker.claim().task_id is None
    if verb == "enqueue" and not worker.enqueue(key).ok:
        return False
    wait_until(lambda: _taken(worker, key), f"the claim of {key}", timeout_s=WAIT_S)
    if verb == "heartbeat" and not worker.heartbeat().ok:
        return False
    if verb == "fail" and not (worker.fail("again").ok and _taken(worker, key)):
        return False
    return worker.complete().ok


def _taken(worker: Worker, key: str) -> bool:
    worker.reclaim()
    return worker.claim().key == key


def _row(database: Path, key: str) -> Row:
    """Return what the file has of a task: its columns, and its history; empty without it."""
    columns = ", ".join(TASK_COLUMNS)
    history = "(SELECT count(*) FROM task_logs WHERE task_id = task_queue.id)"
    sql = f"SELECT {columns}, {history} FROM task_queue WHERE idempotency_key = ?"
    with QueueDatabase(database, read_only=True) as opened:
        rows = opened.connection().execute(sql, (key,)).fetchall()
    return dict(zip((*TASK_COLUMNS, "logged"), rows[0], strict=True)) if rows else {}


def _change(before: Row, after: Row) -> Row:
    return {
        name: value for name, value in after.items() if name not in before or value != before[name]
    }


def _state(change: Row, new: Row, *, acknowledged: bool) -> str:
    """Return whether the verb is done, by what a run that nobody touched had changed."""
    if not change and not acknowledged:
        return "old"
    alike = all(change.get(name) == new.get(name) for name in ("status", "attempts", "logged"))
    if change.keys() == new.keys() and alike:
        return "new"
    return f"between: changed {sorted(change)} of {sorted(new)}"
