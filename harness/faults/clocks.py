"""Faults of clocks: the worker's is wrong, or of another zone, and everybody else's is right."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import psutil

from harness.drivers.client import Driver
from harness.drivers.clock_file import ClockFile, WrongTime
from harness.faults.fault import Sighting
from harness.waiting import let_pass

TEN_MINUTES_MS = 600_000
_TOLERANCE_MS = 250.0
_APART_S = 0.005


@dataclass(frozen=True)
class DrivenClock:
    """The clock of one worker.

    Attributes:
        driver: the process, a trial driver.
        file: by which its clock is moved.
    """

    driver: Driver
    file: ClockFile

    def shown_ms(self) -> int:
        """Return what the worker's own clock shows, UTC milliseconds since 1970."""
        return int(self.driver.request("hello")["clock_ms"])


class ClockFault:
    """A clock that is moved for the body, and right again afterwards.

    It is confirmed by the time that the worker itself shows, asked after it was moved.
    """

    offset_ms: ClassVar[int]
    rate: ClassVar[float] = 1.0

    @contextlib.contextmanager
    def inject(self, target: DrivenClock) -> Iterator[Sighting]:
        """Move the clock for the body."""
        wrong = WrongTime(offset_ms=self.offset_ms, rate=self.rate, since_ms=_now_ms())
        target.file.write(wrong)
        try:
            yield self._seen(target)
        finally:
            target.file.write(WrongTime())

    def _seen(self, target: DrivenClock) -> Sighting:
        first_ms, first_now_ms = target.shown_ms(), _now_ms()
        # Two readings within one millisecond do not tell which way a clock goes.
        let_pass(_APART_S)
        second_ms, second_now_ms = target.shown_ms(), _now_ms()
        ahead_ms = first_ms - first_now_ms
        moved_ms, passed_ms = second_ms - first_ms, second_now_ms - first_now_ms
        right_way = moved_ms < 0 if self.rate < 0 else moved_ms > 0
        told = f"it shows {ahead_ms} ms ahead, and moved {moved_ms} ms in {passed_ms} ms"
        return Sighting(abs(ahead_ms - self.offset_ms) <= _TOLERANCE_MS and right_way, told)


@dataclass(frozen=True)
class ClockAhead(ClockFault):
    """A worker's clock is ten minutes ahead.

    Simulated by an offset on the driver's clock. Survivable because a lease that is judged too
    early costs one more run of a task, and the first holder is refused.
    """

    name: ClassVar[str] = "clock-ahead"
    asked: ClassVar[str] = "a worker's clock ten minutes ahead"
    permitted: ClassVar[tuple[type[Exception], ...]] = ()
    offset_ms: ClassVar[int] = TEN_MINUTES_MS


@dataclass(frozen=True)
class ClockBehind(ClockFault):
    """A worker's clock is ten minutes behind.

    Simulated by an offset on the driver's clock. Survivable because its leases only seem to have
    ended to others, who then run the task once more, and it is refused.
    """

    name: ClassVar[str] = "clock-behind"
    asked: ClassVar[str] = "a worker's clock ten minutes behind"
    permitted: ClassVar[tuple[type[Exception], ...]] = ()
    offset_ms: ClassVar[int] = -TEN_MINUTES_MS


@dataclass(frozen=True)
class JumpingClock(ClockFault):
    """A worker's clock jumps an hour ahead while it works: daylight saving, a wrong time server.

    Simulated by an offset that comes and goes between two operations. Survivable because a token
    is compared and never reckoned with: a holder is known by it whatever the time is.
    """

    name: ClassVar[str] = "jumping-clock"
    asked: ClassVar[str] = "a worker's clock that jumps an hour ahead and back"
    permitted: ClassVar[tuple[type[Exception], ...]] = ()
    offset_ms: ClassVar[int] = 3_600_000


@dataclass(frozen=True)
class BackwardsClock(ClockFault):
    """A worker's clock runs backwards: a time server that pulls it back, step by step.

    Simulated by a clock whose every later reading is earlier. Survivable because no claim repeats
    a token, also where the moment in it would be the same or earlier.
    """

    name: ClassVar[str] = "backwards-clock"
    asked: ClassVar[str] = "a worker's clock that runs backwards"
    permitted: ClassVar[tuple[type[Exception], ...]] = ()
    offset_ms: ClassVar[int] = 0
    rate: ClassVar[float] = -1.0


@dataclass(frozen=True)
class ForeignZone:
    """A worker's machine is in another time zone, or is set to one.

    Simulated by the variable TZ of its process. Survivable because all times are UTC, and nobody
    writes or reads what the clock on the wall says.

    Attributes:
        zone: as POSIX and Windows have it in TZ, with the sign of the sun: ``EAST-14``.
    """

    name: ClassVar[str] = "foreign-zone"
    asked: ClassVar[str] = "a worker whose process is in another time zone"
    permitted: ClassVar[tuple[type[Exception], ...]] = ()
    zone: str = "EAST-14"

    @contextlib.contextmanager
    def inject(self, target: Callable[[], Driver]) -> Iterator[Sighting]:
        """Start the process in the zone; confirmed by its environment, as the system shows it.

        Args:
            target: starts it.
        """
        before = os.environ.get("TZ")
        os.environ["TZ"] = self.zone
        try:
            pid = target().pid
        finally:
            os.environ.pop("TZ")
            if before is not None:
                os.environ["TZ"] = before
        seen = psutil.Process(pid).environ().get("TZ")
        yield Sighting(seen == self.zone, f"process {pid} has TZ={seen}")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
