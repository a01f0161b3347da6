"""The parts of pages, frames and journal records, as spans of a specimen's files."""

import struct
from collections.abc import Callable, Iterator, Sequence

from core.schema import TASK_COLUMNS
from harness.damage.pages import SCHEMA, Btree, Cell, Image, Kind
from harness.damage.spans import Span
from harness.damage.specimens import BACKUPS, DATABASE, JOURNAL, WAL, Specimen

WAL_HEADER_BYTES, FRAME_HEADER_BYTES = 32, 24
_ENTRY_BYTES = 5
_PAYLOAD = TASK_COLUMNS.index("payload")
# The rowid is not in the record: its column is an empty value there.
_INDEXED = tuple(
    TASK_COLUMNS.index(name)
    for name in ("type", "priority", "status", "run_after_utc", "idempotency_key")
)
_OTHERS = tuple(set(range(len(TASK_COLUMNS))) - {_PAYLOAD, *_INDEXED})

Find = Callable[[Specimen], Sequence[Span]]
Part = Callable[[Btree], Iterator[tuple[int, int]]]


def _header(page: Btree) -> Iterator[tuple[int, int]]:
    yield page.header


def _pointers(page: Btree) -> Iterator[tuple[int, int]]:
    yield page.pointers


def _gap(page: Btree) -> Iterator[tuple[int, int]]:
    yield page.gap


def _children(page: Btree) -> Iterator[tuple[int, int]]:
    places = [cell.child for cell in page.cells] + [page.right]
    return ((place, place + 4) for place in places if place is not None)


def _keys(page: Btree) -> Iterator[tuple[int, int]]:
    return (cell.keys for cell in page.cells)


def _records(page: Btree) -> Iterator[tuple[int, int]]:
    return (cell.head for cell in page.cells)


def _links(page: Btree) -> Iterator[tuple[int, int]]:
    return ((cell.link, cell.link + 4) for cell in page.cells if cell.link is not None)


def _values(page: Btree) -> Iterator[tuple[int, int]]:
    return (value for cell in page.cells for value in cell.values)


def _columns(*numbers: int) -> Part:
    def columns(cell: Cell) -> Iterator[tuple[int, int]]:
        return (cell.values[number] for number in numbers if number < len(cell.values))

    return lambda page: (value for cell in page.cells for value in columns(cell))


_COMMON: dict[str, Part] = {"header": _header, "pointers": _pointers, "gap": _gap}
BTREE_PARTS: dict[Kind, dict[str, Part]] = {
    Kind.TABLE_INTERIOR: {**_COMMON, "children": _children, "keys": _keys},
    Kind.TABLE_LEAF: {
        **_COMMON,
        "keys": _keys,
        "records": _records,
        "values": _values,
        "payload": _columns(_PAYLOAD),
        "indexed": _columns(*_INDEXED),
        "others": _columns(*_OTHERS),
        "links": _links,
    },
    Kind.INDEX_INTERIOR: {
        **_COMMON,
        "children": _children,
        "keys": _keys,
        "records": _records,
        "values": _values,
    },
    Kind.INDEX_LEAF: {**_COMMON, "keys": _keys, "records": _records, "values": _values},
}
_OF_TASKS = ("payload", "indexed", "others", "links")


def parts_of(kind: Kind, owner: str) -> list[str]:
    """Return the names of the parts that such a page is struck in."""
    if owner == SCHEMA:
        return [part for part in BTREE_PARTS[kind] if part not in _OF_TASKS]
    # The columns of a task are looked at one kind at a time.
    return [part for part in BTREE_PARTS[kind] if kind != Kind.TABLE_LEAF or part != "values"]


def btree_part(kind: Kind, owner: str, part: str) -> Find:
    """Return what finds a part of the b-tree pages of that kind, of that table or index."""

    def find(specimen: Specimen) -> list[Span]:
        image = specimen.image
        pages = (image.btree(page.number) for page in image.of(kind, owner))
        return _spans(DATABASE, (each for page in pages for each in BTREE_PARTS[kind][part](page)))

    return find


def _spans(name: str, places: Iterator[tuple[int, int]]) -> list[Span]:
    return [Span(name, start, end - start) for start, end in places if end > start]


# -- pages that are no b-tree's ------------------------------------------------------------------


def _of_pages(kind: Kind, start: int, size: int) -> Find:
    """Return what finds the same piece of every page of that kind; a size of 0 is all the rest."""

    def find(specimen: Specimen) -> list[Span]:
        image = specimen.image
        starts = [image.start(page.number) for page in image.of(kind)]
        return [Span(DATABASE, at + start, size or image.size - start) for at in starts]

    return find


def _trunk_entries(specimen: Specimen) -> list[Span]:
    image = specimen.image
    starts = [image.start(page.number) for page in image.of(Kind.TRUNK)]
    counts = [int.from_bytes(image.data[at + 4 : at + 8]) for at in starts]
    return [
        Span(DATABASE, at + 8 + 4 * number, 4)
        for at, count in zip(starts, counts, strict=True)
        for number in range(count)
    ]


