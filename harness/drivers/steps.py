"""The steps of the process that this runs in, counted, and what is done at each.

A step is a moment before a call that the system is asked for, by SQLite or by the core, or a moment
before and after a statement. Between two of them nothing happens to a file, so that whoever is
killed between them leaves what it would leave at the second.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from core import primitives
from core.connection import Connection
from harness.step import Step

_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
_UNHEARD = ("write", "sync", "close")
"""Calls of the core of which Python tells no audit hook."""
_EVENTS = frozenset((
    *("open", "shutil.rmtree"),
    *(f"os.{name}" for name in ("rename", "remove", "link", "mkdir", "rmdir", "truncate")),
    *(f"os.{name}" for name in ("chmod", "chown")),
))  # fmt: skip
_IN_OPEN_FOLDER = ("os.remove", "os.rmdir")


class Steps:
    """Counts the steps, while armed; a watcher of statements.

    Args:
        at: is called at each.

    Attributes:
        armed: whether there are any.
    """

    def __init__(self, at: Callable[[Step], None]) -> None:
        self.armed = False
        self._at = at
        self._number = 0
        self._changed = True

    def take(self, what: str) -> None:
        """Count one step, and do what is done at it."""
        if self.armed:
            self._number += 1
            changed, self._changed = self._changed, False
            self._at(Step(self._number, what, changed))

    def note_change(self) -> None:
        """Remember that files may be others at the next step."""
        self._changed = True

    def before(self, _connection: Connection, sql: str) -> None:
        """Take a statement that has not run yet for a step."""
        self.take(f"before {' '.join(sql.split())}")

    def after(self, _connection: Connection, sql: str) -> None:
        """Take a statement that has run for a step."""
        self.note_change()
        self.take(f"after {' '.join(sql.split())}")

    def audit_hook(self, folder: Path) -> Callable[[str, tuple[Any, ...]], None]:
        """Return a hook that takes what Python is about to do to a file below for a step.

        See https://docs.python.org/3/library/audit_events.html.
        """

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if self.armed and event in _EVENTS and _concerns(str(folder), event, arguments[0]):
                self.take(f"before {event} of {Path(str(arguments[0])).name}")
                self.note_change()

        return hook

    @contextlib.contextmanager
    def of_core(self) -> Iterator[None]:
        """Take what the core does in the body, and no audit hook is told of, for steps as well."""
        with contextlib.ExitStack() as undo:
            for name in _UNHEARD:
                right = getattr(primitives, name)
                undo.callback(setattr, primitives, name, right)
                setattr(primitives, name, self._taken(name, right))
            yield

    def _taken(self, name: str, right: Callable[..., Any]) -> Callable[..., Any]:
        def taken(*arguments: Any) -> Any:  # noqa: ANN401 - as the right one
            self.take(f"before {name}")
            self.note_change()
            return right(*arguments)

        return taken


def _concerns(folder: str, event: str, path: object) -> bool:
    name = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else str(path)
    # A tree is taken away name by name, below a folder that is open.
    return folder in name or (event in _IN_OPEN_FOLDER and not Path(name).is_absolute())


def dies_at(number: int) -> Callable[[Step], None]:
    """Return what ends the process without a word at this step; at none where it is 0."""

    def at(step: Step) -> None:
        if step.number == number:
            die()

    return at


def stand_still(step: Step) -> None:
    """Say the step, and return when told to go on; end the process where nobody will tell."""
    say(f"step {'other' if step.changed else 'same'} {step.what}")
    if not sys.stdin.readline():
        os._exit(1)


def say(line: str) -> None:
    """Say one line."""
    sys.stdout.buffer.write(f"{line}\n".encode())
    sys.stdout.buffer.flush()


def die() -> None:
    """End the process at once: no handler runs, nothing is flushed."""
    # On Windows this is TerminateProcess.
    os.kill(os.getpid(), _KILL)
    # The signal comes before the next line of Python, or a moment later.
    threading.Event().wait()
