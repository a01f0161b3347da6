"""Write-ahead logs made wrong by somebody who reckons their checksums anew.

https://www.sqlite.org/fileformat2.html#walformat
"""

import random
import struct

from core.walsum import Order, checksum

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC_BIG = 0x377F0683
_PAGE_SIZES = (0, 1, 4, 8, 12, 256, 512, 1000, 1024, 4096, 65536, 65537, 1 << 20, 1 << 31)
_PAGES = (0, 1, 2, 3, 99, 1 << 20, 1 << 31, (1 << 32) - 1)
_FRAMES_MOST = 40


def claim(chance: random.Random, wal: bytearray) -> str:
    """Claim something else in the header of a log, or of one of its frames."""
    place = chance.choice((0, 4, 8, 12, 16, 24, 32, 36, 40, 48))
    wal[place : place + 4] = chance.randbytes(4)
    return f"claim at {place} of the -wal changed"


def forge(chance: random.Random, wal: bytearray) -> str:
    """Change header or frames as if SQLite itself had written them so: every checksum fits."""
    if len(wal) < _HEADER.size:
        return "there is no header to forge"
    magic, version, page_size, sequence, salt1, salt2, *_sums = _HEADER.unpack_from(wal)
    real_size = page_size
    if chance.random() < 0.4:  # noqa: PLR2004 - the rest has wrong frames
        page_size = chance.choice(_PAGE_SIZES)
    head = struct.pack(">6I", magic, version, page_size, sequence, salt1, salt2)
    sums = checksum(head, (0, 0), _order(wal))
    wal[: _HEADER.size] = head + struct.pack(">2I", *sums)
    if page_size != real_size or page_size % 8 or not page_size:
        return f"a page size of {page_size} forged in the -wal"
    return _forge_frames(chance, wal, real_size, sums)


def _forge_frames(
    chance: random.Random, wal: bytearray, page_size: int, sums: tuple[int, int]
) -> str:
    order = _order(wal)
    step = _FRAME.size + page_size
    count = min((len(wal) - _HEADER.size) // step if step > _FRAME.size else 0, _FRAMES_MOST)
    changed = []
    for number in range(count):
        at = _HEADER.size + number * step
        page, commit, *salts = _FRAME.unpack_from(wal, at)[:4]
        if chance.random() < 0.3:  # noqa: PLR2004 - some of them
            page, commit = chance.choice((page, *_PAGES)), chance.choice((0, commit, *_PAGES))
            changed.append(number)
        content = bytes(wal[at + _FRAME.size : at + step])
        head = struct.pack(">2I", page, commit)
        sums = checksum(content, checksum(head, sums, order), order)
        wal[at : at + _FRAME.size] = head + struct.pack(">4I", *salts, *sums)
    return f"frames {changed} of the -wal forged"


def _order(wal: bytearray) -> Order:
    return ">" if int.from_bytes(wal[:4], "big") == _MAGIC_BIG else "<"
