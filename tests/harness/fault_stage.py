"""What each fault is tried on: where it happens, where it cannot, and what has to be put back.

One row a fault. ``happens`` makes a target on which it happens, ``fails`` one on which it cannot,
``state`` looks at what the fault changes.
"""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from core.database import QueueDatabase
from core.paths import sides
from core.tasks import TaskQueue
from harness import faults
from harness.crew import Crew
from harness.drivers.clock_file import ClockFile
from harness.faults import Asked, Fault
from harness.faults.clocks import DrivenClock
from harness.trial import trial_command
from harness.waiting import wait_until
from harness.worker import Worker

TIMEOUT_S = 30
LEASE_S = 0.3
LONG_LEASE_S = 60.0
CRASH = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for _number in range(20):
    connection.execute("INSERT INTO task_queue (type, payload) VALUES ('t', '{}')")
os._exit(9)
"""


class Stage:
    """A folder and a crew in which faults are tried; everything in it is made when it is wanted."""

    def __init__(self, folder: Path, crew: Crew) -> None:
        self.folder = folder
        self._crew = crew
        self._count = 0

    def name(self) -> str:
        """A name that nobody has yet."""
        self._count += 1
        return f"n{self._count}"

    # -- files ---------------------------------------------------------------------------------

    def queue(self) -> Path:
        """A queue without tasks, in one file."""
        path = self.folder / f"{self.name()}.db"
        with QueueDatabase(path, create=True):
            return path

    def tasks(self) -> Path:
        """A queue with two tasks that are unlike each other."""
        path = self.queue()
        with QueueDatabase(path) as database:
            for number in range(2):
                TaskQueue(database).enqueue("t", number)
        return path

    def open_queue(self) -> Path:
        """A queue that a worker has open, whose -wal has something in it."""
        worker = self.worker(self.queue(), LONG_LEASE_S)
        worker.enqueue(self.name())
        return worker.path

    def crashed_queue(self) -> Path:
        """A queue whose last writer was killed: its -wal has committed frames."""
        path = self.queue()
        subprocess.run([sys.executable, "-c", CRASH, path], check=False, timeout=TIMEOUT_S)
        return path

    def missing(self) -> Path:
        """A path at which nothing is."""
        return self.folder / f"{self.name()}.db"

    def garbage(self) -> Path:
        """A file that is no database."""
        path = self.missing()
        path.write_bytes(b"no database at all" * 100)
        return path

    # -- workers -------------------------------------------------------------------------------

    def worker(self, path: Path | None = None, lease_s: float = LEASE_S) -> Worker:
        """A worker that holds a task."""
        path = path or self.queue()
        worker = self._crew.start(path, self.name())
        worker.path = path
        worker.enqueue(self.name())
        worker.enqueue(self.name())
        worker.claim(lease_s=lease_s)
        return worker

    def dead(self) -> Worker:
        """A worker that was killed, with a task in hand."""
        worker = self.worker()
        worker.driver.kill()
        return worker

    def trial(self, *settings: str) -> Worker:
        """A worker over the trial driver, which has put one task in."""
        path = self.queue()
        worker = self._crew.start_program(trial_command(path, *settings), self.name())
        worker.enqueue(self.name())
        worker.path = path
        return worker

    def waiting(self) -> Asked:
        """A worker whose request waits for a lock that nobody gives back while it lives."""
        worker = self.worker(lease_s=LONG_LEASE_S)
        worker.driver.suspend()
        return Asked(worker.driver, worker.send_about("complete"))

    def answered(self) -> Asked:
        """A worker that has answered, and lives."""
        worker = self.worker(lease_s=LONG_LEASE_S)
        flight = worker.send_about("complete")
        flight.settle()
        return Asked(worker.driver, flight)

    def silent(self) -> Asked:
        """A worker that was killed before it answered."""
        worker = self.dead()
        return Asked(worker.driver, worker.send_about("complete"))

    def dying(self, *settings: str) -> Asked:
        """A worker that was asked for that in which it dies."""
        worker = self.trial("--die-in", "claim", *settings)
        return Asked(worker.driver, worker.send_claim())

    def clock(self, *settings: str) -> DrivenClock:
        """The clock of a worker; it follows the file where that is among the settings."""
        file = ClockFile(self.folder / f"{self.name()}.json")
        words = [each.format(file=file.path) for each in settings]
        return DrivenClock(self.trial(*words).driver, file)


# -- what is looked at ---------------------------------------------------------------------------


def contents(path: Path) -> object:
    """The bytes of the whole set."""
    return {each.name: each.read_bytes() for each in (path, *sides(path)) if each.exists()}


def rows(path: Path) -> object:
    """What each task holds."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM task_queue ORDER BY id").fetchall()


