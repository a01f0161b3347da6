"""The pages that a rollback journal holds as they were before a transaction that was cut off.

SQLite would put them back when it opens the file; here they are read and nothing is opened, since
a journal may name any file of the machine as its super-journal, which SQLite would look at and
delete (https://www.sqlite.org/fileformat2.html#rollbackjournal).
"""

import struct
from pathlib import Path
from typing import BinaryIO

from .fileformat import PAGE_SIZES
from .pagefile import Overlay

_MAGIC = bytes.fromhex("d9d505f920a163d7")
_HEADER = struct.Struct(">8sIIIII")
_NUMBER = struct.Struct(">I")
_NO_COUNT = 0xFFFFFFFF
_SECTORS = tuple(1 << bits for bits in range(5, 17))
_EVERY = 200


def pages_before(journal: Path) -> Overlay | None:
    """Return the pages as they were, or None where the journal holds none.

    Args:
        journal: path of the copied -journal; it may be missing.

    Raises:
        OSError: it cannot be read.
    """
    if not journal.exists():
        return None
    overlay = Overlay()
    with journal.open("rb") as file:
        at: int | None = 0
        while at is not None:
            at = _segment(file, at, overlay)
    return overlay if overlay.at else None


def _segment(file: BinaryIO, at: int, overlay: Overlay) -> int | None:
    """Read a header and the pages behind it; return where the next header lies, if one may."""
    file.seek(at)
    head = file.read(_HEADER.size)
    if len(head) < _HEADER.size:
        return None
    magic, records, nonce, count, sector, size = _HEADER.unpack(head)
    if magic != _MAGIC or size not in PAGE_SIZES or sector not in _SECTORS:
        return None
    overlay.page_size = size
    overlay.count = overlay.count or count
    at += sector
    read = 0
    while read < records and _record(file, at, nonce, overlay):
        at += 2 * _NUMBER.size + size
        read += 1
    # The next header begins a sector of its own.
    return -(-at // sector) * sector if read == records != _NO_COUNT else None


def _record(file: BinaryIO, at: int, nonce: int, overlay: Overlay) -> bool:
    """Take one page; return whether there was one whose checksum is right."""
    size = overlay.page_size
    file.seek(at)
    record = file.read(2 * _NUMBER.size + size)
    if len(record) < 2 * _NUMBER.size + size:
        return False
    (page,) = _NUMBER.unpack_from(record)
    content = record[_NUMBER.size : -_NUMBER.size]
    (told,) = _NUMBER.unpack_from(record, _NUMBER.size + size)
    checked = sum(content[place] for place in range(size - _EVERY, 0, -_EVERY))
    if page == 0 or told != (nonce + checked) & 0xFFFFFFFF:
        return False
    # What came first was there before.
    overlay.at.setdefault(page, at + _NUMBER.size)
    overlay.frames += 1
    return True
