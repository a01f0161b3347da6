"""The verbs that keep a queue, killed at every step: file-system calls and SQLite's steps.

Claim: a verb of maintenance that was killed anywhere leaves the old state or the new one, each
whole; the list of backups has no half one, nothing that was acknowledged is lost, and the verb can
be run again.
Faults: killed-at-step.
Method: the verb runs in a process that stands still before every call of SQLite and of the core to
the file system and around every statement, and its files are copied there as a kill would leave
them. Each copy is laid out, opened as a worker opens it, checked and compared, and the verb is run
again. Others are killed at some of these steps, and leave what the copy says. In nightly more are
killed by strace, which knows nothing of all this, on entering their calls.
A failure means: maintenance that is interrupted costs the queue, or its backups.
"""

import contextlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from core.backup import QueueBackup
from core.connection import connect_stdlib, scalar
from core.contentrecord import Entry, RecordReader, UnreadableRecordError, record_path, writing
from core.database import QueueDatabase
from core.errors import QueueError
from core.intent import intent_path
from core.maintenance import QueueMaintenance
from core.manifest import SUFFIX
from core.paths import wal_of
from core.schema import FINISHED, HELD, QUEUED
from core.staging import is_folder_of
from core.taskrows import SETTLED
from harness.callsweep import CallSweep
from harness.cutoff import ALL, CutOff, Depth
from harness.evidence import Evidence
from harness.kept import KeptQueue, Rows, archived_by, make_kept_queue, released, tasks_of
from harness.leftovers import asked_of_copy
from harness.upkeep import KEEP_COUNT, VERBS

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

LOOKS_COUNT = {"backup": 4, "vacuum": 4, "checkpoint": 6, "archive": 2, "content": 2}
COSTLY_LOOKS_COUNT = {"restore": 1, "restore-live": 2, "undo": 1}
KILLS_COUNT = 1
NIGHTLY_TIMEOUT_S = 900
CALLS_COUNT = 60
OLD, BETWEEN, NEW = "the old state", "tasks in both places", "the new state"
MISHELD = """SELECT count(*) FROM task_queue
    WHERE status IN (?, ?) AND locked_by IS NULL OR status = ? AND locked_by IS NOT NULL"""
State = Callable[[KeptQueue], str]


@dataclass(frozen=True)
class Sweep:
    """One verb, and what it may leave.

    Attributes:
        verb: of ``harness/upkeep.py``.
        state: returns which state is there, or a sentence of what is; nobody has it open.
        argument: of the verb.
        prepare: what has to be done to the queue before.
        allowed: the states after a kill, the last of them after the whole verb.
        again: the state after a second run where the first left the new one.
        keeps: returns what is lost of the old state once the new one is there, or nothing.
        seen_before_opening: whether whoever opens the queue changes the state.
    """

    verb: str
    state: State
    argument: Callable[[KeptQueue], object] = lambda _queue: ""
    prepare: Callable[[KeptQueue], object] = lambda _queue: None
    allowed: tuple[str, ...] = (OLD, NEW)
    again: str = NEW
    keeps: State = lambda _queue: ""
    seen_before_opening: bool = False

    def __str__(self) -> str:
        return self.verb


def _backed_up(queue: KeptQueue) -> str:
    listed = queue.listed()
    missing = sorted({*queue.backups} - {*listed})
    if missing:
        return f"a list without {', '.join(missing)}"
    return _unless_changed(queue, NEW if len(listed) > len(queue.backups) else OLD)


def _pruned(queue: KeptQueue) -> str:
    listed, kept = queue.listed(), queue.backups[-KEEP_COUNT:]
    if not {*kept} <= {*listed} <= {*queue.backups}:
        return f"a list of {', '.join(listed)}, where {', '.join(kept)} had to stay"
    return _unless_changed(queue, NEW if listed == kept else OLD)


def _verified(queue: KeptQueue) -> str:
    return _unless_changed(queue, NEW if queue.listed() == queue.backups else "another list")


def _vacuumed(queue: KeptQueue) -> str:
    free = asked_of_copy(queue.path, "PRAGMA freelist_count")[0][0]
    return _unless_changed(queue, OLD if free else NEW)


def _checkpointed(queue: KeptQueue) -> str:
    wal = wal_of(queue.path)
    return _unless_changed(queue, OLD if wal.exists() and wal.stat().st_size else NEW)


def _unless_changed(queue: KeptQueue, word: str) -> str:
    return _one_of(tasks_of(queue.path), {word: queue.tasks})


