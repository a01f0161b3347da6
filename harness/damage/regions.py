"""The regions of a queue's files, each with the places of a specimen that it consists of.

Section numbers are of https://www.sqlite.org/fileformat2.html.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from core.manifest import SUFFIX
from harness.damage import inside
from harness.damage.pages import SCHEMA, Kind, Page
from harness.damage.spans import Span
from harness.damage.specimens import BACKUPS, DATABASE, JOURNAL, SHM, WAL, Specimen

SETTLED, SHRINKING, LOGGED, JOURNALED = "settled", "shrinking", "logged", "journaled"
SPECIMENS = (SETTLED, SHRINKING, LOGGED, JOURNALED)
Find = Callable[[Specimen], Sequence[Span]]


class Shape(StrEnum):
    """How large a region is, which says what can happen to it."""

    FIELD = "field"
    PAGE = "page"
    FILE = "file"


@dataclass(frozen=True)
class Region:
    """A part of the files that damage may strike.

    Attributes:
        name: kebab-case, stable; "group/part" where it is a part.
        specimen: the queue that has it.
        shape: how large it is.
        find: returns its places in the specimen.
    """

    name: str
    specimen: str
    shape: Shape
    find: Find

    @property
    def group(self) -> str:
        """What it is a part of."""
        return self.name.partition("/")[0]

    @property
    def of_backup(self) -> bool:
        """Whether it belongs to a backup and not to the queue itself."""
        return self.group in {"backup", "manifest", "backup-and-manifest"}


# https://www.sqlite.org/fileformat2.html#the_database_header
_HEADER_FIELDS = {
    "magic": (0, 16),
    "page-size": (16, 2),
    "write-version": (18, 1),
    "read-version": (19, 1),
    "reserved-space": (20, 1),
    "payload-fractions": (21, 3),
    "change-counter": (24, 4),
    "page-count": (28, 4),
    "freelist-trunk": (32, 4),
    "freelist-count": (36, 4),
    "schema-cookie": (40, 4),
    "schema-format": (44, 4),
    "cache-size": (48, 4),
    "largest-root": (52, 4),
    "text-encoding": (56, 4),
    "user-version": (60, 4),
    "incremental-vacuum": (64, 4),
    "application-id": (68, 4),
    "unused": (72, 20),
    "version-valid-for": (92, 4),
    "sqlite-version": (96, 4),
}
_WAL_HEADER_FIELDS = {
    "magic": (0, 4),
    "version": (4, 4),
    "page-size": (8, 4),
    "sequence": (12, 4),
    "salt": (16, 8),
    "checksum": (24, 8),
}
_FRAME_FIELDS = {"page-number": (0, 4), "commit-size": (4, 4), "salt": (8, 8), "checksum": (16, 8)}
_JOURNAL_FIELDS = {
    "magic": (0, 8),
    "record-count": (8, 4),
    "nonce": (12, 4),
    "page-count": (16, 4),
    "sector-size": (20, 4),
    "page-size": (24, 4),
}
# Where the parts of a b-tree page are struck: of a table that has all of them.
_BTREES = {
    "schema-page": (Kind.TABLE_LEAF, SCHEMA),
    "table-interior": (Kind.TABLE_INTERIOR, "task_queue"),
    "table-leaf": (Kind.TABLE_LEAF, "task_queue"),
    "index-interior": (Kind.INDEX_INTERIOR, ""),
    "index-leaf": (Kind.INDEX_LEAF, "ix_task_status_prio_time"),
}


def _at(name: str, start: int, size: int) -> Find:
    return lambda _specimen: [Span(name, start, size)]


def _whole(name: str) -> Find:
    return lambda specimen: [Span(name, 0, len(specimen.files.get(name, b"")))]


def _newest(specimen: Specimen) -> str:
    return f"{BACKUPS}/{specimen.newest}"


def _whole_backup(specimen: Specimen) -> list[Span]:
    name = _newest(specimen)
    return [Span(name, 0, len(specimen.files[name]))]


def _manifest(specimen: Specimen) -> list[Span]:
    name = _newest(specimen) + SUFFIX
    return [Span(name, 0, len(specimen.files[name]))]


def _pages(choose: Callable[[Specimen], Sequence[Page]]) -> Find:
    def find(specimen: Specimen) -> list[Span]:
        image = specimen.image
        return [Span(DATABASE, image.start(page.number), image.size) for page in choose(specimen)]

    return find


def _of_kind(kind: Kind, owner: str = "") -> Callable[[Specimen], Sequence[Page]]:
    return lambda specimen: specimen.image.of(kind, owner)


def _last(specimen: Specimen) -> list[Page]:
    return [specimen.image.pages[specimen.image.count]]


def _backup_pages(specimen: Specimen) -> list[Span]:
    """Return the leaves of its table: a page that is free is not missed by SQLite."""
    return inside.pages_of_backup(specimen, _newest(specimen))


def _database_regions() -> list[Region]:
    fields = [
        Region(
            f"header/{name}",
            SHRINKING if name in {"largest-root", "incremental-vacuum"} else SETTLED,
            Shape.FIELD,
            _at(DATABASE, *place),
        )
        for name, place in _HEADER_FIELDS.items()
    ]
    parts = [
        Region(f"{page}/{part}", SETTLED, Shape.FIELD, inside.btree_part(kind, owner, part))
        for page, (kind, owner) in _BTREES.items()
        for part in inside.parts_of(kind, owner)
    ]
    pages = [
        Region(page, SETTLED, Shape.PAGE, _pages(_of_kind(kind, owner)))
        for page, (kind, owner) in _BTREES.items()
    ]
    return [*fields, *pages, *parts]


def _other_page_regions() -> list[Region]:
    """Return the pages that are no b-tree's, whole and by their parts."""
    whole = {
        "overflow": (SETTLED, _of_kind(Kind.OVERFLOW)),
        "freelist-trunk": (SETTLED, _of_kind(Kind.TRUNK)),
        "freelist-leaf": (SETTLED, _of_kind(Kind.FREE)),
        "pointer-map": (SHRINKING, _of_kind(Kind.POINTER_MAP)),
        "last-page": (SETTLED, _last),
    }
    pages = [
        Region(name, specimen, Shape.PAGE, _pages(choose))
        for name, (specimen, choose) in whole.items()
    ]
    parts = [
        Region(f"{page}/{part}", whole[page][0], Shape.FIELD, find)
        for page, found in inside.OTHER_PARTS.items()
        for part, find in found.items()
    ]
    return [*pages, *parts]


