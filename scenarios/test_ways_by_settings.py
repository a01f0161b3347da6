"""SQLite's page of ways to corrupt a database, sections 3, 7 and 8: settings, and SQLite itself.

Claim: what goes wrong without SQLite's protections is found by the check that docs/corruption.md
names, and a restore ends it. The core does not work without them: it syncs, and keeps a journal on
the disk, however its connections were set before. An index whose expression gives other values is
found, and mended by REINDEX.
Faults: way-to-corrupt: no syncs, no journal or one in memory and a kill, a schema version turned
back, a schema written by hand, an expression that gives other values; in soak the race of writers
and checkpoints that SQLite before 3.51.3 loses.
Method: each way is made to happen by real processes; SQLite alone says which harm that did. Power
cuts are worked out (docs/power-cuts.md).
A failure means: a setting of somebody else's destroys a queue and nobody sees it.
"""

import contextlib
import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.connection import Connection, connect_stdlib, scalar
from core.database import QueueDatabase
from core.defects import wal_reset_defect
from core.findings import Level
from core.health import check_health
from core.tasks import TaskQueue
from harness.corrupting import bring_about, critical, judge_finders, require_found_and_ended, rows
from harness.disk.cuts import Budget
from harness.disk.operations import OPERATIONS, UNSYNCED, new_disk
from harness.evidence import Evidence
from harness.faults.helper import helper
from harness.outcome import Inconclusive
from harness.planted import DEFECTS, planted
from harness.ways import by_settings
from harness.ways.harm import harm_to
from harness.ways.session import session
from harness.ways.stage import new_stage
from harness.ways.way import Way

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

BUDGET = Budget(enumerated=0, drawn=12)
SYNCHRONOUS_LEAST = 2
MEMORY, OFF = "memory", "off"
RACE = Path(by_settings.__file__).with_name("wal_reset_race.py")
RACE_S = 15.0
RACE_ROUNDS = 8


@pytest.mark.parametrize("way", rows(by_settings.WAYS))
def test_damage_through_settings_is_found_and_ended_by_a_restore(
    way: Way, scratch: Path, evidence: Evidence
) -> None:
    """It does harm, the check that is named finds it or none does, and a restore mends it."""
    require_found_and_ended(way, scratch, evidence)


@pytest.mark.profile("nightly")
def test_expression_that_gives_other_values_is_found_and_mended_by_reindex(
    scratch: Path, evidence: Evidence
) -> None:
    """An index that another version of SQLite made is told by health, and made anew is sound."""
    way = by_settings.STALE_INDEX
    stage = new_stage(scratch / "tried" / "queue.db")
    seen, harm = bring_about(way, stage)
    found = [each.id for each in critical(stage.path)]
    evidence.fault("way-to-corrupt", way.asked, bool(harm), f"{seen}; {harm}", ", ".join(found))
    if not harm:
        raise Inconclusive(f"{way.id}: {seen}, and it did no harm")
    judge_finders(way, found, evidence)

    with session(stage.path) as hand:
        hand.sql("REINDEX")
        hand.tell("close")
    left = harm_to(stage.path, stage.acknowledged)

    evidence.require(not left, f"after REINDEX: {left}")


# -- 3.2: syncs ----------------------------------------------------------------------------------


@pytest.mark.profile("nightly")
def test_connection_set_to_sync_nothing_loses_nothing_by_a_power_cut(
    scratch: Path, evidence: Evidence, queue_random: random.Random
) -> None:
    """The core syncs what it acknowledges, however its connections were set when it got them."""
    with UNSYNCED.recorded(scratch) as recorded:
        survey = recorded.sweep().run(BUDGET, queue_random, new_disk())

    lost = survey.cuts - survey.survived
    evidence.fault(
        "way-to-corrupt",
        "connections with synchronous = OFF, and the power cut at every moment",
        survey.states > 1,
        f"{survey.cuts} power cuts, {survey.states} different states",
        f"{lost} of them cost what was acknowledged, or the queue",
    )
    told = "; ".join(map(str, survey.failures))
    evidence.limit("lost_cuts", lost, 0, "cuts")
    evidence.require(not lost, f"{lost} of {survey.cuts} power cuts cost something: {told}")


@pytest.mark.profile("nightly")
def test_queue_that_syncs_nothing_is_seen_to_lose(
    scratch: Path, evidence: Evidence, queue_random: random.Random
) -> None:
    """The same power cuts, on a core whose transactions are not synced, cost tasks: it sees."""
    with planted(DEFECTS["synchronous-off"]), OPERATIONS["enqueue"].recorded(scratch) as recorded:
        survey = recorded.sweep().run(BUDGET, queue_random, new_disk())

    lost = survey.cuts - survey.survived
    evidence.fault(
        "way-to-corrupt",
        "transactions with synchronous = OFF, and the power cut at every moment",
        survey.states > 1,
        f"{survey.cuts} power cuts, {survey.states} different states",
        f"{lost} of them cost what was acknowledged, or the queue",
    )
    evidence.measure("lost_cuts", lost, "cuts")
    if not survey.failures:
        evidence.blind("transactions that sync nothing cost nothing: the sweep is blind")


# -- 7: what the core keeps ----------------------------------------------------------------------


def _set(*pragmas: str) -> Callable[..., Connection]:
    """Return a door whose connections come with these settings."""

    def connect(uri: str, *, timeout_s: float) -> Connection:
        connection = connect_stdlib(uri, timeout_s=timeout_s)
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").fetchall()
        return connection

    return connect


