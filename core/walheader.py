"""The header of a write-ahead log, and the shape of what follows it.

See https://www.sqlite.org/fileformat2.html#walformat.
"""

import struct
from dataclasses import dataclass

from .fileformat import PAGE_SIZES
from .walsum import Order, Sums, checksum

HEADER = struct.Struct(">8I")
"""Magic number, version, page size, number of checkpoints, two salts, two checksums."""
FRAME = struct.Struct(">6I")
"""Page, pages of the database after a commit or 0, two salts, two checksums."""
_ORDERS: dict[int, Order] = {0x377F0682: "<", 0x377F0683: ">"}
_VERSION = 3_007_000
_SUMMED_BYTES = 24


@dataclass(frozen=True)
class WalHeader:
    """What the header says.

    Attributes:
        page_size: bytes a page.
        order: byte order of the words that checksums add up.
        salt: in each frame of this life of the log.
        checksum: of the header, from which the first frame's goes on.
        sound: whether SQLite goes by it: the checksum fits, and it knows the version.
    """

    page_size: int
    order: Order
    salt: tuple[int, int]
    checksum: Sums
    sound: bool


def parse_header(head: bytes) -> WalHeader | None:
    """Return what the bytes say, or None where they are no header of a log.

    Args:
        head: the first bytes of the file.
    """
    if len(head) < HEADER.size:
        return None
    magic, version, size, _checkpoints, salt1, salt2, sum1, sum2 = HEADER.unpack_from(head)
    order = _ORDERS.get(magic)
    if order is None or size not in PAGE_SIZES:
        return None
    fits = checksum(head[:_SUMMED_BYTES], (0, 0), order) == (sum1, sum2)
    return WalHeader(size, order, (salt1, salt2), (sum1, sum2), fits and version == _VERSION)