def writable(path: Path) -> object:
    """Whether the writer lock is to be had."""
    with QueueDatabase(path, busy_timeout_ms=5000) as database:
        TaskQueue(database).enqueue("t", {})
        return True


def emptied(path: Path) -> object:
    """Whether a checkpoint can end the -wal, in which something is again afterwards."""
    with QueueDatabase(path) as database:
        rows = database.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        TaskQueue(database).enqueue("t", {})
        return rows


def bound(worker: Any) -> object:
    """The processors of a process, and how many neighbours make them busy."""
    driver = getattr(worker, "driver", worker)
    process = psutil.Process(driver.pid)
    below = psutil.Process().children(recursive=True)
    neighbours = sum("busy_neighbour.py" in " ".join(each.cmdline()) for each in below)
    return process.cpu_affinity() if hasattr(process, "cpu_affinity") else None, neighbours


def stopped(driver: Any) -> object:
    """Whether the process stands still."""
    return driver.suspended()


def beats(worker: Worker) -> object:
    """Whether heartbeats come that nobody sends any more."""

    def count() -> int:
        return sum(op.op == "heartbeat" for op in worker.history.operations())

    before = count()
    try:
        wait_until(lambda: count() > before, "a heartbeat", timeout_s=0.3)
    except TimeoutError:
        return False
    return True


def alive(target: Any) -> object:
    """Whether the process of a target runs."""
    return getattr(target, "driver", target).exit_status is None


def right_clock(clock: DrivenClock) -> object:
    """How wrong the clock is to be."""
    return replace(clock.file.read(), since_ms=0)


def zone(_target: object) -> object:
    """In which zone this process is."""
    return os.environ.get("TZ")


def told_room(_target: object) -> object:
    """Who is asked how much room there is."""
    return shutil.disk_usage


def nothing(_target: object) -> object:
    """Nothing that could be put back."""
    return None


@dataclass(frozen=True)
class Row:
    """How one fault is tried.

    Attributes:
        happens: makes a target on which it happens.
        fails: makes a target on which it cannot; None where it always can.
        state: of what the fault changes; the same before it and after it.
        undo: does by hand, in the body, what the fault does at its end; or makes it pointless.
        fault: the fault as it cannot happen, where that is not for the target to decide.
        again: whether the same target can have it twice.
    """

    happens: Callable[[Stage], Any]
    fails: Callable[[Stage], Any] | None
    state: Callable[[Any], object] = nothing
    undo: Callable[[Any], object] = nothing
    fault: Fault[Any] | None = None
    again: bool = True


def _kill(target: Any) -> None:
    getattr(target, "driver", target).kill()


def _on_files(
    fails: Callable[[Stage], Path] = Stage.missing, fault: Fault[Any] | None = None
) -> Row:
    return Row(
        happens=Stage.crashed_queue,
        fails=fails,
        state=contents,
        undo=lambda path: path.write_bytes(b"restored"),
        fault=fault,
    )


def _of_clock() -> Row:
    return Row(
        happens=lambda stage: stage.clock("--clock-file", "{file}"),
        fails=Stage.clock,
        state=right_clock,
        undo=lambda clock: clock.driver.kill(),
    )


