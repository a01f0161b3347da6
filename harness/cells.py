"""Cells of a table of loads: so many workers, so many tasks a minute, for so long.

A cell leaves its history and its end in a folder; any process can read and judge them there.
"""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.checkers import Record, Ruling, judge
from harness.crew import Crew
from harness.drivers.client import DriverError, DriverWrongError
from harness.drivers.command import DriverCommand
from harness.drivers.protocol import Capabilities
from harness.effort import Effort, Meter
from harness.history import FinalTask, History, read_history
from harness.journeys import Journey, done_until, journeys
from harness.outcome import Inconclusive
from harness.promises import PromiseLog, promises_kept
from harness.worker import Worker
from harness.workload import Arrivals, Produced, produce_all, work_off

PRODUCERS_COUNT = 2
IDLE_PAUSE_S = 0.1
"""How long a worker that found nothing waits: what it adds to a latency is the worker's, not the
queue's."""
DRAIN_TIMEOUT_S = 20.0
HELD_WITHIN_S = 1.0
"""So long after the last arrival a task still counts as done meanwhile."""
_HISTORY, _PROMISES, _END = "history.jsonl", "promises.jsonl", "end.json"
_OPEN = ("queued", "leased", "processing")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell.

    Attributes:
        per_minute: how many tasks arrive in a minute.
        workers: how many work them off.
        lasts_s: how long tasks arrive, in seconds.
        idle_pause_s: how long a worker that found nothing waits, in seconds.
    """

    per_minute: int
    workers: int
    lasts_s: float
    idle_pause_s: float = IDLE_PAUSE_S

    @property
    def name(self) -> str:
        """Its name in ids and folders."""
        return f"{self.per_minute}-per-minute-by-{self.workers}"

    @property
    def arrivals(self) -> Arrivals:
        """The schedule."""
        return Arrivals(self.per_minute, round(self.per_minute * self.lasts_s / 60))

    @property
    def longest_s(self) -> float:
        """How long it may take in all, the start of its processes left out."""
        return self.lasts_s + 2 * DRAIN_TIMEOUT_S


@dataclass(frozen=True, kw_only=True)
class CellRun:
    """What was seen of a cell.

    Attributes:
        cell: which.
        record: for the checkers.
        kept: whether the promise log agrees with the end.
        began_s: when the first task was to arrive, in seconds of the history.
        latest_s: by how much the tardiest enqueue was sent too late.
        effort: what this machine did while tasks arrived.
    """

    cell: Cell
    record: Record
    kept: Ruling
    began_s: float
    latest_s: float
    effort: Effort

    def ways(self) -> list[Journey]:
        """Return the way of every task."""
        return journeys(self.record.operations)

    def rate_held(self) -> float:
        """Return which part of all arrivals was done while they arrived, or right after."""
        moment_s = self.began_s + self.cell.lasts_s + HELD_WITHIN_S
        return done_until(self.ways(), moment_s) / self.cell.arrivals.count

    def rulings(self) -> tuple[Ruling, ...]:
        """Return what every checker says, and what the promise log does."""
        return (*judge(self.record), self.kept)


def run_cell(
    cell: Cell,
    folder: Path,
    command: DriverCommand,
    *,
    begin: Callable[[], None] = lambda: None,
    stop: threading.Event | None = None,
) -> None:
    """Leave the history and the end of the cell in the folder.

    Args:
        cell: what to run.
        folder: a new one.
        command: of the driver, which makes the queue.
        begin: returns when the first task may arrive; asked when all processes are there.
        stop: when set, no more tasks arrive.

    Raises:
        DriverError: a process does not start, or the end cannot be had.
    """
    folder.mkdir(parents=True)
    database = folder / "queue.db"
    with (
        PromiseLog(folder / _PROMISES) as promises,
        History(folder / _HISTORY, promises) as history,
        Crew(history, folder, command) as crew,
    ):
        producers = crew.start_all(database, "producer", PRODUCERS_COUNT)
        workers = crew.start_all(database, "worker", cell.workers)
        begin()
        produced, effort = _loaded(cell, producers, workers, stop)
        _write_end(folder / _END, producers[0], produced, effort)


def _loaded(
    cell: Cell, producers: list[Worker], workers: list[Worker], stop: threading.Event | None
) -> tuple[Produced, Effort]:
    """Let tasks arrive and be worked off; return once nothing is left, or it takes too long."""

    def produce() -> tuple[Produced, Effort]:
        meter = Meter(each.driver.pid for each in (*producers, *workers))
        return produce_all(producers, cell.arrivals, prefix="t", stop=stop), meter.read()

    with ThreadPoolExecutor(1) as pool:
        producing = pool.submit(produce)
        work_off(
            workers,
            lambda: producing.done() and nothing_left(workers[0]),
            timeout_s=cell.lasts_s + DRAIN_TIMEOUT_S,
            idle_pause_s=cell.idle_pause_s,
        )
        return producing.result()


def nothing_left(worker: Worker) -> bool:
    """Return whether every task is finished; a driver that does not say leaves that open.

    Raises:
        DriverWrongError: the driver does what the protocol does not allow.
    """
    try:
        return not any(task.status in _OPEN for task in worker.final())
    except DriverWrongError:
        raise
    except DriverError:
        return False


def read_cell(cell: Cell, folder: Path) -> CellRun:
    """Return what ``run_cell`` left.

    Raises:
        Inconclusive: it did not come to its end.
    """
    try:
        end = json.loads((folder / _END).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Inconclusive(f"the cell {cell.name} did not come to its end") from None
    final = tuple(FinalTask(**task) for task in end["final"])
    declared = end["capabilities"] | {"maintenance": tuple(end["capabilities"]["maintenance"])}
    return CellRun(
        cell=cell,
        record=Record(
            operations=read_history(folder / _HISTORY),
            final=final,
            capabilities=Capabilities(**declared),
        ),
        kept=promises_kept(folder / _PROMISES, final),
        began_s=end["began_s"],
        latest_s=end["latest_s"],
        effort=Effort(**end["effort"]),
    )


def _write_end(path: Path, witness: Worker, produced: Produced, effort: Effort) -> None:
    end: dict[str, Any] = {
        "final": [asdict(task) for task in witness.final()],
        "capabilities": asdict(witness.driver.capabilities),
        "began_s": produced.began_s,
        "latest_s": produced.latest_s,
        "effort": asdict(effort),
    }
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(end), encoding="utf-8")
    draft.replace(path)