def _restored(queue: KeptQueue) -> str:
    tasks = tasks_of(queue.path)
    return _one_of(tasks, {OLD: queue.tasks, NEW: released(queue.in_oldest)})


def _undone(queue: KeptQueue) -> str:
    tasks = tasks_of(queue.path)
    return _one_of(tasks, {OLD: released(queue.in_oldest), NEW: queue.tasks})


def _freed(queue: KeptQueue) -> str:
    freed = released(queue.tasks, attempts=1)
    return _one_of(tasks_of(queue.path), {OLD: queue.tasks, NEW: freed})


def _archived(queue: KeptQueue) -> str:
    left, moved = tasks_of(queue.path), archived_by(queue.path)
    if {**left, **moved} != queue.tasks or any(row[0] not in FINISHED for row in moved.values()):
        return f"{len(left)} tasks in the queue, {len(moved)} archived, not all as they were"
    if not moved:
        return OLD
    return BETWEEN if left.keys() & moved.keys() else NEW


def _recorded(queue: KeptQueue) -> str:
    """Say whether the record of finished tasks has all of them, or all but the last."""
    finished = sum(status in SETTLED for status, *_more in queue.tasks.values())
    try:
        with contextlib.closing(RecordReader(record_path(queue.path))) as reader:
            recorded = len(list(reader.entries()))
    except UnreadableRecordError as error:
        return f"a record that cannot be used ({error})"
    if recorded not in {finished, finished - 1}:
        return f"a record of {recorded} tasks, of which {finished} are finished"
    return _unless_changed(queue, NEW if recorded == finished else OLD)


def _record_less(queue: KeptQueue) -> None:
    """Leave a record that lacks the last finished task."""
    VERBS["content"](queue.path, connect_stdlib, "")
    with contextlib.closing(RecordReader(record_path(queue.path))) as reader:
        head, entries = reader.head, list(reader.entries())
    with writing(record_path(queue.path), head, like=queue.path) as writer:
        for entry in entries[:-1]:
            writer.add(cast(Entry, entry))


def _one_of(tasks: Rows, states: Mapping[str, Rows]) -> str:
    for word, state in states.items():
        if tasks == state:
            return word
    closest = min(states.values(), key=lambda state: len(tasks.items() ^ state.items()))
    wrong = sorted({key for key, _row in tasks.items() ^ closest.items()})
    return f"a mixture: {len(wrong)} tasks are as in no state: {', '.join(wrong[:3])}"


def _can_be_undone(queue: KeptQueue) -> str:
    """Bring back what the restore replaced, leases and all."""
    QueueBackup(queue.path).undo_restore()
    state = _restored(queue)
    return "" if state == OLD else f"undoing the restore brings back {state}"


def _restore(queue: KeptQueue) -> None:
    QueueBackup(queue.path).restore_backup(queue.oldest)


SWEEPS = (
    # Another name each time: a time of its own has it only a second later.
    Sweep("backup", _backed_up, lambda queue: f"after-{len(queue.listed())}"),
    Sweep("verify", _verified, lambda queue: queue.oldest, allowed=(NEW,)),
    Sweep("prune", _pruned),
    Sweep("restore", _restored, lambda queue: queue.oldest, keeps=_can_be_undone),
    Sweep("restore-live", _restored, lambda queue: queue.oldest, keeps=_can_be_undone),
    Sweep("undo", _undone, prepare=_restore, again=OLD),
    Sweep("vacuum", _vacuumed),
    Sweep("checkpoint", _checkpointed, seen_before_opening=True),
    Sweep("archive", _archived, lambda _queue: 0, allowed=(OLD, BETWEEN, NEW)),
    Sweep("stale-leases", _freed, lambda _queue: 0),
    Sweep("content", _recorded, prepare=_record_less),
)


@pytest.fixture
def queue(scratch: Path) -> KeptQueue:
    """A queue with a past, whose last worker was killed."""
    return make_kept_queue(scratch / "queue" / "queue.db")


@pytest.mark.parametrize("sweep", SWEEPS, ids=str)
def test_killed_at_steps_drawn_from_all_verb_is_whole_or_not_at_all(
    sweep: Sweep, queue: KeptQueue, queue_random: random.Random, evidence: Evidence
) -> None:
    """Killed at steps that the seed draws, or all where they are few, no verb is half done."""
    looks = {**LOOKS_COUNT, **COSTLY_LOOKS_COUNT}.get(sweep.verb, ALL)
    turns = sweep.verb not in COSTLY_LOOKS_COUNT
    _require_survived(sweep, queue, evidence, Depth(looks, KILLS_COUNT, queue_random, turns))


