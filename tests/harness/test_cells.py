"""Cells of load: run by real processes, and read back from what they left by whoever asks."""

import threading

import psutil
import pytest

from harness.cells import (
    DRAIN_TIMEOUT_S,
    PRODUCERS_COUNT,
    Cell,
    nothing_left,
    read_cell,
    run_cell,
)
from harness.checkers import Valid
from harness.crew import Crew
from harness.drivers.client import DriverError
from harness.drivers.command import CORE, DriverCommand
from harness.history import FinalTask, History
from harness.outcome import Inconclusive

CELL = Cell(per_minute=1200, workers=2, lasts_s=1.0)


def test_a_cell_knows_its_name_its_arrivals_and_its_longest_time():
    """All three follow from its figures."""
    cell = Cell(per_minute=400, workers=3, lasts_s=90.0)

    assert cell.name == "400-per-minute-by-3"
    assert (cell.arrivals.per_minute, cell.arrivals.count) == (400, 600)
    assert cell.longest_s == 90.0 + 2 * DRAIN_TIMEOUT_S


def test_a_cell_is_read_back_as_it_was_run(tmp_path):
    """Every task arrives and is done; history, end, promises and effort are there to be judged."""
    began = []

    def begin():
        began.append(len(psutil.Process().children()))

    before = len(psutil.Process().children())
    run_cell(CELL, tmp_path / "cell", CORE, begin=begin)
    run = read_cell(CELL, tmp_path / "cell")

    assert began == [before + PRODUCERS_COUNT + CELL.workers]
    assert len(psutil.Process().children()) == before
    assert run.cell == CELL
    ways = run.ways()
    assert [way.key for way in ways] == [f"t-{number:05d}" for number in range(20)]
    assert all(way.done_s is not None for way in ways)
    assert run.began_s == pytest.approx(ways[0].scheduled_s)
    assert run.rate_held() == 1.0
    assert {task.status for task in run.record.final} == {"completed"}
    assert run.record.capabilities.leases
    assert run.record.capabilities.maintenance == tuple(run.record.capabilities.maintenance)
    rulings = {ruling.name: ruling.valid for ruling in run.rulings()}
    assert rulings["promises-kept"] is Valid.TRUE
    assert rulings["nothing-lost"] is Valid.TRUE
    assert Valid.FALSE not in rulings.values()
    assert run.latest_s >= 0.0
    assert run.effort.lasted_s >= 0.9
    assert run.effort.queue_s > 0.0


def test_a_cell_that_is_stopped_ends_with_fewer_arrivals(tmp_path):
    """The run is over: no more tasks arrive, and what that means is told and not guessed."""
    stop = threading.Event()
    stop.set()

    run_cell(CELL, tmp_path / "cell", CORE, stop=stop)
    run = read_cell(CELL, tmp_path / "cell")

    assert run.ways() == []
    assert run.rate_held() == 0.0


def test_a_cell_that_did_not_end_says_nothing(tmp_path):
    """A history without an end is judged by nobody."""
    (tmp_path / "history.jsonl").touch()

    with pytest.raises(Inconclusive, match="1200-per-minute-by-2 did not come to its end"):
        read_cell(CELL, tmp_path)


def test_a_cell_whose_driver_does_not_start_leaves_nobody(tmp_path):
    """The error is the driver's; whoever had started before is gone."""
    before = psutil.Process().children()
    command = DriverCommand(("no-such-program-at-all", "{db}"), "no such program")

    with pytest.raises(DriverError):
        run_cell(CELL, tmp_path / "cell", command)

    assert psutil.Process().children() == before
    assert not (tmp_path / "cell" / "end.json").exists()


def test_a_cell_never_takes_another_ones_place(tmp_path):
    """A folder that is there already is not written into."""
    with pytest.raises(FileExistsError):
        run_cell(CELL, tmp_path, CORE)


class Witness:
    """Stands for a worker that is asked for the end."""

    def __init__(self, *statuses):
        self._statuses = statuses

    def final(self):
        """The tasks, or the driver's error."""
        if "error" in self._statuses:
            raise DriverError("no snapshot")
        return tuple(
            FinalTask(id=1, key="k", status=each, attempts=0, max_attempts=5, digest="d")
            for each in self._statuses
        )


@pytest.mark.parametrize(
    ("statuses", "finished"),
    [
        ((), True),
        (("completed", "dead_letter", "failed"), True),
        (("completed", "queued"), False),
        (("leased",), False),
        (("processing",), False),
        (("error",), False),
    ],
)
def test_nothing_is_left_when_every_task_is_finished(statuses, finished):
    """A task that waits or is held is left; a driver that does not say leaves it open."""
    assert nothing_left(Witness(*statuses)) is finished


def test_nothing_is_left_is_what_the_queue_says(tmp_path):
    """A real queue with a task in it, and without one."""
    with History(tmp_path / "history.jsonl") as history, Crew(history, tmp_path) as crew:
        worker = crew.start(tmp_path / "queue.db", "w")
        assert nothing_left(worker)
        worker.enqueue("k")
        assert not nothing_left(worker)
        worker.claim()
        assert not nothing_left(worker)
        worker.complete()
        assert nothing_left(worker)
