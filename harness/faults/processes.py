"""Faults of processes: killed, suspended, both, and killed in the middle of something."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psutil

from core import files, observer
from core.paths import wal_of
from harness.drivers.client import Driver, was_killed
from harness.faults.fault import Sighting
from harness.faults.helper import helper
from harness.history import Outcome
from harness.waiting import wait_until
from harness.worker import InFlight

_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class KilledWorker:
    """A worker process dies at once, with whatever it held.

    Simulated by SIGKILL, on Windows by TerminateProcess. Survivable because its transaction is
    rolled back by the next who opens the file, and its task comes back after the lease.
    """

    name: ClassVar[str] = "killed-worker"
    asked: ClassVar[str] = "a worker process killed"
    permitted: ClassVar[tuple[type[Exception], ...]] = ()

    @contextlib.contextmanager
    def inject(self, target: Driver) -> Iterator[Sighting]:
        """Kill the driver's process, which runs; confirmed by how the system says it ended."""
        before = target.exit_status
        status = target.kill()
        evidence = f"process {target.pid} ended with status {status}"
        if before is not None:
            evidence += ", before it was to be killed"
        yield Sighting(before is None and target.killed_by_signal(), evidence)


@dataclass(frozen=True)
class SuspendedWorker:
    """A worker stands still for a while: a laptop's lid, a debugger, a starved machine.

    Simulated by SIGSTOP, on Windows by suspending its threads. Survivable because its lease runs
    out, and because what it does afterwards is refused.
    """

    name: ClassVar[str] = "suspended-worker"
    asked: ClassVar[str] = "a worker process suspended"
    permitted: ClassVar[tuple[type[Exception], ...]] = ()

    @contextlib.contextmanager
    def inject(self, target: Driver) -> Iterator[Sighting]:
        """Suspend the driver's process for the body; confirmed by the system's process table."""
        target.suspend()
        try:
            wait_until(target.suspended, "the suspension", timeout_s=_TIMEOUT_S)
            yield Sighting(True, f"process {target.pid} is shown as stopped")
        finally:
            with contextlib.suppress(psutil.Error):
                target.resume()


@dataclass(frozen=True)
class KilledWhileSuspended:
    """A worker that stands still is killed: a frozen container that is removed.

    Simulated by SIGSTOP and SIGKILL. Survivable because the system takes back what it held, and
    its task comes back after the lease.
    """

    name: ClassVar[str] = "killed-while-suspended"
    asked: ClassVar[str] = "a worker process suspended, and killed while it stands still"
    permitted: ClassVar[tuple[type[Exception], ...]] = ()

    @contextlib.contextmanager
    def inject(self, target: Driver) -> Iterator[Sighting]:
        """Suspend and kill the process; confirmed by the process table and by how it ended."""
        with SuspendedWorker().inject(target) as stopped, KilledWorker().inject(target) as killed:
            told = f"{stopped.evidence}; {killed.evidence}"
            yield Sighting(stopped.confirmed and killed.confirmed, told)


@dataclass(frozen=True)
class Asked:
    """A worker that was asked something.

    Attributes:
        driver: its process.
        flight: the request.
    """

    driver: Driver
    flight: InFlight


@dataclass(frozen=True)
class KilledInFlight:
    """A worker dies with a request on its way: nobody will ever answer it.

    Simulated by SIGKILL before there is an answer. Survivable because what it was doing was done
    whole or not at all, and because who asked takes no answer for an answer.
    """

    name: ClassVar[str] = "killed-in-flight"
    asked: ClassVar[str] = "a worker process killed with a request in flight"
    permitted: ClassVar[tuple[type[Exception], ...]] = ()

    @contextlib.contextmanager
    def inject(self, target: Asked) -> Iterator[Sighting]:
        """Kill it; confirmed by how it ended, and by a request that never had an answer."""
        before = target.flight.answered()
        with KilledWorker().inject(target.driver) as killed:
            outcome = target.flight.settle().outcome
            told = f"{killed.evidence}; answered before {before}, outcome {outcome}"
            unanswered = not before and outcome is Outcome.UNKNOWN
            yield Sighting(killed.confirmed and unanswered, told)


