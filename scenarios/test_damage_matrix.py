"""Every region of the files, damaged in every way that makes sense: who sees it, what recovers it.

Claim: what is known of each cell (docs/corruption-matrix.md) is so: who sees the damage, what it
does, what brings the queue back; what is blind is known to be blind; a sound file raises nothing.
Faults: no-fault, and damage: one bit, a run of bytes, a zeroed sector or page, a stale, torn or
swapped page, noise, a file cut off, grown, emptied, replaced or missing.
Method: queues that have every region are laid out from bytes, one place of a cell is damaged, and
each detector and verb looks; then work goes on, and the mildest cure that works is looked for. The
seed draws places, in the gate cells too; nightly strikes every cell. The bytes are compared.
A failure means: damage passes that was seen before, a cure fails, or a detector cries wolf.
"""

import os
import random
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from core.database import QueueDatabase
from core.findings import Level
from core.health import check_health
from core.schema import count_by_status
from core.tasks import TaskQueue
from harness.damage import lockbyte
from harness.damage.cells import FULL_PLACES_COUNT, Cell, cells
from harness.damage.detectors import Scene
from harness.damage.effects import Effect, effect_of, said_by
from harness.damage.expected import Expected, disagreements, expected, losses, measured
from harness.damage.matrix import Matrix, Outcome, Struck
from harness.damage.pages import LOCK_BYTE_AT
from harness.damage.regions import LOGGED, REGIONS, SETTLED, SPECIMENS
from harness.damage.salvaged import salvage_cell, salvaged
from harness.damage.specimens import DATABASE, SHM, Specimen, StoppedClock
from harness.disk.observing import standing_observer
from harness.evidence import Evidence
from harness.faults import NoFault
from harness.ledger import Ledger
from harness.outcome import Inconclusive
from harness.settings import Settings

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

DRAWN_COUNT = 2
LOOKED_AT_COUNT = 8
FLIPS_COUNT = 500
SALVAGED_COUNT = 12
SALVAGED_SLACK = 0.2
BLIND_MOST_PERCENT = 90.0
LOCK_BYTE_TASKS_COUNT = 30
LOCK_BYTE_DAMAGES = {"bit": 1, "run": 16, "overwritten": 65536}


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    """The specimens, made once for all cells that this process strikes."""
    # A process for each look from outside would take most of the time.
    with standing_observer():
        yield Matrix(tmp_path_factory.mktemp("matrix") / "stage")


def test_drawn_cells_are_as_known(
    matrix: Matrix, evidence: Evidence, queue_settings: Settings
) -> None:
    """Cells that the seed draws are seen, do harm and are recovered as the matrix says."""
    chance = random.Random(f"{queue_settings.seed}/cells")
    here = [cell for cell in cells().values() if cell.region.specimen == SETTLED]
    drawn = chance.sample(here, LOOKED_AT_COUNT)
    strikes = [
        _struck(matrix, cell, chance, evidence, fully=number < DRAWN_COUNT)
        for number, cell in enumerate(drawn)
    ]

    _require_as_known(strikes, evidence)


def test_undamaged_queue_raises_nothing(matrix: Matrix, ledger: Ledger, evidence: Evidence) -> None:
    """No detector and no verb says anything of a sound queue at rest."""
    _require_silence(matrix, SETTLED, ledger, evidence)


@pytest.mark.profile("nightly")
@pytest.mark.parametrize("specimen", [each for each in SPECIMENS if each != SETTLED])
def test_undamaged_queue_with_logs_and_maps_raises_nothing(
    specimen: str, matrix: Matrix, ledger: Ledger, evidence: Evidence
) -> None:
    """Nor of one with a pointer map, with the -wal of a killed writer, with a hot journal."""
    _require_silence(matrix, specimen, ledger, evidence)


@pytest.mark.profile("nightly")
@pytest.mark.parametrize("cell", cells())
def test_cell_is_as_known(
    cell: str, matrix: Matrix, evidence: Evidence, queue_settings: Settings
) -> None:
    """The cell is seen, does harm and is recovered as the matrix says, at places of the seed's."""
    chance = random.Random(f"{queue_settings.seed}/{cell}")
    strikes = [
        _struck(matrix, cells()[cell], chance, evidence, fully=True),
        _struck(matrix, cells()[cell], chance, evidence, fully=False),
    ]

    _require_as_known(strikes, evidence)


