"""Records are read as SQLite writes them, and what is none is not taken for one."""

import contextlib
import sqlite3

import pytest

from core.nodes import read_cell, read_node
from core.pagefile import PageFile
from core.records import BadRecordError, RawText, decode, decode_front, signed, varint

VALUES = (
    *(None, 0, 1, -1, 2, 127, -128, 128, 32767, -32768, 32768, 8388607, -8388608, 8388608),
    *(2147483647, -2147483648, 2147483648, 140737488355327, -140737488355328),
    *(140737488355328, 9223372036854775807, -9223372036854775808, 1.5, -2.25e300),
    *("", "text", "ärgerlich 漢字", b"", b"\0\xff", "x" * 700, b"y" * 700),
)


def stored_by_sqlite(path, values):
    """Return the record that SQLite writes of the values."""
    columns = ", ".join(f"c{number}" for number in range(len(values)))
    holders = ", ".join("?" * len(values))
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE TABLE t ({columns})")
        connection.execute(f"INSERT INTO t VALUES ({holders})", values)
    with PageFile(path, path.with_name("none"), None) as pages:
        node = read_node(pages, 2)
        return read_cell(pages, node, node.cells[0]).payload


def test_every_kind_of_value_is_read_as_sqlite_wrote_it(tmp_path):
    """Numbers at both sides of each length, texts and blobs are what they were."""
    record = stored_by_sqlite(tmp_path / "t.db", VALUES)

    found = decode(record, "utf-8")

    assert found == list(VALUES)
    assert list(map(type, found)) == list(map(type, VALUES))


def test_a_record_that_lost_a_byte_is_none(tmp_path):
    """A record that is cut at any byte, or longer than it says, is told from a whole one."""
    record = stored_by_sqlite(tmp_path / "t.db", (1000, "text", None, b"blob"))

    for end in range(len(record)):
        with pytest.raises(BadRecordError):
            decode(record[:end], "utf-8")
    with pytest.raises(BadRecordError, match="add up"):
        decode(record + b"\0", "utf-8")


def test_the_front_of_a_record_is_what_lies_whole_in_it(tmp_path):
    """Of a record that is cut, the values before the cut are read."""
    record = stored_by_sqlite(tmp_path / "t.db", (1000, "text", None, "the end"))

    assert decode_front(record[:-1], "utf-8") == [1000, "text", None]
    assert decode_front(record, "utf-8") == [1000, "text", None, "the end"]
    assert decode_front(record[:3], "utf-8") == []


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (b"", "cut off"),
        (b"\x02\x0a", "kept for later"),
        (b"\x02\x0b", "kept for later"),
        (b"\x09\x01\x01", "longer than it"),
        (b"\x00\x01", "longer than it"),
        (b"\x02\x81\x00", "another length"),
        (b"\x02\xff", "cut off"),
        (b"\x86\x52" + b"\x00" * 850, "add up"),
    ],
)
def test_what_is_no_record_is_refused(record, why):
    """Types that SQLite never writes and lengths that lead out of it are refused."""
    with pytest.raises(BadRecordError, match=why):
        decode(record, "utf-8")


def test_text_that_is_none_keeps_its_bytes():
    """Bytes that are no text in the encoding come back as they are."""
    assert decode(b"\x02\x0f\xff", "utf-8") == [RawText(b"\xff")]


@pytest.mark.parametrize(
    ("content", "number", "end"),
    [
        (b"\x00", 0, 1),
        (b"\x7f", 127, 1),
        (b"\x81\x00", 128, 2),
        (b"\xff\x7f", 16383, 2),
        (b"\xff" * 9, 2**64 - 1, 9),
        (b"\x80" * 8 + b"\x80", 128, 9),
    ],
)
def test_numbers_of_every_length(content, number, end):
    """The ninth byte of a number counts whole; what follows is not read."""
    assert varint(content + b"\x01", 0) == (number, end)


def test_a_number_of_64_bits_may_be_negative():
    """Numbers of 64 bits are signed ones."""
    assert signed(2**64 - 1) == -1
    assert signed(2**63) == -(2**63)
    assert signed(2**63 - 1) == 2**63 - 1