@dataclass(frozen=True)
class DiedUnsaid:
    """A worker dies when all is committed and nothing is said: the answer is lost with it.

    Simulated by a driver that kills itself between the commit and its answer. Survivable because
    what was done is done once, and who asks again is told so, or finds it done.
    """

    name: ClassVar[str] = "died-unsaid"
    asked: ClassVar[str] = "a worker process dies after its commit and before its answer"
    permitted: ClassVar[tuple[type[Exception], ...]] = ()

    @contextlib.contextmanager
    def inject(self, target: Asked) -> Iterator[Sighting]:
        """Wait for its end; confirmed by how it ended, and by a request that had no answer.

        Args:
            target: a trial driver that dies in what it was asked.
        """
        yield _died_by_itself(target, Outcome.UNKNOWN)


@dataclass(frozen=True)
class DiedAnswering:
    """A worker dies the moment it has answered: what it said is heard, and it does no more.

    Simulated by a driver that kills itself once its answer has left it. Survivable because what is
    acknowledged was committed before.
    """

    name: ClassVar[str] = "died-answering"
    asked: ClassVar[str] = "a worker process dies the moment its answer is said"
    permitted: ClassVar[tuple[type[Exception], ...]] = ()

    @contextlib.contextmanager
    def inject(self, target: Asked) -> Iterator[Sighting]:
        """Wait for its end; confirmed by how it ended, and by a request that was acknowledged.

        Args:
            target: a trial driver that dies in what it was asked.
        """
        yield _died_by_itself(target, Outcome.OK)


def _died_by_itself(target: Asked, expected: Outcome) -> Sighting:
    outcome = target.flight.settle().outcome
    # Waited for and not killed: one that is merely slow to answer has not died.
    target.driver.process.wait(_TIMEOUT_S)
    status = target.driver.exit_status
    told = f"process {target.driver.pid} ended with status {status}, outcome {outcome}"
    return Sighting(target.driver.killed_by_signal() and outcome is expected, told)


@dataclass(frozen=True)
class RestartStorm:
    """Workers start and die again and again: a crash loop under a supervisor.

    Simulated by processes that are started, get as far as their first answer, and are killed.
    Survivable because opening the queue changes nothing that a kill could leave half done.

    Attributes:
        count: how many processes.
    """

    name: ClassVar[str] = "restart-storm"
    asked: ClassVar[str] = "workers started and killed one after the other"
    permitted: ClassVar[tuple[type[Exception], ...]] = ()
    count: int = 5

    @contextlib.contextmanager
    def inject(self, target: Callable[[int], Driver]) -> Iterator[Sighting]:
        """Start and kill them; confirmed by how each ended.

        Args:
            target: starts the process of that number.
        """
        sightings: list[Sighting] = []
        for number in range(self.count):
            with KilledWorker().inject(target(number)) as killed:
                sightings.append(killed)
        told = "; ".join(each.evidence for each in sightings)
        yield Sighting(bool(sightings) and all(each.confirmed for each in sightings), told)


@dataclass(frozen=True)
class KilledWriter:
    """A process dies inside a transaction whose pages have reached the -wal already.

    Simulated by a process with a tiny page cache that inserts tasks inside BEGIN IMMEDIATE, says
    so, and is killed. Survivable because frames behind the last commit are not read.

    Attributes:
        rows: how many tasks it inserts before it is killed.
    """

    name: ClassVar[str] = "killed-writer"
    asked: ClassVar[str] = "a process killed inside an open transaction with frames in the -wal"
    permitted: ClassVar[tuple[type[Exception], ...]] = ()
    rows: int = 400

    @contextlib.contextmanager
    def inject(self, target: Path) -> Iterator[Sighting]:
        """Run and kill the writer; confirmed by its end and a -wal that grew without a commit."""
        before = _wal_digest(target), _committed(target)
        with helper("half_writer.py", target, self.rows) as process:
            said = process.line()
            status = process.kill()
        after = _wal_digest(target), _committed(target)
        written = after[0] != before[0] and after[1] <= before[1]
        yield Sighting(
            said == "in transaction" and was_killed(status) and written,
            f"process {process.pid} ended with status {status}; the -wal was "
            f"{before[0]} with {before[1]} committed frames, is {after[0]} with {after[1]}",
        )


def _wal_digest(database: Path) -> str:
    wal = wal_of(database)
    return files.sha256(wal)[:12] if wal.exists() and wal.stat().st_size else "empty"


def _committed(database: Path) -> int:
    walk = observer.look(database).walk
    return 0 if walk is None else walk.committed
