"""The checksums of a write-ahead log's frames, of many frames at one time.

SQLite adds each pair of words to a pair of sums, modulo 2**32, where either sum takes in the other
(https://www.sqlite.org/fileformat2.html#checksum_algorithm). All of that is linear: what a frame
adds does not depend on the sums that it starts from, and those pass through it as by a matrix of
Fibonacci numbers. So the sums of a batch of frames are taken side by side, each in 64 bits of one
large integer, and then put behind each other: in Python that is several times as fast as to add
word after word.
"""

import array
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Order = Literal["<", ">"]
Sums = tuple[int, int]

FRAME_HEADER_BYTES = 24
_SUMMED_HEADER_BYTES = 8
_MASK = 0xFFFF_FFFF
# A sum of 32 bits grows by less than two bits a step, and has 64.
_STEPS_WITHIN_64_BITS = 15


@dataclass(frozen=True)
class FrameSums:
    """Checksums of frames with pages of one size.

    Attributes:
        page_size: bytes a page.
        order: of the bytes in a word.
    """

    page_size: int
    order: Order

    def own(self, frames: bytes) -> list[Sums]:
        """Return what each of the frames adds, in their order.

        Args:
            frames: whole frames, one behind the other.
        """
        count = len(frames) // (FRAME_HEADER_BYTES + self.page_size)
        words = array.array("Q", _little_endian(frames, self.order))
        low = int.from_bytes(b"\xff\xff\xff\xff\0\0\0\0" * count, "little")
        first = second = 0
        for step, place in enumerate(self._places, 1):
            pairs = int.from_bytes(words[place :: self._stride].tobytes(), "little")
            first += second + (pairs & low)
            second += first + (pairs >> 32 & low)
            if step % _STEPS_WITHIN_64_BITS == 0:
                first &= low
                second &= low
        return list(zip(_lanes(first & low, count), _lanes(second & low, count), strict=True))

    def after(self, start: Sums, own: Sums) -> Sums:
        """Return the sums behind a frame.

        Args:
            start: the sums before it.
            own: what it adds.
        """
        one, two, three = self._passing
        return (
            (one * start[0] + two * start[1] + own[0]) & _MASK,
            (two * start[0] + three * start[1] + own[1]) & _MASK,
        )

    def of_changed_commit(self, more: int) -> Sums:
        """Return what changes in a frame's sums where the second word, its commit mark, does.

        Args:
            more: by how much the word is more.
        """
        one, two, _three = _fibonacci(2 * self._pairs - 1)
        return one * more & _MASK, two * more & _MASK

    def word_of(self, number: int) -> int:
        """Return the word that a number in the head of a frame is to the checksum."""
        return int.from_bytes(number.to_bytes(4, "big"), "big" if self.order == ">" else "little")

    @property
    def _pairs(self) -> int:
        return (_SUMMED_HEADER_BYTES + self.page_size) // 8

    @property
    def _stride(self) -> int:
        return (FRAME_HEADER_BYTES + self.page_size) // 8

    @property
    def _places(self) -> tuple[int, ...]:
        """Which pairs of words of a frame are summed: not its salts, and not its sums."""
        return (0, *range(FRAME_HEADER_BYTES // 8, self._stride))

    @cached_property
    def _passing(self) -> tuple[int, int, int]:
        return _fibonacci(2 * self._pairs)


def checksum(data: bytes, start: Sums, order: Order) -> Sums:
    """Return the running checksum over the data, whose length is a multiple of eight."""
    first, second = start
    for even, odd in struct.iter_unpack(f"{order}2I", data):
        first = (first + even + second) & _MASK
        second = (second + odd + first) & _MASK
    return first, second


def _little_endian(frames: bytes, order: Order) -> bytes:
    if order == "<":
        return frames
    words = array.array("I", frames)
    words.byteswap()
    return words.tobytes()


def _lanes(packed: int, count: int) -> tuple[int, ...]:
    """Return the low half of each 64 bits."""
    return struct.unpack(f"<{2 * count}I", packed.to_bytes(8 * count, "little"))[::2]


def _fibonacci(number: int) -> tuple[int, int, int]:
    """Return the Fibonacci numbers before, at and behind this place, modulo 2**32."""
    here, behind = 0, 1
    for bit in f"{number:b}":
        # Of 2n and 2n + 1, from those of n and n + 1.
        here, behind = here * (2 * behind - here), here * here + behind * behind
        if bit == "1":
            here, behind = behind, here + behind
        here, behind = here & _MASK, behind & _MASK
    return (behind - here) & _MASK, here, behind
