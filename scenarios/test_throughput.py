"""Tasks arriving at the runbook's rates, worked off as they come by one to six workers.

Claim: 200 to 400 tasks a minute are taken in and done meanwhile, each of them once.
Faults: killed-worker; otherwise none but the load.
Method: several producers send on a schedule that no answer can slow down; workers claim and
complete; the whole history is judged, and latency is counted from the scheduled arrival. Cells
run side by side in the background. In the gate a cell is short and its latencies are reported; in
nightly it lasts as the runbook says, and they are judged; soak raises the rate until it breaks.
A failure means: the queue loses, doubles or strands tasks under the load it is made for.
"""

import contextlib
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from harness.cells import HELD_WITHIN_S, Cell, CellRun, nothing_left, read_cell, run_cell
from harness.checkers import RecoveryBudget
from harness.closing import Books, fault_on
from harness.crew import Crew
from harness.drivers.command import DriverCommand
from harness.evidence import Evidence
from harness.faults import KilledWorker
from harness.history import History
from harness.journeys import done_until, journeys
from harness.judgement import require_all
from harness.knee import Knee, find_knee
from harness.ledger import Ledger
from harness.outcome import Inconclusive
from harness.pace import broken_limits, measure_pace, unfit
from harness.reclaiming import Reclaimer, claim_when_there
from harness.settings import Settings
from harness.side_by_side import Job, SideBySide, Turn
from harness.waiting import WaitedTooLongError, wait_until
from harness.workload import Arrivals, produce_all, work_off

pytestmark = pytest.mark.scenario

RATES_PER_MINUTE = (200, 300, 400)
WORKERS_COUNTS = (1, 2, 4, 6)
GATE_CELL_S = 7.0
NIGHTLY_CELL_S = 300.0
NIGHTLY_TIMEOUT_S = 1500

KILL_PER_MINUTE = 400
KILL_ARRIVALS_COUNT = 36
KILL_WORKERS_COUNT = 2
VICTIM_AFTER_COUNT = 12
VICTIM_LEASE_S = 0.5
RECLAIM_EVERY_S = 0.25
DRAIN_TIMEOUT_S = 30.0

KNEE_STEP_S = 15.0
KNEE_WORKERS_COUNT = 4
KNEE_IDLE_PAUSE_S = 0.02
KNEE_RATES_PER_MINUTE = tuple(round(400 * 1.5**step) for step in range(13))
KNEE_TIMEOUT_S = 1200


def _cells(lasts_s: float) -> list[Cell]:
    return [
        Cell(per_minute=rate, workers=workers, lasts_s=lasts_s)
        for workers in WORKERS_COUNTS
        for rate in RATES_PER_MINUTE
    ]


def _name(cell: Cell) -> str:
    return cell.name


class Cells:
    """The cells of this run: each runs once, in the background, beside others of its group."""

    def __init__(self, runner: SideBySide, command: DriverCommand) -> None:
        self._runner = runner
        self._command = command

    def run(self, cell: Cell, group: str, all_of_it: list[Cell], scratch: Path) -> CellRun:
        """Return what was seen of the cell; all that it left is in the scratch folder too."""
        jobs = {each.name: self._job(each) for each in all_of_it}
        folder = self._runner.result(group, cell.name, jobs, timeout_s=cell.longest_s)
        shutil.copytree(folder, scratch / cell.name)
        return read_cell(cell, scratch / cell.name)

    def _job(self, cell: Cell) -> Job:
        return partial(_run_job, cell, self._command)


def _run_job(cell: Cell, command: DriverCommand, folder: Path, turn: Turn) -> None:
    run_cell(cell, folder, command, begin=turn.wait_for_all, stop=turn.stop)


@pytest.fixture(scope="session")
def cells(
    request: pytest.FixtureRequest, shared_folder: Path, queue_settings: Settings
) -> Iterator[Cells]:
    """Runs cells; those that run in this process have ended when its tests have."""
    runner = SideBySide(shared_folder / "cells")
    yield Cells(runner, queue_settings.command())
    over = request.session.exitstatus is pytest.ExitCode.INTERRUPTED
    runner.close(stop=over or bool(request.session.shouldstop or request.session.shouldfail))