@pytest.mark.profile("nightly")
def test_salvage_of_drawn_cells_brings_back_what_is_known(
    matrix: Matrix, evidence: Evidence, queue_settings: Settings
) -> None:
    """Of damaged queues that the seed draws, a salvage brings back as many tasks as is known."""
    chance = random.Random(f"{queue_settings.seed}/salvaged")
    names = chance.sample(list(salvaged()), SALVAGED_COUNT)
    found = {name: salvage_cell(matrix, cells()[name]) for name in names}
    evidence.fault(
        "damage",
        f"{SALVAGED_COUNT} cells that the seed draws, each struck at its first places",
        all(row.tasks for row in found.values()),
        f"{sum(row.tasks for row in found.values())} tasks were in the sound queues",
        f"{sum(row.back for row in found.values())} came back as they were",
    )
    less = [
        f"{name}: {row.back} of {row.tasks}, known are {salvaged()[name].back}"
        for name, row in found.items()
        if row.back < salvaged()[name].back or row.others > salvaged()[name].others
    ]
    evidence.limit("cells with less salvaged than is known", len(less), 0, "cells")
    if sqlite3.sqlite_version == measured()["sqlite"]:
        evidence.require(not less, f"less came back than is known: {'; '.join(less[:5])}")
    # Another SQLite lays pages out otherwise: there other tasks are in the pages that are struck.
    back = sum(row.back for row in found.values()) / sum(row.tasks for row in found.values())
    known = sum(salvaged()[name].back / salvaged()[name].tasks for name in names) / len(names)
    evidence.measure("tasks_salvaged", 100 * back, "%")
    evidence.require(
        back >= known - SALVAGED_SLACK,
        f"{100 * back:.0f} % of the tasks came back, known are {100 * known:.0f} %",
    )


@pytest.mark.profile("nightly")
def test_random_bits_are_seen_as_often_as_is_known(
    matrix: Matrix, evidence: Evidence, queue_settings: Settings
) -> None:
    """Of bits that turn anywhere in the file the checks see some; how many is measured."""
    flips = matrix.flip(SETTLED, FLIPS_COUNT, random.Random(queue_settings.seed))
    evidence.fault(
        "damage",
        f"{flips.count} random bits of the database turned, one at a time",
        flips.count == FLIPS_COUNT,
        "each byte differs from the sound file's",
        f"{flips.harmful} did harm, {flips.blind} of them unseen",
    )
    for name, percent in flips.percent().items():
        evidence.measure(f"random_bits_{name}", percent, "%")

    blind = flips.percent()["blind"]
    evidence.limit("harmful random bits that nothing sees", blind, BLIND_MOST_PERCENT, "%")
    evidence.require(
        flips.seen["integrity_check"] >= flips.seen["quick_check"] > 0,
        f"integrity_check sees {flips.seen['integrity_check']} of {flips.count} bits, quick_check "
        f"{flips.seen['quick_check']}",
    )
    evidence.require(blind <= BLIND_MOST_PERCENT, f"{blind:.0f} % of harmful bits are seen by none")


@pytest.mark.profile("nightly")
@pytest.mark.machine("sparse files")
@pytest.mark.parametrize("damage", LOCK_BYTE_DAMAGES)
def test_damaged_lock_byte_page_does_no_harm_and_is_seen_by_nothing(
    damage: str, scratch: Path, evidence: Evidence, queue_settings: Settings
) -> None:
    """In a file beyond a gigabyte the page that SQLite never reads may hold anything."""
    chance = random.Random(f"{queue_settings.seed}/{damage}")
    scene = _beyond_a_gigabyte(scratch)
    before = check_health(scene.database, full=True)

    content = chance.randbytes(LOCK_BYTE_DAMAGES[damage])
    start = chance.randrange(lockbyte.PAGE.size - len(content) + 1)
    differs = lockbyte.overwrite(scene.database, start, content)
    evidence.fault(
        "damage",
        f"{len(content)} bytes written into the lock-byte page",
        differs,
        "what is read there is not what was there before",
    )
    after = check_health(scene.database, full=True)
    effect = effect_of(scene, REGIONS[0])

    new = {each.id for each in after.findings} - {each.id for each in before.findings}
    worse = [each.id for each in after.findings if each.level > before.finding(each.id).level]
    evidence.cell(
        region="lock-byte",
        damage=damage,
        outcome=Outcome.HARMLESS if effect is Effect.NONE else Outcome.BLIND,
        seen_by=", ".join(worse),
        effect=effect,
        cure="nothing needed",
    )
    evidence.require(not new and not worse, f"health tells of a page that means nothing: {worse}")
    evidence.require(effect is Effect.NONE, f"the lock-byte page has an effect: {effect}")


