"""What comes back of a damaged file when no good backup is left.

Claim: every task that the damage does not cover comes back as it was, none comes back from the
dead untold, nobody holds one, and what is missing is told; the damaged file stays as it is, and
nothing is overwritten.
Faults: noisy-pages, zeroed-page, swapped-pages, destroyed-header, truncated-file, flipped-bits,
garbage-file, damaged-wal, no-fault.
Method: a queue whose every task is known, some deleted and still on free pages, is damaged and
salvaged. The tasks in the new file are compared one by one with those that were there, and their
number with what anybody gets who asks SQLite for ever smaller ranges of ids.
A failure means: work is lost that could still be read, or a salvaged queue is not what it says.
"""

import contextlib
import dataclasses
import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.connection import connect_stdlib, scalar
from core.errors import SalvageTargetError
from core.leases import HELD_SQL
from core.paths import sides, uri
from core.salvage import salvage
from core.salvagereport import SalvageReport
from harness.bisection import bisected
from harness.crew import Crew
from harness.evidence import Evidence
from harness.faults import (
    DamagedWal,
    DestroyedHeader,
    Fault,
    FlippedBits,
    GarbageFile,
    NoFault,
    NoisyPages,
    SwappedPages,
    TruncatedFile,
    ZeroedPage,
)
from harness.ledger import Ledger
from harness.outcome import Inconclusive
from harness.profile import Profile
from harness.salvaging import (
    ALL_COLUMNS,
    COLUMNS,
    Balance,
    Tasks,
    as_released,
    balance,
    make_known,
    tasks_in,
)
from harness.settings import Settings
from harness.workload import fill

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

GATE_COUNT, NIGHTLY_COUNT = 240, 4500
DELETED_PART = 0.25
LOGGED_COUNT = 20
Choose = Callable[[Path, int], Fault[Path]]


@dataclass(frozen=True)
class Damage:
    """A fault whose place depends on the file.

    Attributes:
        id: of the row.
        choose: returns the fault for a file and a seed.
        floor: the part of the tasks that comes back as they were, at least.
    """

    id: str
    choose: Choose
    floor: float


def _root(path: Path, _seed: int) -> Fault[Path]:
    with contextlib.closing(
        connect_stdlib(uri(path, mode="ro", immutable=1), timeout_s=0)
    ) as opened:
        sql = "SELECT rootpage FROM sqlite_master WHERE name = 'task_queue'"
        return ZeroedPage(page=int(scalar(opened, sql)))


DAMAGES = (
    Damage("noise-1", lambda _path, seed: NoisyPages(part=0.01, seed=seed), 0.93),
    Damage("noise-5", lambda _path, seed: NoisyPages(part=0.05, seed=seed), 0.80),
    Damage("noise-20", lambda _path, seed: NoisyPages(part=0.2, seed=seed), 0.55),
    Damage("noise-50", lambda _path, seed: NoisyPages(part=0.5, seed=seed), 0.25),
    Damage("root-lost", _root, 1.0),
    Damage("page-1-lost", lambda _path, _seed: ZeroedPage(page=1), 1.0),
    Damage("header-lost", lambda _path, _seed: DestroyedHeader(), 1.0),
    Damage("half-lost", lambda _path, _seed: TruncatedFile(kept=0.5), 0.15),
    Damage("pages-swapped", lambda _path, seed: SwappedPages(pairs=3, seed=seed), 0.93),
    Damage("bits-flipped", lambda _path, seed: FlippedBits(count=20, seed=seed), 0.85),
    Damage("nothing-lost", lambda _path, _seed: NoFault(), 1.0),
)
IN_GATE = ("noise-5", "page-1-lost", "bits-flipped")


@dataclass(frozen=True)
class Known:
    """A queue whose every task is known.

    Attributes:
        path: of it.
        out: where its salvage goes.
        tasks: all that are in it, by id.
    """

    path: Path
    out: Path
    tasks: Tasks


@pytest.fixture
def queue(scratch: Path, queue_random: random.Random, queue_settings: Settings) -> Known:
    """A queue with tasks of every status, and some that were deleted, that nobody has open."""
    nightly = queue_settings.profile.includes(Profile.NIGHTLY)
    count = NIGHTLY_COUNT if nightly else GATE_COUNT
    path = scratch / "queue.db"
    tasks = make_known(path, count, int(count * DELETED_PART), queue_random)
    return Known(path, scratch / "salvaged.db", tasks)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(
            each,
            id=each.id,
            marks=[] if each.id in IN_GATE else [pytest.mark.profile("nightly")],
        )
        for each in DAMAGES
    ],
)
def test_salvage_brings_back_what_the_damage_does_not_cover(
    damage: Damage,
    queue: Known,
    ledger: Ledger,
    evidence: Evidence,
    queue_random: random.Random,
) -> None:
    """All that can be read comes back as it was, and nothing else does."""
    path, out, known = queue.path, queue.out, queue.tasks

    with ledger.injected(damage.choose(path, queue_random.getrandbits(32)), path) as sighting:
        before = path.read_bytes()
        report = salvage(path, out)
        by_sqlite = bisected(path, ALL_COLUMNS)
        untouched = path.read_bytes() == before
        found = tasks_in(out) if report.out is not None else {}
        of = balance(known, found, report)
        sighting.effect = _told(of, report)

    least = _whole(known, by_sqlite)
    _measure(evidence, of, least)
    evidence.limit("tasks back as they were", of.whole / of.total, damage.floor, "of all", "min")
    evidence.require(untouched, "the damaged file was changed")
    evidence.require(
        of.whole >= least,
        f"{of.whole} of {of.total} tasks came back, and SQLite alone gives {least}",
    )
    evidence.require(
        of.whole >= damage.floor * of.total,
        f"{of.whole} of {of.total} tasks came back (limit {damage.floor:.0%})",
    )
    evidence.require(not of.revived, f"{of.revived} tasks came back from the dead untold")
    evidence.require(
        not of.lost or report.outcome != "all",
        f"{of.lost} tasks are lost, and it says all are back",
    )
    _require_sound(evidence, out, report)


