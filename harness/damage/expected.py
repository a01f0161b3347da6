"""What is known of each cell: who sees it, what it does, what recovers it.

The table lies in ``expected.toml``, written by ``survey.py`` and held by the scenarios: a blind
cell that becomes seen is as red as a seen one that becomes blind.
"""

import functools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.damage.cures import NO_CURE
from harness.damage.detectors import DETECTORS
from harness.damage.matrix import Outcome, Struck
from harness.damage.verbs import VERBS

TABLE = Path(__file__).with_suffix(".toml")
NAMES = (*DETECTORS, *VERBS)
"""All that may see damage: detectors, and verbs of the product."""


@dataclass(frozen=True)
class Expected:
    """What is known of a cell.

    Attributes:
        always: who sees it at every known place.
        sometimes: who sees it at some of them.
        effects: what it does there.
        outcomes: found, blind or harmless; more than one where the places differ.
        cures: what recovered it.
    """

    always: frozenset[str]
    sometimes: frozenset[str]
    effects: frozenset[str]
    outcomes: frozenset[str]
    cures: frozenset[str]

    @property
    def blind(self) -> bool:
        """Whether nothing sees it at some place where it does harm."""
        return Outcome.BLIND in self.outcomes


def expect(strikes: Iterable[Struck]) -> Expected:
    """Return what these strikes of one cell say of it.

    Args:
        strikes: some of them at least made fully; a verb is judged by those in which it was asked.
    """
    made = list(strikes)
    fully = [each for each in made if each.told]
    seen = {name: _seen(name, made) for name in NAMES}
    return Expected(
        always=frozenset(name for name, said in seen.items() if said and all(said)),
        sometimes=frozenset(name for name, said in seen.items() if any(said) and not all(said)),
        effects=frozenset(map(str, (each.effect for each in made))),
        outcomes=frozenset(map(str, (each.outcome for each in fully))),
        cures=frozenset(each.cure for each in fully),
    )


def _seen(name: str, strikes: Iterable[Struck]) -> list[bool]:
    """Return of each strike in which it was asked whether it saw it."""
    both = ({**each.found, **each.told} for each in strikes)
    return [bool(said[name].says) for said in both if name in said]


def disagreements(struck: Struck, known: Expected) -> list[str]:
    """Return in sentences where the strike is not as the table says.

    Args:
        struck: what was seen now; verbs and cures are compared where they were asked and tried.
        known: the row of its cell.
    """
    seen, asked = set(struck.seen_by), {*struck.found, *struck.told}
    told = [f"{name} does not see it any more" for name in sorted(asked & known.always - seen)]
    told += [f"{name} sees it" for name in sorted(seen - known.always - known.sometimes)]
    if struck.effect not in known.effects:
        told.append(f"its effect is {struck.effect}, known is {_words(known.effects)}")
    if struck.told and struck.outcome not in known.outcomes:
        told.append(f"it is {struck.outcome}, known is {_words(known.outcomes)}")
    if struck.told and struck.cure not in known.cures:
        told.append(f"it is recovered by {struck.cure}, known is {_words(known.cures)}")
    return told


def losses(struck: Struck, known: Expected) -> list[str]:
    """Return in sentences what is worse than the table says, whatever SQLite it is.

    Another version lays pages out in another way, and sees more or less in one place; what was
    found at every place must not be blind, and what had a cure must have one.
    """
    told = []
    if struck.told and struck.outcome is Outcome.BLIND and not known.blind:
        told.append("nothing sees it any more")
    if struck.cure == NO_CURE and NO_CURE not in known.cures:
        told.append("nothing recovers it any more")
    return told


@functools.cache
def expected() -> Mapping[str, Expected]:
    """Return the table, by the ids of cells."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))["cells"]
    return {cell: _read(row) for cell, row in table.items()}


@functools.cache
def measured() -> Mapping[str, float | int | str]:
    """Return what the survey measured: not held by any test, since machines differ."""
    figures: Mapping[str, float | int | str] = tomllib.loads(TABLE.read_text(encoding="utf-8"))[
        "measured"
    ]
    return figures


def _read(row: Mapping[str, str]) -> Expected:
    return Expected(**{name: _set(text) for name, text in row.items()})


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split(", ")) if text else frozenset()


def _words(names: Iterable[str]) -> str:
    return " or ".join(sorted(names))


def lines_of(cell: str, known: Expected) -> list[str]:
    """Return the row of a cell as the table has it."""
    fields = {
        "always": [name for name in NAMES if name in known.always],
        "sometimes": [name for name in NAMES if name in known.sometimes],
        "effects": sorted(known.effects),
        "outcomes": sorted(known.outcomes),
        "cures": sorted(known.cures),
    }
    return [
        f"[cells.{cell}]",
        *(f'{name} = "{", ".join(words)}"' for name, words in fields.items()),
        "",
    ]
