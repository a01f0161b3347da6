"""One cell struck at one place: who sees it, what it does, and what recovers it."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from harness.damage import specimens
from harness.damage.cells import Cell
from harness.damage.cures import cure_for
from harness.damage.detectors import Found, Scene, look
from harness.damage.effects import Effect, effect_of
from harness.damage.flips import Flips, flip
from harness.damage.regions import JOURNALED, LOGGED, SETTLED, SHRINKING
from harness.damage.spans import Files
from harness.damage.specimens import Specimen
from harness.damage.stage import Stage
from harness.damage.verbs import Levels, health, told
from harness.outcome import Inconclusive


class Outcome(StrEnum):
    """What came of a strike."""

    FOUND = "found"
    BLIND = "blind"
    HARMLESS = "harmless"


@dataclass(frozen=True)
class Struck:
    """What was seen of one cell at one place.

    Attributes:
        cell: that was struck.
        place: number of the place.
        evidence: which files differ from the sound ones.
        found: what each detector says.
        told: what each verb of the product says; empty where they were not asked.
        effect: what it does to whoever works on.
        cure: the mildest that was seen to work; empty where none was tried.
    """

    cell: Cell
    place: int
    evidence: str
    found: Mapping[str, Found]
    told: Mapping[str, Found]
    effect: Effect
    cure: str

    @property
    def seen_by(self) -> tuple[str, ...]:
        """Detectors and verbs that see it."""
        both = {**self.found, **self.told}
        return tuple(name for name, found in both.items() if found.says)

    @property
    def outcome(self) -> Outcome:
        """Whether anything sees it, or nobody needs to, or nothing does."""
        if self.seen_by:
            return Outcome.FOUND
        return Outcome.HARMLESS if self.effect is Effect.NONE else Outcome.BLIND


class Matrix:
    """Strikes cells, one after the other, in a folder of its own.

    Args:
        folder: made where missing; the matrix alone uses it.
    """

    def __init__(self, folder: Path) -> None:
        self._stage = Stage(folder)
        self._made: dict[str, Specimen] = {}
        self._sound: dict[str, Mapping[str, Levels]] = {}

    def specimen(self, name: str) -> Specimen:
        """Return the specimen, made where it is not yet."""
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> Specimen:
        make: dict[str, Callable[[], Specimen]] = {
            SETTLED: lambda: specimens.settled(self._stage),
            SHRINKING: lambda: specimens.settled(self._stage, shrinking=True),
            LOGGED: lambda: specimens.logged(self._stage, self.specimen(SETTLED)),
            JOURNALED: lambda: specimens.journaled(self._stage, self.specimen(SETTLED)),
        }
        return make[name]()

    def strike(self, cell: Cell, place: int, *, fully: bool = True) -> Struck:
        """Return what is seen of the cell at that place.

        Args:
            cell: which.
            place: number of the place.
            fully: whether the product's verbs are asked too, and cures tried: that takes longest.

        Raises:
            Inconclusive: the damage changes nothing there, or was not seen on the disk.
        """
        specimen = self.specimen(cell.region.specimen)
        files = cell.strike(specimen, place)
        scene = self.lay(specimen, files)
        evidence = self._difference(specimen)
        found = look(scene)
        effect = effect_of(self.lay(specimen, files), cell.region)
        if not fully:
            return Struck(cell, place, evidence, found, {}, effect, "")
        sound = self.sound(specimen)
        verbs = told(self.lay(specimen, files), sound)
        seen = any(each.says for each in (*found.values(), *verbs.values()))
        cure = cure_for(scene, cell.region, self._stage, files, effect, seen=seen)
        return Struck(cell, place, evidence, found, verbs, effect, cure)

    def undamaged(self, name: str) -> Mapping[str, Found]:
        """Return what detectors and verbs say of the sound specimen: anything is a false alarm."""
        specimen = self.specimen(name)
        sound = self.sound(specimen)
        found = look(self.lay(specimen, specimen.files))
        return {**found, **told(self.lay(specimen, specimen.files), sound)}

    def flip(self, name: str, count: int, chance: random.Random) -> Flips:
        """Return what came of so many random bit flips in the specimen's database."""
        return flip(self.specimen(name), self._stage, count, chance)

    def sound(self, specimen: Specimen) -> Mapping[str, Levels]:
        """Return what the health check finds in the sound specimen."""
        if specimen.name not in self._sound:
            scene = self.lay(specimen, specimen.files)
            self._sound[specimen.name] = {
                "health": health(scene, full=False),
                "health --full": health(scene, full=True),
            }
        return self._sound[specimen.name]

    def lay(self, specimen: Specimen, files: Files) -> Scene:
        """Return the specimen with these files laid out, where its records and backups know it."""
        self._stage.lay(files)
        return Scene(self._stage.folder, specimen)

    def _difference(self, specimen: Specimen) -> str:
        """Return what differs on the disk from the sound files.

        Raises:
            Inconclusive: nothing does.
        """
        laid = self._stage.read_all()
        names = sorted({*laid, *specimen.files})
        changed = [name for name in names if laid.get(name) != specimen.files.get(name)]
        if not changed:
            raise Inconclusive("the damage is not in the files that were laid out")
        return ", ".join(changed)
