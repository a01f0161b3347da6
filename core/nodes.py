"""Pages of a b-tree, read one at a time and as far as they still make sense.

https://www.sqlite.org/fileformat2.html#b_tree_pages. A cell that cannot be read costs that cell,
and never the page.
"""

import struct
from dataclasses import dataclass
from typing import Protocol

from .records import BadRecordError, signed, varint

HEADER_BYTES = 100
"""Of the file, before the b-tree part of page 1."""
INTERIOR_INDEX = 2
INTERIOR_TABLE = 5
LEAF_INDEX = 10
LEAF_TABLE = 13
INTERIOR = (INTERIOR_INDEX, INTERIOR_TABLE)
KINDS = (*INTERIOR, LEAF_INDEX, LEAF_TABLE)
_HEAD = struct.Struct(">BHHHB")
_POINTER_BYTES = 2
_CHILD = struct.Struct(">I")
_CELL_LEAST = 4


class Pages(Protocol):
    """Where pages come from."""

    @property
    def usable(self) -> int:
        """Bytes of each page that hold content."""

    @property
    def count(self) -> int:
        """Pages that there are."""

    def page(self, number: int) -> bytes:
        """Return the content of a page, b"" where there is none."""


@dataclass(frozen=True)
class Node:
    """One page of a b-tree.

    Attributes:
        number: of the page.
        kind: one of KINDS.
        content: the page's bytes that SQLite uses.
        cells: where its cells begin, those that lie within the page.
        right: the rightmost child; 0 in a leaf.
        lost_cells: how many cells it says it has beyond those.
    """

    number: int
    kind: int
    content: bytes
    cells: tuple[int, ...]
    right: int
    lost_cells: int

    @property
    def interior(self) -> bool:
        """Whether it has children."""
        return self.kind in INTERIOR


@dataclass(frozen=True)
class Cell:
    """One row or one entry of an index.

    Attributes:
        rowid: of the row; 0 in an index.
        payload: its record, as much of it as could be read.
        whole: whether that is all of it.
        overflow: the pages that hold what does not fit the page.
    """

    rowid: int
    payload: bytes
    whole: bool
    overflow: tuple[int, ...]


def read_node(pages: Pages, number: int) -> Node | None:
    """Return the page as one of a b-tree, or None where it is none."""
    content = pages.page(number)[: pages.usable]
    start = HEADER_BYTES if number == 1 else 0
    if len(content) < start + _HEAD.size or content[start] not in KINDS:
        return None
    kind, _free, count, _content, _fragments = _HEAD.unpack_from(content, start)
    at = start + _HEAD.size
    right = 0
    if kind in INTERIOR:
        (right,) = _CHILD.unpack_from(content, at)
        at += _CHILD.size
    end = min(at + count * _POINTER_BYTES, len(content) & ~1)
    pointers = struct.unpack_from(f">{max(0, end - at) // _POINTER_BYTES}H", content, at)
    # Cells lie behind all pointers; two pointers to one place are one cell.
    last = len(content) - _CELL_LEAST
    cells = tuple(dict.fromkeys(cell for cell in pointers if end <= cell <= last))
    return Node(number, kind, content, cells, right, count - len(cells))


def looks_like_node(content: bytes, number: int) -> bool:
    """Return whether a page of this length may be one of a b-tree whose cells fill its end.

    Args:
        content: the whole page.
        number: of the page.
    """
    start = HEADER_BYTES if number == 1 else 0
    if len(content) < start + _HEAD.size or content[start] not in KINDS:
        return False
    _kind, _free, count, _begin, _fragments = _HEAD.unpack_from(content, start)
    at = start + _HEAD.size + (_CHILD.size if content[start] in INTERIOR else 0)
    end = at + count * _POINTER_BYTES
    if not count or end > len(content):
        return False
    pointers = struct.unpack_from(f">{count}H", content, at)
    if min(pointers) < end or max(pointers) > len(content) - _CELL_LEAST:
        return False
    # The first cell written lies at the end: in a page twice as long nothing would lie there.
    return len(content) // 2 < _end_of_cell(content, content[start], max(pointers)) <= len(content)


def _end_of_cell(content: bytes, kind: int, at: int) -> int:
    """Return where a cell ends; 0 where it makes no sense."""
    at += _CHILD.size if kind in INTERIOR else 0
    try:
        length, at = varint(content, at)
        if kind == INTERIOR_TABLE:
            return at
        if kind == LEAF_TABLE:
            _rowid, at = varint(content, at)
    except BadRecordError:
        return 0
    local = _local_bytes(length, len(content), table=kind == LEAF_TABLE)
    return at + local + (_CHILD.size if local < length else 0)


def child_of(node: Node, cell: int) -> int:
    """Return the page that the cell of an interior page leads to."""
    (child,) = _CHILD.unpack_from(node.content, cell)
    return int(child)


def key_of(node: Node, cell: int) -> int:
    """Return the highest rowid below the child that the cell of an interior page leads to.

    Raises:
        BadRecordError: there is none that makes sense.
    """
    number, _end = varint(node.content, cell + _CHILD.size)
    return signed(number)


def read_cell(pages: Pages, node: Node, at: int) -> Cell:
    """Return the cell of a leaf, or of an interior page of an index.

    Raises:
        BadRecordError: there is none that makes sense.
    """
    content = node.content
    at += _CHILD.size if node.interior else 0
    length, at = varint(content, at)
    rowid = 0
    if node.kind == LEAF_TABLE:
        number, at = varint(content, at)
        rowid = signed(number)
    if length > pages.count * pages.usable:
        raise BadRecordError("it is longer than the file")
    local = _local_bytes(length, pages.usable, table=node.kind == LEAF_TABLE)
    front = content[at : at + local]
    if len(front) < local or (length > local and at + local + _CHILD.size > len(content)):
        raise BadRecordError("it reaches over the end of its page")
    if length == local:
        return Cell(rowid, front, whole=True, overflow=())
    (first,) = _CHILD.unpack_from(content, at + local)
    return _with_overflow(pages, rowid, front, length, first)


def _local_bytes(length: int, usable: int, *, table: bool) -> int:
    """Return how much of a payload lies in the cell itself.

    https://www.sqlite.org/fileformat2.html#b_tree_pages names these U, P, X, M and K.
    """
    most = usable - 35 if table else (usable - 12) * 64 // 255 - 23
    if length <= most:
        return length
    least = (usable - 12) * 32 // 255 - 23
    kept = least + (length - least) % (usable - 4)
    return kept if kept <= most else least


def _with_overflow(pages: Pages, rowid: int, front: bytes, length: int, page: int) -> Cell:
    parts, left = [front], length - len(front)
    chain: dict[int, None] = {}
    while left > 0 and 1 < page <= pages.count and page not in chain:
        content = pages.page(page)[: pages.usable]
        if len(content) < _CHILD.size:
            break
        chain[page] = None
        (page,) = _CHILD.unpack_from(content, 0)
        parts.append(content[_CHILD.size :][:left])
        left -= len(parts[-1])
    # The last page of a chain leads nowhere: one that goes on is another row's.
    whole = left == 0 and page == 0
    return Cell(rowid, b"".join(parts), whole=whole, overflow=tuple(chain))
