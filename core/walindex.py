"""What the -shm of a dead writer knows of the -wal beside it: how many frames it had.

SQLite keeps an index of the log in the -shm (https://www.sqlite.org/walformat.html, section 2), and
whoever closes last deletes the -shm before the -wal. So a -shm that nobody has open tells of a log
that is there, unless somebody took the log away. Nothing is locked here, and whoever runs this on a
live queue must have no connection to it (``observer.py``).
"""

import struct
from dataclasses import dataclass
from pathlib import Path

from .files import open_regular

# Version, unused, changes, whether it is set up, byte order of checksums, page size, frames, pages,
# checksum of the last frame, salts as the log has them, checksum.
_HEADER = struct.Struct("=3IBBHII8s8s8s")
_BACKFILLED = struct.Struct("=I")
_VERSION = 3_007_000
_SALTS = struct.Struct(">2I")


@dataclass(frozen=True)
class WalIndex:
    """What the index says of the log.

    Attributes:
        frames: that were committed in this life of the log.
        backfilled: of these, how many are in the database too.
        salt: of the log, to tell one life of it from the next.
    """

    frames: int
    backfilled: int
    salt: tuple[int, int]

    @property
    def only_in_log(self) -> int:
        """How many frames are nowhere but in the log."""
        return max(0, self.frames - self.backfilled)


def read_index(shm: Path) -> WalIndex | None:
    """Return what the -shm says, or None where it is missing, not set up, or torn.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with open_regular(shm) as file:
            head = file.read(2 * _HEADER.size + _BACKFILLED.size)
    except FileNotFoundError:
        return None
    first, second = head[: _HEADER.size], head[_HEADER.size : 2 * _HEADER.size]
    # It is written twice, and whoever reads it takes it only where both are the same.
    if len(head) < 2 * _HEADER.size + _BACKFILLED.size or first != second:
        return None
    version, _unused, _changes, ready, _order, _page, frames, *_rest = _HEADER.unpack(first)
    if version != _VERSION or ready != 1:
        return None
    (backfilled,) = _BACKFILLED.unpack_from(head, 2 * _HEADER.size)
    first_salt, second_salt = _SALTS.unpack(_rest[2])
    return WalIndex(frames, backfilled, (first_salt, second_salt))
