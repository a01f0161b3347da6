"""Walks the frames of a write-ahead log, to find what SQLite would silently leave out.

Recovery stops at the first frame whose checksum or salt is wrong and drops all after it, committed
or not (https://www.sqlite.org/fileformat2.html#walformat); integrity_check stays ok. Whoever runs
this on a live database's -wal must have no connection to it (``observer.py``).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from .files import open_regular
from .walheader import FRAME, HEADER, parse_header
from .walsum import FrameSums, Sums

_MASK = 0xFFFF_FFFF
# So many are summed at one time as the processor's caches hold.
_BATCH_BYTES = 1 << 18
_BATCH_FRAMES_LEAST = 16

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
            a bad frame); "tail" (the last frame of this life, a commit, is bad: a torn write or
            damage). Frames of a transaction that never was committed are no damage.
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
    if not path.is_symlink() and (not path.exists() or path.stat().st_size == 0):
        return WalWalk(0, 0, 0, 0, 0, 0, None, "none", None)
    with open_regular(path) as file:
        return _walk_open(file, path.stat().st_size)


def salt_of(path: Path) -> tuple[int, int] | None:
    """Return the salt of the -wal, or None where there is no header."""
    try:
        with open_regular(path) as file:
            head = file.read(HEADER.size)
    except FileNotFoundError:
        return None
    return None if len(head) < HEADER.size else HEADER.unpack(head)[4:6]


def _walk_open(file: BinaryIO, size: int) -> WalWalk:
    head = file.read(HEADER.size)
    if len(head) < HEADER.size:
        return WalWalk(size, 0, 0, 0, 0, 0, None, "header", None)
    header = parse_header(head)
    frames = 0 if header is None else (size - HEADER.size) // (header.page_size + FRAME.size)
    if header is None or not header.sound:
        # SQLite ignores a log whose header is not sound, and does not open one of another version.
        return WalWalk(size, frames, 0, 0, 0, 0, None, "header", None)
    sums = FrameSums(header.page_size, header.order)
    return _Walker(file, size, frames, sums, header.salt).walk(header.checksum)


class _Frame(NamedTuple):
    """One frame as it lies there.

    Attributes:
        page: number of the page.
        commit: pages of the database after the commit, 0 where the frame ends no transaction.
        salt: of the life that it was written in.
        sums: the checksum of all up to it, as it says.
        own: what it adds to the checksum, as it is.
    """

    page: int
    commit: int
    salt: tuple[int, int]
    sums: Sums
    own: Sums


@dataclass
class _Walker:
    file: BinaryIO
    size: int
    frames: int
    sums: FrameSums
    salt: tuple[int, int]

    def walk(self, running: Sums) -> WalWalk:
        valid = committed = 0
        for number, frame in enumerate(self._read(), 1):
            running = self.sums.after(running, frame.own)
            if frame.salt != self.salt or frame.page == 0 or running != frame.sums:
                bad = _Bad(number, frame, self._was_commit(frame, running))
                return self._stopped(valid, committed, bad)
            valid = number
            committed = number if frame.commit else committed
        return self._result(valid, committed)

    def _read(self) -> Iterator[_Frame]:
        """Yield the frames that the file holds, a batch of them in memory."""
        size = FRAME.size + self.sums.page_size
        most = max(_BATCH_FRAMES_LEAST, _BATCH_BYTES // size)
        for first in range(0, self.frames, most):
            content = self.file.read(min(most, self.frames - first) * size)
            # Somebody may cut it meanwhile; what is not whole is no frame.
            content = content[: len(content) // size * size]
            for number, own in enumerate(self.sums.own(content)):
                page, commit, *salt, sum1, sum2 = FRAME.unpack_from(content, number * size)
                yield _Frame(page, commit, (salt[0], salt[1]), (sum1, sum2), own)

    def _of_this_life(self, salt: tuple[int, int]) -> bool:
        # From one life to the next the first half is counted up and the second one drawn anew:
        # of an earlier life neither is right, and one that is right has a damaged one beside it.
        return salt[0] == self.salt[0] or salt[1] == self.salt[1]

    def _was_commit(self, frame: _Frame, computed: Sums) -> bool:
        """Return whether the frame was written to end a transaction.

        Where one bit of just that mark has turned, the checksum tells what it was.
        """
        missing = ((frame.sums[0] - computed[0]) & _MASK, (frame.sums[1] - computed[1]) & _MASK)
        for bit in range(32):
            written = frame.commit ^ 1 << bit
            more = self.sums.word_of(written) - self.sums.word_of(frame.commit)
            if self.sums.of_changed_commit(more) == missing:
                return written != 0
        return frame.commit != 0

    def _stopped(self, valid: int, committed: int, bad: "_Bad") -> WalWalk:
        """Look at what lies behind the first frame that recovery would not read."""
        stranded = commits = 0
        for _page, commit, *salt, _sum1, _sum2 in self._heads(bad.number):
            if self._of_this_life((salt[0], salt[1])):
                stranded += 1
                commits += commit != 0
        if not commits and not bad.commit:
            # A transaction that was never committed: SQLite leaves its frames without checksums
            # once it has written one of them anew, and mends them at the commit.
            return self._result(valid, committed)
        if stranded:
            return self._result(
                valid, committed, stranded=stranded, commits=commits, bad=bad.number, damage="frame"
            )
        if self._of_this_life(bad.frame.salt):
            return self._result(valid, committed, bad=bad.number, damage="tail")
        # Frames of an earlier life of the log lie behind the end of this one: as it should be.
        return self._result(valid, committed)

    def _heads(self, behind: int) -> Iterator[tuple[int, ...]]:
        """Yield the heads of the frames behind this one, unread what lies between them."""
        size = FRAME.size + self.sums.page_size
        for number in range(behind, self.frames):
            self.file.seek(HEADER.size + number * size)
            head = self.file.read(FRAME.size)
            if len(head) < FRAME.size:
                return
            yield FRAME.unpack(head)

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


@dataclass(frozen=True)
class _Bad:
    """The first frame that recovery would not read.

    Attributes:
        number: of the frame, from 1.
        frame: as it lies there.
        commit: whether it ended a transaction.
    """

    number: int
    frame: _Frame
    commit: bool
