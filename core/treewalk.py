"""Walks b-trees whose pages may be damaged: what cannot be read costs itself and nothing beside it.

Each page is read as part of one tree only, so that no ring of pages keeps a walk from ending, and
pages that no tree leads to are known afterwards.
"""

import contextlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .nodes import (
    INTERIOR_INDEX,
    INTERIOR_TABLE,
    LEAF_INDEX,
    LEAF_TABLE,
    Cell,
    Node,
    child_of,
    key_of,
    read_cell,
    read_node,
)
from .pagefile import PageFile
from .records import BadRecordError

FREE = "the free list"
LOOSE = "no tree"
_LISTED_MOST = 1000
_EVERY_ID = range(-(2**63), 2**63)
_TRUNK = struct.Struct(">II")
_ENTRY = struct.Struct(">I")


@dataclass(frozen=True)
class PageError:
    """A page, or a part of one, that could not be read.

    Attributes:
        page: its number.
        tree: whose page it is, as far as that is known.
        what: what is wrong with it.
    """

    page: int
    tree: str
    what: str


@dataclass
class Errors:
    """What could not be read.

    Attributes:
        first: the first ones.
        count: how many there are in all.
        by_tree: how many in each tree.
    """

    first: list[PageError] = field(default_factory=list)
    count: int = 0
    by_tree: dict[str, int] = field(default_factory=dict)

    def add(self, page: int, tree: str, what: str) -> None:
        """Take one more."""
        self.count += 1
        self.by_tree[tree] = self.by_tree.get(tree, 0) + 1
        if len(self.first) < _LISTED_MOST:
            self.first.append(PageError(page, tree, what))


@dataclass(frozen=True)
class Found:
    """A cell, and where it was found.

    Attributes:
        cell: the row or entry.
        page: whose cell it is.
        kind: of the page.
        placed: whether its rowid lies between those that its tree has on both sides of the page.
            A row that does not was brought there by damage, and may be of any age.
    """

    cell: Cell
    page: int
    kind: int
    placed: bool = True


class TreeWalk:
    """The walk through one file.

    Args:
        pages: the file.
        each_page: called once for each page that is looked at; an exception from it ends the walk.

    Attributes:
        owner: whose each page is, of those that a tree or the free list leads to.
        chained: pages that hold what did not fit into the page of its row.
        errors: what could not be read.
    """

    def __init__(self, pages: PageFile, each_page: Callable[[], object]) -> None:
        self._pages = pages
        self._each_page = each_page
        self.owner: dict[int, str] = {}
        self.chained: set[int] = set()
        self.errors = Errors()

    def table(self, root: int, name: str) -> Iterator[Found]:
        """Yield the rows of the table whose tree begins at the page."""
        return self._tree(root, name, (INTERIOR_TABLE, LEAF_TABLE))

    def index(self, root: int, name: str) -> Iterator[Found]:
        """Yield the entries of the index whose tree begins at the page."""
        return self._tree(root, name, (INTERIOR_INDEX, LEAF_INDEX))

    def loose(self) -> Iterator[Found]:
        """Yield the rows and entries on the pages that no tree or list walked so far leads to."""
        for number in self._pages.numbers():
            if number in self.owner:
                continue
            self._each_page()
            node = read_node(self._pages, number)
            if node is not None and node.kind != INTERIOR_TABLE:
                yield from self._cells(node, LOOSE)

    def free_list(self, trunk: int) -> None:
        """Claim the pages of the free list, whose rows were deleted."""
        while trunk and self._may_claim(trunk, FREE):
            content = self._pages.page(trunk)
            self.owner[trunk] = FREE
            self._each_page()
            if len(content) < _TRUNK.size:
                self.errors.add(trunk, FREE, "it is not there")
                return
            trunk, count = _TRUNK.unpack_from(content)
            most = (self._pages.usable - _TRUNK.size) // _ENTRY.size
            if count > most:
                self.errors.add(trunk, FREE, "it lists more pages than fit in it")
                return
            for (page,) in _ENTRY.iter_unpack(content[_TRUNK.size :][: count * _ENTRY.size]):
                if self._may_claim(page, FREE):
                    self.owner[page] = FREE

    def freed(self) -> Iterator[Found]:
        """Yield the cells of the leaves among the free pages."""
        for number in [page for page, owner in self.owner.items() if owner == FREE]:
            self._each_page()
            node = read_node(self._pages, number)
            if node is not None and node.kind == LEAF_TABLE:
                yield from self._cells(node, FREE)

    def hidden_free_lists(self) -> None:
        """Claim the pages of free lists that nothing leads to, known by what such a page holds."""
        for number in self._pages.numbers():
            if number not in self.owner and self._is_trunk(number):
                self.free_list(number)

    def _is_trunk(self, number: int) -> bool:
        content = self._pages.page(number)[: self._pages.usable]
        if len(content) < _TRUNK.size:
            return False
        following, count = _TRUNK.unpack_from(content)
        if following > self._pages.count or not 1 <= count <= len(content) // _ENTRY.size - 2:
            return False
        listed = [page for (page,) in _ENTRY.iter_unpack(content[8 : 8 + count * _ENTRY.size])]
        return all(1 < page <= self._pages.count for page in listed) and len({*listed}) == count

    def _tree(self, root: int, name: str, kinds: tuple[int, int]) -> Iterator[Found]:
        waiting = [(root, _EVERY_ID)]
        while waiting:
            number, ids = waiting.pop()
            node = self._claimed(number, name, kinds)
            if node is None:
                continue
            if node.interior:
                waiting += self._children(node, ids)[::-1]
            if node.kind != INTERIOR_TABLE:
                yield from self._cells(node, name, ids)

    def _children(self, node: Node, ids: range) -> list[tuple[int, range]]:
        """Return the children, each with the ids that its rows may have."""
        children = []
        low = ids.start
        for cell in node.cells:
            high = ids.stop
            if node.kind == INTERIOR_TABLE:
                with contextlib.suppress(BadRecordError):
                    high = min(key_of(node, cell) + 1, ids.stop)
            children.append((child_of(node, cell), range(low, high)))
            low = max(low, high) if node.kind == INTERIOR_TABLE else low
        return [*children, (node.right, range(low, ids.stop))]

    def _claimed(self, number: int, name: str, kinds: tuple[int, int]) -> Node | None:
        if not self._may_claim(number, name):
            return None
        self._each_page()
        node = read_node(self._pages, number)
        if node is None or node.kind not in kinds:
            # It stays nobody's: it may be a page of another tree that came here.
            self.errors.add(number, name, "it is no page of such a tree")
            return None
        self.owner[number] = name
        if node.lost_cells:
            self.errors.add(number, name, f"{node.lost_cells} of its cells lie outside of it")
        return node

    def _may_claim(self, number: int, name: str) -> bool:
        if not 1 <= number <= self._pages.count:
            self.errors.add(number, name, "there is no such page")
        elif number in self.owner:
            self.errors.add(number, name, f"it belongs to {self.owner[number]} too")
        else:
            return True
        return False

    def _cells(self, node: Node, name: str, ids: range = _EVERY_ID) -> Iterator[Found]:
        for at in node.cells:
            try:
                cell = read_cell(self._pages, node, at)
            except BadRecordError as error:
                self.errors.add(node.number, name, f"one of its cells cannot be read: {error}")
                continue
            self.chained.update(cell.overflow)
            yield Found(cell, node.number, node.kind, placed=cell.rowid in ids)
