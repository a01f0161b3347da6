"""The part of docs/faults.md that the code decides, as it has to stand there.

``python tests/harness/fault_document.py`` prints it, with ``--write`` it is put there.
"""

import ast
import functools
import re
import sys
from pathlib import Path
from typing import Any

import marked
from marked import line

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from harness.faults import FAULTS, Fault  # noqa: E402 - found from wherever this is run
from harness.strikes import CALLS  # noqa: E402

DOCUMENT = ROOT / "docs" / "faults.md"
SCENARIOS = ROOT / "scenarios"
ALARM = SCENARIOS / "test_alarm.py"
TITLES = ("fault", "what happens in the world", "simulated by", "confirmed by")
LAST_TITLES = ("survivable because", "scenarios")
_PARTS = re.compile(r"(.+?) Simulated by (.+?)\. Survivable because (.+?)\.(?: Attributes:.*)?$")
_CONFIRMED = re.compile(r"[Cc]onfirmed by ([^.]+)")


def table() -> list[str]:
    """Return the lines of the table of faults."""
    titles = (*TITLES, *LAST_TITLES)
    return [line(titles), "|---" * len(titles) + "|", *map(row, FAULTS)]


def row(fault: Fault[Any]) -> str:
    """Return the row of a fault, in the words of its docstrings."""
    found = _PARTS.match(_flat(type(fault).__doc__))
    assert found is not None, f"{type(fault).__name__}: what, Simulated by, Survivable because"
    world, simulated, because = found.groups()
    used_by = ", ".join(f"`{path.stem.removeprefix('test_')}`" for path in users(fault))
    return line((f"`{fault.name}`", world, simulated, confirmed(fault), because, used_by))


def confirmed(fault: Fault[Any]) -> str:
    """Return by which evidence it is seen, in the words of ``inject`` or of its class."""
    kind = type(fault)
    texts = (kind.inject.__doc__, kind.__doc__, *(each.__doc__ for each in kind.__mro__[1:]))
    found = next((f for text in texts if (f := _CONFIRMED.search(_flat(text)))), None)
    assert found is not None, f"{kind.__name__}: confirmed by"
    return found[1]


def users(fault: Fault[Any]) -> list[Path]:
    """Return the files of the scenarios that make one of its kind."""
    kind = type(fault).__name__
    return [path for path in sorted(SCENARIOS.glob("test_*.py")) if kind in _made(path)]


def calls() -> str:
    """Return the calls to the file system at which a process is struck."""
    return ", ".join(f"`{call}`" for call in CALLS)


def alarms() -> list[str]:
    """Return the lines of the table of planted alarms: the check, and what it promises."""
    rows = [
        line((f"`{node.name}`", _flat(ast.get_docstring(node))))
        for node in ast.parse(ALARM.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    return [line(("check", "what comes out red")), "|---|---|", *rows]


def made_by_scenarios() -> set[str]:
    """Return the names of the faults that scenarios and their helpers write down themselves."""
    sources = [*SCENARIOS.glob("*.py"), *(ROOT / "harness").glob("*.py")]
    return {
        node.args[0].value
        for source in sources
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "fault"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }


def parts() -> dict[str, list[str]]:
    """Return the lines between the marks of the document, by their names."""
    return {"faults": table(), "calls": [calls()], "alarms": alarms()}


def part(name: str) -> list[str]:
    """Return the lines that the document has between the marks of that name."""
    return marked.part(DOCUMENT, name)


def write() -> None:
    """Leave the document with what the code decides."""
    marked.write(DOCUMENT, parts())


@functools.cache
def _made(path: Path) -> set[str]:
    """Return the names that are called in a source file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def _flat(text: str | None) -> str:
    return " ".join((text or "").split()).replace("``", "`")


if __name__ == "__main__":
    if "--write" in sys.argv:
        write()
    for lines in parts().values():
        print(*lines, "", sep="\n")
