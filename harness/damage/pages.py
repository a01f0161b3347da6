"""What each page of a database is, read from the bytes of its file alone.

The format is https://www.sqlite.org/fileformat2.html; section numbers below are of that page. Only
sound files are read: this is how the matrix knows where to strike.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

HEADER_BYTES = 100
LOCK_BYTE_AT = 0x40000000
"""The page with this byte holds nothing (section 1.4)."""
SCHEMA = "sqlite_schema"
_ENTRY_BYTES = 5
_ROOT_ENTRY = 1
_INTERIOR_HEADER_BYTES = 12
_LEAF_HEADER_BYTES = 8
_VARINT_MOST = 9
_TABLE_INTERIOR, _TABLE_LEAF, _INDEX_INTERIOR, _INDEX_LEAF = 5, 13, 2, 10
_INTERIOR = (_TABLE_INTERIOR, _INDEX_INTERIOR)
# What a serial type takes in the body of a record (section 2.1).
_INTEGER_BYTES = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)
_FIRST_BLOB = 12


class Kind(StrEnum):
    """What a page is."""

    TABLE_INTERIOR = "table-interior"
    TABLE_LEAF = "table-leaf"
    INDEX_INTERIOR = "index-interior"
    INDEX_LEAF = "index-leaf"
    OVERFLOW = "overflow"
    TRUNK = "freelist-trunk"
    FREE = "freelist-leaf"
    POINTER_MAP = "pointer-map"
    LOCK_BYTE = "lock-byte"


_KINDS = {
    _TABLE_INTERIOR: Kind.TABLE_INTERIOR,
    _TABLE_LEAF: Kind.TABLE_LEAF,
    _INDEX_INTERIOR: Kind.INDEX_INTERIOR,
    _INDEX_LEAF: Kind.INDEX_LEAF,
}
BTREE_KINDS = tuple(_KINDS.values())


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        number: from 1.
        kind: what it is.
        owner: table or index that it belongs to; empty where none.
    """

    number: int
    kind: Kind
    owner: str = ""


@dataclass(frozen=True)
class Cell:
    """One cell of a b-tree page (section 1.6), in offsets within the file.

    Attributes:
        child: where the number of the page below stands, or None in a leaf.
        keys: from and to where sizes and the rowid stand.
        head: from and to where the record's header stands; empty in an interior table page.
        values: from and to where each value of the record lies, as far as it is in this page.
        link: where the number of the first overflow page stands, or None.
    """

    child: int | None
    keys: tuple[int, int]
    head: tuple[int, int]
    values: tuple[tuple[int, int], ...]
    link: int | None


@dataclass(frozen=True)
class Btree:
    """The parts of a b-tree page, in offsets within the file.

    Attributes:
        header: from and to.
        pointers: the array of cell pointers, from and to.
        gap: what is unused between it and the cells.
        cells: in the order of their keys.
        right: where the number of the rightmost page below stands, or None in a leaf.
    """

    header: tuple[int, int]
    pointers: tuple[int, int]
    gap: tuple[int, int]
    cells: tuple[Cell, ...]
    right: int | None