@pytest.mark.profile("nightly")
@pytest.mark.parametrize("setting", ["synchronous = OFF", "mmap_size = 268435456"])
def test_core_keeps_its_settings_whatever_connections_come_with(
    setting: str, scratch: Path, evidence: Evidence
) -> None:
    """In every transaction syncs are on, and nothing of the file is mapped into memory."""
    stage = new_stage(scratch / "tried" / "queue.db")
    found = []
    with QueueDatabase(stage.path, connect=_set(setting)) as database:
        for durability in ("full", "normal"):
            with database.transaction(durability) as connection:
                found.append((durability, *_settings(connection)))
        TaskQueue(database).enqueue("t", {})

    evidence.fault("way-to-corrupt", f"connections with {setting}", bool(found), str(found))
    least = {"full": SYNCHRONOUS_LEAST, "normal": 1}
    wrong = [each for each in found if each[1] < least[each[0]] or each[2]]
    evidence.require(not wrong, f"with {setting} transactions have {wrong}")


def _settings(connection: Connection) -> tuple[int, int]:
    # Nothing is said of mmap_size by an SQLite that was built without it.
    mapped = scalar(connection, "PRAGMA mmap_size")
    return int(scalar(connection, "PRAGMA synchronous")), int(mapped or 0)


@pytest.mark.profile("nightly")
@pytest.mark.parametrize("mode", [OFF, MEMORY])
def test_queue_in_use_cannot_be_put_into_a_mode_without_journal(
    mode: str, scratch: Path, evidence: Evidence
) -> None:
    """While one worker has a queue in WAL mode open, nobody takes its journal away."""
    stage = new_stage(scratch / "tried" / "queue.db")
    with QueueDatabase(stage.path) as database, session(stage.path) as other:
        TaskQueue(database).enqueue("t", {}, idempotency_key="before")
        refused = other.refused(f"PRAGMA journal_mode = {mode}")
        kept = scalar(database.connection(), "PRAGMA journal_mode")
    stage.told(["before"])

    evidence.fault("way-to-corrupt", f"journal_mode = {mode}", bool(refused), refused)
    evidence.require(kept == "wal", f"a queue in use was put into journal mode {kept}")
    evidence.require(
        not (harm := harm_to(stage.path, stage.acknowledged)), f"journal_mode = {mode}: {harm}"
    )


# -- 8.1: the race for the log -------------------------------------------------------------------


@pytest.mark.profile("soak")
def test_race_of_a_writer_and_checkpoints_harms_no_queue_whose_sqlite_is_mended(
    scratch: Path, evidence: Evidence
) -> None:
    """Health says whether this SQLite can lose the race; one that cannot comes out sound.

    Where it can and did not in the time there was, nothing was tried: inconclusive.
    """
    stage = new_stage(scratch / "tried" / "queue.db")
    rounds: list[Race] = []
    while len(rounds) < RACE_ROUNDS and not (rounds and rounds[-1].harm):
        rounds.append(_race(stage.path))
    harm, commits = rounds[-1].harm, sum(each.commits for each in rounds)
    defective = wal_reset_defect(sqlite3.sqlite_version_info)
    told = check_health(stage.path).finding("sqlite.version").level

    evidence.fault(
        "way-to-corrupt",
        "a writer and two processes that do nothing but PASSIVE checkpoints",
        commits > 0,
        f"{commits} commits beside {sum(each.checkpoints for each in rounds)} checkpoints on "
        f"SQLite {sqlite3.sqlite_version}",
        harm or "no harm was seen",
    )
    evidence.measure("commits", commits, "commits")
    expected = Level.WARNING if defective else Level.OK
    evidence.require(told is expected, f"SQLite {sqlite3.sqlite_version} is told as {told}")
    evidence.require(defective or not harm, f"an SQLite that is mended lost the race: {harm}")
    if defective and not harm:
        raise Inconclusive(f"the race was not lost in {commits} commits")
    if harm:
        found = [each.id for each in critical(stage.path)]
        evidence.require(found, f"what the race did is found by no check: {harm}")


@dataclass(frozen=True)
class Race:
    """One round.

    Attributes:
        commits: that the writer was told are done.
        checkpoints: of both others.
        harm: that SQLite sees afterwards.
    """

    commits: int
    checkpoints: int
    harm: str


def _race(path: Path) -> Race:
    before = _count(path)
    with contextlib.ExitStack() as stack:
        writer, *others = (
            stack.enter_context(helper(RACE, path, role, RACE_S))
            for role in ("writer", "checkpointer", "checkpointer")
        )
        wrote, *checkpointed = (json.loads(each.line() or "{}") for each in (writer, *others))
    if not wrote:
        raise Inconclusive("the writer of the race said nothing")
    harm = "; ".join(_told_of(path, before + wrote["done"], wrote["error"]))
    return Race(wrote["done"], sum(each.get("done", 0) for each in checkpointed), harm)


def _told_of(path: Path, expected: int, error: str) -> Iterator[str]:
    if "malformed" in error:
        yield f"the writer was told: {error}"
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            problems = connection.execute("PRAGMA integrity_check(2)").fetchall()
            count = connection.execute("SELECT count(*) FROM task_queue NOT INDEXED").fetchone()[0]
    except sqlite3.Error as raised:
        yield f"SQLite cannot read it: {raised}"
        return
    if problems != [("ok",)]:
        yield f"integrity_check: {problems}"
    if count < expected:
        yield f"{expected - count} of {expected} acknowledged tasks are gone"


def _count(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM task_queue").fetchone()[0])