@pytest.mark.profile("nightly")
@pytest.mark.machine("rights")
def test_read_only_shm_keeps_writers_out_and_is_mended_by_deleting_it(
    matrix: Matrix, evidence: Evidence
) -> None:
    """With a -shm that may not be written all is read and nobody writes; deleting it is enough."""
    specimen = matrix.specimen(LOGGED)
    scene = matrix.lay(specimen, specimen.files)
    shm = scene.folder / SHM
    shm.chmod(0o444)
    evidence.fault(
        "damage",
        "the -shm made read-only",
        not os.access(shm, os.W_OK),
        "the system says that it may not be written",
    )
    told = check_health(scene.database, clock=StoppedClock())
    works = effect_of(scene, REGIONS[0])
    shm.chmod(0o600)
    shm.unlink()
    mended = effect_of(scene, REGIONS[0])

    evidence.require(works is Effect.BREAKS, f"for workers that may not write it: {works}")
    evidence.require(
        told.finding("file.opens").level is Level.OK, "health does not read from a copy"
    )
    evidence.require(mended is Effect.NONE, f"without the -shm it is {mended}")


def _beyond_a_gigabyte(folder: Path) -> Scene:
    """Return a queue that has the lock-byte page, and what it says."""
    path = folder / DATABASE
    with QueueDatabase(path, create=True) as database:
        tasks = TaskQueue(database, durability="normal")
        for number in range(LOCK_BYTE_TASKS_COUNT):
            tasks.enqueue("t", {"number": number})
    lockbyte.stretch(path)
    if path.stat().st_size <= LOCK_BYTE_AT:
        raise Inconclusive("the file does not reach the lock-byte page")
    with QueueDatabase(path) as database:
        truth = said_by(database)
        counts = count_by_status(database.connection())
    return Scene(folder, Specimen("lock-byte", {}, truth, counts, truth, truth, "", ""))


def _struck(
    matrix: Matrix, cell: Cell, chance: random.Random, evidence: Evidence, *, fully: bool
) -> Struck:
    """Strike one of the known places of the cell, and write down what was seen."""
    places = list(cell.places(matrix.specimen(cell.region.specimen)))
    place = chance.choice(places[:FULL_PLACES_COUNT] if fully else places)
    struck = matrix.strike(cell, place, fully=fully)
    evidence.fault(
        "damage",
        f"{cell.damage.asked} in {cell.region.name}, place {struck.place}",
        bool(struck.evidence),
        f"on the disk differ: {struck.evidence}",
        f"seen by {', '.join(struck.seen_by) or 'nothing'}; effect: {struck.effect}",
    )
    if fully:
        _write_down(struck, evidence)
    return struck


def _write_down(struck: Struck, evidence: Evidence) -> None:
    both = {**struck.found, **struck.told}
    seen = [f"{name} ({1000 * both[name].seconds:.0f} ms)" for name in struck.seen_by]
    evidence.cell(
        region=struck.cell.region.name,
        damage=struck.cell.damage.name,
        outcome=struck.outcome,
        seen_by=", ".join(seen),
        effect=struck.effect,
        cure=struck.cure,
    )


def _require_as_known(strikes: Sequence[Struck], evidence: Evidence) -> None:
    # Another SQLite than the table's sees other places, and is held to found and cured alone.
    same = sqlite3.sqlite_version == measured()["sqlite"]
    compare = disagreements if same else losses
    known: list[Expected] = [expected()[each.cell.id] for each in strikes]
    told = [
        f"{each.cell.id}, place {each.place}: {sentence}"
        for each, row in zip(strikes, known, strict=True)
        for sentence in compare(each, row)
    ]
    blind = sum(bool(each.told) and each.outcome is Outcome.BLIND for each in strikes)
    evidence.measure("damaged places that nothing sees", blind, "places")
    evidence.limit("damaged places that are not as known", len(told), 0, "sentences")
    evidence.require(not told, f"{len(told)} things are not as known: {'; '.join(told[:5])}")


def _require_silence(matrix: Matrix, specimen: str, ledger: Ledger, evidence: Evidence) -> None:
    with ledger.injected(NoFault(), None) as sighting:
        found = matrix.undamaged(specimen)
        said = {name: each.says for name, each in found.items() if each.says}
        sighting.effect = f"said: {said or 'nothing'}"

    evidence.limit("false alarms", len(said), 0, "detectors")
    evidence.require(not said, f"{len(said)} false alarms on a sound queue: {said}")
