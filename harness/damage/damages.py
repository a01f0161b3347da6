"""What may happen to a region: each damage turns a set of files into another one.

Nothing here touches a disk; what is laid out afterwards is compared byte by byte.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from core.manifest import SUFFIX
from harness.damage.inside import frames
from harness.damage.pages import Image
from harness.damage.regions import Region, Shape
from harness.damage.spans import Files, Span, replaced
from harness.damage.specimens import BACKUPS, DATABASE, JOURNAL, WAL, Specimen

SECTOR_BYTES = 512
_RUN_MOST = 16
_PAGE_SIZE_AT, _OTHER_PAGE_SIZE = 16, (8192).to_bytes(2)
_HEADER_BYTES = 100
Strike = Callable[[Specimen, Span, random.Random], Files | None]
"""Returns the damaged set; None where it would be as it was, and another place is to be drawn."""


@dataclass(frozen=True)
class Damage:
    """One way to be damaged.

    Attributes:
        name: kebab-case, stable.
        shapes: of the regions that it strikes.
        asked: what happens, for the report.
        world: how it comes about.
        strike: does it.
        only: names of regions that alone can be struck so; all of the shape where empty.
        never: region and why it cannot be.
    """

    name: str
    shapes: tuple[Shape, ...]
    asked: str
    world: str
    strike: Strike
    only: tuple[str, ...] = ()
    never: tuple[tuple[str, str], ...] = ()

    def reason_against(self, region: Region) -> str:
        """Return why the region cannot be struck so, or nothing."""
        if region.shape not in self.shapes:
            return f"strikes a {' or a '.join(self.shapes)}"
        if self.only and region.name not in self.only:
            return f"is for {', '.join(self.only)}"
        return dict(self.never).get(region.name, "")


# -- bytes of a piece ------------------------------------------------------------------------


def _bit(specimen: Specimen, span: Span, chance: random.Random) -> Files:
    content = bytearray(span.of(specimen.files))
    bit = chance.randrange(8 * span.size)
    content[bit // 8] ^= 1 << bit % 8
    return replaced(specimen.files, span, bytes(content))


def _run(specimen: Specimen, span: Span, chance: random.Random) -> Files | None:
    size = min(_RUN_MOST, span.size)
    start = span.start + chance.randrange(span.size - size + 1)
    return _changed(specimen.files, Span(span.file, start, size), chance.randbytes(size))


def _changed(files: Files, span: Span, content: bytes) -> Files | None:
    return None if span.of(files) == content else replaced(files, span, content)


# -- pages ---------------------------------------------------------------------------------------


def _zeroed(specimen: Specimen, span: Span, _chance: random.Random) -> Files | None:
    return _changed(specimen.files, span, bytes(span.size))


def _sector(specimen: Specimen, span: Span, chance: random.Random) -> Files | None:
    start = span.start + SECTOR_BYTES * chance.randrange(span.size // SECTOR_BYTES)
    return _changed(specimen.files, Span(span.file, start, SECTOR_BYTES), bytes(SECTOR_BYTES))


def _stale(specimen: Specimen, span: Span, _chance: random.Random) -> Files | None:
    old = _older(specimen, span)
    return None if old is None else _changed(specimen.files, span, old)


def _torn(specimen: Specimen, span: Span, chance: random.Random) -> Files | None:
    old = _older(specimen, span)
    if old is None:
        return None
    cut = SECTOR_BYTES * chance.randrange(1, span.size // SECTOR_BYTES)
    return _changed(specimen.files, span, span.of(specimen.files)[:cut] + old[cut:])


def _swapped(specimen: Specimen, span: Span, chance: random.Random) -> Files | None:
    others = [other for other in _alike(specimen, span) if other != span]
    if not others:
        return None
    other = chance.choice(others)
    first, second = span.of(specimen.files), other.of(specimen.files)
    return _changed(replaced(specimen.files, other, first), span, second)


def _older(specimen: Specimen, span: Span) -> bytes | None:
    """Return what stood there before: a write that was lost leaves it."""
    if span.file.startswith(BACKUPS):
        before: Files = {span.file: specimen.files[f"{BACKUPS}/{specimen.older}"]}
    else:
        before = specimen.others["older"]
    return span.of(before) if len(before[span.file]) >= span.end else None


def _alike(specimen: Specimen, span: Span) -> list[Span]:
    """Return the pages of the same kind and owner; of a page that has no like, all pages."""
    if span.file == WAL:
        return [Span(WAL, span.start + step * span.size, span.size) for step in (-2, -1, 1, 2)]
    image = specimen.image if span.file == DATABASE else Image(specimen.files[span.file])
    page = image.pages[span.start // image.size + 1]
    alike = image.of(page.kind, page.owner)
    if len(alike) == 1:
        alike = [each for each in image.pages.values() if each.number != 1]
    return [Span(span.file, image.start(each.number), image.size) for each in alike]


# -- files ---------------------------------------------------------------------------------------


def _cut(specimen: Specimen, span: Span, chance: random.Random) -> Files:
    kept = chance.randrange(_HEADER_BYTES, span.size)
    return {**specimen.files, span.file: specimen.files[span.file][:kept]}


def _cut_between(specimen: Specimen, span: Span, chance: random.Random) -> Files:
    """Cut where a page ends, or a frame of the log's own life."""
    content = specimen.files[span.file]
    if span.file == WAL:
        kept = chance.choice(frames(specimen)).end
    else:
        size = Image(content).size
        kept = size * chance.randrange(1, len(content) // size)
    return {**specimen.files, span.file: content[:kept]}


def _grown(specimen: Specimen, span: Span, chance: random.Random) -> Files:
    more = chance.randbytes(chance.choice((7, 4096, 8192)))
    return {**specimen.files, span.file: specimen.files[span.file] + more}


def _garbage(specimen: Specimen, span: Span, chance: random.Random) -> Files:
    return replaced(specimen.files, span, chance.randbytes(span.size))


def _nothing_in_it(specimen: Specimen, span: Span, _chance: random.Random) -> Files:
    return {**specimen.files, span.file: b""}


def _missing(specimen: Specimen, span: Span, _chance: random.Random) -> Files:
    return {name: content for name, content in specimen.files.items() if name != span.file}


def _page_size(specimen: Specimen, span: Span, _chance: random.Random) -> Files:
    return replaced(specimen.files, Span(span.file, _PAGE_SIZE_AT, 2), _OTHER_PAGE_SIZE)


def _of_older_state(specimen: Specimen, span: Span, _chance: random.Random) -> Files:
    if span.file.startswith(BACKUPS):
        return {**specimen.files, span.file: specimen.files[_older_backup(specimen, span)]}
    older = specimen.others["older"]
    if span.file == JOURNAL:
        # Its transaction was ended long ago; another one has been committed since.
        return {**specimen.files, **specimen.others["sound"], JOURNAL: older[JOURNAL]}
    return {**specimen.files, span.file: older[span.file]}


def _of_another_queue(specimen: Specimen, span: Span, _chance: random.Random) -> Files:
    if span.file.startswith(BACKUPS):
        return {**specimen.files, span.file: specimen.others["other-queue"][DATABASE]}
    sound = specimen.others["sound"] if span.file == JOURNAL else {}
    return {**specimen.files, **sound, span.file: specimen.others["other-queue"][span.file]}


def _older_backup(specimen: Specimen, span: Span) -> str:
    suffix = SUFFIX if span.file.endswith(SUFFIX) else ""
    return f"{BACKUPS}/{specimen.older}{suffix}"


def _bit_in_both(specimen: Specimen, span: Span, chance: random.Random) -> Files:
    """Strike a backup and its manifest."""
    files = dict(specimen.files)
    for name in (span.file, span.file + SUFFIX):
        content = bytearray(files[name])
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        files[name] = bytes(content)
    return files


def _both_missing(specimen: Specimen, span: Span, _chance: random.Random) -> Files:
    gone = (span.file, span.file + SUFFIX)
    return {name: content for name, content in specimen.files.items() if name not in gone}


_PIECES, _PAGES, _WHOLE = (Shape.FIELD,), (Shape.PAGE,), (Shape.FILE,)
_FILES = ("database", "wal", "shm", "journal", "backup", "manifest")
_BOTH = "backup-and-manifest"
_SAME = "its content means nothing, of whatever age"

DAMAGES: tuple[Damage, ...] = (
    Damage("bit", _PIECES, "one bit changed", "a disk, a cable or memory that errs", _bit),
    Damage("run", _PIECES, f"up to {_RUN_MOST} bytes overwritten", "a stray write", _run),
    Damage(
        "sector",
        _PAGES,
        "512 bytes of zeros",
        "a sector that a disk gave up",
        _sector,
        never=(("freelist-leaf", "it is zeros already where secure_delete is on"),),
    ),
    Damage(
        "zeroed",
        _PAGES,
        "a whole page of zeros",
        "a block that a file system never wrote",
        _zeroed,
        never=(("freelist-leaf", "it is zeros already where secure_delete is on"),),
    ),
    Damage(
        "overwritten",
        _PAGES,
        "a whole page of noise",
        "a write of something else that went astray",
        _garbage,
    ),
    Damage(
        "stale",
        _PAGES,
        "a page as it was before the last work",
        "a write that was lost",
        _stale,
        never=(("freelist-leaf", _SAME), ("last-page", "it was not there before")),
    ),
    Damage(
        "torn",
        _PAGES,
        "the first sectors new, the rest as it was before",
        "a power cut in the middle of a page",
        _torn,
        never=(
            ("freelist-leaf", _SAME),
            ("last-page", "it was not there before"),
            ("schema-page", "nothing has changed behind its first sector"),
            ("freelist-trunk", "nothing has changed behind its first sector"),
        ),
    ),
    Damage(
        "swapped",
        _PAGES,
        "two pages in each other's place",
        "a write that went astray, a file system that lost its way",
        _swapped,
        never=(("freelist-leaf", "all are alike"),),
    ),
    Damage(
        "truncated",
        _WHOLE,
        "cut off anywhere",
        "a copy that was cut off, a full disk",
        _cut,
        only=_FILES,
    ),
    Damage(
        "truncated-between",
        _WHOLE,
        "cut off where a page or a frame ends",
        "a copy that was cut off, a lost extent",
        _cut_between,
        only=("database", "wal", "backup"),
    ),
    Damage("emptied", _WHOLE, "nothing in it", "a copy that failed", _nothing_in_it, only=_FILES),
    Damage(
        "grown", _WHOLE, "bytes behind its end", "a stray write, a bad copy", _grown, only=_FILES
    ),
    Damage("garbage", _WHOLE, "noise of the same length", "another file", _garbage, only=_FILES),
    Damage("missing", _WHOLE, "deleted", "a clean-up, a hand", _missing, only=_FILES),
    Damage(
        "page-size",
        _WHOLE,
        "a header that names another page size",
        "a file put together from two",
        _page_size,
        only=("database", "backup"),
    ),
    Damage(
        "older-life",
        _WHOLE,
        "the file as it was before",
        "a copy put back alone, without what belongs to it",
        _of_older_state,
        only=_FILES,
    ),
    Damage(
        "other-queue",
        _WHOLE,
        "the file of another queue",
        "a copy under the wrong name",
        _of_another_queue,
        only=("wal", "journal", "backup"),
    ),
    Damage(
        "bit-in-both",
        _WHOLE,
        "one bit changed in each",
        "a disk that fails",
        _bit_in_both,
        only=(_BOTH,),
    ),
    Damage("both-missing", _WHOLE, "both deleted", "a clean-up", _both_missing, only=(_BOTH,)),
)
"""Every damage but what has to do with rights: a read-only -shm, see ``cells.py``."""
