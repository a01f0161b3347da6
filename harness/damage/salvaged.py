"""Salvages every damaged queue of the matrix, and writes down how many tasks come back of how many.

    python -m harness.damage.salvaged --write

Whether anything else would have mended the queue is not asked: this is for the day on which nothing
else is left. The figures lie in ``salvaged.toml``; docs/corruption-matrix.md shows them.
"""

import contextlib
import multiprocessing
import sqlite3
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.salvage import salvage
from harness.damage.cells import FULL_PLACES_COUNT, Cell, cells
from harness.damage.detectors import FAILURES, Scene
from harness.damage.matrix import Matrix
from harness.damage.specimens import StoppedClock
from harness.disk.observing import standing_observer

TABLE = Path(__file__).with_suffix(".toml")
_OUT = "salvaged.db"
_PROCESSES, _PARTS = 2, 24
_HEAD = (
    "# What a salvage brings back of each cell of the corruption matrix: see salvaged.py.",
    "# Written by: python -m harness.damage.salvaged --write",
    "",
)
Rows = dict[int, tuple[object, ...]]


@dataclass(frozen=True)
class Salvaged:
    """What a salvage brought back, over some places of a cell.

    Attributes:
        tasks: how many there were, at all places together.
        back: of them, there just as they were.
        altered: there, and not as they were.
        others: there, and not among them.
        refused: places at which nothing was salvaged, with an error.
    """

    tasks: int = 0
    back: int = 0
    altered: int = 0
    others: int = 0
    refused: int = 0

    def __add__(self, other: "Salvaged") -> "Salvaged":
        both = {name: value + getattr(other, name) for name, value in vars(self).items()}
        return Salvaged(**both)


def salvaged() -> Mapping[str, Salvaged]:
    """Return what is written down, by the ids of cells."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return {cell: Salvaged(**row) for cell, row in table.items()}


def salvage_cell(matrix: Matrix, cell: Cell) -> Salvaged:
    """Return what a salvage brings back of the cell's first places."""
    specimen = matrix.specimen(cell.region.specimen)
    known = _known(matrix, cell)
    total = Salvaged()
    for place in list(cell.places(specimen))[:FULL_PLACES_COUNT]:
        scene = matrix.lay(specimen, cell.strike(specimen, place))
        total += _salvaged(scene, known)
    return total


def _known(matrix: Matrix, cell: Cell) -> Rows:
    """Return the tasks of the sound queue, as a worker reads them."""
    specimen = matrix.specimen(cell.region.specimen)
    scene = matrix.lay(specimen, specimen.files)
    return _rows(scene.database)


def _salvaged(scene: Scene, known: Rows) -> Salvaged:
    out = scene.folder / _OUT
    try:
        report = salvage(scene.database, out, clock=StoppedClock())
        found = {} if report.out is None else _rows(out)
    except FAILURES:
        return Salvaged(tasks=len(known), refused=1)
    back = sum(found.get(key) == row for key, row in known.items())
    altered = sum(key in found and found[key] != row for key, row in known.items())
    others = sum(key not in known for key in found)
    return Salvaged(tasks=len(known), back=back, altered=altered, others=others)


def _rows(database: Path) -> Rows:
    with contextlib.closing(sqlite3.connect(database)) as opened:
        # By name: a salvaged queue may have its columns in another order.
        found = opened.execute("SELECT name FROM pragma_table_info('task_queue') ORDER BY name")
        columns = ", ".join(f'"{name}"' for (name,) in found.fetchall())
        rows = opened.execute(f"SELECT id, {columns} FROM task_queue").fetchall()
    return {int(row[0]): tuple(row[1:]) for row in rows}


def _survey(names: Iterable[str]) -> dict[str, Salvaged]:
    with (
        tempfile.TemporaryDirectory(prefix="queuedrill-matrix-") as folder,
        standing_observer(),
    ):
        matrix = Matrix(Path(folder) / "stage")
        return {name: salvage_cell(matrix, cells()[name]) for name in names}


def main(arguments: list[str]) -> None:
    """Salvage all cells in which the queue itself is damaged; write, or say what differs."""
    names = [name for name, cell in cells().items() if not cell.region.of_backup]
    with multiprocessing.get_context("spawn").Pool(_PROCESSES) as pool:
        parts = pool.map(_survey, [names[start::_PARTS] for start in range(_PARTS)], chunksize=1)
    rows = {name: row for part in parts for name, row in part.items()}
    if "--write" in arguments:
        _write({name: rows[name] for name in names})
        return
    for name, row in rows.items():
        if row != salvaged().get(name):
            sys.stdout.write(f"{name}: {row}, known is {salvaged().get(name)}\n")


def _write(rows: Mapping[str, Salvaged]) -> None:
    lines = [*_HEAD]
    for name, row in rows.items():
        facts = ", ".join(f"{field} = {value}" for field, value in vars(row).items())
        lines.append(f'"{name}" = {{ {facts} }}')
    TABLE.write_text("\n".join([*lines, ""]), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
