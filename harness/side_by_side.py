"""What mostly waits runs side by side in the background, once in a run of many test processes.

The first test that asks for a group starts all of it, in its process; each test, in whichever
process, waits for its own. A job leaves what it saw in a folder that all processes share.
"""

import contextlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import children
from harness.outcome import Inconclusive
from harness.waiting import WaitedTooLongError, wait_until

START_TIMEOUT_S = 60.0
_OWNER, _ENDED = "owner", "ended.json"


class Turn:
    """What a job is told.

    Args:
        together: passed when all jobs of the group are ready.

    Attributes:
        stop: set when the run is over before the job is.
    """

    def __init__(self, together: threading.Barrier) -> None:
        self._together = together
        self.stop = threading.Event()

    def wait_for_all(self) -> None:
        """Return when all jobs of the group are ready, or one of them never will be."""
        with contextlib.suppress(threading.BrokenBarrierError):
            self._together.wait(START_TIMEOUT_S)

    def give_up(self) -> None:
        """Let the others go on without this job."""
        self._together.abort()


Job = Callable[[Path, Turn], None]
"""Leaves what it saw in the folder, which it makes."""


class SideBySide:
    """Groups of jobs; each job runs once in the whole run.

    Args:
        folder: shared by all processes of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pools: list[ThreadPoolExecutor] = []
        self._turns: list[Turn] = []

    def result(self, group: str, name: str, jobs: Mapping[str, Job], *, timeout_s: float) -> Path:
        """Return the folder of one job once it has ended; its group is started if it was not.

        Args:
            group: name of the group.
            name: of the job.
            jobs: all of the group, by name; the same in every process.
            timeout_s: how long a job may take, the start of all left out.

        Raises:
            Inconclusive: the job failed, did not end in time, or its process is gone.
        """
        folder = self._folder / group
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            self._start(folder, jobs)
        ended = folder / f"{name}-{_ENDED}"
        try:
            wait_until(
                lambda: ended.exists() or _orphaned(folder),
                f"the end of {name}",
                timeout_s=timeout_s + START_TIMEOUT_S,
            )
        except WaitedTooLongError as error:
            raise Inconclusive(str(error)) from error
        if not ended.exists():
            raise Inconclusive(f"the process that ran {name} is gone")
        failure = json.loads(ended.read_text(encoding="utf-8"))["error"]
        if failure:
            raise Inconclusive(f"{name} could not be run: {failure}")
        return folder / name

    def close(self, *, stop: bool = False) -> None:
        """Wait for what runs here; other processes may wait for it too.

        Args:
            stop: end it early, as nobody wants it any more.
        """
        if stop:
            for turn in self._turns:
                turn.stop.set()
        while self._pools:
            self._pools.pop().shutdown()

    def _start(self, folder: Path, jobs: Mapping[str, Job]) -> None:
        owner = folder / f"{_OWNER}.draft"
        owner.write_text(children.to_text(children.known_as(os.getpid())), encoding="ascii")
        owner.replace(folder / _OWNER)
        pool = ThreadPoolExecutor(len(jobs))
        self._pools.append(pool)
        together = threading.Barrier(len(jobs))
        for name, job in jobs.items():
            turn = Turn(together)
            self._turns.append(turn)
            pool.submit(_run, folder, name, job, turn)


def _run(folder: Path, name: str, job: Job, turn: Turn) -> None:
    error = ""
    try:
        job(folder / name, turn)
    except Exception as failure:  # noqa: BLE001 - whatever it is, the test that waits tells it
        error = f"{type(failure).__name__}: {failure}"
        turn.give_up()
    draft = folder / f"{name}.draft"
    draft.write_text(json.dumps({"error": error}), encoding="utf-8")
    draft.replace(folder / f"{name}-{_ENDED}")


def _orphaned(folder: Path) -> bool:
    """Return whether the process that runs the group has gone."""
    try:
        owner = children.from_text((folder / _OWNER).read_text(encoding="ascii"))
    except FileNotFoundError:
        # Made a moment ago: its owner is about to write its name.
        return False
    return owner is None or not children.is_alive(owner)
