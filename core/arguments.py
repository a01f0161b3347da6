"""Checks of what callers give: wrong values are refused before anything is done."""

import math

from .errors import InvalidArgumentError

SECONDS_MOST = 10 * 366 * 86_400
"""Ten years: more is a mistake in the unit, and would leave the years that text can hold."""
_INTEGER_MOST = 2**63 - 1


def check_seconds(what: str, value: float, *, above_zero: bool = False) -> None:
    """Return if the value is a sensible number of seconds.

    Args:
        what: name of the argument, for the message.
        value: what was given.
        above_zero: whether zero is refused too.

    Raises:
        InvalidArgumentError: it is no number, negative, not finite, or above ten years.
    """
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if number and math.isfinite(value) and 0 <= value <= SECONDS_MOST and (value or not above_zero):
        return
    least = "more than 0" if above_zero else "0 or more"
    raise InvalidArgumentError(
        what=what, value=value, cure=f"Give {least} seconds, and at most ten years."
    )


def check_integer(
    what: str, value: int, *, least: int = -_INTEGER_MOST - 1, most: int = _INTEGER_MOST
) -> None:
    """Return if the value is an integer between the limits, which are 64 bits unless told.

    Raises:
        InvalidArgumentError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidArgumentError(
            what=what, value=value, cure=f"Give an integer from {least} to {most}."
        )


def check_text(what: str, value: str) -> None:
    """Return if the value is text that is not empty and that SQLite can hold and compare.

    Raises:
        InvalidArgumentError: it is no text, empty, or has a NUL or half a surrogate pair in it.
    """
    if not isinstance(value, str) or not value or "\0" in value or not is_unicode(value):
        raise InvalidArgumentError(
            what=what, value=value, cure="Give text with at least one character and no NUL."
        )


def is_unicode(text: str) -> bool:
    """Return whether the text can be written as UTF-8; half a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
