"""What a field of a message may hold, and what is wrong with one that holds something else."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

_SHOWN_CHARACTERS = 60
_BEYOND = 2**63


class Kind(StrEnum):
    """The JSON that a field holds, as the specification words it."""

    ANY = "any JSON"
    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    TRUTH = "true or false"
    OBJECT = "object"
    TEXTS = "list of texts"
    OBJECTS = "list of objects"


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a message.

    Attributes:
        name: as in the message; one that ends in ``_s`` is in seconds, in ``_ms`` in milliseconds.
        kind: what it holds.
        meaning: for people.
        needed: false where it may be left out.
        null: whether it may be null.
        least: the smallest number it may hold, or None.
        choices: the only texts it may hold, or none for any.
        parts: of an object, or of each object in a list.
    """

    name: str
    kind: Kind
    meaning: str
    needed: bool = True
    null: bool = False
    least: float | None = None
    choices: tuple[str, ...] = ()
    parts: "tuple[Field, ...]" = ()


def problem_of(fields: Iterable[Field], message: Mapping[str, object], where: str) -> str | None:
    """Return the first thing that is wrong with a message, or None; unknown fields are ignored.

    Args:
        fields: what it has to hold.
        message: a JSON object.
        where: what it is called, for the sentence.
    """
    for field in fields:
        if field.name not in message:
            if field.needed:
                return f"{where} lacks the field {field.name!r}"
            continue
        wrong = _problem_of_value(field, message[field.name], where)
        if wrong is not None:
            return wrong
    return None


def _problem_of_value(field: Field, value: object, where: str) -> str | None:
    name = f"{where}, field {field.name!r}:"
    if value is None and field.kind is not Kind.ANY:
        return None if field.null else f"{name} {_must_be(field)}, not null"
    if not _HOLDS[field.kind](value):
        return f"{name} {_must_be(field)}, not {shown(value)}"
    if field.choices and not set(_texts(value)) <= set(field.choices):
        return f"{name} must be of {', '.join(field.choices)}, not {shown(value)}"
    if field.least is not None and isinstance(value, int | float) and value < field.least:
        return f"{name} must be at least {field.least:g}, not {shown(value)}"
    return _problem_inside(field, value, f"{where}, {field.name!r}")


def _problem_inside(field: Field, value: object, where: str) -> str | None:
    inside = value if isinstance(value, list) else [value]
    found = (problem_of(field.parts, each, where) for each in inside if isinstance(each, Mapping))
    return next((wrong for wrong in found if wrong is not None), None) if field.parts else None


def shown(value: object) -> str:
    """Return a value's JSON for a message, cut off where it is long."""
    text = json.dumps(value, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."


def _must_be(field: Field) -> str:
    article = "" if field.kind in (Kind.TEXT, Kind.TRUTH, Kind.ANY) else "a "
    if field.kind in (Kind.INTEGER, Kind.OBJECT):
        article = "an "
    return f"must be {article}{field.kind.value}"


def _texts(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


def _is_integer(value: object) -> bool:
    # To Python true is 1; to JSON it is not. SQLite's integers have 64 bits, and so have these.
    return isinstance(value, int) and not isinstance(value, bool) and -_BEYOND <= value < _BEYOND


def _is_list_of(kind: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and all(isinstance(each, kind) for each in value)


_HOLDS: Mapping[Kind, Callable[[object], bool]] = {
    Kind.ANY: lambda _value: True,
    Kind.TEXT: lambda value: isinstance(value, str),
    Kind.INTEGER: _is_integer,
    Kind.NUMBER: lambda value: _is_integer(value) or isinstance(value, float),
    Kind.TRUTH: lambda value: isinstance(value, bool),
    Kind.OBJECT: lambda value: isinstance(value, Mapping),
    Kind.TEXTS: _is_list_of(str),
    Kind.OBJECTS: _is_list_of(dict),
}
