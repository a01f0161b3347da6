"""The parts of docs/corruption-matrix.md that the code and its table decide, as they have to stand.

``python tests/harness/matrix_document.py`` prints them, with ``--write`` they are put there.
"""

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import marked
from marked import line

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from harness.damage.cells import PLACES_COUNT, cells  # noqa: E402 - found from wherever this is run
from harness.damage.damages import DAMAGES  # noqa: E402
from harness.damage.expected import NAMES, Expected, expected, measured  # noqa: E402
from harness.damage.matrix import Outcome  # noqa: E402
from harness.damage.regions import REGIONS, Region  # noqa: E402
from harness.damage.salvaged import Salvaged, salvaged  # noqa: E402
from harness.damage.verbs import VERBS  # noqa: E402

DOCUMENT = ROOT / "docs" / "corruption-matrix.md"
ALWAYS, SOMETIMES, NEVER = "●", "◐", "·"
TITLES = ("region", "damage", "outcome", *NAMES, "effect", "recovered by")


def parts() -> dict[str, list[str]]:
    """Return the lines between the marks of the document, by their names."""
    return {
        "score": score(),
        "cells": matrix(),
        "blind": blind(),
        "damages": damages(),
        "left out": left_out(),
        "measured": figures(),
        "salvaged": salvages(),
    }


def score() -> list[str]:
    """Return how many cells there are of each outcome."""
    rows = expected().values()
    kinds = Counter(" or ".join(sorted(row.outcomes)) for row in rows)
    harm = [row for row in rows if row.outcomes != {Outcome.HARMLESS}]
    told = sum(bool(set(VERBS) & (row.always | row.sometimes)) for row in harm)
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    return [
        f"{len(rows)} cells, each struck at up to {PLACES_COUNT} places: {counted}.",
        "",
        f"Of the {len(harm)} that are not harmless, a verb of the product tells of {told}.",
    ]


def matrix() -> list[str]:
    """Return the cells, a table for each group of regions."""
    lines: list[str] = []
    for group in dict.fromkeys(region.group for region in REGIONS):
        lines += ["", f"### {group.capitalize()}", "", line(TITLES), "|---" * len(TITLES) + "|"]
        lines += [
            row(cell.region, cell.damage.name, expected()[name])
            for name, cell in cells().items()
            if cell.region.group == group
        ]
    return lines[1:]


def row(region: Region, damage: str, known: Expected) -> str:
    """Return the row of a cell."""
    outcome = " or ".join(sorted(known.outcomes))
    shown = f"**{outcome.upper()}**" if known.blind else outcome
    effects, cures = ", ".join(sorted(known.effects)), ", ".join(sorted(known.cures))
    marks = [mark(name, known) for name in NAMES]
    return line((f"`{region.name}`", damage, shown, *marks, effects, cures))


def mark(name: str, known: Expected) -> str:
    """Return whether the detector sees the cell everywhere, at some places, or nowhere."""
    if name in known.always:
        return ALWAYS
    return SOMETIMES if name in known.sometimes else NEVER


def blind() -> list[str]:
    """Return the cells that nothing sees at some place where they do harm."""
    return [
        f"- `{name}`: {', '.join(sorted(row.effects))}"
        + ("" if row.outcomes == {Outcome.BLIND} else " (at some places)")
        for name, row in expected().items()
        if row.blind
    ]


def damages() -> list[str]:
    """Return what each damage is, and how it comes about."""
    titles = ("damage", "strikes a", "what happens", "comes from")
    rows = [
        (f"`{each.name}`", " or ".join(each.shapes), each.asked, each.world) for each in DAMAGES
    ]
    return [line(titles), "|---" * len(titles) + "|", *map(line, rows)]


def left_out() -> list[str]:
    """Return which regions each damage cannot strike though they are of its size, and why."""
    titles = ("damage", "does not strike", "because")
    rows = []
    for damage in DAMAGES:
        reasons: dict[str, list[str]] = {}
        for region in REGIONS:
            reason = damage.reason_against(region)
            if reason and region.shape in damage.shapes:
                reasons.setdefault(reason, []).append(f"`{region.name}`")
        rows += [
            line((f"`{damage.name}`", ", ".join(names), why)) for why, names in reasons.items()
        ]
    return [line(titles), "|---" * len(titles) + "|", *rows]


def salvages() -> list[str]:
    """Return how many tasks a salvage brings back, by groups of regions, and the worst cells."""
    titles = ("region", "cells", "all back", "tasks back", "altered", "others", "worst cell")
    groups: dict[str, dict[str, Salvaged]] = {}
    for name, row in salvaged().items():
        groups.setdefault(cells()[name].region.group, {})[name] = row
    rows = [_group(group, found) for group, found in groups.items()]
    rows.append(_group("in all", salvaged()))
    return [line(titles), "|---" * len(titles) + "|", *map(line, rows)]


def _group(name: str, found: Mapping[str, Salvaged]) -> tuple[str, ...]:
    total = sum(found.values(), Salvaged())
    whole = sum(row.back == row.tasks and not row.others for row in found.values())
    worst = min(found, key=lambda cell: found[cell].back / found[cell].tasks)
    return (
        name,
        str(len(found)),
        str(whole),
        f"{100 * total.back / total.tasks:.1f} %",
        str(total.altered),
        str(total.others),
        f"`{worst}`, {100 * found[worst].back / found[worst].tasks:.1f} %",
    )


def figures() -> list[str]:
    """Return what the survey measured on the machine that it ran on."""
    titles = ("figure", "value")
    rows = [(name, str(value)) for name, value in measured().items()]
    return [line(titles), "|---" * len(titles) + "|", *map(line, rows)]


if __name__ == "__main__":
    if "--write" in sys.argv:
        marked.write(DOCUMENT, parts())
    for lines in parts().values():
        print(*lines, "", sep="\n")
