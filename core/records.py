"""Records: how SQLite writes a row's values into bytes, read without SQLite.

https://www.sqlite.org/fileformat2.html#record_format. Reading is strict: the lengths in a record's
header must add up to its body, so most damage to a header is seen here and not taken for content.
"""

import struct
from dataclasses import dataclass

_VARINT_MOST = 9
_COLUMNS_MOST = 2000
_DOUBLE = struct.Struct(">d")
_INTEGER_BYTES = (0, 1, 2, 3, 4, 6, 8)
_DOUBLE_TYPE = 7
_ONE_TYPE = 9
_LAST_FIXED_TYPE = 9
_FIRST_BLOB_TYPE = 12
_MORE = 0x80
_SIGN = 1 << 63
_WRAP = 1 << 64


class BadRecordError(ValueError):
    """The bytes are no record, or no longer one."""


@dataclass(frozen=True)
class RawText:
    """Text that is none in the database's encoding, kept byte for byte.

    Attributes:
        content: the bytes as stored.
    """

    content: bytes


Value = int | float | str | bytes | RawText | None


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the variable-length integer at the position, unsigned, and where the next byte is.

    Raises:
        BadRecordError: the bytes end in the middle of it.
    """
    if at < len(data) and not data[at] & _MORE:
        # Nearly all are this short, and everything is made of them.
        return data[at], at + 1
    value = 0
    for count in range(1, _VARINT_MOST + 1):
        if at >= len(data):
            raise BadRecordError("a number is cut off")
        byte = data[at]
        at += 1
        if count == _VARINT_MOST:
            return (value << 8) | byte, at
        value = (value << 7) | (byte & ~_MORE)
        if not byte & _MORE:
            break
    return value, at


def signed(number: int) -> int:
    """Return an unsigned number of 64 bits as SQLite means it: as a signed one."""
    return number - _WRAP if number >= _SIGN else number


def decode(payload: bytes, encoding: str, *, ragged: bool = False) -> list[Value]:
    """Return the values of a record.

    Args:
        payload: all of it.
        encoding: of the database's text, as Python calls it.
        ragged: whether something may lie behind its last value, where SQLite does not look.

    Raises:
        BadRecordError: it is no record, or its lengths do not add up.
    """
    types, at = _types(payload)
    missing = at + sum(map(_length, types)) - len(payload)
    if missing > 0 or (missing and not ragged):
        raise BadRecordError("its lengths do not add up")
    return _values(payload, types, at, encoding)


def decode_front(payload: bytes, encoding: str) -> list[Value]:
    """Return the values that lie whole in the front part of a record; [] where there are none."""
    try:
        types, at = _types(payload)
    except BadRecordError:
        return []
    whole = []
    end = at
    for kind in types:
        end += _length(kind)
        if end > len(payload):
            break
        whole.append(kind)
    return _values(payload, whole, at, encoding)


def _types(payload: bytes) -> tuple[list[int], int]:
    size, at = varint(payload, 0)
    if not at <= size <= len(payload):
        raise BadRecordError("its header is longer than it")
    types = []
    while at < size:
        kind, at = varint(payload, at)
        if _LAST_FIXED_TYPE < kind < _FIRST_BLOB_TYPE:
            raise BadRecordError("a value is of a type that is kept for later")
        types.append(kind)
    if at != size or len(types) > _COLUMNS_MOST:
        raise BadRecordError("its header has another length than it says")
    return types, at


def _length(kind: int) -> int:
    if kind >= _FIRST_BLOB_TYPE:
        return (kind - _FIRST_BLOB_TYPE) >> 1
    if kind < _DOUBLE_TYPE:
        return _INTEGER_BYTES[kind]
    return 8 if kind == _DOUBLE_TYPE else 0


def _values(payload: bytes, types: list[int], at: int, encoding: str) -> list[Value]:
    values = []
    for kind in types:
        end = at + _length(kind)
        values.append(_value(kind, payload[at:end], encoding))
        at = end
    return values


def _value(kind: int, content: bytes, encoding: str) -> Value:
    if kind >= _FIRST_BLOB_TYPE:
        return _text(content, encoding) if kind & 1 else content
    if kind == 0:
        return None
    if kind < _DOUBLE_TYPE:
        return int.from_bytes(content, "big", signed=True)
    if kind == _DOUBLE_TYPE:
        (number,) = _DOUBLE.unpack(content)
        return float(number)
    return int(kind == _ONE_TYPE)


def _text(content: bytes, encoding: str) -> str | RawText:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return RawText(content)
