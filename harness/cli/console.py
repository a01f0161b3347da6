"""What a verb says: lines and tables for people, or one JSON object for programs.

Everything for people passes ``visible`` here, so that no text out of a database reaches a terminal
as it is. Rich is loaded only on a terminal, and given text, never markup.
"""

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TextIO

from . import exits
from .plain_text import visible

SCHEMA_VERSION = 1
"""Of the JSON; it grows when a field changes its meaning or goes."""

Tone = Literal["plain", "good", "warning", "bad", "faint"]
_STYLES: dict[Tone, str] = {
    "plain": "",
    "good": "green",
    "warning": "yellow",
    "bad": "bold red",
    "faint": "dim",
}
_BETWEEN_COLUMNS = "  "


@dataclass
class Console:
    """One run of one verb.

    Attributes:
        command: the verb.
        as_json: whether stdout gets one JSON object and nothing else.
        debug: whether errors show their traceback.
        facts: what the JSON object holds beside its head.
        exit_code: what the run ends with unless an error stops it.
    """

    command: str
    as_json: bool = False
    debug: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    exit_code: int = exits.DONE

    @property
    def terminal(self) -> bool:
        """Whether a person reads stdout as it is written."""
        return not self.as_json and sys.stdout.isatty()

    def say(self, line: str = "", tone: Tone = "plain") -> None:
        """Print one line for people on stdout; with JSON, nothing."""
        if self.terminal:
            self._print_rich(line, tone)
        elif not self.as_json:
            write_line(sys.stdout, line)

    def note(self, line: str) -> None:
        """Print one line on stderr."""
        write_line(sys.stderr, line)

    def table(self, titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table for people; with JSON, nothing."""
        shown = [[visible(cell) for cell in row] for row in rows]
        if self.terminal:
            self._table_rich(titles, shown)
        elif not self.as_json:
            for line in aligned([list(titles), *shown]):
                write_line(sys.stdout, line)

    def not_good(self) -> None:
        """End with the exit code that says so, unless a worse one is set."""
        self.exit_code = max(self.exit_code, exits.NOT_GOOD)

    def finish(self) -> None:
        """Print the JSON object, if that is what was asked for."""
        if self.as_json:
            head = {"ok": self.exit_code == exits.DONE, "exit_code": self.exit_code}
            write_json(self.command, {**head, **self.facts})
        sys.stdout.flush()

    def _print_rich(self, line: str, tone: Tone) -> None:
        from rich.console import Console as RichConsole
        from rich.text import Text

        RichConsole(highlight=False).print(Text(visible(line), style=_STYLES[tone]), soft_wrap=True)

    def _table_rich(self, titles: Sequence[str], rows: list[list[str]]) -> None:
        from rich import box
        from rich.console import Console as RichConsole
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, safe_box=True)
        for title in titles:
            table.add_column(Text(title), overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        RichConsole(highlight=False).print(table)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows as lines with their columns under each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        _BETWEEN_COLUMNS.join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def write_line(stream: TextIO, line: str) -> None:
    """Write one harmless line."""
    stream.write(visible(line) + "\n")


def write_json(command: str, facts: dict[str, Any]) -> None:
    """Write the one JSON object of a run to stdout, in ASCII."""
    head = {"schema_version": SCHEMA_VERSION, "command": command}
    sys.stdout.write(json.dumps(_plain({**head, **facts}), default=str) + "\n")


def _plain(value: object) -> object:
    """Return the value with what JSON has no word for (infinity) as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
