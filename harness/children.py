"""Which child processes belong to the run, so that none outlives it.

A process is known by its id and the time of its creation together, since the system gives an id
away again.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

CHILDREN_NAME = "children.jsonl"
# Handed down through the environment: a driver's own children may use it too.
CHILDREN_VARIABLE = "QUEUEDRILL_CHILDREN"
_KILL_DEADLINE_S = 5.0
# The kernel gives creation times in hundredths of a second or coarser.
_SAME_TIME_S = 0.02


@dataclass(frozen=True, kw_only=True)
class ChildProcess:
    """A process that was registered: its id and its creation, in seconds since 1970."""

    pid: int
    created: float


def known_as(pid: int) -> ChildProcess:
    """Return what a process is known by.

    Raises:
        psutil.Error: there is none with this id.
    """
    return ChildProcess(pid=pid, created=psutil.Process(pid).create_time())


def to_text(child: ChildProcess) -> str:
    """Return it as one line, without its end."""
    return json.dumps(asdict(child))


def from_text(line: str) -> ChildProcess | None:
    """Return what ``to_text`` was given; None for a line that was torn off by a kill."""
    try:
        value = json.loads(line)
        return ChildProcess(pid=int(value["pid"]), created=float(value["created"]))
    except (ValueError, KeyError, TypeError):
        return None


def register(pid: int) -> None:
    """Put the process on the list of those that are killed when the run ends or dies.

    Harmless outside of a run, and for a process that has ended.
    """
    path = os.environ.get(CHILDREN_VARIABLE)
    if not path:
        return
    with contextlib.suppress(psutil.Error):
        line = to_text(known_as(pid))
        # One short write in append mode: lines of several processes do not mix.
        with Path(path).open("ab", buffering=0) as stream:
            stream.write(line.encode("ascii") + b"\n")


def registered(path: Path) -> list[ChildProcess]:
    """Return every process on the list, ended or not; none where there is no list."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [child for line in lines if (child := from_text(line)) is not None]


def is_alive(child: ChildProcess) -> bool:
    """Return whether it runs, or is suspended.

    One that has ended and was not waited for does not, nor does another that has its id by now.
    """
    return _process(child) is not None


def reap(children: Iterable[ChildProcess]) -> list[int]:
    """Kill those that are still alive, and what they started; return the ids that were alive.

    Suspended processes too. A process that merely has the same id is left alone.
    """
    alive = [process for child in children for process in _family(child)]
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=_KILL_DEADLINE_S)
    return [process.pid for process in alive]


def _family(child: ChildProcess) -> Iterator[psutil.Process]:
    """The process and those below it; the process itself first, so that it starts no more."""
    process = _process(child)
    if process is not None:
        with contextlib.suppress(psutil.Error):
            below = process.children(recursive=True)
            yield process
            yield from below


def _process(child: ChildProcess) -> psutil.Process | None:
    try:
        process = psutil.Process(child.pid)
        ended = process.status() == psutil.STATUS_ZOMBIE
        same = abs(process.create_time() - child.created) <= _SAME_TIME_S
    except psutil.Error:
        return None
    return process if same and not ended else None
