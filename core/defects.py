"""Defects of SQLite itself that an operator must know about, told by its version number.

A version number is what the library says of itself: a distribution may have put a fix under an
old number, so these are warnings and never verdicts.
"""

from .connection import Connection, scalar

_DEFECT_FROM = (3, 7, 0)
_FIXED_FROM = (3, 51, 3)
# Releases of older branches that carry the fix too: the first of each, and where the branch ends.
_BACKPORTS = (((3, 50, 7), (3, 51, 0)), ((3, 44, 6), (3, 45, 0)))
_NUMBERS = 3


def version_of(connection: Connection) -> str:
    """Return the version of the SQLite behind the connection, which need not be Python's own."""
    return str(scalar(connection, "SELECT sqlite_version()"))


def has_wal_reset_defect(connection: Connection) -> bool:
    """Return whether the SQLite behind the connection has the WAL-reset defect."""
    numbers = version_of(connection).split(".")[:_NUMBERS]
    return wal_reset_defect(tuple(int(number) for number in numbers))


def wal_reset_defect(version_info: tuple[int, ...]) -> bool:
    """Return whether an SQLite of this version has the WAL-reset defect.

    A checkpoint that resets the write-ahead log beside another checkpoint and a writer can corrupt
    the database (https://www.sqlite.org/wal.html, section 11): 3.7.0 to 3.51.2, but not 3.50.7 and
    later 3.50s, nor 3.44.6 and later 3.44s.

    Args:
        version_info: as in ``sqlite3.sqlite_version_info``; numbers after the third are ignored.
    """
    version = version_info[:3]
    if not _DEFECT_FROM <= version < _FIXED_FROM:
        return False
    return not any(first <= version < end for first, end in _BACKPORTS)
