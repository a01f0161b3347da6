"""Walks the frames of a write-ahead log, to find what SQLite would silently leave out.

Recovery stops at the first frame whose checksum or salt is wrong and drops all after it, committed
or not (https://www.sqlite.org/fileformat2.html#walformat); integrity_check stays ok. Whoever runs
this on a live database's -wal must have no connection to it (``observer.py``).
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC_LITTLE = 0x377F0682
_MAGIC_BIG = 0x377F0683

Damage = Literal["none", "header", "frame", "tail"]


@dataclass(frozen=True)
class WalWalk:
    """What the frames of a write-ahead log say.

    Attributes:
        size_bytes: length of the file.
        frames: whole frames that fit in the file.
        valid: frames that recovery reads, from the first on.
        committed: frames up to and with the last commit among the valid ones.
        stranded: frames of this log's life that lie after the first bad one, so are dropped.
        stranded_commits: commits among them: transactions that were written and would vanish.
        bad_frame: number of the first bad frame, from 1, or None.
        damage: "none"; "header" (the whole log is ignored); "frame" (something valid lies behind
            a bad frame); "tail" (the last frame of this life is bad: a torn write or damage).
        salt: the log's salt, to tell one life of it from the next.
    """

    size_bytes: int
    frames: int
    valid: int
    committed: int
    stranded: int
    stranded_commits: int
    bad_frame: int | None
    damage: Damage
    salt: tuple[int, int] | None


def walk(path: Path) -> WalWalk:
    """Return what the frames of the -wal say; a missing or empty file is undamaged.

    Raises:
        OSError: it cannot be read.
    """
    if not path.exists() or path.stat().st_size == 0:
        return WalWalk(0, 0, 0, 0, 0, 0, None, "none", None)
    with path.open("rb") as file:
        return _walk_open(file, path.stat().st_size)


def salt_of(path: Path) -> tuple[int, int] | None:
    """Return the salt of the -wal, or None where there is no header."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER.size)
    except FileNotFoundError:
        return None
    return None if len(head) < _HEADER.size else _HEADER.unpack(head)[4:6]


def _walk_open(file: BinaryIO, size: int) -> WalWalk:
    head = file.read(_HEADER.size)
    if len(head) < _HEADER.size:
        return WalWalk(size, 0, 0, 0, 0, 0, None, "header", None)
    magic, _version, page_size, _sequence, salt1, salt2, sum1, sum2 = _HEADER.unpack(head)
    page_size = 65536 if page_size == 1 else page_size
    known = magic in (_MAGIC_LITTLE, _MAGIC_BIG) and page_size in _PAGE_SIZES
    order: Literal["<", ">"] = ">" if magic == _MAGIC_BIG else "<"
    frames = (size - _HEADER.size) // (page_size + _FRAME.size) if known else 0
    if not known or _checksum(head[:24], (0, 0), order) != (sum1, sum2):
        return WalWalk(size, frames, 0, 0, 0, 0, None, "header", None)
    return _Walker(file, size, frames, page_size, (salt1, salt2), order).walk((sum1, sum2))


_PAGE_SIZES = tuple(1 << bits for bits in range(9, 17))


@dataclass
class _Walker:
    file: BinaryIO
    size: int
    frames: int
    page_size: int
    salt: tuple[int, int]
    order: Literal["<", ">"]

    def walk(self, checksum: tuple[int, int]) -> WalWalk:
        valid = committed = 0
        for number in range(1, self.frames + 1):
            head, page = self._frame()
            _page, commit, salt1, salt2, sum1, sum2 = _FRAME.unpack(head)
            if (salt1, salt2) != self.salt:
                return self._stopped(valid, committed, number, of_this_life=False, commit=False)
            checksum = _checksum(head[:8], checksum, self.order)
            checksum = _checksum(page, checksum, self.order)
            if checksum != (sum1, sum2):
                return self._stopped(
                    valid, committed, number, of_this_life=True, commit=commit != 0
                )
            valid = number
            committed = number if commit else committed
        return self._result(valid, committed)

    def _frame(self) -> tuple[bytes, bytes]:
        return self.file.read(_FRAME.size), self.file.read(self.page_size)

    def _stopped(
        self, valid: int, committed: int, bad: int, *, of_this_life: bool, commit: bool
    ) -> WalWalk:
        """Look at what lies behind the first frame that recovery would not read."""
        stranded = commits = 0
        for _number in range(bad + 1, self.frames + 1):
            head, _page = self._frame()
            fields = _FRAME.unpack(head)
            if fields[2:4] == self.salt:
                stranded += 1
                commits += fields[1] != 0
        if stranded and not commits and not commit:
            # A transaction that was never committed: SQLite leaves its frames without checksums
            # once it has written one of them anew, and mends them at the commit.
            return self._result(valid, committed)
        if stranded:
            return self._result(
                valid, committed, stranded=stranded, commits=commits, bad=bad, damage="frame"
            )
        if of_this_life:
            return self._result(valid, committed, bad=bad, damage="tail")
        # Frames of an earlier life of the log lie behind the end of this one: as it should be.
        return self._result(valid, committed)

    def _result(
        self,
        valid: int,
        committed: int,
        *,
        stranded: int = 0,
        commits: int = 0,
        bad: int | None = None,
        damage: Damage = "none",
    ) -> WalWalk:
        return WalWalk(
            self.size, self.frames, valid, committed, stranded, commits, bad, damage, self.salt
        )


def _checksum(data: bytes, start: tuple[int, int], order: Literal["<", ">"]) -> tuple[int, int]:
    """Return SQLite's running WAL checksum over the data, whose length is a multiple of eight."""
    first, second = start
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
