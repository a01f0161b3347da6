"""Dataclasses of the model to JSON values and back."""

import dataclasses
import json
import math
import types
from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_plain(value: object) -> object:
    """Return the value as JSON knows it. Figures that JSON lacks (NaN, infinity) become null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: to_plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def from_plain(kind: type[T], value: object) -> T:
    """Return what ``to_plain`` was given. Keys of a later schema are left out.

    Raises:
        TypeError: a key without a default is missing, or the value is of another shape.
        ValueError: an enumeration does not have the value.
    """
    return cast(T, _build(kind, value))


def to_line(value: object) -> str:
    """Return the value as one line of ASCII JSON, whatever characters its strings hold."""
    return json.dumps(to_plain(value), ensure_ascii=True, allow_nan=False, default=str)


def _build(kind: object, value: object) -> object:
    if get_origin(kind) in (Union, types.UnionType):
        return None if value is None else _build(get_args(kind)[0], value)
    if get_origin(kind) is tuple:
        return tuple(_build(get_args(kind)[0], item) for item in cast(list[object], value))
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _build_dataclass(kind, value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    return value


def _build_dataclass(kind: type[Any], value: object) -> object:
    if not isinstance(value, Mapping):
        raise TypeError(f"{kind.__name__} is made of a mapping, not of {type(value).__name__}")
    hints = get_type_hints(kind)
    known = {name: _build(hints[name], value[name]) for name in hints if name in value}
    return kind(**known)