@pytest.mark.profile("nightly")
@pytest.mark.timeout(NIGHTLY_TIMEOUT_S)
@pytest.mark.parametrize("sweep", SWEEPS, ids=str)
def test_killed_at_every_step_verb_is_whole_or_not_at_all(
    sweep: Sweep, queue: KeptQueue, queue_random: random.Random, evidence: Evidence
) -> None:
    """At every step, and killed for real at each that changes a file, no verb is half done."""
    _require_survived(sweep, queue, evidence, Depth(ALL, ALL, queue_random))


@pytest.mark.profile("nightly")
@pytest.mark.machine("strace")
@pytest.mark.parametrize("sweep", SWEEPS, ids=str)
def test_killed_from_outside_verb_is_whole_or_not_at_all(
    sweep: Sweep,
    queue: KeptQueue,
    scratch: Path,
    queue_random: random.Random,
    evidence: Evidence,
) -> None:
    """Killed by strace on entering calls, with Python's own SQLite, no verb is half done."""
    sweep.prepare(queue)
    calls = CallSweep(queue.path, sweep.verb, sweep.argument(queue), scratch)
    judge = partial(_found, sweep, queue)
    most = CALLS_COUNT
    calls.require_survived(evidence, judge, sweep.allowed, most=most, chance=queue_random)


def _require_survived(sweep: Sweep, queue: KeptQueue, evidence: Evidence, depth: Depth) -> None:
    __tracebackhide__ = True
    sweep.prepare(queue)
    cut = CutOff(queue.path, sweep.verb, sweep.argument(queue))
    judge = partial(_found, sweep, queue)
    cut.require_survived(evidence, judge, sweep.allowed, done=sweep.allowed[-1], depth=depth)


def _found(sweep: Sweep, queue: KeptQueue) -> str:
    """Return the state that is there, or what is wrong with it or with what comes after it."""
    half = queue.half()
    if half:
        return f"a list with half backups: {', '.join(half)}"
    try:
        early = sweep.state(queue) if sweep.seen_before_opening else ""
        unsound = _unsound(queue)
        state = unsound or early or sweep.state(queue)
        if state not in sweep.allowed:
            return state
        lost = sweep.keeps(queue) if state == NEW else ""
        return lost or _again(sweep, queue, state) or state
    except (QueueError, OSError) as error:
        return f"a queue that cannot be gone on with ({error})"


def _unsound(queue: KeptQueue) -> str:
    """Open the queue as a worker does; return what is wrong with it, or nothing."""
    with QueueDatabase(queue.path) as database:
        found = QueueMaintenance(database).integrity_check()
        connection = database.connection()
        found += map(str, connection.execute("PRAGMA foreign_key_check").fetchall())
        misheld = scalar(connection, MISHELD, (*HELD, QUEUED))
        mode = scalar(connection, "PRAGMA journal_mode")
    if misheld:
        found.append(f"{misheld} tasks are held by nobody, or wait and have a holder")
    if mode != "wal":
        found.append(f"its journal mode is {mode}")
    return "" if found == ["ok"] else f"a queue that is not sound: {'; '.join(found[:3])}"


def _again(sweep: Sweep, queue: KeptQueue, state: str) -> str:
    """Run the verb again; return what is wrong afterwards, or nothing."""
    expected = sweep.again if state == NEW else NEW
    VERBS[sweep.verb](queue.path, connect_stdlib, str(sweep.argument(queue)))
    found, half, left = sweep.state(queue), queue.half(), _left_lying(queue)
    if found != expected:
        return f"{state}, and after another run {found}"
    return f"{state}, and another run leaves {', '.join(half + left)}" if half or left else ""


def _left_lying(queue: KeptQueue) -> list[str]:
    """Return what no run has ended and none has cleared."""
    backups, folder = QueueBackup(queue.path), queue.path.parent
    listed = queue.listed()
    known = {*listed, *(name + SUFFIX for name in listed)}
    strange = [path.name for path in backups.folder.iterdir() if path.name not in known]
    drafts = [path.name for path in folder.rglob("*.draft")]
    staged = [path.name for path in folder.iterdir() if is_folder_of(queue.path, path)]
    noted = [path.name for path in (intent_path(queue.path),) if path.exists()]
    return sorted({*strange, *drafts, *staged, *noted})
