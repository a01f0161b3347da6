"""What a power cut costs where it may cost something: the operations that were said last."""

import random
from collections.abc import Iterator, Sequence

from harness.disk.cuts import SECTORS_BYTES, Cut, Moment, drawn, moments, torn
from harness.disk.model import Disk
from harness.disk.promised import ACKNOWLEDGED, Promised
from harness.disk.record import Entry
from harness.disk.sweep import Sweep

_DRAWN_COUNT = 10


def losses(
    record: Sequence[Entry], promised: Promised, sweep: Sweep, chance: random.Random, disk: Disk
) -> Iterator[tuple[Cut, int | None]]:
    """Yield cuts right after each acknowledgement, and how many of them each costs.

    At each moment one cut loses all that may be lost; what others lose is drawn. None stands for
    a queue that is not sound, or has what it never had.

    Args:
        record: of operations that are acknowledged one after the other.
        promised: what it promises.
        sweep: of the record.
        chance: decides; seeded.
        disk: new.
    """
    for moment in moments(record, disk, at_marks=ACKNOWLEDGED):
        for cut in _cuts(moment, chance):
            place = promised.place(sweep.found(cut.left()))
            said = promised.acknowledged(moment.said)
            yield cut, None if place is None else max(0, said - place)


def _cuts(moment: Moment, chance: random.Random) -> Iterator[Cut]:
    loose = torn(moment.disk.loose, max(SECTORS_BYTES))
    yield Cut(moment, loose, [])
    yield from drawn(moment, loose, _DRAWN_COUNT, chance)
