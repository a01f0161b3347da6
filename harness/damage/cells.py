"""The cells of the matrix: which damage strikes which region, and at which places."""

import functools
import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.damage.damages import DAMAGES, Damage
from harness.damage.regions import REGIONS, Region
from harness.damage.spans import Files, Span
from harness.damage.specimens import Specimen
from harness.outcome import Inconclusive

PLACES_COUNT = 4
"""So many places of each cell are known; a run of the matrix draws some of them."""
FULL_PLACES_COUNT = 2
"""At so many of them, the first, verbs are asked and cures tried, which takes longest."""
_DRAWS_MOST = 60


@dataclass(frozen=True)
class Cell:
    """One region, damaged in one way.

    Attributes:
        region: that is struck.
        damage: that strikes.
    """

    region: Region
    damage: Damage

    @property
    def id(self) -> str:
        """Its name, stable: region and damage."""
        return f"{self.region.name.replace('/', '-')}-{self.damage.name}"

    def strike(self, specimen: Specimen, place: int) -> Files:
        """Return the files with the damage at the place of that number.

        Raises:
            Inconclusive: the specimen has no such place that would be changed.
        """
        chance = random.Random(f"{self.id}/{place}")
        spans = _spans(self.region, specimen)
        for _draw in range(_DRAWS_MOST if spans else 0):
            struck = self.damage.strike(specimen, chance.choice(spans), chance)
            if struck is not None:
                return struck
        raise Inconclusive(f"{self.id} changes nothing in {len(spans)} places of {specimen.name}")

    def places(self, specimen: Specimen) -> dict[int, Files]:
        """Return the damaged files by the numbers of places, each state once."""
        states: dict[str, int] = {}
        found: dict[int, Files] = {}
        for place in range(PLACES_COUNT):
            files = self.strike(specimen, place)
            if states.setdefault(_digest(files), place) == place:
                found[place] = files
        return found


@functools.cache
def _spans(region: Region, specimen: Specimen) -> Sequence[Span]:
    """Return the places of the region; looking for them takes longer than damaging one."""
    return region.find(specimen)


def _digest(files: Files) -> str:
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(f"{name}:{len(files[name])}\0".encode())
        whole.update(files[name])
    return whole.hexdigest()


@functools.cache
def cells() -> Mapping[str, Cell]:
    """Return every cell that makes sense, by its id."""
    made = [
        Cell(region, damage)
        for region in REGIONS
        for damage in DAMAGES
        if not damage.reason_against(region)
    ]
    found = {cell.id: cell for cell in made}
    assert len(found) == len(made), "two cells have one id"
    return found