def _map_entries(specimen: Specimen) -> list[Span]:
    """Return the entries of pages that the file has."""
    image = specimen.image
    (page,) = image.of(Kind.POINTER_MAP)
    count = image.count - page.number
    start = image.start(page.number)
    return [Span(DATABASE, start + _ENTRY_BYTES * n, _ENTRY_BYTES) for n in range(count)]


def _map_rest(specimen: Specimen) -> list[Span]:
    """Return what is left of the page behind them."""
    image = specimen.image
    (page,) = image.of(Kind.POINTER_MAP)
    used = _ENTRY_BYTES * (image.count - page.number)
    return [Span(DATABASE, image.start(page.number) + used, image.size - used)]


OTHER_PARTS: dict[str, dict[str, Find]] = {
    "overflow": {
        "next": _of_pages(Kind.OVERFLOW, 0, 4),
        "content": _of_pages(Kind.OVERFLOW, 4, 0),
    },
    "freelist-trunk": {
        "next": _of_pages(Kind.TRUNK, 0, 4),
        "count": _of_pages(Kind.TRUNK, 4, 4),
        "entries": _trunk_entries,
    },
    "freelist-leaf": {"content": _of_pages(Kind.FREE, 0, 0)},
    "pointer-map": {"entries": _map_entries, "rest": _map_rest},
}


# -- the -wal ------------------------------------------------------------------------------------


def frames_of(content: bytes) -> list[tuple[int, int, bool]]:
    """Return where each frame starts, how long it is, and whether it is of the log's own life."""
    page = int.from_bytes(content[8:12])
    step, salt = FRAME_HEADER_BYTES + page, content[16:24]
    starts = range(WAL_HEADER_BYTES, len(content) - step + 1, step)
    return [(at, step, content[at + 8 : at + 16] == salt) for at in starts]


def _own(specimen: Specimen) -> list[tuple[int, int]]:
    return [(at, size) for at, size, own in frames_of(specimen.files[WAL]) if own]


def frames(specimen: Specimen) -> list[Span]:
    """Return the frames of the log's life, but for the last."""
    return [Span(WAL, at, size) for at, size in _own(specimen)[:-1]]


def frame_part(start: int, size: int) -> Find:
    """Return what finds a field of the frames' headers, but for the last frame's."""
    return lambda specimen: [Span(WAL, span.start + start, size) for span in frames(specimen)]


def frame_bodies(specimen: Specimen) -> list[Span]:
    """Return the pages in the frames, but for the last."""
    return [_body(span.start, span.size) for span in frames(specimen)]


def last_frame_body(specimen: Specimen) -> list[Span]:
    """Return the page in the last frame: nothing lies behind it that would be missed."""
    return [_body(*_own(specimen)[-1])]


def frames_of_older_life(specimen: Specimen) -> list[Span]:
    """Return the frames that an earlier life has left behind the end of this one."""
    found = frames_of(specimen.files[WAL])
    return [Span(WAL, at, size) for at, size, own in found if not own]


def _body(at: int, size: int) -> Span:
    return Span(WAL, at + FRAME_HEADER_BYTES, size - FRAME_HEADER_BYTES)


# -- the rollback journal ------------------------------------------------------------------------


def journal_record(part: str) -> Find:
    """Return what finds the part of every record: page-number, body or checksum."""

    def find(specimen: Specimen) -> list[Span]:
        content = specimen.files[JOURNAL]
        count, _nonce, _pages, sector, page = struct.unpack(">5I", content[8:28])
        places = {"page-number": (0, 4), "body": (4, page), "checksum": (4 + page, 4)}
        start, size = places[part]
        return [Span(JOURNAL, sector + n * (page + 8) + start, size) for n in range(count)]

    return find


# -- the backup ----------------------------------------------------------------------------------


def header_of_backup(specimen: Specimen) -> list[Span]:
    """Return the file header of the newest backup."""
    return [Span(f"{BACKUPS}/{specimen.newest}", 0, 100)]


def pages_of_backup(specimen: Specimen, name: str) -> list[Span]:
    """Return the leaves of the backup's task table: a free page is not missed by SQLite."""
    image = Image(specimen.files[name])
    pages = image.of(Kind.TABLE_LEAF, "task_queue")
    return [Span(name, image.start(page.number), image.size) for page in pages]


def payloads_of_backup(specimen: Specimen) -> list[Span]:
    """Return the payloads in the newest backup."""
    name = f"{BACKUPS}/{specimen.newest}"
    image = Image(specimen.files[name])
    pages = (image.btree(page.number) for page in image.of(Kind.TABLE_LEAF, "task_queue"))
    part = BTREE_PARTS[Kind.TABLE_LEAF]["payload"]
    return _spans(name, (each for page in pages for each in part(page)))
