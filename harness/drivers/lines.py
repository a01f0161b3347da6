"""The lines that a driver says, each with its number, as they come."""

import io
from collections.abc import Iterator

from harness.drivers.protocol import LINE_BYTES, START_CHARACTERS, start_of

_CHUNK_BYTES = 2**16


class Lines:
    """Whole lines of a stream; the last one of it is left out where it was cut off.

    Args:
        stream: read by one thread alone.

    Attributes:
        number: of the line that came last, from 1.
    """

    def __init__(self, stream: io.BufferedReader) -> None:
        self.number = 0
        self._stream = stream
        self._begun = b""

    def __iter__(self) -> Iterator[bytes]:
        """Yield each line as soon as it has ended, or is longer than any may be."""
        line = bytearray()
        while chunk := self._stream.read1(_CHUNK_BYTES):
            for part in io.BytesIO(chunk):
                line += part
                if part.endswith(b"\n") or len(line) > LINE_BYTES:
                    self.number += 1
                    yield bytes(line)
                    line.clear()
            self._begun = bytes(line[: START_CHARACTERS + 1])

    def unfinished(self) -> str:
        """Return the number and the start of a line that has begun and not ended, or nothing."""
        begun = self._begun
        return f"line {self.number + 1} has no end: {start_of(begun)}" if begun else ""
