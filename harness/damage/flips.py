"""Random bit flips anywhere in the database: which part of them each detector sees."""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.damage.detectors import Scene, look
from harness.damage.effects import Effect, effect_of
from harness.damage.regions import REGIONS
from harness.damage.spans import Span, replaced
from harness.damage.specimens import DATABASE, Specimen
from harness.damage.stage import Stage


@dataclass
class Flips:
    """How many flips were made, and what came of them.

    Attributes:
        count: how many.
        seen: by each detector.
        found: by any of them.
        harmful: that change what a queue says, or how it works on.
        blind: of these, those that no detector saw.
    """

    count: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    found: int = 0
    harmful: int = 0
    blind: int = 0

    def percent(self) -> Mapping[str, float]:
        """Return the parts in percent, of all flips; ``blind`` of those that do harm."""
        whole = max(1, self.count)
        parts = {name: 100 * seen / whole for name, seen in self.seen.items()}
        return {
            **parts,
            "any": 100 * self.found / whole,
            "harmful": 100 * self.harmful / whole,
            "blind": 100 * self.blind / max(1, self.harmful),
        }


def flip(specimen: Specimen, stage: Stage, count: int, chance: random.Random) -> Flips:
    """Return what came of so many flips, each on the sound file.

    Args:
        specimen: whose database is struck.
        stage: where it is laid out.
        count: how many.
        chance: decides where; seeded.
    """
    flips, database = Flips(), specimen.files[DATABASE]
    scene = Scene(stage.folder, specimen)
    for _flip in range(count):
        span = Span(DATABASE, chance.randrange(len(database)), 1)
        (byte,) = span.of(specimen.files)
        files = replaced(specimen.files, span, bytes([byte ^ 1 << chance.randrange(8)]))
        stage.lay(files)
        seen = {name for name, found in look(scene).items() if found.says}
        stage.lay(files)
        harmful = effect_of(scene, REGIONS[0]) is not Effect.NONE
        flips.count += 1
        flips.seen.update(seen)
        flips.found += bool(seen)
        flips.harmful += harmful
        flips.blind += harmful and not seen
    return flips
