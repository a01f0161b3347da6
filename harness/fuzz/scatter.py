"""Bytes made wrong without knowing what they mean: as a disk, a cable or a careless copy does."""

import random

_RUN_MOST = 600
_SECTOR = 512
_FLIPS_MOST = 8


def flip_bits(chance: random.Random, content: bytearray) -> str:
    """Turn up to eight bits."""
    places = [chance.randrange(len(content)) for _ in range(chance.randint(1, _FLIPS_MOST))]
    for place in places:
        content[place] ^= 1 << chance.randrange(8)
    return f"bits turned at {places}"


def overwrite_run(chance: random.Random, content: bytearray) -> str:
    """Overwrite a run with zeros, ones, noise, or another part of the file."""
    length = min(chance.randint(1, _RUN_MOST), len(content))
    place = chance.randrange(len(content) - length + 1)
    other = chance.randrange(len(content) - length + 1)
    run = chance.choice((
        bytes(length),
        b"\xff" * length,
        chance.randbytes(length),
        bytes(content[other : other + length]),
    ))  # fmt: skip
    content[place : place + length] = run
    return f"{length} bytes at {place} overwritten"


def swap_sectors(chance: random.Random, content: bytearray) -> str:
    """Swap two sectors."""
    count = max(1, len(content) // _SECTOR)
    one, two = (chance.randrange(count) * _SECTOR for _ in range(2))
    first, second = content[one : one + _SECTOR], content[two : two + _SECTOR]
    if len(first) == len(second):
        content[one : one + _SECTOR], content[two : two + _SECTOR] = second, first
    return f"sectors at {one} and {two} swapped"


def cut(chance: random.Random, content: bytearray) -> str:
    """Cut the end off."""
    length = chance.randrange(len(content))
    del content[length:]
    return f"cut to {length} bytes"


def lengthen(chance: random.Random, content: bytearray) -> str:
    """Put something behind the end."""
    length = chance.choice((1, 100, 512, 4096, 65536))
    content += chance.choice((bytes(length), chance.randbytes(length), bytes(content[:length])))
    return f"{length} bytes put behind the end"


SCATTER = (
    flip_bits,
    flip_bits,
    flip_bits,
    overwrite_run,
    overwrite_run,
    swap_sectors,
    cut,
    lengthen,
)
"""All of them, the likelier ones more than once."""
