"""The only source of time in the core.

Wall time is UTC in whole milliseconds since 1970, so that a lease written by one program compares
exactly in another; waiting and deadlines use monotonic time, which no clock change touches.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """What the core needs to know about time."""

    def now_ms(self) -> int:
        """Return UTC wall time in milliseconds since 1970."""

    def monotonic_s(self) -> float:
        """Return seconds on a clock that never jumps."""

    def wait_s(self, seconds: float) -> None:
        """Return when that many seconds have passed."""


class SystemClock:
    """The machine's clock, moved by a fixed offset.

    Args:
        offset_ms: milliseconds added to wall time, to run a worker whose clock is wrong.
    """

    def __init__(self, offset_ms: int = 0) -> None:
        self.offset_ms = offset_ms

    def now_ms(self) -> int:
        """Return UTC wall time in milliseconds since 1970, with the offset."""
        return time.time_ns() // 1_000_000 + self.offset_ms

    def monotonic_s(self) -> float:
        """Return the machine's monotonic time in seconds."""
        return time.monotonic()

    def wait_s(self, seconds: float) -> None:
        """Return when that many real seconds have passed."""
        time.sleep(seconds)


class ManualClock:
    """A clock that stands still until it is moved: for tests and simulations.

    Args:
        start_ms: wall time at the start, in milliseconds since 1970.
    """

    def __init__(self, start_ms: int) -> None:
        self._wall_ms = start_ms
        self._monotonic_s = 0.0

    def now_ms(self) -> int:
        """Return the wall time set so far."""
        return self._wall_ms

    def monotonic_s(self) -> float:
        """Return the seconds waited or advanced so far."""
        return self._monotonic_s

    def wait_s(self, seconds: float) -> None:
        """Move both times forward at once instead of waiting."""
        self.advance_s(seconds)

    def advance_s(self, seconds: float) -> None:
        """Move wall and monotonic time forward together."""
        self._wall_ms += round(seconds * 1000)
        self._monotonic_s += seconds

    def jump_s(self, seconds: float) -> None:
        """Move wall time alone, as a clock correction does; negative runs backwards."""
        self._wall_ms += round(seconds * 1000)


class Deadline:
    """A moment on the monotonic clock after which waiting ends.

    Args:
        timeout_s: seconds from now; None never ends.
        clock: where the time comes from.
    """

    def __init__(self, timeout_s: float | None, clock: Clock) -> None:
        self.timeout_s = timeout_s
        self._clock = clock
        self._end_s = None if timeout_s is None else clock.monotonic_s() + timeout_s

    def remaining_s(self) -> float:
        """Return the seconds left, never below zero; infinity without a timeout."""
        if self._end_s is None:
            return float("inf")
        return max(0.0, self._end_s - self._clock.monotonic_s())

    def passed(self) -> bool:
        """Return whether the time is up."""
        return self.remaining_s() == 0.0
