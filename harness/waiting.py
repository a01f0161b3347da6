"""Waiting for something in real time, always with a deadline."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_FIRST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.05


class WaitedTooLongError(TimeoutError):
    """The deadline passed before it happened."""


def wait_until(look: Callable[[], T | None], what: str, *, timeout_s: float) -> T:
    """Return the first answer of ``look`` that is true.

    Args:
        look: asked again and again, with growing pauses.
        what: what is waited for, for the message.
        timeout_s: how long at most, in seconds; it is asked at least once.

    Raises:
        WaitedTooLongError: no answer was true in that time.
    """
    end_s = time.monotonic() + timeout_s
    pause_s = _FIRST_PAUSE_S
    while not (answer := look()):
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            raise WaitedTooLongError(f"{what} did not happen within {timeout_s:g} s")
        time.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
    return answer


def wait_for(event: threading.Event, what: str, *, timeout_s: float) -> None:
    """Return when the event is set.

    Raises:
        WaitedTooLongError: it was not, in that time.
    """
    if not event.wait(timeout_s):
        raise WaitedTooLongError(f"{what} did not happen within {timeout_s:g} s")


def let_pass(seconds: float) -> None:
    """Return when that much real time has passed: where real time itself is the subject."""
    threading.Event().wait(seconds)
