"""Faults of the files: what disks, people and scripts do to a queue that nobody has open.

The target is the database's path. Nothing in this process may have it open: closing a file drops
the locks of this process's own connections to it
(https://www.sqlite.org/howtocorrupt.html, section 2.2).
"""

import abc
import contextlib
import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from core.errors import (
    DatabaseCorruptError,
    DatabaseMissingError,
    EmptyDatabaseError,
    NotADatabaseError,
    NotAQueueError,
    StrayJournalError,
)
from core.paths import sides, wal_of
from harness.faults.fault import Sighting

_HEADER_BYTES = 100
# Of writing and of reading: 1 with a rollback journal, 2 with a -wal.
_FORMAT_VERSIONS_AT = 18
_WAL_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
Contents = dict[Path, bytes | None]


class FileFault(abc.ABC):
    """A fault that changes the files of the set: database, -wal, -shm and -journal.

    It is confirmed by digests of all files, taken before and after. What was there comes back at
    the end, unless somebody has changed the set meanwhile (a restore, say): then it stays theirs.
    """

    name: ClassVar[str]
    asked: ClassVar[str]
    permitted: ClassVar[tuple[type[Exception], ...]] = (DatabaseCorruptError, NotADatabaseError)

    @contextlib.contextmanager
    def inject(self, target: Path) -> Iterator[Sighting]:
        """Damage the files for the body."""
        before = _contents(target)
        self.damage(target)
        after = _contents(target)
        try:
            yield Sighting(before != after, _difference(before, after))
        finally:
            if _contents(target) == after:
                _put_back(before)

    @abc.abstractmethod
    def damage(self, database: Path) -> None:
        """Do it to the files."""


@dataclass(frozen=True)
class DeletedDatabase(FileFault):
    """Somebody deletes the queue, its -wal and -shm with it.

    Simulated by deleting the files. Survivable because backups lie in another folder.
    """

    name: ClassVar[str] = "deleted-database"
    asked: ClassVar[str] = "the database and all beside it deleted"
    permitted: ClassVar[tuple[type[Exception], ...]] = (DatabaseMissingError,)

    def damage(self, database: Path) -> None:
        """Delete the whole set."""
        for file in (database, *sides(database)):
            file.unlink(missing_ok=True)


@dataclass(frozen=True)
class LeftOverWal(FileFault):
    """The database is gone and its -wal stays: the trap of a restore by copying.

    Simulated by deleting the database alone. Survivable because a restore lets no file of the old
    set meet the new one; a -wal that does is replayed over it.
    """

    name: ClassVar[str] = "left-over-wal"
    asked: ClassVar[str] = "the database deleted, its -wal with committed tasks left behind"
    permitted: ClassVar[tuple[type[Exception], ...]] = (DatabaseMissingError, StrayJournalError)

    @contextlib.contextmanager
    def inject(self, target: Path) -> Iterator[Sighting]:
        """Delete it for the body; confirmed by digests, and by a -wal with frames that stays."""
        wal = wal_of(target)
        with super().inject(target) as sighting:
            frames = wal.exists() and wal.stat().st_size > _WAL_HEADER_BYTES
            sighting.confirmed = sighting.confirmed and frames and not target.exists()
            sighting.evidence += f"; -wal of {wal.stat().st_size if frames else 0} bytes stays"
            yield sighting

    def damage(self, database: Path) -> None:
        """Delete the database alone."""
        database.unlink()


@dataclass(frozen=True)
class ForeignWal(FileFault):
    """A backup is copied over the queue, and the -wal of the old file stays beside it.

    Simulated by a header that says of the file what it says of such a copy: no write-ahead log.
    Survivable because who looks before he opens the file sees that the -wal is not its own; SQLite
    replays it (https://www.sqlite.org/howtocorrupt.html, section 1.4).
    """

    name: ClassVar[str] = "foreign-wal"
    asked: ClassVar[str] = "a file without a log of its own put beside the -wal of another"

    @contextlib.contextmanager
    def inject(self, target: Path) -> Iterator[Sighting]:
        """Change it for the body; confirmed by digests, and by a -wal with frames beside it."""
        wal = wal_of(target)
        with super().inject(target) as sighting:
            stays = wal.exists() and wal.stat().st_size > _WAL_HEADER_BYTES
            sighting.confirmed = sighting.confirmed and stays
            sighting.evidence += f"; -wal of {wal.stat().st_size if stays else 0} bytes stays"
            yield sighting

    def damage(self, database: Path) -> None:
        """Say in the header that the file is in a rollback journal mode."""
        _write_at(database, _FORMAT_VERSIONS_AT, b"\x01\x01")


@dataclass(frozen=True)
class DestroyedHeader(FileFault):
    """The first hundred bytes of the file are overwritten, by a stray write or another program.

    Simulated by zeros. Survivable because SQLite reads no file without its header, and says so.
    """

    name: ClassVar[str] = "destroyed-header"
    asked: ClassVar[str] = f"the first {_HEADER_BYTES} bytes overwritten"

    def damage(self, database: Path) -> None:
        """Overwrite the header with zeros."""
        _write_at(database, 0, bytes(_HEADER_BYTES))


@dataclass(frozen=True)
class ZeroedPage(FileFault):
    """A page inside the file reads as zeros: a disk that lost a sector, a crash of its cache.

    Simulated by zeros over one page. Survivable because a page of zeros is no b-tree page.

    Attributes:
        page: its number, from 1.
    """

    name: ClassVar[str] = "zeroed-page"
    asked: ClassVar[str] = "one page overwritten with zeros"
    page: int = 2

    def damage(self, database: Path) -> None:
        """Overwrite the page with zeros."""
        size = _page_size(database)
        _write_at(database, (self.page - 1) * size, bytes(size))


