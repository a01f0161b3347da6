"""The frames of a write-ahead log one by one, those behind a damaged one or without a header too.

``wal.py`` says what SQLite would read of a log; this is for whoever wants more than that.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .walsum import Order, Sums, checksum

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC_LITTLE = 0x377F0682
_MAGIC_BIG = 0x377F0683
_PAGE_SIZES = tuple(1 << bits for bits in range(9, 17))


@dataclass(frozen=True)
class Life:
    """What the frames of one life of a log have in common.

    Attributes:
        page_size: bytes a page.
        order: byte order of the words that checksums add up.
        salt: in each of its frames.
        checksum: from which the first frame's goes on; None where the header that holds it is lost.
    """

    page_size: int
    order: Order
    salt: tuple[int, int]
    checksum: Sums | None


@dataclass(frozen=True)
class Frame:
    """One frame of a log's life.

    Attributes:
        number: from 1.
        page: the page whose content it holds.
        commit: pages of the database after the commit that it ends; 0 if it ends none.
        at: where the page's content lies in the file, in bytes.
        sound: whether its checksum follows from the one that the frame before it holds, so that
            the frame is proved by itself, whatever lies before it.
    """

    number: int
    page: int
    commit: int
    at: int
    sound: bool


def read_life(path: Path) -> Life | None:
    """Return what the header of the -wal says of its frames, or None where it is damaged.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
    if len(head) < _HEADER.size:
        return None
    magic, _version, size, _sequence, salt1, salt2, sum1, sum2 = _HEADER.unpack(head)
    order: Order = ">" if magic == _MAGIC_BIG else "<"
    if magic not in (_MAGIC_LITTLE, _MAGIC_BIG):
        return None
    if checksum(head[:24], (0, 0), order) != (sum1, sum2):
        return None
    return Life(65536 if size == 1 else size, order, (salt1, salt2), (sum1, sum2))


def guess_life(path: Path) -> Life | None:
    """Return what the frames have in common by themselves, where the header no longer says it.

    A frame's checksum goes on from the one that the frame before it holds: only the right page size
    and order make the second frame's right.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(_HEADER.size + 2 * (_FRAME.size + _PAGE_SIZES[-1]))[_HEADER.size :]
    orders: tuple[Order, ...] = ("<", ">")
    for size in _PAGE_SIZES:
        second = start[_FRAME.size + size :][: _FRAME.size + size]
        if len(second) < _FRAME.size + size:
            return None
        before = _FRAME.unpack_from(start)
        fields = _FRAME.unpack_from(second)
        for order in orders:
            reached = checksum(second[:8], (before[4], before[5]), order)
            if checksum(second[_FRAME.size :], reached, order) == fields[4:6]:
                return Life(size, order, (before[2], before[3]), None)
    return None


def frames(path: Path, life: Life) -> Iterator[Frame]:
    """Yield the frames of a log's life, also those behind a damaged one.

    A checksum goes on from frame to frame, and each frame holds it: so whoever does not stop at a
    bad frame can prove the ones behind it.

    Raises:
        OSError: it cannot be read.
    """
    before = life.checksum
    step = _FRAME.size + life.page_size
    with path.open("rb") as file:
        file.seek(_HEADER.size)
        for number in range(1, (path.stat().st_size - _HEADER.size) // step + 1):
            head, content = file.read(_FRAME.size), file.read(life.page_size)
            page, commit, salt1, salt2, *told = _FRAME.unpack(head)
            sound = before is not None and _follows(head, content, before, life.order)
            before = (told[0], told[1])
            if (salt1, salt2) == life.salt:
                at = _HEADER.size + (number - 1) * step + _FRAME.size
                yield Frame(number, page, commit, at, sound=sound)


def _follows(head: bytes, content: bytes, before: Sums, order: Order) -> bool:
    reached = checksum(content, checksum(head[:8], before, order), order)
    return reached == _FRAME.unpack(head)[4:6]
