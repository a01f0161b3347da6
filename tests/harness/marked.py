"""A document of which the code decides some parts: each stands between two marks with its name."""

from collections.abc import Iterable, Mapping
from pathlib import Path


def part(document: Path, name: str) -> list[str]:
    """Return the lines that the document has between the marks of that name."""
    begin, end = _marks(name)
    return document.read_text(encoding="utf-8").split(begin)[1].split(end)[0].splitlines()


def write(document: Path, parts: Mapping[str, list[str]]) -> None:
    """Leave the document with what the code decides."""
    text = document.read_text(encoding="utf-8")
    for name, lines in parts.items():
        begin, end = _marks(name)
        before, rest = text.split(begin)
        text = before + begin + "\n".join(lines) + "\n" + end + rest.split(end)[1]
    document.write_text(text, encoding="utf-8", newline="\n")


def line(cells: Iterable[str]) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(cells)} |"


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name} -->\n", f"<!-- end of {name} -->"
