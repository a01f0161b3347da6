"""Strikes every known place of every cell, and writes down what is seen.

    python -m harness.damage.survey          # how the table differs from what is seen now
    python -m harness.damage.survey --write  # the table anew; with words only of cells so named

It takes minutes. The scenarios hold the table; docs/corruption-matrix.md shows it.
"""

import atexit
import contextlib
import functools
import multiprocessing
import random
import sqlite3
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.damage.cells import FULL_PLACES_COUNT, Cell, cells
from harness.damage.expected import TABLE, Expected, expect, expected, lines_of, measured
from harness.damage.matrix import Matrix, Struck
from harness.damage.regions import SETTLED, SPECIMENS
from harness.disk.observing import standing_observer

_PROCESSES, _PARTS = 2, 48
_FLIPS_COUNT = 3000
_HEAD = (
    "# What is known of each cell of the corruption matrix: see expected.py.",
    "# Written by: python -m harness.damage.survey --write",
    "",
)


@functools.cache
def _matrix() -> Matrix:
    """Return the one matrix of this process; its folder goes when the process does."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="queuedrill-matrix-"))
    stack.enter_context(standing_observer())
    return Matrix(Path(folder) / "stage")


def survey(names: Iterable[str]) -> tuple[dict[str, Expected], dict[str, list[float]]]:
    """Return what is seen of these cells, and how long each detector looked, in milliseconds."""
    rows: dict[str, Expected] = {}
    times: dict[str, list[float]] = defaultdict(list)
    for name in names:
        strikes = _strikes(_matrix(), cells()[name])
        rows[name] = expect(strikes)
        _add_times(times, strikes)
    return rows, dict(times)


def _strikes(matrix: Matrix, cell: Cell) -> list[Struck]:
    specimen = matrix.specimen(cell.region.specimen)
    return [
        _strike(matrix, cell, place, fully=number < FULL_PLACES_COUNT)
        for number, place in enumerate(cell.places(specimen))
    ]


def _strike(matrix: Matrix, cell: Cell, place: int, *, fully: bool) -> Struck:
    try:
        return matrix.strike(cell, place, fully=fully)
    except Exception as error:  # noqa: BLE001 - a verb that ends so tells nothing; it is to be mended
        sys.stderr.write(f"{cell.id}, place {place}: a verb ends with {error!r}\n")
        return matrix.strike(cell, place, fully=False)


def _add_times(times: dict[str, list[float]], strikes: Iterable[Struck]) -> None:
    for struck in strikes:
        for name, found in {**struck.found, **struck.told}.items():
            times[name].append(1000 * found.seconds)


def _flips(seed: int) -> Mapping[str, float]:
    return _matrix().flip(SETTLED, _FLIPS_COUNT, random.Random(seed)).percent()


def _false_alarms() -> int:
    said = [found.says for name in SPECIMENS for found in _matrix().undamaged(name).values()]
    return sum(map(bool, said))


def write(rows: Mapping[str, Expected], measured: Mapping[str, float | int | str]) -> None:
    """Leave the table with these rows and figures."""
    lines = [*_HEAD, "[measured]"]
    lines += [f'"{name}" = {_toml(value)}' for name, value in measured.items()]
    lines.append("")
    for name in (each for each in cells() if each in rows):
        lines += lines_of(name, rows[name])
    TABLE.write_text("\n".join(lines), encoding="utf-8", newline="\n")


def _toml(value: float | str) -> str:
    return f'"{value}"' if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")


def main(arguments: list[str]) -> None:
    """Survey all cells, or those whose names hold a word; write, or say where the table differs."""
    words = [word for word in arguments if not word.startswith("--")]
    names = [name for name in cells() if not words or any(word in name for word in words)]
    figures: Mapping[str, float | int | str] = {}
    with multiprocessing.get_context("spawn").Pool(_PROCESSES) as pool:
        whole = None if words else (pool.apply_async(_flips, (1,)), pool.apply_async(_false_alarms))
        parts = pool.map(survey, [names[start::_PARTS] for start in range(_PARTS)], chunksize=1)
        if whole is not None:
            figures = _measured([times for _rows, times in parts], whole[0].get(), whole[1].get())
    rows = {name: row for found, _times in parts for name, row in found.items()}
    if "--write" in arguments:
        known = {name: row for name, row in expected().items() if name in cells()} if words else {}
        write({**known, **rows}, figures or measured())
        return
    for name, row in rows.items():
        if row != expected().get(name):
            sys.stdout.write(f"{name}: {row}, known is {expected().get(name)}\n")


def _measured(
    parts: list[dict[str, list[float]]], percent: Mapping[str, float], false_alarms: int
) -> dict[str, float | int | str]:
    figures: dict[str, float | int | str] = {
        "sqlite": sqlite3.sqlite_version,
        "false alarms": false_alarms,
        "flips": _FLIPS_COUNT,
    }
    figures |= {f"flips: {name} %": value for name, value in percent.items()}
    for name in parts[0]:
        taken = [value for part in parts for value in part.get(name, [])]
        figures[f"{name}: median ms"] = statistics.median(taken)
    return figures


if __name__ == "__main__":
    main(sys.argv[1:])
