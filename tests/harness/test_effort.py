"""What a load cost the machine: told by the system's own accounts."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import harness.faults
from harness.effort import Effort, Meter
from harness.waiting import wait_until

BUSY = Path(harness.faults.__file__).with_name("busy_neighbour.py")
USED_S = 0.3
TIMEOUT_S = 60


def effort(**known):
    """Ten seconds of a machine with two processors that has time to spare."""
    usual = {"lasted_s": 10.0, "processors": 2}
    return Effort(**usual | {"harness_s": 2.0, "queue_s": 3.0, "machine_s": 9.0} | known)


def test_what_others_used_is_the_rest():
    """What neither the harness nor the queue used is somebody else's, and never less than none."""
    assert effort().others_s == pytest.approx(4.0)
    assert effort(machine_s=4.5).others_s == 0.0


def test_a_machine_with_time_to_spare_is_not_exhausted():
    """Half of the processors idle: there was more to give."""
    assert effort().exhausted() == ""


def test_a_machine_whose_processors_are_all_busy_is_exhausted():
    """Whoever uses them: the message says who how much."""
    assert effort(machine_s=18.9).exhausted() == ""
    assert effort(machine_s=19.1).exhausted() == (
        "all its processors were busy (of 2 the harness used 0.20, the queue's processes 0.30, "
        "others 1.41)"
    )


def test_a_harness_that_uses_its_one_processor_is_exhausted():
    """This process is one, and cannot use two processors, however many there are."""
    assert effort(processors=64, harness_s=7.9).exhausted() == ""
    assert effort(processors=64, harness_s=8.0).exhausted().startswith("the harness had no more")


def test_a_machine_that_others_use_up_is_crowded():
    """Nine tenths of all processors went elsewhere: the queue had next to none."""
    assert effort(machine_s=18.0, queue_s=0.1).crowded() == ""
    assert effort(machine_s=18.2, queue_s=0.1).crowded() == (
        "of 2 the harness used 0.20, the queue's processes 0.01, others 1.61"
    )


def test_a_queue_that_uses_the_machine_up_crowds_nobody_but_itself():
    """A queue that needs every processor is a slow queue, and no machine without time."""
    assert effort(machine_s=20.0, queue_s=17.0).crowded() == ""


def test_an_effort_of_no_time_is_none():
    """Nothing was looked at: no share, and no division."""
    assert effort(lasted_s=0.0).share(1.0) == 0.0


@pytest.fixture
def busy():
    """A process that uses a processor, and is gone afterwards."""
    command = [sys.executable, str(BUSY)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate(timeout=TIMEOUT_S)


def used_s(pid):
    """What the system says that a process has used."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def test_a_meter_reads_what_a_process_used_meanwhile(busy):
    """What it had used before is not counted; the machine has used that much at least."""
    wait_until(lambda: used_s(busy.pid) > USED_S, "some work", timeout_s=TIMEOUT_S)
    before_s = used_s(busy.pid)
    meter = Meter([busy.pid])
    wait_until(lambda: used_s(busy.pid) > before_s + USED_S, "more work", timeout_s=TIMEOUT_S)

    seen = meter.read()

    assert USED_S * 0.9 <= seen.queue_s <= used_s(busy.pid) - before_s + 0.1
    assert seen.machine_s >= USED_S * 0.9
    assert seen.lasted_s >= USED_S * 0.9
    assert seen.processors == psutil.cpu_count()


def test_a_meter_counts_what_a_process_has_started():
    """A driver may be a launcher whose child does the work."""
    starting = f"import subprocess, sys; subprocess.run([sys.executable, {str(BUSY)!r}])"
    command = [sys.executable, "-c", starting]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as launcher:
        try:
            assert launcher.stdout.readline().strip() == b"busy"
            (child,) = psutil.Process(launcher.pid).children()
            meter = Meter([launcher.pid])
            until_s = used_s(child.pid) + USED_S
            wait_until(lambda: used_s(child.pid) > until_s, "some work", timeout_s=TIMEOUT_S)
            assert meter.read().queue_s >= USED_S * 0.9
        finally:
            launcher.stdin.close()
            launcher.wait(TIMEOUT_S)


def test_a_meter_reads_what_the_harness_used():
    """The work of this process is its own, not the queue's."""
    meter = Meter([])
    before_s = used_s(psutil.Process().pid)
    while used_s(psutil.Process().pid) < before_s + USED_S:
        sum(range(20_000))

    seen = meter.read()

    assert seen.harness_s >= USED_S * 0.9
    assert seen.queue_s == 0.0


def test_a_process_that_is_gone_has_used_nothing(busy):
    """A worker that ended meanwhile cannot be asked, and is no error."""
    wait_until(lambda: used_s(busy.pid) > USED_S, "some work", timeout_s=TIMEOUT_S)
    meter = Meter([busy.pid])
    busy.kill()
    busy.wait(TIMEOUT_S)

    assert meter.read().queue_s == 0.0
