"""A maintenance verb beside a load: held until the load has met it, and let run for its cost."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.errands import OPERATIONS, errands
from harness.history import Operation
from harness.latency import Window
from harness.load import Load
from harness.meetings import (
    WAITED_LEAST_S,
    Met,
    apart,
    beside,
    counted,
    inside,
    longest_s,
    meeting,
    refused,
    waiting,
)
from harness.outcome import Inconclusive
from harness.waiting import WaitedTooLongError

REPEATS_TIMEOUT_S = 15.0
_MEETING_TIMEOUT_S = 20.0

Progress = Callable[[object], object]
"""What a verb calls while it is at work; it goes on when the call returns."""
Run = Callable[[Progress], object]
"""Runs a verb once."""


class MannerError(Exception):
    """Workers met a verb in another manner than the one that it is said to have."""


@dataclass(frozen=True)
class Manner:
    """How workers meet a verb, and what shows it.

    Attributes:
        met: returns the operations that count as having met it: while it was held, or, where it
            cannot be, while it ran.
        hold: returns when the verb, held in its progress callback since that moment, has been
            met. None where it has no callback or is too short: it is run again and again.
    """

    met: Met
    hold: Callable[[Load, float], None] | None = None


def _until_all_wait(load: Load, since_s: float) -> None:
    with _nobody_served(load, since_s):
        load.wait_for_stall(WAITED_LEAST_S, timeout_s=_MEETING_TIMEOUT_S)


def _until_all_are_refused(load: Load, since_s: float) -> None:
    with _nobody_served(load, since_s):
        load.wait_for_refusal(since_s, timeout_s=_MEETING_TIMEOUT_S)


@contextlib.contextmanager
def _nobody_served(load: Load, since_s: float) -> Iterator[None]:
    """Whoever asks in the body is not served in it; on a busy machine all may seem to wait."""
    try:
        yield
    finally:
        served = inside(load.operations(), [_since(load, since_s)])
        if served:
            raise MannerError(f"{served[0].op} was acknowledged while the verb had the writer lock")


def _until_each_is_served(load: Load, since_s: float) -> None:
    try:
        load.wait_for_each(OPERATIONS, since_s, timeout_s=_MEETING_TIMEOUT_S)
    except WaitedTooLongError as error:
        kept_out = load.stalled(WAITED_LEAST_S) or refused(
            load.operations(), [_since(load, since_s)]
        )
        if not kept_out:
            raise
        raise MannerError(f"the verb keeps workers out, and is to take no lock: {error}") from error


def _since(load: Load, since_s: float) -> Window:
    return Window(since_s, load.history.now_s())


KEPT_OUT = Manner(waiting, _until_all_wait)
"""It has the writer lock: whoever comes waits until it has ended."""
REFUSED = Manner(refused, _until_all_are_refused)
"""It has the writer lock for longer than anybody is willing to wait."""
SERVED = Manner(inside, _until_each_is_served)
"""It has no lock that a writer needs: everybody is served while it is at work."""
SERVED_BETWEEN = Manner(inside)
"""It lets writers in between its steps, of which it has many."""
PASSED = Manner(meeting)
"""It is over at once."""


@dataclass
class Bench:
    """One verb beside a load.

    Attributes:
        load: what goes on beside it.
        name: of the verb, under which its runs are in the history.
        run: runs it.
        manner: how it is met.
        held: when it was held, and so surely at work.
        free: when it ran without being held.
    """

    load: Load
    name: str
    run: Run
    manner: Manner
    held: list[Window] = field(default_factory=list)
    free: list[Window] = field(default_factory=list)

    def hold_until_met(self, least: int, *, timeout_s: float = REPEATS_TIMEOUT_S) -> None:
        """Run it, held each time, until each operation has met it so often in its manner.

        Where it cannot be held there is nothing to do.

        Raises:
            Inconclusive: they have not met so often in that time.
            MannerError: somebody was served while it was held, or nobody was, and it is not so.
        """
        hold = self.manner.hold
        if hold is not None:
            self._repeat(lambda: self._run_held(hold), self.met_held, least, timeout_s)

    def run_until_met(
        self, least: int, *, runs_least: int = 1, timeout_s: float = REPEATS_TIMEOUT_S
    ) -> None:
        """Run it, never held, until each operation has met it so often.

        Args:
            least: how often.
            runs_least: how often it is run at least.
            timeout_s: for how long, in seconds.

        Raises:
            Inconclusive: they have not met so often in that time.
        """
        for _run in range(runs_least):
            self._run_free()
        self._repeat(self._run_free, self.met_free, least, timeout_s)

    def met_held(self) -> list[Operation]:
        """Return the operations that met it in its manner while it was held."""
        return self.manner.met(self.load.operations(), self.held)

    def met_free(self) -> list[Operation]:
        """Return those that met it while it ran without being held.

        In its manner where it cannot be held; else that is seen better there, and here it is
        enough that the two were under way at one time.
        """
        met = self.manner.met if self.manner.hold is None else meeting
        return met(self.load.operations(), self.free)

    def stalls_s(self) -> Mapping[str, float]:
        """Return the longest that each operation took that met it while it was not held."""
        return longest_s(beside(errands(self.load.operations()), self.free))

    def otherwise_s(self) -> Mapping[str, float]:
        """Return the longest that each operation took that did not meet it at all."""
        return longest_s(apart(errands(self.load.operations()), (*self.free, *self.held)))

    def _run_free(self) -> None:
        self.free.append(self._written_down(lambda _seen: None))

    def _run_held(self, hold: Callable[[Load, float], None]) -> None:
        holder = _Holder(self.load, hold)
        try:
            self._written_down(holder)
        except Exception:
            # What a verb makes of an error out of its callback is its own affair.
            if holder.error is None:
                raise
        if isinstance(holder.error, WaitedTooLongError):
            raise Inconclusive(f"{self.name} and the workers did not meet: {holder.error}")
        if holder.error is not None:
            raise holder.error
        self.held += holder.windows

    def _written_down(self, progress: Progress) -> Window:
        # Who waits for a lock may be overtaken by the next run, and then by the one after it.
        # Nobody runs a verb like that: its cost would not be that of one run, and it would meet
        # the same operations again and again.
        self.load.wait_until_all_are_served()
        ticket = self.load.history.begin("operator", self.name)
        try:
            self.run(progress)
        except BaseException as error:
            ticket.failed(f"{type(error).__name__}: {error}")
            raise
        return _window(ticket.ok())

    def _repeat(
        self,
        run: Callable[[], None],
        met: Callable[[], Sequence[Operation]],
        least: int,
        timeout_s: float,
    ) -> None:
        end_s = time.monotonic() + timeout_s
        while min((counts := counted(met())).values()) < least:
            if time.monotonic() >= end_s:
                told = ", ".join(f"{op} {count} times" for op, count in counts.items())
                raise Inconclusive(
                    f"{self.name} was met too seldom in {timeout_s:g} s: {told}, not {least}"
                )
            run()


@dataclass
class _Holder:
    """Holds a verb the first time that it tells of its progress.

    Attributes:
        windows: when it was held.
        error: why it was not to the end.
    """

    load: Load
    hold: Callable[[Load, float], None]
    windows: list[Window] = field(default_factory=list)
    error: Exception | None = None

    def __call__(self, _seen: object) -> None:
        if self.windows:
            return
        ticket = self.load.history.begin("operator", "hold")
        try:
            self.hold(self.load, self.load.history.now_s())
        except Exception as error:
            ticket.failed(str(error))
            self.error = error
            raise
        self.windows.append(_window(ticket.ok()))


def _window(operation: Operation) -> Window:
    assert operation.returned_s is not None, "it has returned"
    return Window(operation.invoked_s, operation.returned_s)