def test_salvage_reads_a_log_to_its_damage_and_beyond_it_when_asked(
    queue_path: Path, crew: Crew, ledger: Ledger, evidence: Evidence, scratch: Path
) -> None:
    """What SQLite would drop behind a damaged frame is counted, and comes back on demand."""
    producer = crew.start(queue_path, "producer")
    put_in = fill([producer], LOGGED_COUNT)
    producer.driver.kill()
    acknowledged = sum(operation.ok for operation in put_in)

    with ledger.injected(DamagedWal(frame=40), queue_path) as sighting:
        left = salvage(queue_path, scratch / "left.db")
        taken = salvage(queue_path, scratch / "taken.db", stranded=True)
        sighting.effect = (
            f"{left.tasks} tasks before the damage, {left.log.stranded_commits} transactions "
            f"behind it, {taken.tasks} tasks with them"
        )

    evidence.limit("tasks back", taken.tasks, acknowledged, "tasks", "min")
    evidence.require(
        left.log.stranded_commits >= acknowledged - left.tasks > 0 and left.outcome == "part",
        f"{acknowledged - left.tasks} tasks lie behind the damage, and {left.log.stranded_commits} "
        f"transactions were told ({left.outcome})",
    )
    evidence.require(
        taken.tasks == acknowledged, f"{taken.tasks} of {acknowledged} tasks came back"
    )


def test_salvage_of_nothing_makes_no_queue(
    queue: Known, ledger: Ledger, evidence: Evidence, queue_random: random.Random
) -> None:
    """Where nothing can be read there is no new file that looks like a queue without work."""
    path, out = queue.path, queue.out

    with ledger.injected(GarbageFile(seed=queue_random.getrandbits(32)), path) as sighting:
        report = salvage(path, out)
        sighting.effect = f"{report.tasks} tasks came back: {report.outcome}"

    evidence.require(
        report.outcome == "nothing" and not out.exists(),
        f"a queue was made of nothing, and it says {report.outcome}",
    )


def test_salvage_overwrites_nothing(queue: Known, evidence: Evidence) -> None:
    """What has the name of the new file, or lies beside it as its log, stays as it is."""
    path, out = queue.path, queue.out

    for taken in (out, *sides(out)):
        taken.write_bytes(b"somebody's")
        with contextlib.suppress(SalvageTargetError, sqlite3.Error):
            salvage(path, out)
        kept = taken.exists() and taken.read_bytes() == b"somebody's"
        evidence.require(kept, f"{taken.name} was overwritten")
        evidence.require(taken == out or not out.exists(), f"a queue was put beside {taken.name}")
        taken.unlink()


def _measure(evidence: Evidence, of: Balance, least: int) -> None:
    for name, number in dataclasses.asdict(of).items():
        evidence.measure(f"tasks: {name.replace('_', ', ')}", number, "tasks")
    evidence.measure("tasks by SQLite alone", least, "tasks")


def _told(of: Balance, report: SalvageReport) -> str:
    return (
        f"{of.whole} of {of.total} tasks back as they were; {of.altered_told} altered and told, "
        f"{of.altered} altered and not told, {of.revived_told} deleted ones back and told, "
        f"{of.revived} back and not told, {of.lost} lost, {of.named} of them named; "
        f"{report.outcome}"
    )


def _whole(known: Tasks, found: Tasks) -> int:
    """Return how many tasks are as they were, by what SQLite gives of all their columns."""
    return sum(known.get(task) == as_released(row[: len(COLUMNS)]) for task, row in found.items())


def _require_sound(evidence: Evidence, out: Path, report: SalvageReport) -> None:
    """Fail unless the new file is a sound queue that nobody holds a task of."""
    if report.out is None:
        raise Inconclusive("nothing came back to be looked at")
    with contextlib.closing(
        connect_stdlib(uri(out, mode="ro", immutable=1), timeout_s=0)
    ) as opened:
        problems = opened.execute("PRAGMA integrity_check").fetchall()
        held = int(scalar(opened, f"SELECT count(*) FROM task_queue WHERE {HELD_SQL}"))
        tasks = int(scalar(opened, "SELECT count(*) FROM task_queue"))
    evidence.require(problems == [("ok",)], f"the new file is not sound: {problems[:1]}")
    evidence.require(not held, f"{held} tasks are held by workers that are gone")
    evidence.require(
        tasks == report.tasks, f"it says {report.tasks} tasks, and {tasks} are in the new file"
    )
