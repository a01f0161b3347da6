"""Maintenance while others write: VACUUM, every checkpoint, backup, ANALYZE.

Claim: no maintenance verb costs an acknowledged task, and each says what it did.
Faults: rival-writer, stuck-reader; otherwise none but the verb itself.
Method: a second process puts tasks in without a pause while the verb runs. That the two met is
seen in the history: an enqueue was under way while the verb was (VACUUM and the backup are held in
their own progress callback until that is so). Afterwards every acknowledged task is looked for.
A failure means: maintenance cannot be run beside workers.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core.backup import QueueBackup
from core.connection import connect_stdlib
from core.database import QueueDatabase
from core.maintenance import QueueMaintenance
from core.paths import uri, wal_of
from core.tasks import TaskQueue
from harness.checkers import Record, judge, nothing_lost, nothing_unexpected
from harness.crew import Crew
from harness.evidence import Evidence
from harness.faults import RivalWriter, StuckReader
from harness.history import FinalTask, History, digest_of
from harness.judgement import require_all
from harness.ledger import Ledger
from harness.load import Load
from harness.outcome import Inconclusive
from harness.waiting import WaitedTooLongError
from harness.worker import Worker

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

SEEDED_COUNT = 300
FILLING = "x" * 1000
MEETINGS_LEAST = 5
STALL_LEAST_S = 0.02
REPEATS_TIMEOUT_S = 15.0
RIVAL_TIMEOUT_S = 0.2
MODES = ("PASSIVE", "FULL", "RESTART", "TRUNCATE")


@dataclass
class Bench:
    """A queue, the load on it, and when the verb ran.

    Attributes:
        database: opened by this process.
        load: the producers.
        history: of all operations.
        windows: when the verb began and ended, in seconds of the history.
    """

    database: QueueDatabase
    load: Load
    history: History
    windows: list[tuple[float, float]] = field(default_factory=list)

    def run(self, verb: Callable[[float], object]) -> None:
        """Run the verb, which is told when it began, and write down when it ran."""
        began_s = self.history.now_s()
        try:
            verb(began_s)
        except WaitedTooLongError as error:
            raise Inconclusive(f"the verb and the writer did not meet: {error}") from error
        self.windows.append((began_s, self.history.now_s()))

    def run_until_met(self, verb: Callable[[float], object]) -> None:
        """Run the verb again and again until enough enqueues were under way meanwhile."""
        end_s = time.monotonic() + REPEATS_TIMEOUT_S
        while self.meetings() < MEETINGS_LEAST and time.monotonic() < end_s:
            self.run(verb)

    def meetings(self) -> int:
        """Return how many enqueues were under way while the verb was."""
        return sum(len(self.load.meeting(*window)) for window in self.windows)


Verb = Callable[[Bench], None]


def _checkpoint(mode: str) -> Verb:
    def run(bench: Bench) -> None:
        maintenance = QueueMaintenance(bench.database)
        bench.run_until_met(lambda _began_s: maintenance.checkpoint(mode))

    return run


def _vacuum(bench: Bench) -> None:
    """Hold VACUUM until the writer has waited for it; from then on it has its way."""
    maintenance = QueueMaintenance(bench.database)
    held: list[float] = []

    def hold(seconds: float) -> None:
        if not held:
            bench.load.wait_for_stall(STALL_LEAST_S)
            held.append(seconds)

    bench.run(lambda _began_s: maintenance.vacuum(progress=hold))
    if not held:
        raise Inconclusive("VACUUM was over before it could be held for the writer")


def _analyze(bench: Bench) -> None:
    maintenance = QueueMaintenance(bench.database)
    bench.run_until_met(lambda _began_s: maintenance.analyze())


VERBS: dict[str, Verb] = {
    "vacuum": _vacuum,
    "analyze": _analyze,
    **{f"checkpoint-{mode.lower()}": _checkpoint(mode) for mode in MODES},
}


@pytest.fixture
def producer(crew: Crew, seeded: QueueDatabase) -> Worker:
    """The second process, which writes."""
    return crew.start(seeded.path, "producer")


@pytest.fixture
def seeded(queue_path: Path, history: History) -> Iterator[QueueDatabase]:
    """A queue with tasks and free pages; its tasks are in the history too."""
    with QueueDatabase(queue_path) as database:
        tasks = TaskQueue(database, durability="normal")
        for number in range(SEEDED_COUNT):
            key = f"seed-{number:05d}"
            payload = {"key": key, "filling": FILLING}
            ticket = history.begin("seed", "enqueue", key=key, digest=digest_of(payload))
            ticket.ok(task_id=tasks.enqueue("t", payload, idempotency_key=key))
        with database.transaction() as connection:
            connection.execute("CREATE TABLE spare AS SELECT payload FROM task_queue").close()
            connection.execute("DROP TABLE spare").close()
        yield database


@pytest.mark.parametrize("verb", VERBS)
def test_verb_beside_a_writer_loses_nothing(
    verb: str, seeded: QueueDatabase, producer: Worker, crew: Crew, evidence: Evidence
) -> None:
    """The verb runs while another process writes, and every acknowledged task is there."""
    with Load([producer], prefix="load") as load:
        bench = Bench(seeded, load, crew.history)
        VERBS[verb](bench)

    _require_met(evidence, bench)
    _require_all_there(evidence, producer, crew.history)
    integrity = QueueMaintenance(seeded).integrity_check()
    evidence.require(integrity == ["ok"], f"integrity_check after {verb}: {integrity}")


def test_backup_beside_a_writer_has_all_that_was_acknowledged_before(
    seeded: QueueDatabase, producer: Worker, crew: Crew, evidence: Evidence
) -> None:
    """A backup made under load is sound, holds no writer up, and lacks nothing from before it."""
    backups, history = QueueBackup(seeded), crew.history
    with Load([producer], prefix="load") as load:
        load.wait_for_acknowledgement(0.0)
        bench = Bench(seeded, load, history)
        bench.run(
            lambda began_s: backups.create_backup(
                progress=lambda _pages: load.wait_for_acknowledgement(began_s)
            )
        )
    ((began_s, ended_s),) = bench.windows
    (newest,) = backups.list_backups()
    held = _keys_in(newest.path)
    before = {
        op.key
        for op in history.operations()
        if op.op == "enqueue" and op.ok and (op.returned_s or 0.0) < began_s
    }

    _require_met(evidence, bench)
    inside = len(load.inside(began_s, ended_s))
    evidence.measure("acknowledged_during_backup", inside, "tasks")
    if not inside:
        raise Inconclusive("nothing was acknowledged while the backup was made")
    missing = before - held
    evidence.limit("acknowledged before the backup and not in it", len(missing), 0, "tasks")
    evidence.require(not missing, f"{len(missing)} of {len(before)} tasks are not in the backup")
    evidence.require(backups.verify_backup(newest.path), "the backup does not verify")
    _require_all_there(evidence, producer, history)


@pytest.mark.parametrize("mode", MODES)
def test_checkpoint_behind_a_rival_writer_ends_and_does_not_boast(
    mode: str, seeded: QueueDatabase, ledger: Ledger, evidence: Evidence
) -> None:
    """A checkpoint that cannot have its lock ends in time and does not say it is complete."""
    maintenance = QueueMaintenance(seeded)
    with ledger.injected(RivalWriter(), seeded.path) as sighting:
        result = maintenance.checkpoint(mode, timeout_seconds=RIVAL_TIMEOUT_S)
        sighting.effect = f"busy {result['busy']}, complete {result['complete']}"
    afterwards = maintenance.checkpoint(mode)

    evidence.measure("waited", result["seconds"], "s")
    boasts = result["complete"] and (result["busy"] or result["log"] != result["checkpointed"])
    waits = mode != "PASSIVE"
    evidence.require(not boasts, f"it says it is complete and is not: {result}")
    evidence.require(not (waits and result["complete"]), f"{mode} went past a writer: {result}")
    evidence.require(afterwards["complete"], f"with nobody in its way it left some: {afterwards}")


@pytest.mark.parametrize("mode", MODES)
def test_checkpoint_behind_a_stuck_reader_says_what_is_left(
    mode: str, seeded: QueueDatabase, ledger: Ledger, evidence: Evidence
) -> None:
    """A checkpoint that a reader holds back says so, and ends the -wal once the reader is gone."""
    maintenance, tasks = QueueMaintenance(seeded), TaskQueue(seeded)
    with ledger.injected(StuckReader(), seeded.path) as sighting:
        for number in range(MEETINGS_LEAST):
            tasks.enqueue("t", {"number": number})
        result = maintenance.checkpoint(mode, timeout_seconds=RIVAL_TIMEOUT_S)
        left = result["log"] - result["checkpointed"]
        sighting.effect = f"busy {result['busy']}, {left} frames left"
    afterwards = maintenance.checkpoint(mode)

    evidence.measure("waited", result["seconds"], "s")
    evidence.require(left > 0, f"the reader held nothing back: {result}")
    evidence.require(not result["complete"], f"it says it is complete and is not: {result}")
    evidence.require(afterwards["complete"], f"with nobody in its way it left some: {afterwards}")
    length = wal_of(seeded.path).stat().st_size
    evidence.require(
        (length == 0) == (mode == "TRUNCATE"), f"{mode} left a -wal of {length} bytes behind"
    )


@pytest.mark.parametrize("mode", MODES)
def test_checkpoint_beside_a_reader_of_the_newest_state_waits_as_its_mode_says(
    mode: str, seeded: QueueDatabase, ledger: Ledger, evidence: Evidence
) -> None:
    """A reader who needs no old page stands in the way of the modes that begin the -wal anew."""
    maintenance = QueueMaintenance(seeded)
    TaskQueue(seeded).enqueue("t", {})
    with ledger.injected(StuckReader(), seeded.path) as sighting:
        result = maintenance.checkpoint(mode, timeout_seconds=RIVAL_TIMEOUT_S)
        sighting.effect = f"busy {result['busy']}, complete {result['complete']}"

    evidence.measure("waited", result["seconds"], "s")
    begins_anew = mode in ("RESTART", "TRUNCATE")
    evidence.require(result["log"] == result["checkpointed"], f"it left frames behind: {result}")
    evidence.require(
        result["complete"] != begins_anew, f"{mode} beside a reader says complete: {result}"
    )


def _require_met(evidence: Evidence, bench: Bench) -> None:
    """Record what the verb cost the writer; without a meeting nothing was tried."""
    met = bench.meetings()
    stall_s = max(bench.load.longest_stall_s(*window) for window in bench.windows)
    lasted_s = max(ended_s - began_s for began_s, ended_s in bench.windows)
    refused = sum(not op.ok for op in bench.load.operations())
    evidence.measure("enqueues_under_way", met, "tasks")
    evidence.measure("longest_stall_of_a_writer", stall_s * 1000, "ms")
    evidence.measure("verb_lasted", lasted_s * 1000, "ms")
    evidence.measure("enqueues_refused", refused, "tasks")
    if not met:
        raise Inconclusive(f"no enqueue was under way in {len(bench.windows)} runs of the verb")


def _require_all_there(evidence: Evidence, witness: Worker, history: History) -> None:
    final: tuple[FinalTask, ...] = witness.final()
    record = Record(
        operations=history.operations(), final=final, capabilities=witness.driver.capabilities
    )
    evidence.measure("tasks_at_the_end", len(final), "tasks")
    require_all(evidence, judge(record, (nothing_lost, nothing_unexpected)))


def _keys_in(backup: Path) -> set[str | None]:
    connection = connect_stdlib(uri(backup, mode="ro", immutable=1), timeout_s=0.0)
    with contextlib.closing(connection):
        rows = connection.execute("SELECT idempotency_key FROM task_queue").fetchall()
    return {row[0] for row in rows}
