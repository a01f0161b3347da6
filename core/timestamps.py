"""Times as queue files hold them, in and out of UTC milliseconds.

The core writes ``YYYY-MM-DD HH:MM:SS.SSS`` (UTC). Files in the field also hold whole seconds, a
``T``, a ``Z``, offsets and epoch numbers, which do not compare as text in time order
(https://www.sqlite.org/lang_datefunc.html); so times are parsed, never compared as found.
"""

import re
from datetime import UTC, datetime, timedelta, timezone

_TEXT = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})[ T](?P<minute>\d{2}:\d{2})(?::(?P<second>\d{2})"
    r"(?:[.,](?P<fraction>\d{1,9}))?)?\s?(?:(?P<zulu>[Zz])|(?P<offset>[+-]\d{2}:?\d{2}))?",
    re.ASCII,
)
_NUMBER = re.compile(r"\d{9,14}(?:\.\d+)?", re.ASCII)

# An epoch number is seconds up to the year 5138 and milliseconds from 1973 on.
_EPOCH_LEAST = 100_000_000
_EPOCH_MILLISECONDS_LEAST = 100_000_000_000
_EPOCH_MOST = 100_000_000_000_000

CANONICAL_GLOB = "[0-9][0-9][0-9][0-9]-[0-1][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9]"
"""SQLite GLOB for times that compare as text; append ``.[0-9]*`` for those with fractions."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_text(moment_ms: int) -> str:
    """Return the moment as the core writes it: ``YYYY-MM-DD HH:MM:SS.SSS`` in UTC.

    Args:
        moment_ms: UTC milliseconds since 1970.
    """
    moment = to_datetime(moment_ms)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"


def to_datetime(moment_ms: int) -> datetime:
    """Return the moment as an aware datetime in UTC."""
    return _EPOCH + moment_ms * _MILLISECOND


def from_datetime(moment: datetime) -> int:
    """Return UTC milliseconds since 1970; a naive datetime is taken as UTC."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MILLISECOND


def parse(value: object) -> int | None:
    """Return the moment that a column's value means, in UTC milliseconds, or None if unreadable.

    Args:
        value: what SQLite returned: text in any format found in the field, or an epoch number.
            (A DATETIME column has NUMERIC affinity: https://www.sqlite.org/datatype3.html.)
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return _from_number(float(value))
    if isinstance(value, str):
        return _from_text(value.strip())
    return None


def compares_as_text(value: object) -> bool:
    """Return whether the value is in the format whose text order is its time order."""
    if not isinstance(value, str):
        return False
    match = _TEXT.fullmatch(value)
    return (
        match is not None
        and value[10] == " "
        and match["second"] is not None
        and match["zulu"] is None
        and match["offset"] is None
        and "," not in value
        and not value[-1].isspace()
        and parse(value) is not None
    )


def _from_number(number: float) -> int | None:
    if not _EPOCH_LEAST <= number < _EPOCH_MOST:
        return None
    return int(number) if number >= _EPOCH_MILLISECONDS_LEAST else int(number * 1000)


def _from_text(text: str) -> int | None:
    match = _TEXT.fullmatch(text)
    if match is None:
        return _from_number(float(text)) if _NUMBER.fullmatch(text) else None
    try:
        # Not strptime: health reads a whole backlog, and this is several times as fast.
        year, month, day = map(int, match["date"].split("-"))
        hour, minute = map(int, match["minute"].split(":"))
        second = int(match["second"] or "0")
        local = datetime(year, month, day, hour, minute, second, tzinfo=_zone(match["offset"]))
        # An offset can carry the first or the last year of the calendar out of it.
        moment = local.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    fraction_ms = int((match["fraction"] or "0").ljust(3, "0")[:3])
    return from_datetime(moment) + fraction_ms


def _zone(offset: str | None) -> timezone:
    if offset is None:
        return UTC
    sign = -1 if offset[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:])))
