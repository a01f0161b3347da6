"""Connections in processes of their own, which do one statement at a time when told."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.paths import uri
from harness.faults.helper import Helper

_PROGRAM = Path(__file__).with_name("session_program.py")


class SessionError(Exception):
    """The process answered with an error, or not at all."""


class Session:
    """A connection in a process of its own.

    Args:
        database: path of the file.
        parameters: of its URI: ``vfs="unix-none"``, for example.

    Raises:
        SessionError: it cannot be opened.
    """

    def __init__(self, database: Path, **parameters: str) -> None:
        self._helper = Helper(_PROGRAM, uri(database, mode="rw", **parameters))
        self._answer()

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._helper.pid

    def sql(self, statement: str, *values: object) -> list[list[Any]]:
        """Return the rows of the statement.

        Raises:
            SessionError: SQLite refused it.
        """
        rows: list[list[Any]] = self.tell("sql", statement, *values)
        return rows

    def refused(self, statement: str, *values: object) -> str:
        """Return why SQLite refused the statement, or nothing where it did not."""
        try:
            self.sql(statement, *values)
        except SessionError as error:
            return str(error)
        return ""

    def tell(self, verb: str, *arguments: object) -> Any:  # noqa: ANN401 - as the program answers
        """Return what came of another thing that the program can do.

        Raises:
            SessionError: it failed.
        """
        self._helper.tell(json.dumps([verb, *arguments]))
        return self._answer()

    def kill(self) -> int:
        """Return its exit status, once it was killed in the middle of whatever it does."""
        return self._helper.kill()

    def end(self) -> int:
        """Return its exit status; it ended without closing its connection, unless told before."""
        return self._helper.end()

    def _answer(self) -> Any:  # noqa: ANN401
        line = self._helper.line()
        if not line:
            raise SessionError(f"it ended with {self._helper.end()} and said nothing")
        answer = json.loads(line)
        if "error" in answer:
            raise SessionError(answer["error"])
        return answer["ok"]


@contextlib.contextmanager
def session(database: Path, **parameters: str) -> Iterator[Session]:
    """Have a connection in a process of its own for the body; it is gone afterwards."""
    opened = Session(database, **parameters)
    try:
        yield opened
    finally:
        opened.end()
