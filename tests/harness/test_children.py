"""Processes that belong to a run: known by id and creation, and none of them outlives it."""

import subprocess
import sys
from dataclasses import replace

import psutil
import pytest

from harness import children
from harness.waiting import wait_until

TIMEOUT_S = 60
WAITS = "import sys; sys.stdin.read()"
DOES_NOT_WANT_TO_END = f"""
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("here", flush=True)
{WAITS}
"""
STARTS_ANOTHER = f"""
import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", {WAITS!r}], stdin=subprocess.PIPE).pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start():
    """Starts processes that wait; all of them are gone afterwards."""
    started = []

    def start(program=WAITS):
        command = [sys.executable, "-c", program]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=TIMEOUT_S)


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """The list of a run's children, which is not there before one is registered."""
    path = tmp_path / children.CHILDREN_NAME
    monkeypatch.setenv(children.CHILDREN_VARIABLE, str(path))
    return path


def test_a_process_that_was_registered_is_on_the_list(start, listed):
    """Each is known by its id and its creation, in the order in which they came."""
    pids = [start().pid, start().pid]
    for pid in pids:
        children.register(pid)

    assert children.registered(listed) == [children.known_as(pid) for pid in pids]


def test_registering_outside_of_a_run_does_nothing(start, monkeypatch):
    """Who uses a driver without the gate has no list."""
    monkeypatch.delenv(children.CHILDREN_VARIABLE, raising=False)
    children.register(start().pid)


def test_registering_a_process_that_has_ended_does_nothing(start, listed):
    """It is gone already: there is nothing to be killed."""
    process = start()
    process.kill()
    process.wait(TIMEOUT_S)
    children.register(process.pid)

    assert children.registered(listed) == []


def test_a_list_that_is_not_there_is_empty(tmp_path):
    """A run without children leaves no list."""
    assert children.registered(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize(
    "torn", ['{"pid": 1', '{"pid": 1}', "[1, 2]", '{"pid": "x", "created": 1}']
)
def test_a_line_that_was_torn_off_is_left_out(torn, start, listed):
    """A process that died in the middle of a line does not hide the others."""
    pid = start().pid
    listed.write_text(torn + "\n", encoding="ascii")
    children.register(pid)

    assert children.registered(listed) == [children.known_as(pid)]


def test_a_suspended_process_is_killed(start):
    """One that stands still is alive, and cannot be asked to end."""
    process = start(DOES_NOT_WANT_TO_END)
    process.stdout.readline()
    psutil.Process(process.pid).suspend()

    reaped = children.reap([children.known_as(process.pid)])

    assert reaped == [process.pid]
    assert not psutil.pid_exists(process.pid)


def test_what_a_process_has_started_is_killed_with_it(start):
    """A driver may be a launcher: who does its work is not on the list."""
    process = start(STARTS_ANOTHER)
    below = psutil.Process(int(process.stdout.readline()))

    reaped = children.reap([children.known_as(process.pid)])

    assert reaped == [process.pid, below.pid]
    gone, alive = psutil.wait_procs([below], timeout=TIMEOUT_S)
    assert (len(gone), alive) == (1, [])


def test_another_process_with_the_same_id_is_left_alone(start):
    """The system gives ids away again; who was created at another time is somebody else."""
    process = start()
    known = children.known_as(process.pid)
    before = replace(known, created=known.created - 1.0)

    assert not children.is_alive(before)
    assert children.reap([before]) == []
    assert process.poll() is None


def test_a_process_that_has_ended_is_not_alive(start):
    """Neither where nobody has asked for its end yet, nor afterwards."""
    process = start()
    known = children.known_as(process.pid)
    assert children.is_alive(known)
    process.kill()
    # Nobody waits for it yet: on POSIX it is a zombie, whose id is taken.
    wait_until(lambda: not children.is_alive(known), "its end", timeout_s=10)

    process.wait(TIMEOUT_S)
    assert not children.is_alive(known)


def test_reaping_twice_is_harmless(start):
    """The guardian and the run itself may both do it."""
    known = children.known_as(start().pid)

    assert children.reap([known]) == [known.pid]
    assert children.reap([known, known]) == []
