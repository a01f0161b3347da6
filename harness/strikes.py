"""Kills a worker at a chosen step of one operation: a call to the file system, or a statement.

Calls are struck by strace where it is there and may trace, statements by the trial driver itself.
"""

import contextlib
import functools
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from harness import children
from harness.crew import Crew
from harness.step import Step
from harness.trial import trial_command
from harness.worker import Worker

CALLS = (
    *("openat", "rename", "link", "unlink", "unlinkat", "mkdir", "rmdir"),
    *("ftruncate", "fallocate"),
    *("fcntl", "pread64", "pwrite64", "write", "fsync", "fdatasync"),
)
"""With what SQLite opens, locks, reads, writes and syncs; ``write`` is also the driver's answer."""
STATEMENT = "statement"
_TIMEOUT_S = 20.0
# Where nobody else is followed there is no id in front.
_CALL = re.compile(r"^(?:\d+ +)?(\w+)\(")
_KILLED = "+++ killed by SIGKILL +++"


class TracingRefusedError(Exception):
    """strace is not there, cannot inject, or may not attach itself to a process."""


def steps_of(calls: Sequence[str]) -> list[Step]:
    """Return the calls as steps in the same order: strace counts each kind by itself."""
    seen: Counter[str] = Counter()
    steps = []
    for call in calls:
        seen[call] += 1
        steps.append(Step(seen[call], call))
    return steps


@dataclass
class Trace:
    """What strace saw of a process.

    Attributes:
        calls: their names in order; the last one was struck, if one was.
        killed: whether it saw the process die of SIGKILL.
    """

    calls: list[str] = field(default_factory=list)
    killed: bool = False


@contextlib.contextmanager
def traced(
    pid: int, log: Path, steps: Sequence[Step] = (), *, follow: bool = True
) -> Iterator[Trace]:
    """Follow a process for the body, and kill it on entering the first of the steps it reaches.

    The trace is filled in when the body has ended; the process goes on then, if it lives.

    Args:
        pid: of the process.
        log: a new file, strace's.
        steps: at which it is killed; none to follow it only.
        follow: whether threads and children that it starts are followed too, and struck.

    Raises:
        TracingRefusedError: nothing was followed, the body was not run.
    """
    trace = Trace()
    command = ["strace", *(["-f"] if follow else []), "-p", str(pid), "-o", str(log)]
    command += ["-e", f"trace={','.join(CALLS)}"]
    for step in steps:
        command += ["-e", f"inject={step.what}:signal=SIGKILL:when={step.number}"]
    try:
        tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    except OSError as error:
        raise TracingRefusedError(str(error)) from error
    children.register(tracer.pid)
    try:
        _wait_attached(tracer)
        yield trace
    finally:
        _end(tracer, pid)
        seen = read_trace(log)
        trace.calls, trace.killed = seen.calls, seen.killed


def _wait_attached(tracer: subprocess.Popen[bytes]) -> None:
    assert tracer.stderr is not None
    timer = threading.Timer(_TIMEOUT_S, tracer.kill)
    timer.start()
    try:
        said = tracer.stderr.readline().decode("utf-8", "replace").strip()
    finally:
        timer.cancel()
    if not said.endswith("attached"):
        raise TracingRefusedError(said or "strace said nothing")


def _end(tracer: subprocess.Popen[bytes], pid: int) -> None:
    """Let strace leave the process; where that has ended strace ends too, and is not hurried."""
    assert tracer.stderr is not None
    if psutil.pid_exists(pid):
        tracer.terminate()
    try:
        tracer.wait(_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        tracer.kill()
        tracer.wait(_TIMEOUT_S)
    finally:
        tracer.stderr.close()


def read_trace(log: Path) -> Trace:
    """Return what a log of strace says; a call that another thread interrupted counts once."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return Trace(
        calls=[found[1] for line in lines if (found := _CALL.match(line))],
        killed=any(_KILLED in line for line in lines),
    )


@functools.cache
def can_trace(folder: Path) -> bool:
    """Return whether strace can strike here, seen by attaching it to a process of this one's own.

    Args:
        folder: for its log.
    """
    if shutil.which("strace") is None:
        return False
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as target:
        children.register(target.pid)
        try:
            with traced(target.pid, folder / "probe.strace", [Step(1, "rename")]):
                return True
        except TracingRefusedError:
            return False
        finally:
            target.kill()


def start_struck(crew: Crew, database: Path, name: str, verb: str, step: Step) -> Worker:
    """Return a worker that kills itself at a moment around a statement of the verb.

    Args:
        crew: to which it belongs.
        database: the queue's file.
        name: of the worker.
        verb: the operation of the protocol; all others are left alone.
        step: odd before a statement, even after it.
    """
    words = trial_command(database, "--die-in", verb, "--die-at", str(step.number))
    return crew.start_program(words, name)
