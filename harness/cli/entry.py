"""The entry: runs the app and turns what its parser says into one line and an exit code."""

import sys
from collections.abc import Sequence

import typer

from . import exits
from .app import app
from .console import write_json, write_line

_USAGE_ERRORS: tuple[type[Exception], ...] = typer.BadParameter.__bases__
"""The parser's own base of all usage errors, whichever parser this version of typer brings."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code (see ``exits.py``).

    Args:
        arguments: the words after ``queuedrill``; those of this process unless given.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    _accept_every_character()
    try:
        code = app(args=words, prog_name="queuedrill", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return exits.INTERRUPTED
    except _USAGE_ERRORS as error:
        return _usage(words, error)
    return code if isinstance(code, int) else exits.DONE


def _usage(words: list[str], error: BaseException) -> int:
    verb = next((word for word in words if not word.startswith("-")), "")
    code = exits.HEALTH_UNKNOWN if verb == "health" else exits.USAGE
    tell = getattr(error, "format_message", error.__str__)
    message = " ".join(tell().split())
    shown = f"queuedrill {verb}".strip()
    write_line(sys.stderr, f"{shown}: {message} (see: {shown} --help)")
    if "--json" in words:
        facts = {"kind": type(error).__name__, "message": message}
        write_json(verb, {"ok": False, "exit_code": code, "error": facts})
    return code


def _accept_every_character() -> None:
    # A redirected stdout on Windows is cp1252, and under cron often ASCII.
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
