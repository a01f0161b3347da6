"""Faults of behaviour: workers that live and do not get on with their work."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import psutil

from harness.drivers.client import Driver
from harness.faults.fault import Sighting
from harness.faults.helper import TIMEOUT_S, Helper, helper
from harness.history import Operation
from harness.waiting import WaitedTooLongError, wait_until
from harness.worker import Worker

_BUSY_S = 0.05


@dataclass(frozen=True)
class IdleHolder:
    """A worker is alive, extends its lease, and never does its task: a loop that waits for ever.

    Simulated by heartbeats in good time and nothing else. Survivable because one task is all that
    it keeps: the others are worked off, and a health check names the task that is stuck.

    Attributes:
        lease_s: of each heartbeat, in seconds.
        every_s: the pause between two, in seconds.
    """

    name: ClassVar[str] = "idle-holder"
    asked: ClassVar[str] = "a worker that heartbeats and never works"
    permitted: ClassVar[tuple[type[Exception], ...]] = ()
    lease_s: float = 1.0
    every_s: float = 0.2

    @contextlib.contextmanager
    def inject(self, target: Worker) -> Iterator[Sighting]:
        """Send heartbeats for the body; confirmed by a lease that moved and a task not done.

        Args:
            target: holds a task.
        """
        stop, beats = threading.Event(), list[Operation]()
        thread = threading.Thread(target=self._beat, args=(target, stop, beats), daemon=True)
        thread.start()
        try:
            yield _beaten(beats)
        finally:
            stop.set()
            thread.join(TIMEOUT_S)

    def _beat(self, worker: Worker, stop: threading.Event, beats: list[Operation]) -> None:
        while True:
            beats.append(worker.heartbeat(lease_s=self.lease_s))
            if stop.wait(self.every_s) or not beats[-1].ok:
                break


def _beaten(beats: list[Operation]) -> Sighting:
    try:
        wait_until(
            lambda: len(beats) > 1 or _refused(beats), "a second heartbeat", timeout_s=TIMEOUT_S
        )
    except WaitedTooLongError as error:
        return Sighting(False, f"{error}: {[beat.error for beat in beats]}")
    confirmed = len(beats) > 1 and not _refused(beats)
    return Sighting(confirmed, f"{len(beats)} heartbeats: {[str(beat.outcome) for beat in beats]}")


def _refused(beats: list[Operation]) -> bool:
    return any(not beat.ok for beat in beats)


@dataclass(frozen=True)
class StarvedWorker:
    """A worker gets next to no processor time: a machine that does too much else.

    Simulated by busy processes on the one processor to which the worker is bound; where the
    system binds no processes, by some on every processor. Survivable because a slow worker's
    lease runs out as a dead one's does, and what it does too late is refused.

    Attributes:
        neighbours: busy processes on its processor.
    """

    name: ClassVar[str] = "starved-worker"
    asked: ClassVar[str] = "a worker that shares one processor with busy processes"
    permitted: ClassVar[tuple[type[Exception], ...]] = ()
    neighbours: int = 6

    @contextlib.contextmanager
    def inject(self, target: Driver) -> Iterator[Sighting]:
        """Starve the process for the body; confirmed by the processor times of all of them."""
        processors = _processors()
        count = self.neighbours if processors else self.neighbours * (psutil.cpu_count() or 1)
        with contextlib.ExitStack() as stack:
            stack.enter_context(_bound(target.pid, processors[:1]))
            busy = [stack.enter_context(helper("busy_neighbour.py")) for _number in range(count)]
            for each in busy:
                stack.enter_context(_bound(each.pid, processors[:1]))
            yield _starved(target.pid, busy, processors[:1])


def _starved(pid: int, busy: list[Helper], bound: list[int]) -> Sighting:
    """Return what the system's own accounts say of the neighbours and of the worker."""
    begun = all(each.line() == "busy" for each in busy)
    try:
        wait_until(
            lambda: all(_used_s(each.pid) >= _BUSY_S for each in busy),
            "the use of the processor",
            timeout_s=TIMEOUT_S,
        )
    except WaitedTooLongError as error:
        return Sighting(False, str(error))
    used_s = sum(_used_s(each.pid) for each in busy)
    where = f"processor {bound[0]}" if bound else "all processors"
    same = not bound or psutil.Process(pid).cpu_affinity() == bound
    return Sighting(
        begun and same,
        f"{len(busy)} processes used {used_s:.2f} s of {where}; process {pid} is bound to the same",
    )


def _used_s(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _processors() -> list[int]:
    """Return the processors that this process may use; none where the system binds no process."""
    process = psutil.Process()
    return sorted(process.cpu_affinity() or []) if hasattr(process, "cpu_affinity") else []


@contextlib.contextmanager
def _bound(pid: int, processors: list[int]) -> Iterator[None]:
    """Bind a process for the body, if there is anything to bind it to."""
    if not processors:
        yield
        return
    process = psutil.Process(pid)
    before = process.cpu_affinity()
    process.cpu_affinity(processors)
    try:
        yield
    finally:
        with contextlib.suppress(psutil.Error):
            process.cpu_affinity(before)
