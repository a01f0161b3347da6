"""The frames of a write-ahead log one by one, those behind a damaged one or without a header too.

``wal.py`` says what SQLite would read of a log; this is for whoever wants more than that.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .fileformat import PAGE_SIZES
from .walheader import FRAME, HEADER, parse_header
from .walsum import Order, Sums, checksum


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
        head = file.read(HEADER.size)
    header = parse_header(head)
    if header is None or not header.sound:
        return None
    return Life(header.page_size, header.order, header.salt, header.checksum)


def guess_life(path: Path) -> Life | None:
    """Return what the frames have in common by themselves, where the header no longer says it.

    A frame's checksum goes on from the one that the frame before it holds: only the right page size
    and order make the second frame's right.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(HEADER.size + 2 * (FRAME.size + PAGE_SIZES[-1]))[HEADER.size :]
    orders: tuple[Order, ...] = ("<", ">")
    for size in PAGE_SIZES:
        second = start[FRAME.size + size :][: FRAME.size + size]
        if len(second) < FRAME.size + size:
            return None
        before = FRAME.unpack_from(start)
        fields = FRAME.unpack_from(second)
        for order in orders:
            reached = checksum(second[:8], (before[4], before[5]), order)
            if checksum(second[FRAME.size :], reached, order) == fields[4:6]:
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
    step = FRAME.size + life.page_size
    with path.open("rb") as file:
        file.seek(HEADER.size)
        for number in range(1, (path.stat().st_size - HEADER.size) // step + 1):
            head, content = file.read(FRAME.size), file.read(life.page_size)
            page, commit, salt1, salt2, *told = FRAME.unpack(head)
            sound = before is not None and _follows(head, content, before, life.order)
            before = (told[0], told[1])
            if (salt1, salt2) == life.salt:
                at = HEADER.size + (number - 1) * step + FRAME.size
                yield Frame(number, page, commit, at, sound=sound)


def _follows(head: bytes, content: bytes, before: Sums, order: Order) -> bool:
    reached = checksum(content, checksum(head[:8], before, order), order)
    return reached == FRAME.unpack(head)[4:6]
