"""The pages of a database file that SQLite need not be able to open.

What the header no longer says is told by the pages themselves: every b-tree page fills its end
first, so only the right page size lets the cells of most pages reach theirs. Pages out of a
log lie over the file's own: newer ones of a -wal, older ones of a rollback journal.

Give it a copy: it opens the files, and on POSIX closing a file drops this process's locks on it.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from .fileformat import MAGIC, PAGE_SIZES
from .nodes import HEADER_BYTES, looks_like_node

ENCODINGS = {1: "utf-8", 2: "utf-16-le", 3: "utf-16-be"}
_USABLE_LEAST = 480
_SAMPLED_MOST = 400
_BELIEVED_AT = 0.5
_FIELDS = struct.Struct(">16xHBBBBBBII I 4x 16x I")
# A header may say this for as long as nobody sets it.
_NO_ENCODING = 0


@dataclass(frozen=True)
class Header:
    """What the first hundred bytes say, or what stands in for them.

    Attributes:
        page_size: bytes a page.
        reserved: bytes at the end of each page that SQLite leaves alone.
        encoding: of text, as Python calls it.
        declared: pages that the file says it has; 0 where it does not say.
        freelist: first page of the list of free pages; 0 where there is none or it is unknown.
        guessed: what stands in for what could not be read, in words.
    """

    page_size: int
    reserved: int = 0
    encoding: str = "utf-8"
    declared: int = 0
    freelist: int = 0
    guessed: tuple[str, ...] = ()


@dataclass
class Overlay:
    """Pages out of a log that lie over the file's own.

    Attributes:
        page_size: bytes a page.
        at: where each page's content begins in the log, in bytes.
        count: pages of the database by the log; 0 where it does not say.
        frames: frames taken.
        doubtful: pages that no checksum proves.
        stranded: transactions that lie behind damage.
    """

    page_size: int = 0
    at: dict[int, int] = field(default_factory=dict)
    count: int = 0
    frames: int = 0
    doubtful: set[int] = field(default_factory=set)
    stranded: int = 0


class PageFile:
    """A copied set, read page by page; close it.

    Args:
        database: path of the copy; it may be missing where a log has the pages.
        log: path of the copied -wal or -journal.
        overlay: which of its pages to read; None reads none.

    Raises:
        OSError: a file cannot be read.

    Attributes:
        header: what the header says, or what stands in for it.
        count: pages that there are.
        file_pages: whole pages in the file itself.
    """

    def __init__(self, database: Path, log: Path, overlay: Overlay | None) -> None:
        self._overlay = overlay or Overlay()
        self._database: BinaryIO | None = database.open("rb") if database.exists() else None
        self._log: BinaryIO | None = log.open("rb") if self._overlay.at else None
        self._size = database.stat().st_size if self._database else 0
        self.header = self._read_header()
        self.file_pages = self._size // self.header.page_size
        there = max(self.file_pages, *self._overlay.at, 0)
        self.count = min(self._overlay.count or there, there)

    @property
    def usable(self) -> int:
        """Bytes of each page that hold content."""
        return self.header.page_size - self.header.reserved

    @property
    def doubtful(self) -> set[int]:
        """Pages out of a log that no checksum proves."""
        return self._overlay.doubtful

    def numbers(self) -> Iterator[int]:
        """Yield the numbers of the pages that there are."""
        yield from range(1, min(self.file_pages, self.count) + 1)
        yield from sorted(page for page in self._overlay.at if self.file_pages < page <= self.count)

    def page(self, number: int) -> bytes:
        """Return the content of a page, b"" where there is none that is whole."""
        size = self.header.page_size
        if number in self._overlay.at:
            assert self._log is not None
            return _whole(self._log, self._overlay.at[number], size)
        if self._database is None or not 1 <= number <= self.file_pages:
            return b""
        return _whole(self._database, (number - 1) * size, size)

    def close(self) -> None:
        """Let the files go."""
        for file in (self._database, self._log):
            if file is not None:
                file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_header(self) -> Header:
        size = self._overlay.page_size
        first = self._overlay.at.get(1)
        if first is not None and self._log is not None:
            head = _whole(self._log, first, HEADER_BYTES)
        else:
            head = _whole(self._database, 0, HEADER_BYTES) if self._database else b""
        read = header_of(head)
        if read is not None and (read.page_size == size if size else self._fits(read.page_size)):
            return read
        size = size or self._guess_size()
        return Header(size, guessed=(f"a page size of {size} bytes", "text in UTF-8"))

    def _fits(self, size: int) -> bool:
        """Return whether the pages agree with the header's page size."""
        own = self._share(size)
        return own >= _BELIEVED_AT or own >= max(map(self._share, PAGE_SIZES))

    def _guess_size(self) -> int:
        return max(PAGE_SIZES, key=lambda size: (self._share(size), size == _USUAL_SIZE))

    def _share(self, size: int) -> float:
        """Return which part of the sampled pages are b-tree pages, taken to be of this size."""
        pages = list(self._sample(size))
        if self._database is None or not pages:
            return 0.0
        read = (_whole(self._database, (number - 1) * size, size) for number in pages)
        fitting = sum(
            looks_like_node(content, number) for number, content in zip(pages, read, strict=True)
        )
        return fitting / len(pages)

    def _sample(self, size: int) -> Iterator[int]:
        count = self._size // size
        yield from range(1, count + 1, max(1, count // _SAMPLED_MOST))


_USUAL_SIZE = 4096


def header_of(head: bytes) -> Header | None:
    """Return what a header says, or None where it makes no sense.

    Args:
        head: the file's first hundred bytes.
    """
    if len(head) < HEADER_BYTES or not head.startswith(MAGIC):
        return None
    size, _write, _read, reserved, most, least, leaf, _change, pages, trunk, encoding = (
        _FIELDS.unpack(head[: _FIELDS.size])
    )
    size = 65536 if size == 1 else size
    # These three have one permitted value each (https://www.sqlite.org/fileformat2.html, 1.3).
    if size not in PAGE_SIZES or size - reserved < _USABLE_LEAST or (most, least, leaf) != _SHARES:
        return None
    guessed = () if encoding in ENCODINGS or encoding == _NO_ENCODING else ("text in UTF-8",)
    return Header(size, reserved, ENCODINGS.get(encoding, "utf-8"), pages, trunk, guessed)


_SHARES = (64, 32, 32)


def _whole(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    content = file.read(size)
    return content if len(content) == size else b""
