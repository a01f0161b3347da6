"""The moments of a record at which a power cut can strike, and what it may leave at each.

A cut just before something is synced may leave all that a cut since the sync before it may leave,
so these moments and the end of the record are all that there are. At each, any of the loose changes
may be on the disk, and of a write any of the sectors that it touches. What lies in a sector beside
the write stays as it is, as SQLite takes for granted unless it is told otherwise
(https://www.sqlite.org/psow.html).
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, pairwise, product

from harness.disk.model import Disk, Loose, LooseWrite, State
from harness.disk.record import Entry, What

SECTORS_BYTES = (4096, 512)
_SHARES = (0.05, 0.3, 0.5, 0.7, 0.95)
_OUT_OF_ORDER = 0.25


@dataclass(frozen=True, eq=False)
class Moment:
    """One moment.

    Attributes:
        number: of the entry before which it is, from 0.
        what: happens next, for people.
        said: all marks until then, in order.
        disk: as it is then; valid until the next moment is asked for.
    """

    number: int
    what: str
    said: tuple[Entry, ...]
    disk: Disk

    def __str__(self) -> str:
        last = f", after {self.said[-1]}" if self.said else ""
        return f"before {self.what} (call {self.number}{last})"


@dataclass(frozen=True, eq=False)
class Cut:
    """One power cut.

    Attributes:
        moment: when.
        loose: all that it may undo.
        there: what of it is on the disk all the same, in this order.
    """

    moment: Moment
    loose: Sequence[Loose]
    there: Sequence[Loose]

    def lost(self) -> list[Loose]:
        """Return what it undid."""
        there = set(self.there)
        return [each for each in self.loose if each not in there]

    def left(self) -> State:
        """Return what it leaves."""
        return self.moment.disk.left(self.there)


def moments(record: Iterable[Entry], disk: Disk, *, at_marks: str = "") -> Iterator[Moment]:
    """Yield the moments of the record in order.

    Args:
        record: of one operation or more.
        disk: new; it follows the record.
        at_marks: also yield the moment after each mark of this kind.
    """
    said: list[Entry] = []
    number = 0
    for number, entry in enumerate(record):
        if disk.is_synced_by(entry):
            yield Moment(number, str(entry), tuple(said), disk)
        disk.follow(entry)
        if entry.what is What.MARK:
            said.append(entry)
            if at_marks and entry.said.get("kind") == at_marks:
                yield Moment(number, "anything else", tuple(said), disk)
    yield Moment(number + 1, "anything else", tuple(said), disk)


@dataclass(frozen=True)
class Budget:
    """How many cuts are tried at one moment.

    Attributes:
        enumerated: so many or fewer are all tried.
        drawn: of more, so many are drawn at each size of the sector.
    """

    enumerated: int
    drawn: int


def cuts(moment: Moment, budget: Budget, chance: random.Random) -> Iterator[Cut]:
    """Yield cuts at the moment: all where they are few, else those that tell most, and draws.

    Args:
        moment: when.
        budget: how many.
        chance: decides; seeded.
    """
    loose = list(moment.disk.loose)
    if 2 ** len(loose) <= budget.enumerated:
        yield from _all(moment, loose)
    else:
        yield from _telling(moment, loose)
        yield from drawn(moment, loose, budget.drawn, chance)
    for sector in SECTORS_BYTES:
        pieces = torn(loose, sector)
        if len(pieces) == len(loose):
            continue
        if 2 ** len(pieces) <= budget.enumerated:
            yield from _all(moment, pieces)
        else:
            yield from drawn(moment, pieces, budget.drawn, chance)


def torn(loose: Iterable[Loose], sector: int) -> list[Loose]:
    """Return the same changes, each write torn into those of the sectors that it touches."""
    return [piece for each in loose for piece in _torn(each, sector)]


def _torn(each: Loose, sector: int) -> Iterator[Loose]:
    if not isinstance(each, LooseWrite):
        yield each
        return
    end = each.offset + len(each.data)
    edges = [each.offset, *range(each.offset // sector * sector + sector, end, sector), end]
    if not edges[1:-1]:
        yield each
        return
    for first, last in pairwise(edges):
        yield LooseWrite(
            inode=each.inode,
            told=f"bytes {first} to {last} of {each.told}",
            offset=first,
            data=each.data[first - each.offset : last - each.offset],
        )


def _all(moment: Moment, loose: Sequence[Loose]) -> Iterator[Cut]:
    for there in product((False, True), repeat=len(loose)):
        yield Cut(moment, loose, list(compress(loose, there)))


def _telling(moment: Moment, loose: Sequence[Loose]) -> Iterator[Cut]:
    """Yield the cuts that undo nothing, everything, one change alone and all but one."""
    yield Cut(moment, loose, [])
    yield Cut(moment, loose, list(loose))
    for each in loose:
        yield Cut(moment, loose, [other for other in loose if other is not each])
        yield Cut(moment, loose, [each])


def drawn(
    moment: Moment, loose: Sequence[Loose], count: int, chance: random.Random
) -> Iterator[Cut]:
    """Yield so many cuts of which chance decides what is there, whatever it is."""
    inodes = dict.fromkeys(each.inode for each in loose)
    for _number in range(count):
        # Each file is written back at a pace of its own.
        shares = {inode: chance.choice(_SHARES) for inode in inodes}
        there = [each for each in loose if chance.random() < shares[each.inode]]
        if chance.random() < _OUT_OF_ORDER:
            there = _out_of_order(there, chance)
        yield Cut(moment, loose, there)


def _out_of_order(there: list[Loose], chance: random.Random) -> list[Loose]:
    """Return them with the writes in any order: of two to the same bytes, either may be last."""
    writes = [each for each in there if isinstance(each, LooseWrite)]
    chance.shuffle(writes)
    return [*(each for each in there if not isinstance(each, LooseWrite)), *writes]
