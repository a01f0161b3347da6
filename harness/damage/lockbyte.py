"""A queue of more than a gigabyte that takes hardly any room: it has the lock-byte page.

That page holds nothing (https://www.sqlite.org/fileformat2.html#the_lock_byte_page): Windows locks
its bytes, and SQLite neither reads nor writes them. Pages of 64 KiB and a freelist of holes reach
it where the file system keeps no room for what was never written.
"""

import contextlib
import os
import sqlite3
import struct
from pathlib import Path

from harness.damage.pages import LOCK_BYTE_AT
from harness.damage.spans import Span
from harness.damage.specimens import DATABASE

PAGE_BYTES = 65536
PAGES_COUNT = 16_416
_LOCK_PAGE = LOCK_BYTE_AT // PAGE_BYTES + 1
# A trunk may hold more, and old versions of SQLite read no more (section 1.5 of the same page).
_ENTRIES_MOST = PAGE_BYTES // 4 - 8
_COUNTER_AT, _PAGE_COUNT_AT, _VALID_FOR_AT = 24, 28, 92

PAGE = Span(DATABASE, (_LOCK_PAGE - 1) * PAGE_BYTES, PAGE_BYTES)
"""The lock-byte page of such a file."""


def stretch(database: Path) -> None:
    """Leave the queue, which nobody has open, with the same rows and free pages beyond a gigabyte.

    Args:
        database: path of the queue; all of its pages are in use, or become so.
    """
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for sql in (
            "PRAGMA journal_mode = DELETE",
            f"PRAGMA page_size = {PAGE_BYTES}",
            "VACUUM",
        ):
            connection.execute(sql).fetchall()
    used = database.stat().st_size // PAGE_BYTES
    os.truncate(database, PAGES_COUNT * PAGE_BYTES)
    _free(database, [page for page in range(used + 1, PAGES_COUNT + 1) if page != _LOCK_PAGE])
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()


def _free(database: Path, pages: list[int]) -> None:
    """Write the freelist, a trunk for as many pages as it holds, and the header that names it."""
    step = _ENTRIES_MOST + 1
    groups = [pages[start : start + step] for start in range(0, len(pages), step)]
    with database.open("r+b") as file:
        for number, (trunk, *leaves) in enumerate(groups):
            following = groups[number + 1][0] if number + 1 < len(groups) else 0
            file.seek((trunk - 1) * PAGE_BYTES)
            file.write(struct.pack(f">{2 + len(leaves)}I", following, len(leaves), *leaves))
        file.seek(_COUNTER_AT)
        (counter,) = struct.unpack(">I", file.read(4))
        file.seek(_PAGE_COUNT_AT)
        file.write(struct.pack(">3I", PAGES_COUNT, pages[0], len(pages)))
        file.seek(_VALID_FOR_AT)
        file.write(struct.pack(">I", counter))


def overwrite(database: Path, start: int, content: bytes) -> bool:
    """Return whether something else is on the disk at that place of the page than before."""
    with database.open("r+b") as file:
        file.seek(PAGE.start + start)
        before = file.read(len(content))
        file.seek(PAGE.start + start)
        file.write(content)
        file.flush()
        file.seek(PAGE.start + start)
        return file.read(len(content)) == content != before
