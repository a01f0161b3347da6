"""Payloads: any JSON value on the way in; on the way out whatever a client has left there."""

import json
import math
from typing import Any

from .arguments import is_unicode
from .errors import InvalidPayloadError

_SHOWN_MOST = 60
DEPTH_MOST = 200
"""Nested containers; SQLite's own JSON functions end at 1000 (https://www.sqlite.org/json1.html)."""


def encode(value: object) -> str:
    """Return the value as strict JSON text.

    Args:
        value: dicts with text keys, lists, tuples, text, numbers, booleans and None.

    Raises:
        InvalidPayloadError: it is something else, NaN or infinite, text that is no Unicode, or
            nested deeper than 200.
    """
    _check(value)
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (ValueError, RecursionError) as error:
        # An integer of more digits than Python turns into text, or a stack that is nearly full.
        raise InvalidPayloadError(detail=str(error)) from error


def decode(stored: bytes) -> tuple[Any, bool]:
    """Return what a payload column holds, and whether it was JSON.

    What is not JSON, strictly, was written by another client (SQLite 3.42 and later let JSON5
    pass): it is returned as it is, as text, or as bytes where it is no UTF-8.

    Args:
        stored: the column's bytes.
    """
    try:
        text = stored.decode()
    except UnicodeDecodeError:
        return stored, False
    try:
        return json.loads(text, parse_constant=_refuse_constant), True
    except (ValueError, RecursionError):
        return text, False


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _check(payload: object) -> None:
    waiting: list[tuple[object, int]] = [(payload, 0)]
    # Depth first, so that a container that holds itself ends at the depth limit.
    while waiting:
        value, depth = waiting.pop()
        if depth > DEPTH_MOST:
            detail = f"it is nested deeper than {DEPTH_MOST}, or holds itself"
            raise InvalidPayloadError(detail=detail)
        if isinstance(value, dict):
            waiting += [(item, depth + 1) for item in (*map(_checked_key, value), *value.values())]
        elif isinstance(value, list | tuple):
            waiting += [(item, depth + 1) for item in value]
        else:
            _check_scalar(value)


def _checked_key(key: object) -> str:
    if not isinstance(key, str):
        raise InvalidPayloadError(detail=f"the key {shortened(key)} is not text")
    return key


def _check_scalar(value: object) -> None:
    if isinstance(value, str):
        if not is_unicode(value):
            raise InvalidPayloadError(detail=f"{shortened(value)} holds half a surrogate pair")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidPayloadError(detail=f"{value} is no JSON number")
    elif value is not None and not isinstance(value, int):
        raise InvalidPayloadError(detail=f"{type(value).__name__} is no JSON type")


def shortened(value: object) -> str:
    """Return the value as a message can show it."""
    text = ascii(value)
    return text if len(text) <= _SHOWN_MOST else f"{text[:_SHOWN_MOST]}..."
