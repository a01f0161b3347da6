"""The frame around every verb: errors become one line with their cure, and an exit code."""

import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Iterator

import typer

from . import exits
from .asking import NobodyToAskError
from .console import Console, write_json
from .plain_text import visible


@contextlib.contextmanager
def speaking(
    command: str, *, as_json: bool, debug: bool, trouble: int | None = None
) -> Iterator[Console]:
    """Run a verb with a console; end with its exit code.

    Args:
        command: the verb.
        as_json: whether stdout gets one JSON object and nothing else.
        debug: whether an error shows its traceback.
        trouble: the exit code of every error, in place of the usual ones.

    Raises:
        typer.Exit: the exit code is not 0.
    """
    console = Console(command, as_json=as_json, debug=debug)
    with _log_to_stderr(debug=debug):
        try:
            yield console
            console.finish()
        except (typer.Exit, typer.BadParameter):
            raise
        except BrokenPipeError:
            _let_stdout_go()
            raise typer.Exit(exits.NOT_GOOD if trouble is None else trouble) from None
        except (KeyboardInterrupt, Exception) as error:
            code = _exit_code(error, trouble)
            _tell(console, error, code)
            raise typer.Exit(code) from error
    if console.exit_code != exits.DONE:
        raise typer.Exit(console.exit_code)


def _exit_code(error: BaseException, trouble: int | None) -> int:
    from core.errors import InvalidArgumentError

    if isinstance(error, KeyboardInterrupt):
        return exits.INTERRUPTED
    if trouble is not None:
        return trouble
    usage = isinstance(error, InvalidArgumentError | NobodyToAskError)
    return exits.USAGE if usage else exits.NOT_GOOD


def _tell(console: Console, error: BaseException, code: int) -> None:
    message = _message(error)
    if console.debug:
        for line in "".join(traceback.format_exception(error)).splitlines():
            console.note(line)
    console.note(f"queuedrill {console.command}: {message}")
    if console.as_json:
        kind = type(error).__name__
        facts = {"ok": False, "exit_code": code, "error": {"kind": kind, "message": message}}
        write_json(console.command, {**console.facts, **facts})


def _message(error: BaseException) -> str:
    import sqlite3

    from core.errors import QueueError

    if isinstance(error, QueueError | NobodyToAskError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; nothing was left half done."
    if isinstance(error, OSError | sqlite3.Error):
        return f"{error}. Check the path and its permissions, or run it again with --debug."
    return f"unexpected {type(error).__name__}: {error}. Run it again with --debug to see where."


@contextlib.contextmanager
def _log_to_stderr(*, debug: bool) -> Iterator[None]:
    """Show what the core logs (a restore that opening has finished, say) as notes."""
    logger = logging.getLogger("queuedrill")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("queuedrill: %(message)s"))
    handler.setLevel(logging.DEBUG if debug else logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def _let_stdout_go() -> None:
    """Send what is still buffered nowhere: whoever read it has gone."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
