"""Tasks of dead workers: freed once their lease is stale, in every form that the field writes.

Claim: a task whose holder died comes back, whichever word says that it is held and however the
lease's end is written; a live holder keeps its task for as long as it asked, and a lost one cannot
touch it; a task that kills its workers ends in dead_letter.
Faults: killed-worker, suspended-worker.
Method: leases in every known format, at the moment up to which they are live and a millisecond
later, and others a millisecond before and after their end, are handed to health and clean-up; real
workers are killed and suspended with tasks in hand, start beside others, and claim what they have
lost.
A failure means: a crashed worker's tasks are stuck for ever, or a live worker's are done twice.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from core.clock import ManualClock, SystemClock
from core.database import QueueDatabase
from core.health import check_health
from core.maintenance import QueueMaintenance
from core.task import Task
from core.tasks import TaskQueue
from core.thresholds import Thresholds
from core.timestamps import to_datetime
from harness.checkers import CHECKERS, Record, completed_once, judge
from harness.crew import Crew
from harness.drivers.protocol import ErrorCode, Message
from harness.evidence import Evidence
from harness.faults import KilledWorker, SuspendedWorker
from harness.judgement import require_all
from harness.ledger import Ledger
from harness.outcome import Inconclusive
from harness.waiting import wait_until
from harness.worker import Worker

pytestmark = pytest.mark.scenario

TIMEOUT_S = 300
SHORT_LEASE_S = 0.4
SHORTEST_LEASE_S = 0.02
EXACT_LEASE_S = 0.7
MILLISECOND_S = 0.001
STARTS_MS = (0, 1, 500, 999)
MINUTE_MS = 60_000
LONG_LEASE_S = 60.0
WAIT_S = 20.0
MAX_ATTEMPTS = 3
HELD_STATES = ("leased", "processing")
Format = Callable[[datetime], object]
FORMATS: dict[str, Format] = {
    "plain": lambda end: end.strftime("%Y-%m-%d %H:%M:%S"),
    "fraction": lambda end: end.strftime("%Y-%m-%d %H:%M:%S.%f")[:23],
    "t": lambda end: end.strftime("%Y-%m-%dT%H:%M:%S"),
    "t-fraction": lambda end: end.strftime("%Y-%m-%dT%H:%M:%S.%f"),
    "zulu": lambda end: end.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "utc-offset": lambda end: end.strftime("%Y-%m-%d %H:%M:%S+00:00"),
    "east": lambda end: end.astimezone(timezone(timedelta(hours=2))).isoformat(),
    "west": lambda end: end.astimezone(timezone(timedelta(hours=-7))).isoformat(" "),
    "epoch": lambda end: int(end.timestamp()),
    "epoch-fraction": lambda end: end.timestamp(),
    "epoch-text": lambda end: str(int(end.timestamp())),
    "epoch-ms": lambda end: int(end.timestamp() * 1000),
}
"""The end of a lease, as programs in the field write it."""


@pytest.fixture
def clock() -> ManualClock:
    """A clock at this second, which every format can write down, and which stands still."""
    return ManualClock(SystemClock().now_ms() // 1000 * 1000)


@pytest.fixture
def database(queue_path: Path, clock: ManualClock) -> Iterator[QueueDatabase]:
    """A queue with one task that a worker holds."""
    with QueueDatabase(queue_path, clock=clock) as database:
        tasks = TaskQueue(database)
        tasks.enqueue("t", {}, max_attempts=MAX_ATTEMPTS)
        if tasks.claim("dead") is None:
            raise Inconclusive("the only task could not be claimed")
        yield database


@pytest.mark.needs("core")
@pytest.mark.parametrize("state", HELD_STATES)
@pytest.mark.parametrize("form", FORMATS)
def test_stale_lease_is_freed_and_live_one_is_not(
    form: str, state: str, database: QueueDatabase, clock: ManualClock, evidence: Evidence
) -> None:
    """A lease in this form, under this word, is live up to the timeout and stale just after it."""
    end = to_datetime(clock.now_ms())
    _write_lease(database, state, FORMATS[form](end))
    maintenance = QueueMaintenance(database)

    clock.advance_s(TIMEOUT_S)
    too_early = maintenance.cleanup_stale_leases(TIMEOUT_S)
    told_early = _stale_count(database)
    clock.advance_s(MILLISECOND_S)
    told = _stale_count(database)
    freed = maintenance.cleanup_stale_leases(TIMEOUT_S)

    evidence.require(too_early == 0, f"{too_early} live leases were freed at the timeout")
    evidence.require(freed == 1, f"{freed} of 1 stale leases was freed")
    evidence.require(
        (told_early, told) == (0, 1),
        f"health saw {told_early} and {told} stale leases, not 0 and 1",
    )
    row = _row(database)
    evidence.require(row == ("queued", 1, None), f"the freed task is {row}")


@pytest.mark.needs("core")
@pytest.mark.parametrize("state", HELD_STATES)
@pytest.mark.parametrize(
    "lease", [None, "", "soon", "12:00"], ids=["null", "empty", "word", "time"]
)
def test_unreadable_lease_is_told_and_not_guessed(
    lease: str | None,
    state: str,
    database: QueueDatabase,
    clock: ManualClock,
    evidence: Evidence,
) -> None:
    """A lease that no program can read is left alone, told, and freed by the command named."""
    _write_lease(database, state, lease)
    clock.advance_s(TIMEOUT_S * 1000)
    maintenance = QueueMaintenance(database)

    result = maintenance.release_stale_leases(TIMEOUT_S)
    finding = check_health(database, clock=clock).finding("leases.unreadable")
    maintenance.release_lease(1)

    evidence.require(result.released == 0, "a lease that cannot be read was taken for stale")
    evidence.require(finding.observed == 1, f"health told {finding.observed} unreadable leases")
    evidence.require("--release" in finding.command, f"its command is {finding.command!r}")
    row = _row(database)
    evidence.require(row == ("queued", 1, None), f"the released task is {row}")


@pytest.mark.needs("core")
@pytest.mark.parametrize("start_ms", STARTS_MS)
@pytest.mark.parametrize("verb", ["claim", "heartbeat"])
def test_lease_lasts_as_long_as_was_asked(
    verb: str, start_ms: int, queue_path: Path, evidence: Evidence
) -> None:
    """To the millisecond, wherever in a second it begins: not over at its end, and over after."""
    clock = ManualClock(SystemClock().now_ms() // MINUTE_MS * MINUTE_MS + start_ms)
    with QueueDatabase(queue_path, clock=clock) as database:
        task = _held(TaskQueue(database), lease_s=EXACT_LEASE_S)
        if verb == "heartbeat":
            clock.advance_s(EXACT_LEASE_S / 2)
            TaskQueue(database).heartbeat(task, lease_seconds=EXACT_LEASE_S)
        maintenance = QueueMaintenance(database)

        clock.advance_s(EXACT_LEASE_S)
        too_early = maintenance.cleanup_stale_leases(0)
        clock.advance_s(MILLISECOND_S)
        freed = maintenance.cleanup_stale_leases(0)

    evidence.require(too_early == 0, f"a lease of {EXACT_LEASE_S} s was freed before its end")
    evidence.require(freed == 1, f"a lease of {EXACT_LEASE_S} s was not freed after its end")


@pytest.mark.needs("core")
@pytest.mark.parametrize("ending", ["complete", "fail", "dead-letter", "reclaim"])
def test_attempt_that_ended_leaves_no_lease(
    ending: str, queue_path: Path, clock: ManualClock, evidence: Evidence
) -> None:
    """A task that nobody holds has no lease: whoever frees by that alone frees nothing of it."""
    with QueueDatabase(queue_path, clock=clock) as database:
        tasks = TaskQueue(database)
        most = 1 if ending == "dead-letter" else MAX_ATTEMPTS
        task = _held(tasks, lease_s=LONG_LEASE_S, max_attempts=most)

        if ending == "complete":
            tasks.complete(task)
        elif ending == "reclaim":
            clock.advance_s(2 * LONG_LEASE_S)
            QueueMaintenance(database).cleanup_stale_leases(0)
        else:
            tasks.fail(task, "for trial")
        status, _attempts, lease = _row(database)

    evidence.require(status not in HELD_STATES, f"after {ending} the task is {status}")
    evidence.require(lease is None, f"the task is {status} and has a lease until {lease}")


@pytest.mark.needs("core")
def test_task_that_kills_every_worker_ends_in_dead_letter(
    queue_path: Path, crew: Crew, ledger: Ledger, evidence: Evidence
) -> None:
    """A task that kills whoever takes it is given up after its attempts, with its history."""
    keeper = crew.start(queue_path, "keeper")
    keeper.enqueue("poison", max_attempts=MAX_ATTEMPTS)
    for number in range(MAX_ATTEMPTS):
        victim = crew.start(queue_path, f"victim{number}")
        handed_out = victim.claim(lease_s=SHORT_LEASE_S).task_id is not None
        evidence.require(handed_out, f"it was not handed out for attempt {number + 1}")
        with ledger.injected(KilledWorker(), victim.driver):
            wait_until(lambda: _reclaimed(keeper), "the reclaim of the task", timeout_s=WAIT_S)

    again = keeper.claim()
    (task,) = keeper.final()
    logged = _log_count(queue_path)

    evidence.measure("attempts", task.attempts, "attempts")
    evidence.require(again.task_id is None, "a task without attempts left was handed out")
    evidence.require(task.status == "dead_letter", f"the task is {task.status}, not dead_letter")
    evidence.require(
        logged >= MAX_ATTEMPTS, f"{logged} entries in its history, {MAX_ATTEMPTS} attempts failed"
    )
    _require_sound(evidence, crew, keeper)


@pytest.mark.needs("leases", "fencing")
@pytest.mark.parametrize("op", ["complete", "fail", "heartbeat"])
def test_suspended_worker_that_wakes_too_late_is_refused(
    op: str, queue_path: Path, crew: Crew, ledger: Ledger, evidence: Evidence
) -> None:
    """A worker that slept through its lease cannot touch the task that another one has now."""
    sleeper, keeper, rescuer = (
        crew.start(queue_path, name) for name in ("sleeper", "keeper", "rescuer")
    )
    keeper.enqueue("only")
    if sleeper.claim(lease_s=SHORT_LEASE_S).task_id is None:
        raise Inconclusive("the only task could not be claimed")

    with ledger.injected(SuspendedWorker(), sleeper.driver) as sighting:
        wait_until(lambda: _reclaimed(keeper), "the reclaim of the task", timeout_s=WAIT_S)
        taken = rescuer.claim(lease_s=LONG_LEASE_S)
        if taken.task_id is None:
            raise Inconclusive("the reclaimed task was not handed out")
        sighting.effect = f"{rescuer.name} has its task since {taken.returned_s:.2f} s"
    late = {"complete": sleeper.complete, "heartbeat": sleeper.heartbeat}.get(
        op, lambda: sleeper.fail("late")
    )()
    rescuer.complete()

    evidence.require(not late.ok, f"{op} by a worker that had lost its lease was accepted")
    evidence.require(
        late.error.startswith(ErrorCode.LEASE_LOST), f"the refusal is no lost lease: {late.error}"
    )
    _require_sound(evidence, crew, keeper)


@pytest.mark.needs("core")
@pytest.mark.parametrize("lost_by", ["reclaim", "other-program"])
def test_worker_that_claims_again_is_not_who_it_was(
    lost_by: str, queue_path: Path, crew: Crew, evidence: Evidence
) -> None:
    """What a worker began before it lost its task is refused, though the task is its own again."""
    worker, keeper = crew.start(queue_path, "worker"), crew.start(queue_path, "keeper")
    keeper.enqueue("only")
    before = _claimed(worker, SHORTEST_LEASE_S)
    if lost_by == "reclaim":
        wait_until(lambda: _reclaimed(keeper), "the reclaim of the task", timeout_s=WAIT_S)
    else:
        _put_back_uncounted(queue_path, crew, before)
    again = _claimed(worker, LONG_LEASE_S)

    worker.task = before
    late = [worker.heartbeat(), worker.complete(), worker.fail("late")]
    worker.task = again
    own = worker.complete()

    accepted = [op.op for op in late if op.ok]
    evidence.require(not accepted, f"{accepted} of a holding that was lost were accepted")
    evidence.require(own.ok, f"who holds the task was refused: {own.error}")
    _require_sound(evidence, crew, keeper)


@pytest.mark.needs("leases")
def test_heartbeat_in_time_keeps_the_task_and_stops_nobody(
    queue_path: Path, crew: Crew, evidence: Evidence
) -> None:
    """A lease that was extended outlives its first end, and the others go on with their work."""
    holder, other = crew.start(queue_path, "holder"), crew.start(queue_path, "other")
    other.enqueue("held")
    other.enqueue("free")
    _claimed(holder, SHORT_LEASE_S)
    over_s = crew.history.now_s() + SHORT_LEASE_S

    beat = holder.heartbeat(lease_s=LONG_LEASE_S)
    wait_until(lambda: crew.history.now_s() > over_s, "the first lease's end", timeout_s=WAIT_S)
    reclaim = other.reclaim()
    others = [reclaim, other.claim(), *([other.complete()] if other.task is not None else [])]
    own = holder.complete()

    refused = [f"{op.op} by {op.worker}: {op.error}" for op in (beat, *others) if not op.ok]
    evidence.require(not refused, f"beside a heartbeat {len(refused)} were refused: {refused}")
    evidence.require(not reclaim.facts["count"], "a lease that was extended in time was taken")
    evidence.require(own.ok, f"who had extended its lease was refused: {own.error}")
    _require_sound(evidence, crew, other)


@pytest.mark.needs("leases")
def test_worker_that_starts_beside_a_holder_leaves_it_its_task(
    queue_path: Path, crew: Crew, evidence: Evidence
) -> None:
    """Who comes later finds nothing to do where all is held, and takes it from nobody."""
    holder = crew.start(queue_path, "holder")
    holder.enqueue("only")
    _claimed(holder, LONG_LEASE_S)

    newcomer = crew.start(queue_path, "newcomer")
    taken = newcomer.claim()
    own = holder.complete()

    evidence.require(taken.task_id is None, "a task that is held was handed to who had just begun")
    evidence.require(own.ok, f"who held the task was refused: {own.error}")
    _require_sound(evidence, crew, newcomer)


def _require_sound(evidence: Evidence, crew: Crew, witness: Worker) -> None:
    record = Record(
        operations=crew.history.operations(),
        final=witness.final(),
        capabilities=witness.driver.capabilities,
    )
    completed = any(op.op == "complete" for op in record.operations)
    checkers = [each for each in CHECKERS if completed or each is not completed_once]
    require_all(evidence, judge(record, checkers))


def _held(tasks: TaskQueue, *, lease_s: float, max_attempts: int = MAX_ATTEMPTS) -> Task:
    """Return the queue's only task, claimed."""
    tasks.enqueue("t", {}, max_attempts=max_attempts)
    task = tasks.claim("holder", lease_seconds=lease_s)
    if task is None:
        raise Inconclusive("the only task could not be claimed")
    return task


