"""A crew: every worker a process of its own, and none of them left when it ends."""

import sys
from pathlib import Path

import pytest

from harness.crew import Crew
from harness.drivers.client import DriverError
from harness.drivers.command import CommandError, DriverCommand

ODD_DRIVER = Path(__file__).with_name("odd_driver.py")
ODD = (sys.executable, "-X", "utf8", str(ODD_DRIVER), "1")


def test_every_worker_is_a_process_of_its_own(crew, path, history):
    """They have the names that were asked for, one queue, and one history."""
    workers = crew.start_all(path, "w", 3)
    for worker in workers:
        worker.enqueue(worker.name)

    assert [worker.name for worker in workers] == ["w0", "w1", "w2"]
    assert len({worker.driver.pid for worker in workers}) == 3
    assert {task.key for task in workers[0].final()} == {"w0", "w1", "w2"}
    assert [op.worker for op in history.operations()] == ["w0", "w1", "w2"]


def test_durability_is_handed_to_the_worker(crew, path):
    """What the acknowledgements are to survive is said at the start, and declared by the driver."""
    declared = [
        crew.start(path, name, durability=name).driver.capabilities.durability
        for name in ("full", "normal")
    ]

    assert declared == ["full", "normal"]


def test_a_wrong_clock_needs_a_driver_that_can_have_one(history, tmp_path, path):
    """A command without a place for it is refused, and nothing is started."""
    command = DriverCommand((*ODD, "{db}"), "odd")
    with Crew(history, tmp_path, command) as crew:
        with pytest.raises(CommandError, match="clock cannot be wrong"):
            crew.start(path, "w", clock_offset_ms=1000)
        assert not (tmp_path / "w.stderr").exists()


def test_the_command_of_the_run_starts_its_workers(history, tmp_path, path):
    """A crew of another driver has workers of that driver."""
    with Crew(history, tmp_path, DriverCommand((*ODD, "{db}"), "odd")) as crew:
        assert crew.start(path, "w").driver.hello["driver"] == "odd"


def test_a_program_that_cannot_be_started_is_an_error(crew):
    """It is told, and is no worker of the crew."""
    with pytest.raises(DriverError, match="cannot be started"):
        crew.start_program(["no-such-program-at-all"], "w")


def test_what_a_worker_says_on_stderr_is_kept(crew, tmp_path):
    """It lies in the crew's folder under the worker's name."""
    worker = crew.start_program(ODD, "talker")
    worker.driver.request("chatter")

    assert (tmp_path / "talker.stderr").stat().st_size == 1_000_000


def test_closing_ends_all_and_is_harmless_twice(history, tmp_path, path):
    """Workers that live, stand still or are dead already: all are gone, and nothing is raised."""
    crew = Crew(history, tmp_path)
    workers = crew.start_all(path, "w", 3)
    workers[0].driver.suspend()
    workers[1].driver.kill()

    crew.close()
    crew.close()

    assert all(worker.driver.exit_status is not None for worker in workers)


def test_a_worker_that_cannot_be_ended_does_not_save_the_others(history, tmp_path, path):
    """The error of one close is no reason to leave the rest running."""
    crew = Crew(history, tmp_path)
    first, last = crew.start(path, "first"), crew.start(path, "last")
    close = last.driver.close

    def fail():
        close()
        raise DriverError("it does not end")

    last.driver.close = fail
    crew.close()

    assert first.driver.exit_status is not None


def test_a_crew_ends_with_its_body(history, tmp_path, path):
    """Also where the body fails."""
    workers = []

    def fail():
        with Crew(history, tmp_path) as crew:
            workers.append(crew.start(path, "w"))
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - the body's own, whatever it says
        fail()

    assert workers[0].driver.exit_status is not None
