"""The lines of a driver, however they come: in one piece, in bits, too long, or cut off."""

import io

import pytest

from harness.drivers import lines
from harness.drivers.lines import Lines


class Bits(io.RawIOBase):
    """A stream that gives so many bytes at a time."""

    def __init__(self, whole, size):
        self._left = io.BytesIO(whole)
        self._size = size

    def readable(self):
        """Say so."""
        return True

    def readinto(self, buffer):
        """Give the next ones."""
        bit = self._left.read(min(self._size, len(buffer)))
        buffer[: len(bit)] = bit
        return len(bit)


def lines_of(whole, size=2**16):
    """Return the lines of a stream that comes in bits of that size."""
    return Lines(io.BufferedReader(Bits(whole, size)))


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_lines_come_whole_whatever_the_pipe_makes_of_them(size):
    """A line ends by LF alone, and not by CR or by what else ends lines of text."""
    whole = [b"one\n", b"\n", b"t\rw\x85o\r\n", b"\xe2\x80\xa8\n"]
    seen = lines_of(b"".join(whole), size)

    assert list(seen) == whole
    assert seen.number == 4
    assert seen.unfinished() == ""


@pytest.mark.parametrize("size", [1, 4, 100])
def test_a_line_without_an_end_is_no_line(size):
    """What was cut off is known, and is not taken for a line."""
    seen = lines_of(b"one\n{two", size)

    assert list(seen) == [b"one\n"]
    assert seen.unfinished() == "line 2 has no end: {two"


@pytest.mark.parametrize("size", [1, 4, 100])
def test_a_line_that_is_too_long_is_told_before_it_ends(size, monkeypatch):
    """Nobody keeps a line that never ends: it is given as soon as it is longer than any may be."""
    monkeypatch.setattr(lines, "LINE_BYTES", 10)
    taken = next(iter(lines_of(b"x" * 50, size)))

    assert 10 < len(taken) <= 10 + size