def _empty(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM task_queue")


def _put_in(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO task_queue (id, type, payload) VALUES (1, 't', '7')")


def _page_of_zeros(stage: Stage) -> Path:
    path = stage.queue()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + bytes(4096) + content[8192:])
    return path


def _header_of_zeros(stage: Stage) -> Path:
    path = stage.missing()
    path.write_bytes(bytes(4096))
    return path


def _empty_file(stage: Stage) -> Path:
    path = stage.missing()
    path.touch()
    return path


def _driver(stage: Stage) -> Any:
    return stage.worker().driver


def _dead_driver(stage: Stage) -> Any:
    return stage.dead().driver


def _started_by(make: Callable[[Stage], Any]) -> Callable[[Stage], Any]:
    return lambda stage: lambda _number: make(stage)


def _closed_driver(stage: Stage) -> Any:
    driver = stage.worker().driver
    driver.close()
    return driver


def _zoned(stage: Stage) -> Callable[[], Any]:
    return lambda: stage.worker().driver


def _not_zoned(stage: Stage) -> Callable[[], Any]:
    driver = stage.worker().driver
    return lambda: driver


def named(path: Path) -> bool:
    """Return whether the name is a link."""
    return path.is_symlink()


def _unlink(path: Path) -> None:
    path.unlink()


ROWS: dict[str, Row] = {
    "no-fault": Row(happens=Stage.crashed_queue, fails=None, state=contents),
    "killed-worker": Row(happens=_driver, fails=_dead_driver, state=nothing, again=False),
    "suspended-worker": Row(happens=_driver, fails=_dead_driver, state=stopped, undo=_kill),
    "killed-while-suspended": Row(happens=_driver, fails=_dead_driver, again=False),
    "killed-in-flight": Row(happens=Stage.waiting, fails=Stage.answered, again=False),
    "died-unsaid": Row(
        happens=lambda stage: stage.dying("--die-at=-1"), fails=Stage.answered, again=False
    ),
    "died-answering": Row(
        happens=lambda stage: stage.dying("--die-at=-2"), fails=Stage.silent, again=False
    ),
    "killed-writer": Row(happens=Stage.queue, fails=Stage.garbage, state=writable),
    "restart-storm": Row(happens=_started_by(_driver), fails=_started_by(_closed_driver)),
    "starved-worker": Row(happens=_driver, fails=_dead_driver, state=bound, undo=_kill),
    "idle-holder": Row(
        happens=lambda stage: stage.worker(lease_s=LONG_LEASE_S),
        fails=Stage.dead,
        state=beats,
        undo=_kill,
    ),
    "paused-up-to-lease": Row(
        happens=Stage.worker,
        fails=Stage.dead,
        state=lambda worker: stopped(worker.driver),
        undo=_kill,
    ),
    "rival-writer": Row(happens=Stage.queue, fails=Stage.garbage, state=writable),
    "rival-process": Row(happens=Stage.queue, fails=Stage.garbage, state=writable),
    "stuck-reader": Row(happens=Stage.open_queue, fails=Stage.queue, state=emptied),
    "snapshot-process": Row(happens=Stage.open_queue, fails=Stage.queue, state=emptied),
    "passing-opener": Row(happens=Stage.queue, fails=Stage.missing, state=writable),
    "clock-ahead": _of_clock(),
    "clock-behind": _of_clock(),
    "jumping-clock": _of_clock(),
    "backwards-clock": _of_clock(),
    "foreign-zone": Row(happens=_zoned, fails=_not_zoned, state=zone),
    "deleted-database": _on_files(),
    "left-over-wal": _on_files(Stage.queue),
    "foreign-wal": _on_files(Stage.queue),
    "destroyed-header": _on_files(_header_of_zeros),
    "zeroed-page": _on_files(_page_of_zeros),
    "truncated-file": _on_files(Stage.queue, faults.TruncatedFile(kept=1.0)),
    "garbage-file": _on_files(_empty_file),
    "flipped-bit": _on_files(Stage.queue, faults.FlippedBit(offset=10**9)),
    "lost-write": _on_files(_page_of_zeros),
    "damaged-wal": _on_files(Stage.queue),
    "noisy-pages": _on_files(Stage.garbage),
    "swapped-pages": _on_files(Stage.queue, faults.SwappedPages(pairs=0)),
    "flipped-bits": _on_files(Stage.queue, faults.FlippedBits(count=0)),
    "lost-rows": _on_files(Stage.garbage),
    "stale-index": _on_files(Stage.queue, faults.StaleIndex(index="ix_of_nobody")),
    "lagging-indexes": _on_files(Stage.queue, faults.LaggingIndexes(indexes=("ix_of_nobody",))),
    "hostile-schema": _on_files(Stage.garbage),
    "link-in-place": Row(happens=Stage.queue, fails=Stage.missing, state=named, undo=_unlink),
    "swapped-tasks": Row(happens=Stage.tasks, fails=Stage.queue, state=rows, undo=_empty),
    "deleted-task": Row(happens=Stage.tasks, fails=Stage.queue, state=rows, undo=_put_in),
    "short-disk": Row(happens=lambda stage: stage.folder, fails=None, state=told_room),
}