@dataclass(frozen=True)
class TruncatedFile(FileFault):
    """The end of the file is missing: a copy that was cut off, a disk that was full.

    Simulated by cutting the file. Survivable because the header says how many pages there are.

    Attributes:
        kept: the part that stays, from 0 to 1.
    """

    name: ClassVar[str] = "truncated-file"
    asked: ClassVar[str] = "the file cut off"
    kept: float = 0.5
    permitted: ClassVar[tuple[type[Exception], ...]] = (
        DatabaseCorruptError,
        NotADatabaseError,
        EmptyDatabaseError,
    )

    def damage(self, database: Path) -> None:
        """Cut the file to whole pages of its kept part."""
        size = _page_size(database)
        pages = int(database.stat().st_size * self.kept) // size
        os.truncate(database, pages * size)


@dataclass(frozen=True)
class GarbageFile(FileFault):
    """The file holds something else altogether.

    Simulated by bytes that repeat from the seed. Survivable because they have no header.

    Attributes:
        seed: makes the bytes.
    """

    name: ClassVar[str] = "garbage-file"
    asked: ClassVar[str] = "the whole content replaced by noise"
    permitted: ClassVar[tuple[type[Exception], ...]] = (NotADatabaseError, NotAQueueError)
    seed: int = 0

    def damage(self, database: Path) -> None:
        """Replace the content by noise of the same length."""
        noise = hashlib.shake_256(str(self.seed).encode()).digest(database.stat().st_size)
        database.write_bytes(noise)


@dataclass(frozen=True)
class FlippedBit(FileFault):
    """One bit of the file is wrong, as disks and memory do it.

    Simulated by changing one bit. Survivable because a backup's digest is known; in a live file,
    most such bits pass every check of SQLite's.

    Attributes:
        offset: of the byte, from the start of the file.
    """

    name: ClassVar[str] = "flipped-bit"
    asked: ClassVar[str] = "one bit changed"
    offset: int = 0

    def damage(self, database: Path) -> None:
        """Change the lowest bit of the byte."""
        _flip(database, self.offset)


@dataclass(frozen=True)
class LostWrite(FileFault):
    """A disk says that it has written a page, and has not: it holds what it held before.

    Simulated by putting back one page as it was. Survivable because a digest of each finished task
    is kept outside the file; a page that was sound before is sound to every check of SQLite's.

    Attributes:
        page: its number, from 1.
        before: what it held; where nothing is given it never was written, and reads as zeros.
    """

    name: ClassVar[str] = "lost-write"
    asked: ClassVar[str] = "one page as it was before it was last written"
    page: int = 2
    before: bytes = b""

    def damage(self, database: Path) -> None:
        """Put the page back as it was."""
        size = _page_size(database)
        _write_at(database, (self.page - 1) * size, self.before or bytes(size))


@dataclass(frozen=True)
class DamagedWal(FileFault):
    """A byte in the middle of the -wal is wrong: recovery drops all that was committed behind it.

    Simulated by changing one bit in the page of a frame. Survivable because the frames' checksums
    and salts show it to who walks them before SQLite opens the file; ``integrity_check`` stays ok
    (https://www.sqlite.org/fileformat2.html#walformat).

    Attributes:
        frame: number of the frame, from 1.
    """

    name: ClassVar[str] = "damaged-wal"
    asked: ClassVar[str] = "one bit changed in a frame of the -wal"
    permitted: ClassVar[tuple[type[Exception], ...]] = (DatabaseCorruptError,)
    frame: int = 2

    def damage(self, database: Path) -> None:
        """Change one bit in the middle of the frame's page."""
        size = _page_size(database)
        start = _WAL_HEADER_BYTES + (self.frame - 1) * (_FRAME_HEADER_BYTES + size)
        _flip(wal_of(database), start + _FRAME_HEADER_BYTES + size // 2)


# -- bytes ---------------------------------------------------------------------------------------


def _contents(database: Path) -> Contents:
    files = (database, *sides(database))
    return {file: file.read_bytes() if file.exists() else None for file in files}


def _difference(before: Contents, after: Contents) -> str:
    words = [
        f"{file.name} {_digest(before[file])} before, {_digest(after[file])} after"
        for file in before
        if before[file] != after[file]
    ]
    return "; ".join(words) or "all files are as they were"


def _digest(content: bytes | None) -> str:
    return "missing" if content is None else f"sha256 {hashlib.sha256(content).hexdigest()[:12]}"


def _put_back(contents: Contents) -> None:
    for file, content in contents.items():
        if content is None:
            file.unlink(missing_ok=True)
        else:
            file.write_bytes(content)


def _page_size(database: Path) -> int:
    with database.open("rb") as file:
        (size,) = struct.unpack(">16xH", file.read(18))
    return 65536 if size == 1 else int(size)


def _write_at(file: Path, offset: int, content: bytes) -> None:
    with file.open("r+b") as stream:
        stream.seek(offset)
        stream.write(content)


def _flip(file: Path, offset: int) -> None:
    with file.open("r+b") as stream:
        stream.seek(offset)
        (byte,) = stream.read(1)
        stream.seek(offset)
        stream.write(bytes([byte ^ 1]))
