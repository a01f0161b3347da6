"""Faults of many pages at once: what a failing disk does to a file that nobody has open."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from harness.faults.damage import FileFault

_SIZE = slice(16, 18)
_BIT_COUNT = 8
# What leads to everything else is damaged by faults of its own.
_FIRST = 2


@dataclass(frozen=True)
class NoisyPages(FileFault):
    """A part of the file's pages reads as noise: a disk that fails, a memory card that lies.

    Simulated by random bytes over whole pages, the first one apart. Survivable because a page holds
    the rows that are on it and no others: what is on the rest can be read page by page.

    Attributes:
        part: of the pages, from 0 to 1.
        seed: chooses the pages, and makes the bytes.
    """

    name: ClassVar[str] = "noisy-pages"
    asked: ClassVar[str] = "a part of the pages overwritten with noise"
    part: float = 0.05
    seed: int = 0

    def damage(self, database: Path) -> None:
        """Overwrite the pages."""
        chance = random.Random(self.seed)
        content = bytearray(database.read_bytes())
        size = _page_size(content)
        pages = range(_FIRST, len(content) // size + 1)
        for page in chance.sample(pages, max(1, round(len(pages) * self.part))):
            content[(page - 1) * size : page * size] = chance.randbytes(size)
        database.write_bytes(content)


@dataclass(frozen=True)
class SwappedPages(FileFault):
    """Pages lie in each other's places: writes that went to the wrong address.

    Simulated by exchanging the contents of pairs of pages, the first one apart. Survivable because
    a page shows by what is in it whose it is.

    Attributes:
        pairs: how many.
        seed: chooses them.
    """

    name: ClassVar[str] = "swapped-pages"
    asked: ClassVar[str] = "pairs of pages exchanged"
    pairs: int = 3
    seed: int = 0

    def damage(self, database: Path) -> None:
        """Exchange them."""
        chance = random.Random(self.seed)
        content = bytearray(database.read_bytes())
        size = _page_size(content)
        pages = range(_FIRST, len(content) // size + 1)
        chosen = chance.sample(pages, 2 * min(self.pairs, len(pages) // 2))
        for one, other in zip(chosen[::2], chosen[1::2], strict=True):
            first, second = (slice((page - 1) * size, page * size) for page in (one, other))
            content[first], content[second] = content[second], content[first]
        database.write_bytes(content)


@dataclass(frozen=True)
class FlippedBits(FileFault):
    """Single bits all over the file are wrong: memory without a parity, an old disk.

    Simulated by changing bits at random places, the header apart. Survivable because most of them
    cost a row at most; those inside a payload show nowhere but beside a backup.

    Attributes:
        count: how many bits.
        seed: chooses them.
    """

    name: ClassVar[str] = "flipped-bits"
    asked: ClassVar[str] = "single bits changed all over the file"
    count: int = 20
    seed: int = 0

    def damage(self, database: Path) -> None:
        """Change them, each once."""
        chance = random.Random(self.seed)
        content = bytearray(database.read_bytes())
        start = _BIT_COUNT * _page_size(content)
        for bit in chance.sample(range(start, _BIT_COUNT * len(content)), self.count):
            content[bit // _BIT_COUNT] ^= 1 << bit % _BIT_COUNT
        database.write_bytes(content)


def _page_size(content: bytes | bytearray) -> int:
    size = int.from_bytes(content[_SIZE], "big")
    return 65536 if size == 1 else size
