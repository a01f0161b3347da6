"""Strikes at a step: the step is the one that was asked for, and the death is seen by strace."""

import shutil
import signal
import subprocess
import sys

import psutil
import pytest

from harness import strikes
from harness.history import Outcome
from harness.step import Step
from harness.strikes import (
    STATEMENT,
    TracingRefusedError,
    can_trace,
    read_trace,
    start_struck,
    steps_of,
    traced,
)
from harness.waiting import wait_until

TIMEOUT_S = 30
OPENS = """
import os, sys
os.write(1, b"ready\\n")
for line in sys.stdin:
    os.close(os.open(line.strip(), os.O_CREAT | os.O_WRONLY))
    os.write(1, b"opened\\n")
"""
WRITE = Step(1, "write")
TRACES = pytest.mark.usefixtures("strace")
LOG = """\
4711  openat(AT_FDCWD, "queue.db", O_RDWR|O_CLOEXEC) = 3
4711  fcntl(3, F_SETLK, {l_type=F_WRLCK}) = 0
4712  pread64(3,  <unfinished ...>
4711  --- SIGCHLD {si_signo=SIGCHLD} ---
4712  <... pread64 resumed>"openat(", 7, 0) = 7
4711  fcntl(3, F_SETLK, {l_type=F_UNLCK}) = ?
"""


