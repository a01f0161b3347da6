"""Text out of a database cannot steer the terminal that it is shown on."""

import io
import json
import sys

import pytest
from cli_tools import add_held

from core.printable import visible
from harness.cli.console import Console, aligned, write_json

HOSTILE = "\x1b]0;owned\x07\x1b[2J[bold red]x[/] \u202egnp\x9b31m\r\nOK: 26 checks"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        """Say so."""
        return True


@pytest.mark.parametrize("mark", ["\x00", "\x07", "\x1b", "\r", "\n", "\x7f", "\x9b", "\u202e"])
def test_control_characters_are_shown_and_not_sent(mark):
    """Every control character and mark of direction becomes an escape of plain letters."""
    assert visible(f"a{mark}b").isascii()
    assert visible(f"a{mark}b").isprintable()
    assert visible(f"a{mark}b") != f"a{mark}b"


def test_ordinary_text_stays_as_it_is():
    """Letters of any script, spaces and backslashes are not touched."""
    text = "C:\\Data\\B\u00fcro \u4e2d\u6587 [bold]"

    assert visible(text) == text


def test_half_a_surrogate_pair_can_be_shown():
    """A file name that is no UTF-8 does not break the output."""
    assert visible("a\udc80b") == "a\\udc80b"


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_a_hostile_cell_stays_in_its_cell(monkeypatch, stream):
    """Neither escape sequences, nor markup, nor line breaks of a value reach the terminal."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "stdout", stream())
    console = Console("leases")

    console.table(("WORKER",), [[HOSTILE]])
    console.say(HOSTILE, "bad")

    said = sys.stdout.getvalue()
    assert said.count("[bold red]x[/]") == 2
    assert not any(mark in said for mark in ("\x1b]", "\x1b[2J", "\x07", "\x9b", "\u202e", "\r"))
    assert not any(line.startswith("OK") for line in said.splitlines())


def test_a_hostile_worker_name_is_harmless_from_end_to_end(cli, queue_path):
    """A worker's name full of escape sequences is listed as text."""
    add_held(queue_path, worker=HOSTILE)

    done = cli("leases", "--db", queue_path)

    assert "\\x1b]0;owned\\x07" in done.out
    assert "\x1b" not in done.out


def test_rich_is_for_terminals_only(monkeypatch):
    """Colour is sent to a terminal, and plain text into a pipe."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    said = {}
    for stream in (Terminal(), io.StringIO()):
        monkeypatch.setattr(sys, "stdout", stream)
        Console("backup").say("done", "good")
        said[stream.isatty()] = stream.getvalue()

    assert "\x1b[32m" in said[True]
    assert said[False] == "done\n"


def test_infinity_is_no_json(capsys):
    """What JSON has no word for becomes null, so that every reader can read the object."""
    write_json("health", {"limits": [{"critical": float("inf")}], "nan": float("nan")})

    said = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert (said["limits"], said["nan"]) == ([{"critical": None}], None)


def test_columns_stand_under_each_other():
    """A plain table has its columns aligned and nothing behind the last."""
    assert aligned([["A", "B"], ["long", "x"], ["s", ""]]) == ["A     B", "long  x", "s"]
