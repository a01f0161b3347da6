"""Pieces of files: where something lies, and a set of files as bytes."""

from collections.abc import Mapping
from dataclasses import dataclass

Files = Mapping[str, bytes]
"""Names relative to the queue's folder, with what is in them."""


@dataclass(frozen=True)
class Span:
    """So many bytes of a file.

    Attributes:
        file: its name in the set.
        start: of the first byte.
        size: how many.
    """

    file: str
    start: int
    size: int

    @property
    def end(self) -> int:
        """Of the first byte behind it."""
        return self.start + self.size

    def of(self, files: Files) -> bytes:
        """Return what is there."""
        return files[self.file][self.start : self.end]


def replaced(files: Files, span: Span, content: bytes) -> Files:
    """Return the set with something else in the place of the span."""
    old = files[span.file]
    return {**files, span.file: old[: span.start] + content + old[span.end :]}