@dataclass
class Image:
    """A database file as bytes, each of its pages known.

    Attributes:
        data: the bytes.
        size: of a page.
        pages: by number.
        roots: first page of each table and index.
    """

    data: bytes
    size: int = 0
    pages: dict[int, Page] = field(default_factory=dict)
    roots: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Find out what each page is."""
        size = self._u16(16)
        self.size = 65536 if size == 1 else size
        self._mark_pointer_map()
        self._walk(1, SCHEMA)
        for name, root in list(self.roots.items()):
            self._walk(root, name)
        self._walk_freelist()

    @property
    def count(self) -> int:
        """How many pages there are."""
        return len(self.data) // self.size

    @property
    def usable(self) -> int:
        """How many bytes of a page are used: some may be reserved."""
        return self.size - self.data[20]

    def of(self, kind: Kind, owner: str = "") -> list[Page]:
        """Return the pages of that kind, of that table or index where one is named."""
        pages = sorted(self.pages.values(), key=lambda page: page.number)
        return [each for each in pages if each.kind is kind and owner in {"", each.owner}]

    def start(self, page: int) -> int:
        """Return the offset of the page's first byte."""
        return (page - 1) * self.size

    def content(self, page: int) -> bytes:
        """Return the bytes of the page."""
        return self.data[self.start(page) : self.start(page) + self.size]

    def btree(self, page: int) -> Btree:
        """Return the parts of a b-tree page."""
        start = self.start(page)
        head = start + (HEADER_BYTES if page == 1 else 0)
        kind = self.data[head]
        size = _INTERIOR_HEADER_BYTES if kind in _INTERIOR else _LEAF_HEADER_BYTES
        count, content = self._u16(head + 3), self._u16(head + 5) or 65536
        pointers = (head + size, head + size + 2 * count)
        places = [start + self._u16(at) for at in range(*pointers, 2)]
        return Btree(
            header=(head, head + size),
            pointers=pointers,
            gap=(pointers[1], start + content),
            cells=tuple(self._cell(kind, at) for at in places),
            right=head + _LEAF_HEADER_BYTES if kind in _INTERIOR else None,
        )

    def _cell(self, kind: int, at: int) -> Cell:
        child = at if kind in _INTERIOR else None
        keys = at + 4 if kind in _INTERIOR else at
        payload, after = self._varint(keys)
        if kind == _TABLE_INTERIOR:
            return Cell(child, (keys, after), (after, after), (), None)
        if kind == _TABLE_LEAF:
            _rowid, after = self._varint(after)
        local = self._local(kind, payload)
        head, values = self._record(after, after + local)
        link = after + local if local < payload else None
        return Cell(child, (keys, after), head, values, link)

    def _local(self, kind: int, payload: int) -> int:
        """Return how much of a payload lies in the page (section 1.6)."""
        usable = self.usable
        least = (usable - 12) * 32 // 255 - 23
        most = usable - 35 if kind == _TABLE_LEAF else (usable - 12) * 64 // 255 - 23
        if payload <= most:
            return payload
        fitting = least + (payload - least) % (usable - 4)
        return fitting if fitting <= most else least

    def _record(self, at: int, end: int) -> tuple[tuple[int, int], tuple[tuple[int, int], ...]]:
        size, after = self._varint(at)
        head = (at, at + size)
        values, place = [], head[1]
        while after < head[1]:
            serial, after = self._varint(after)
            long = (serial - _FIRST_BLOB) // 2 if serial >= _FIRST_BLOB else _INTEGER_BYTES[serial]
            values.append((min(place, end), min(place + long, end)))
            place += long
        return head, tuple(values)

    # -- walking ---------------------------------------------------------------------------

    def _mark_pointer_map(self) -> None:
        """Mark the pages that say of others whose they are; only a file that shrinks has them."""
        lock = LOCK_BYTE_AT // self.size + 1
        if lock <= self.count:
            self._mark(lock, Kind.LOCK_BYTE)
        if self._u32(52):
            step = self.usable // _ENTRY_BYTES + 1
            for number in range(2, self.count + 1, step):
                self._mark(number + (number == lock), Kind.POINTER_MAP)

    def _walk(self, number: int, owner: str) -> None:
        kind = _KINDS[self.data[self.start(number) + (HEADER_BYTES if number == 1 else 0)]]
        self._mark(number, kind, owner)
        btree = self.btree(number)
        for cell in btree.cells:
            if cell.link is not None:
                self._walk_overflow(self._u32(cell.link), owner)
            if cell.child is not None:
                self._walk(self._u32(cell.child), owner)
            if owner == SCHEMA and kind is Kind.TABLE_LEAF:
                self._note_root(cell)
        if btree.right is not None:
            self._walk(self._u32(btree.right), owner)

    def _note_root(self, cell: Cell) -> None:
        _type, name, _table, root, *_sql = cell.values
        page = int.from_bytes(self.data[slice(*root)])
        if page:
            self.roots[self.data[slice(*name)].decode()] = page

    def _walk_overflow(self, number: int, owner: str) -> None:
        while number:
            self._mark(number, Kind.OVERFLOW, owner)
            number = self._u32(self.start(number))

    def _walk_freelist(self) -> None:
        trunk = self._u32(32)
        while trunk:
            self._mark(trunk, Kind.TRUNK)
            at = self.start(trunk)
            for leaf in self._u32s(at + 8, self._u32(at + 4)):
                self._mark(leaf, Kind.FREE)
            trunk = self._u32(at)

    def _mark(self, number: int, kind: Kind, owner: str = "") -> None:
        assert number not in self.pages, f"page {number} is {self.pages[number]} and {kind}"
        self.pages[number] = Page(number, kind, owner)

    # -- numbers ---------------------------------------------------------------------------

    def _u16(self, at: int) -> int:
        return int.from_bytes(self.data[at : at + 2])

    def _u32(self, at: int) -> int:
        return int.from_bytes(self.data[at : at + 4])

    def _u32s(self, at: int, count: int) -> Iterator[int]:
        return (number for (number,) in struct.iter_unpack(">I", self.data[at : at + 4 * count]))

    def _varint(self, at: int) -> tuple[int, int]:
        """Return the number that stands there, and where the next byte is."""
        value = 0
        for place in range(at, at + _VARINT_MOST - 1):
            byte = self.data[place]
            value = value << 7 | byte & 0x7F
            if byte < 0x80:  # noqa: PLR2004 - the bit that says that there is more
                return value, place + 1
        last = at + _VARINT_MOST - 1
        return value << 8 | self.data[last], last + 1
