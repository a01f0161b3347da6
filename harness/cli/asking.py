"""Asking before something is replaced or removed; never waiting where nobody can answer."""

import sys

import typer

from . import exits
from .console import Console
from .plain_text import visible

_YES = frozenset({"y", "yes"})


class NobodyToAskError(Exception):
    """A question came up where nobody can answer it."""


def agreed(question: str, *, yes: bool) -> bool:
    """Return whether it may be done.

    Args:
        question: what is about to be done, without a question mark.
        yes: whether ``--yes`` was said.

    Raises:
        NobodyToAskError: standard input is no terminal, and ``--yes`` was not said.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise NobodyToAskError(
            f"{question}: nobody can be asked, since standard input is no terminal. "
            "Nothing was done; add --yes to do it, or --dry-run where there is one to look first."
        )
    sys.stderr.write(visible(f"{question}? [y/N] "))
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in _YES


def agree(console: Console, question: str, *, yes: bool) -> None:
    """Return if it may be done; else end the run.

    Args:
        console: of the run.
        question: as for ``agreed``.
        yes: likewise.

    Raises:
        NobodyToAskError: as by ``agreed``.
        typer.Exit: the answer was no; nothing was done.
    """
    if agreed(question, yes=yes):
        return
    console.note("Nothing was done.")
    if console.as_json:
        console.facts["declined"] = True
        console.not_good()
        console.finish()
    raise typer.Exit(exits.NOT_GOOD)
