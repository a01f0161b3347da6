"""A program with one connection that does as it is told, one step at a time.

It answers each line of JSON by one: what came of it, or the error. It ends with its input, and
closes its connection only when told: whoever is killed does not close.
"""

import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Connection = Any
"""A connection of either library: ``execute`` and ``close`` are all that is asked of it."""


def _stdlib(uri: str) -> Connection:
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=0.0)


def _apsw(uri: str) -> Connection:
    # Another library than Python's, with its own list of what it has open.
    import apsw  # noqa: PLC0415 - two libraries in one process are the way that is tried

    return apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI)


LIBRARIES: dict[str, Callable[[str], Connection]] = {"stdlib": _stdlib, "apsw": _apsw}


class Program:
    """The connection and what can be done with it.

    Args:
        uri: of the database.
    """

    def __init__(self, uri: str) -> None:
        self._connection = _stdlib(uri)

    def sql(self, statement: str, *values: object) -> list[Any]:
        """Return the rows of the statement."""
        return [list(row) for row in self._connection.execute(statement, values).fetchall()]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def read_head(self, path: str) -> str:
        """Return the first bytes of a file, read past SQLite, and closed again."""
        with Path(path).open("rb") as file:
            return file.read(16).decode("latin-1")

    def look_by(self, library: str, uri: str) -> list[Any]:
        """Return what a connection of that library reads, closed again."""
        connection = LIBRARIES[library](uri)
        try:
            return list(connection.execute("SELECT count(*), sqlite_version() FROM sqlite_master"))
        finally:
            connection.close()


def main(uri: str) -> None:
    """Do what each line says."""
    program = Program(uri)
    _say({"ok": "open"})
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        try:
            _say({"ok": getattr(program, verb)(*arguments)})
        except Exception as error:  # noqa: BLE001 - said, and judged by who asked
            _say({"error": f"{type(error).__name__}: {error}"})


def _say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
