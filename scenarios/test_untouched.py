"""Looking at a live queue, call by call: nothing is written to it, and no lock keeps others out.

Claim: every verb that only looks, and the gate's own look at a queue, writes nothing to its files
and takes no lock that a worker would wait for; while workers write, when nobody has it open and its
-shm is gone, and when a suspended writer holds the lock.
Faults: suspended-writer, crashed-writer, no-fault.
Method: the verb is followed by strace from its start to its end, with every process that it
starts; each write, mapping, lock and name below the queue's folder counts. That the queue was
opened at all is required: a verb that looks elsewhere has touched nothing either.
A failure means: a health check, of all things, is what damages or delays the queue.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from core.backup import QueueBackup
from core.database import QueueDatabase
from core.paths import sides, wal_of
from harness.crew import Crew
from harness.evidence import Evidence
from harness.faults.helper import helper
from harness.load import Load
from harness.outcome import Inconclusive
from harness.touched import Touched, run_watched
from harness.waiting import wait_until
from harness.workload import fill

pytestmark = [
    pytest.mark.scenario,
    pytest.mark.needs("core"),
    pytest.mark.machine("strace"),
    # Each call is stopped twice: it takes many times as long.
    pytest.mark.profile("nightly"),
]

TASKS_COUNT = 20
HELD_S = 120.0
STILL_WAIT_S = 5.0
CLI = (sys.executable, "-X", "utf8", "-m", "harness.cli")
LOOK = """
import sys
from pathlib import Path
from harness.subject import look_at
print(look_at(Path(sys.argv[1]), None, Path(sys.argv[2])).judged)
"""

Situation = Callable[[Path, Crew, Evidence], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def _workers_write(path: Path, crew: Crew, evidence: Evidence) -> Iterator[None]:
    """Let a producer and a worker do all they can."""
    producer, worker = crew.start_all(path, "busy", 2)
    before = len(producer.history.operations())
    with Load([producer], [worker], prefix="load"):
        yield
    done = len(producer.history.operations()) - before
    evidence.fault("busy-queue", "workers that write meanwhile", done > 0, f"{done} operations")


@contextlib.contextmanager
def _left_by_a_crash(path: Path, crew: Crew, evidence: Evidence) -> Iterator[None]:
    """Kill the last worker, and take away the -shm as a copy or a restart does."""
    worker = crew.start(path, "crashed")
    fill([worker], 2, prefix="in-the-log")
    worker.driver.kill()
    sides(path)[1].unlink(missing_ok=True)
    left = wal_of(path).stat().st_size
    gone = not sides(path)[1].exists()
    evidence.fault(
        "crashed-writer", "a -wal without its -shm", gone and left > 0, f"{left} bytes of -wal"
    )
    yield


@contextlib.contextmanager
def _suspended_writer(path: Path, _crew: Crew, evidence: Evidence) -> Iterator[None]:
    """Let a process stand still that has the writer lock."""
    with helper("lock_holder.py", path, "write", HELD_S) as process:
        said = process.line()
        writer = psutil.Process(process.pid)
        writer.suspend()
        still = wait_until(
            lambda: writer.status() == psutil.STATUS_STOPPED,
            "its standstill",
            timeout_s=STILL_WAIT_S,
        )
        evidence.fault(
            "suspended-writer",
            "a process that has the writer lock, and stands still",
            bool(still) and said == "held",
            f"process {process.pid} said {said!r}, and is {writer.status()}",
        )
        try:
            yield
        finally:
            writer.resume()


SITUATIONS: dict[str, Situation] = {
    "workers-write": _workers_write,
    "left-by-a-crash": _left_by_a_crash,
    "suspended-writer": _suspended_writer,
}
VERBS = {
    "health": ("health",),
    "health-full": ("health", "--full"),
    "list": ("list",),
    "leases": ("leases",),
    "stats": ("stats",),
    "integrity": ("integrity",),
    "restore-dry-run": ("restore", "--dry-run"),
    "prune-dry-run": ("prune", "--dry-run", "--keep", "1"),
}


@pytest.fixture
def backed_up(scratch: Path, crew: Crew) -> Path:
    """A queue in a folder of its own, with tasks and a backup, which nobody has open."""
    path = scratch.resolve() / "live" / "queue.db"
    QueueDatabase(path, create=True).close()
    worker = crew.start(path, "first")
    fill([worker], TASKS_COUNT)
    worker.claim()
    QueueBackup(path).create_backup()
    worker.driver.close()
    return path


@pytest.mark.parametrize("situation", SITUATIONS)
def test_gate_that_looks_at_a_live_queue_touches_nothing(
    situation: str, backed_up: Path, scratch: Path, crew: Crew, evidence: Evidence
) -> None:
    """The look that every run with a given queue takes writes nothing, and keeps nobody out."""
    copies = scratch / "copies"
    copies.mkdir()
    command = (sys.executable, "-X", "utf8", "-c", LOOK, str(backed_up), str(copies))
    _require_untouched(situation, command, backed_up, crew, evidence)


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("verb", VERBS)
def test_verb_that_looks_touches_nothing(
    verb: str, situation: str, backed_up: Path, crew: Crew, evidence: Evidence
) -> None:
    """A verb that only looks writes nothing, and keeps nobody out."""
    name, *options = VERBS[verb]
    command = (*CLI, name, "--db", str(backed_up), *options)
    _require_untouched(situation, command, backed_up, crew, evidence)


def _require_untouched(
    situation: str, command: tuple[str, ...], queue: Path, crew: Crew, evidence: Evidence
) -> None:
    __tracebackhide__ = True
    with SITUATIONS[situation](queue, crew, evidence):
        touched = run_watched(command, queue.parent, queue.parent.with_suffix(".strace"))
    evidence.measure("opened_to_read", touched.opened, "times")
    if not touched.opened:
        raise Inconclusive(f"no file of the queue was opened: {touched.output.strip()[-200:]}")
    _require_none(evidence, "written", touched.written, touched)
    _require_none(evidence, "locked", touched.locked, touched)


def _require_none(evidence: Evidence, what: str, calls: tuple[str, ...], touched: Touched) -> None:
    evidence.limit(what, len(calls), 0, "calls")
    evidence.require(
        not calls,
        f"{len(calls)} calls {what} files of the queue, exit status {touched.exit_status}: "
        f"{'; '.join(calls[:2])}",
    )