def _wal_regions() -> list[Region]:
    header = [
        Region(f"wal-header/{name}", LOGGED, Shape.FIELD, _at(WAL, *place))
        for name, place in _WAL_HEADER_FIELDS.items()
    ]
    frame = [
        Region(f"wal-frame/{name}", LOGGED, Shape.FIELD, inside.frame_part(*place))
        for name, place in _FRAME_FIELDS.items()
    ]
    return [
        Region("wal", LOGGED, Shape.FILE, _whole(WAL)),
        *header,
        Region("wal-frame", LOGGED, Shape.PAGE, inside.frames),
        *frame,
        Region("wal-frame/body", LOGGED, Shape.FIELD, inside.frame_bodies),
        Region("wal-frame/last-body", LOGGED, Shape.FIELD, inside.last_frame_body),
        Region("wal-frame/older-life", LOGGED, Shape.FIELD, inside.frames_of_older_life),
        Region("shm", LOGGED, Shape.FILE, _whole(SHM)),
    ]


def _journal_regions() -> list[Region]:
    header = [
        Region(f"journal-header/{name}", JOURNALED, Shape.FIELD, _at(JOURNAL, *place))
        for name, place in _JOURNAL_FIELDS.items()
    ]
    record = [
        Region(f"journal-record/{part}", JOURNALED, Shape.FIELD, inside.journal_record(part))
        for part in ("page-number", "body", "checksum")
    ]
    return [Region("journal", JOURNALED, Shape.FILE, _whole(JOURNAL)), *header, *record]


def _backup_regions() -> list[Region]:
    return [
        Region("backup", SETTLED, Shape.FILE, _whole_backup),
        Region("backup/header", SETTLED, Shape.FIELD, inside.header_of_backup),
        Region("backup/page", SETTLED, Shape.PAGE, _backup_pages),
        Region("backup/payload", SETTLED, Shape.FIELD, inside.payloads_of_backup),
        Region("manifest", SETTLED, Shape.FILE, _manifest),
        Region("manifest/text", SETTLED, Shape.FIELD, _manifest),
        Region("backup-and-manifest", SETTLED, Shape.FILE, _whole_backup),
    ]


REGIONS: tuple[Region, ...] = (
    Region("database", SETTLED, Shape.FILE, _whole(DATABASE)),
    *_database_regions(),
    *_other_page_regions(),
    *_wal_regions(),
    *_journal_regions(),
    *_backup_regions(),
)
"""Every region but the lock-byte page, which takes a file of more than a gigabyte."""
