"""Bytes of an SQLite file made wrong by somebody who knows what they mean.

https://www.sqlite.org/fileformat2.html
"""

import random
import re

_ODD_NUMBERS = (
    0, 1, 2, 3, 5, 13, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000,
    0xFFFFFFFE, 0xFFFFFFFF,
)  # fmt: skip
# Offset and length of each field of the file's header.
_HEADER_FIELDS = (
    (16, 2), (18, 1), (19, 1), (20, 1), (21, 1), (22, 1), (23, 1), (24, 4), (28, 4), (32, 4),
    (36, 4), (40, 4), (44, 4), (48, 4), (52, 4), (56, 4), (60, 4), (64, 4), (68, 4), (92, 4),
    (96, 4),
)  # fmt: skip
_PAGE_COUNT, _CHANGES, _VALID_FOR = 28, 24, 92
_FILE_HEADER = 100
_KINDS = (2, 5, 10, 13, 0, 1, 255)
_INTERIOR = (2, 5)
# The nine bytes of the largest number, and of lengths that no file has.
_ODD_VARINTS = (
    b"\x00", b"\x01", b"\x7f", b"\xff\x7f", b"\x87\xff\xff\xff\x7f", b"\x88\x80\x80\x80\x00",
    b"\xff" * 9, b"\x80" * 8 + b"\x01", b"\x8f\xff\xff\xff\x7f",
)  # fmt: skip


def odd_number(chance: random.Random, length: int) -> bytes:
    """Return a number at the edge of something, in so many bytes."""
    number = chance.choice((*_ODD_NUMBERS, chance.getrandbits(8 * length)))
    return (number & ((1 << 8 * length) - 1)).to_bytes(length, "big")


def page_size_of(content: bytes | bytearray) -> int:
    """Return the page size that the header claims, a usual one where it claims nonsense."""
    size = int.from_bytes(content[16:18], "big")
    size = 65536 if size == 1 else size
    return size if 512 <= size <= 65536 and size & (size - 1) == 0 else 4096  # noqa: PLR2004 - limits


def change_header(chance: random.Random, content: bytearray) -> str:
    """Claim something else in the file's header."""
    offset, length = chance.choice(_HEADER_FIELDS)
    content[offset : offset + length] = odd_number(chance, length)
    if offset == _PAGE_COUNT:
        # Where these two differ, SQLite looks at the file's length instead.
        content[_VALID_FOR : _VALID_FOR + 4] = content[_CHANGES : _CHANGES + 4]
    return f"header field at {offset} changed"


def _some_page(chance: random.Random, content: bytearray) -> tuple[int, int]:
    """Return where a page and its b-tree header begin."""
    size = page_size_of(content)
    number = chance.randrange(max(1, len(content) // size))
    return number * size, number * size + (_FILE_HEADER if number == 0 else 0)


def change_tree_header(chance: random.Random, content: bytearray) -> str:
    """Claim something else in the header of one b-tree page."""
    _start, head = _some_page(chance, content)
    field, length = chance.choice(((0, 1), (1, 2), (3, 2), (5, 2), (7, 1), (8, 4)))
    value = bytes([chance.choice(_KINDS)]) if field == 0 else odd_number(chance, length)
    content[head + field : head + field + length] = value
    return f"field {field} of the page at {head} changed"


def _cell(chance: random.Random, content: bytearray) -> tuple[int, int, int]:
    """Return where the pointer of a cell is, its page, and the cell."""
    start, head = _some_page(chance, content)
    count = max(1, int.from_bytes(content[head + 3 : head + 5], "big"))
    skipped = 12 if content[head : head + 1] and content[head] in _INTERIOR else 8
    pointer = head + skipped + 2 * chance.randrange(min(count, 400))
    return pointer, start, start + int.from_bytes(content[pointer : pointer + 2], "big")


def move_cell(chance: random.Random, content: bytearray) -> str:
    """Have the pointer of a cell lead elsewhere: into another cell, the header, or nowhere."""
    pointer, _start, _cell_at = _cell(chance, content)
    content[pointer : pointer + 2] = odd_number(chance, 2)
    return f"pointer at {pointer} changed"


def change_cell(chance: random.Random, content: bytearray) -> str:
    """Claim another length, id, type or next page in one cell."""
    _pointer, _start, cell = _cell(chance, content)
    place = cell + chance.choice((0, 0, 1, 2, 3, 4, 5, 6, 8, 12))
    value = chance.choice((*_ODD_VARINTS, odd_number(chance, 4)))
    content[place : place + len(value)] = value[: max(0, len(content) - place)]
    return f"cell at {cell} changed at {place}"


def swap_pages(chance: random.Random, content: bytearray) -> str:
    """Swap two pages, or put one in the place of another too."""
    size = page_size_of(content)
    count = max(1, len(content) // size)
    one, two = (chance.randrange(count) * size for _ in range(2))
    first, second = content[one : one + size], content[two : two + size]
    content[two : two + len(first)] = first
    if chance.random() < 0.5:  # noqa: PLR2004 - as often as not
        content[one : one + len(second)] = second
    return f"pages at {one} and {two} swapped or doubled"


def lead_to_page(chance: random.Random, content: bytearray) -> str:
    """Have four bytes of a page lead to some page: often a circle."""
    start, _head = _some_page(chance, content)
    size = page_size_of(content)
    place = start + chance.choice((0, 4, size - 4, chance.randrange(size)))
    number = chance.randrange(1, max(2, len(content) // size + 2))
    content[place : place + 4] = number.to_bytes(4, "big")[: max(0, len(content) - place)]
    return f"page {number} named at {place}"


def change_schema_text(chance: random.Random, content: bytearray) -> str:
    """Change a word in the schema's text into another of the same length."""
    old, new = chance.choice(_WORDS)
    places = [found.start() for found in re.finditer(re.escape(old), content)]
    if not places:
        return f"there is no {old!r}"
    place = chance.choice(places)
    content[place : place + len(old)] = new
    return f"{old!r} at {place} made {new!r}"


_WORDS = (
    (b"CREATE TABLE", b"CREATE VIEW "),
    (b"CREATE INDEX", b"CREATE TABLE"),
    (b"task_queue", b"task_queuf"),
    (b"task_queue", b"sqlite_que"),
    (b"task_logs", b"task_quux"),
    (b"json_extract", b"randomblob  "),
    (b"json_extract", b"load_extensi"),
    (b"VIRTUAL", b"STORED "),
    (b"INTEGER", b"WITHOUT"),
    (b"TEXT", b"ANY "),
    (b"status", b"rowid "),
    (b"PRIMARY KEY", b"UNIQUE     "),
    (b"AUTOINCREMENT", b"             "),
    (b"table", b"index"),
    (b"index", b"view "),
    (b"NOT NULL", b"COLLATE "),
    (b"DEFAULT", b"CHECK  "),
)
PAGES = (
    change_header, change_header, change_tree_header, change_tree_header, move_cell, change_cell,
    change_cell, change_cell, swap_pages, lead_to_page, lead_to_page, change_schema_text,
)  # fmt: skip
"""All of them, the likelier ones more than once."""