@pytest.fixture
def selected(request: pytest.FixtureRequest) -> list[Cell]:
    """The cells of this test that were selected for the run: no other is worth its time."""
    mine = request.node.originalname
    return [
        cast(Cell, item.callspec.params["cell"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.originalname == mine
    ]


@pytest.mark.parametrize("cell", _cells(GATE_CELL_S), ids=_name)
def test_load_of_the_runbook_loses_and_doubles_nothing(
    cell: Cell, cells: Cells, selected: list[Cell], scratch: Path, evidence: Evidence
) -> None:
    """At this rate, with so many workers, each task that arrives is done, and done once."""
    run = cells.run(cell, "gate", selected, scratch)

    measure_pace(evidence.measure, run)
    _require_whole(evidence, run)


@pytest.mark.profile("nightly")
@pytest.mark.timeout(NIGHTLY_TIMEOUT_S)
@pytest.mark.parametrize("cell", _cells(NIGHTLY_CELL_S), ids=_name)
def test_load_of_the_runbook_for_minutes_keeps_its_limits(
    cell: Cell, cells: Cells, selected: list[Cell], scratch: Path, evidence: Evidence
) -> None:
    """For minutes the rate is held, nothing is lost or doubled, and no latency passes its limit."""
    group = [each for each in selected if each.workers == cell.workers]
    run = cells.run(cell, f"nightly-by-{cell.workers}", group, scratch)

    measure_pace(evidence.measure, run)
    _require_whole(evidence, run)
    _require_limits(evidence, run)


@pytest.mark.profile("soak")
@pytest.mark.timeout(KNEE_TIMEOUT_S)
def test_raised_rate_breaks_nothing_before_the_runbooks_own(
    scratch: Path, queue_settings: Settings, evidence: Evidence
) -> None:
    """The rate at which the queue stops holding is above the runbook's, and it is said why."""

    def step(per_minute: int) -> CellRun:
        cell = Cell(
            per_minute=per_minute,
            workers=KNEE_WORKERS_COUNT,
            lasts_s=KNEE_STEP_S,
            idle_pause_s=KNEE_IDLE_PAUSE_S,
        )
        run_cell(cell, scratch / cell.name, queue_settings.command())
        return read_cell(cell, scratch / cell.name)

    knee = find_knee(KNEE_RATES_PER_MINUTE, step)

    least = RATES_PER_MINUTE[-1]
    evidence.measure("knee_tasks_per_min", knee.held_per_minute, "tasks/min")
    evidence.finding(
        "throughput.knee",
        "UNKNOWN" if knee.of_machine else "OK",
        f"{knee.held_per_minute} tasks/min held",
        f"at least {least} tasks/min",
        _told(knee),
    )
    if knee.held_per_minute < least and knee.of_machine:
        raise Inconclusive(_told(knee))
    evidence.require(
        knee.held_per_minute >= least,
        f"{knee.held_per_minute} tasks a minute are held (at least {least}): {knee}",
    )


@pytest.mark.needs("leases")
def test_killed_worker_in_mid_load_delays_its_task_alone(
    queue_path: Path, crew: Crew, history: History, ledger: Ledger, books: Books
) -> None:
    """A worker killed while tasks arrive costs none; latency is told before, during and after."""
    producers = crew.start_all(queue_path, "producer", 2)
    workers = crew.start_all(queue_path, "worker", KILL_WORKERS_COUNT)
    reclaimer, victim = crew.start(queue_path, "reclaimer"), crew.start(queue_path, "victim")
    arrivals = Arrivals(KILL_PER_MINUTE, KILL_ARRIVALS_COUNT)

    with ThreadPoolExecutor(2) as pool:
        producing = pool.submit(produce_all, producers, arrivals, prefix="t")
        working = pool.submit(
            work_off,
            workers,
            lambda: producing.done() and nothing_left(workers[0]),
            timeout_s=DRAIN_TIMEOUT_S,
        )
        _wait_for_completions(history, VICTIM_AFTER_COUNT)
        held = claim_when_there(victim, lease_s=VICTIM_LEASE_S).task_id
        assert held is not None, "it was there"
        with (
            fault_on(history, victim.name, lost=True),
            ledger.injected(KilledWorker(), victim.driver) as sighting,
            Reclaimer(reclaimer, every_s=RECLAIM_EVERY_S),
        ):
            _wait_for_end_of(held, history)
            sighting.effect = f"the queue went on without it while task {held} waited"
        all_done = working.result()

    books.tell_latencies()
    produced = producing.result()
    moment_s = produced.began_s + arrivals.lasts_s + HELD_WITHIN_S
    in_time = done_until(journeys(history.operations()), moment_s) / arrivals.count
    books.evidence.measure("rate_offered", KILL_PER_MINUTE, "tasks/min")
    books.evidence.measure("rate_held", KILL_PER_MINUTE * in_time, "tasks/min")
    books.evidence.measure("latest_arrival", produced.latest_s * 1000, "ms")
    budget = RecoveryBudget(lease_s=VICTIM_LEASE_S, reclaim_every_s=RECLAIM_EVERY_S)
    books.require_sound(producers[0], budget=budget)
    books.evidence.require(all_done, f"not all was done within {DRAIN_TIMEOUT_S:.0f} s")


def _told(knee: Knee) -> str:
    limit = "; what the queue holds without it, nobody knows" if knee.of_machine else ""
    said = f"{knee}{limit}."
    return said[0].upper() + said[1:]


def _wait_for_completions(history: History, count: int) -> None:
    wait_until(
        lambda: sum(op.op == "complete" and op.ok for op in history.operations()) >= count,
        f"{count} completions",
        timeout_s=DRAIN_TIMEOUT_S,
    )


def _wait_for_end_of(task_id: int, history: History) -> None:
    """Return when the task was completed; where it never is, the checkers say so."""
    with contextlib.suppress(WaitedTooLongError):
        wait_until(
            lambda: any(
                op.op == "complete" and op.ok and op.task_id == task_id
                for op in history.operations()
            ),
            "the end of the dead worker's task",
            timeout_s=DRAIN_TIMEOUT_S,
        )


def _require_whole(evidence: Evidence, run: CellRun) -> None:
    """Fail unless all arrivals were acknowledged and every checker is content."""
    offered = run.cell.arrivals.count
    asked = [op for op in run.record.operations if op.op == "enqueue"]
    if len(asked) != offered:
        raise Inconclusive(f"{len(asked)} of {offered} tasks were sent")
    refused = sum(not op.ok for op in asked)
    evidence.limit("arrivals not acknowledged", refused, 0, "tasks")
    require_all(evidence, run.rulings())
    evidence.require(not refused, f"{refused} of {offered} tasks were not acknowledged (limit 0)")


def _require_limits(evidence: Evidence, run: CellRun) -> None:
    """Judge the latencies and the rate; a machine that has no time for them says nothing."""
    broken = broken_limits(evidence.limit, run)
    reason = unfit(run, broken)
    if reason:
        raise Inconclusive("; ".join([reason, *broken]))
    evidence.require(not broken, "; ".join(broken))