def _claimed(worker: Worker, lease_s: float) -> Message:
    """Have the worker hold a task; return it as the worker was told."""
    claim = worker.claim(lease_s=lease_s)
    if worker.task is None:
        raise Inconclusive(f"{worker.name} got no task: {claim.error or 'none was due'}")
    return worker.task


def _put_back_uncounted(queue_path: Path, crew: Crew, task: Message) -> None:
    """Free the task as clean-ups of other programs do, which count no attempt."""
    ticket = crew.history.begin("other-program", "release", task_id=task["id"])
    with QueueDatabase(queue_path) as database, database.transaction() as connection:
        connection.execute(
            "UPDATE task_queue SET status = 'queued', locked_by = NULL, lease_until_utc = NULL"
        ).close()
    ticket.ok()


def _reclaimed(keeper: Worker) -> bool:
    return bool(keeper.reclaim().facts.get("count"))


def _write_lease(database: QueueDatabase, state: str, lease: object) -> None:
    with database.transaction() as connection:
        connection.execute(
            "UPDATE task_queue SET status = ?, lease_until_utc = ?", (state, lease)
        ).close()


def _row(database: QueueDatabase) -> tuple[object, ...]:
    sql = "SELECT status, attempts, lease_until_utc FROM task_queue"
    (row,) = database.connection().execute(sql).fetchall()
    return tuple(row)


def _stale_count(database: QueueDatabase) -> object:
    """Return how many the health check tells."""
    limits = Thresholds(stale_after_s=TIMEOUT_S)
    report = check_health(database, thresholds=limits, clock=database.clock)
    return report.finding("leases.stale").observed


def _log_count(queue_path: Path) -> int:
    with QueueDatabase(queue_path, read_only=True) as database:
        rows = database.connection().execute("SELECT count(*) FROM task_logs").fetchall()
    return int(rows[0][0])