@pytest.fixture
def target():
    """A process that opens every file whose name it reads; it is gone afterwards."""
    with subprocess.Popen(
        [sys.executable, "-c", OPENS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        # Python itself opens files until it is there.
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


@pytest.fixture
def strace(tmp_path):
    """Skips the test where nothing may be traced."""
    if not can_trace(tmp_path):
        pytest.skip("no process may be traced here")


@pytest.fixture
def no_strace(tmp_path, monkeypatch):
    """A PATH on which nothing is."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def ask(target, path):
    """Have the process open a file; return what it says, which is nothing where it dies."""
    target.stdin.write(f"{path}\n")
    target.stdin.flush()
    return target.stdout.readline()


def test_calls_are_counted_by_kind():
    """The how-manyth of its own kind: that is how strace counts."""
    steps = steps_of(["openat", "fcntl", "openat", "fcntl", "write"])

    assert [str(step) for step in steps] == [
        "step 1, openat",
        "step 1, fcntl",
        "step 2, openat",
        "step 2, fcntl",
        "step 1, write",
    ]


def test_a_trace_has_the_calls_in_their_order(tmp_path):
    """A call that was interrupted counts once; signals and what was read are no calls."""
    log = tmp_path / "log.strace"
    log.write_text(LOG, encoding="utf-8")

    trace = read_trace(log)

    assert trace.calls == ["openat", "fcntl", "pread64", "fcntl"]
    assert not trace.killed


def test_a_trace_says_whether_the_process_was_killed(tmp_path):
    """Strace writes down the end that it saw, and an end of another kind is no kill."""
    log = tmp_path / "log.strace"
    log.write_text(LOG + "4711  +++ killed by SIGKILL +++\n", encoding="utf-8")
    assert read_trace(log).killed
    log.write_text(LOG + "4711  +++ exited with 0 +++\n", encoding="utf-8")
    assert not read_trace(log).killed


def test_a_trace_that_is_not_there_is_empty(tmp_path):
    """Strace that could not begin leaves no log."""
    trace = read_trace(tmp_path / "none.strace")

    assert (trace.calls, trace.killed) == ([], False)


@TRACES
def test_a_process_that_is_followed_goes_on(target, tmp_path):
    """Without a step nothing is struck: the process lives, and is not traced any more."""
    with traced(target.pid, tmp_path / "log.strace") as trace:
        assert ask(target, tmp_path / "a") == "opened\n"

    assert trace.calls.count("openat") == 1
    assert not trace.killed
    assert ask(target, tmp_path / "b") == "opened\n"
    assert target.poll() is None


@TRACES
@pytest.mark.parametrize("number", [1, 2])
def test_a_process_is_killed_on_entering_its_step(number, target, tmp_path):
    """It dies of the signal at that very call: those before are done, this one is not."""
    with traced(target.pid, tmp_path / "log.strace", [Step(number, "openat")]) as trace:
        said = [ask(target, tmp_path / name) for name in "ab"[:number]]
        status = target.wait(TIMEOUT_S)

    assert said == ["opened\n"] * (number - 1) + [""]
    assert status == -signal.SIGKILL
    assert trace.killed
    assert steps_of(trace.calls)[-1] == Step(number, "openat")
    assert [(tmp_path / name).exists() for name in "ab"] == [number > 1, False]


@TRACES
@pytest.mark.parametrize("steps", [[Step(5, "openat"), WRITE], [WRITE, Step(5, "openat")]])
def test_the_first_of_several_steps_strikes(steps, target, tmp_path):
    """Whichever of them is reached first is where it dies, wherever it stands."""
    with traced(target.pid, tmp_path / "log.strace", steps) as trace:
        assert ask(target, tmp_path / "a") == ""
        target.wait(TIMEOUT_S)

    assert steps_of(trace.calls)[-1] == WRITE
    assert (tmp_path / "a").exists()


@TRACES
def test_a_step_that_is_not_reached_does_not_strike(target, tmp_path):
    """That is how a sweep knows that it is through."""
    with traced(target.pid, tmp_path / "log.strace", [Step(9, "openat")]) as trace:
        assert ask(target, tmp_path / "a") == "opened\n"

    assert not trace.killed
    assert target.poll() is None


@TRACES
def test_strace_is_gone_when_the_body_fails(target, tmp_path):
    """Nobody is left behind, and the process is let go."""
    before = set(psutil.Process().children())
    with pytest.raises(ZeroDivisionError), traced(target.pid, tmp_path / "log.strace"):
        _fails = 1 / 0

    assert set(psutil.Process().children()) == before
    assert ask(target, tmp_path / "a") == "opened\n"


def refused(pid, folder):
    """What tracing is refused with; the body is not run."""
    ran = []
    with pytest.raises(TracingRefusedError) as error, traced(pid, folder / "log.strace"):
        ran.append(True)
    assert not ran
    return str(error.value)


@pytest.mark.usefixtures("no_strace")
def test_without_strace_tracing_is_refused(target, tmp_path):
    """The sweep then strikes around statements instead."""
    assert "strace" in refused(target.pid, tmp_path)
    assert not can_trace(tmp_path / "another")


@pytest.mark.skipif(shutil.which("sh") is None, reason="the program that is tried is for sh")
@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo strace: attach: Operation not permitted >&2; exit 1", "Operation not permitted"),
        ("exit 1", "strace said nothing"),
        ("exec /bin/sleep 60", "strace said nothing"),
    ],
    ids=["not-permitted", "fails", "hangs"],
)
def test_strace_that_does_not_attach_is_refused(script, message, target, tmp_path, monkeypatch):
    """Whatever it says or does not say, it is not waited for without an end, and not left."""
    monkeypatch.setattr(strikes, "_TIMEOUT_S", 1.0)
    monkeypatch.setenv("PATH", str(tmp_path))
    program = tmp_path / "strace"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    program.chmod(0o755)
    before = set(psutil.Process().children())

    assert message in refused(target.pid, tmp_path)
    assert set(psutil.Process().children()) == before
    assert not can_trace(tmp_path / "another")


@TRACES
def test_a_process_that_is_not_there_cannot_be_traced(tmp_path):
    """Strace says so, and nothing was followed."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(TIMEOUT_S)

    assert "attach" in refused(process.pid, tmp_path)


# -- statements ----------------------------------------------------------------------------------


def test_a_worker_strikes_itself_around_the_statements_of_one_verb(crew, path):
    """Step by step it dies before or after a statement, until there is no further step."""
    outcomes, tasks, witness = [], [], crew.start(path, "witness")
    for number in range(1, 50):
        worker = start_struck(crew, path, f"w{number}", "enqueue", Step(number, STATEMENT))
        assert worker.claim().ok, "a claim is not struck"
        outcomes.append(worker.enqueue(f"k{number}").outcome)
        if outcomes[-1] is Outcome.OK:
            break
        wait_until(worker.driver.killed_by_signal, "its death", timeout_s=TIMEOUT_S)
        tasks.append(len(witness.final()))
        while witness.claim().task_id is not None:
            witness.complete()

    assert outcomes == [Outcome.UNKNOWN] * (len(outcomes) - 1) + [Outcome.OK]
    # Two moments a statement; the last one is after COMMIT, and its task is there.
    assert len(tasks) % 2 == 0
    assert tasks == [0] * (len(tasks) - 1) + [1]
