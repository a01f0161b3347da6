"""A connection that tells of every statement before it is run and once it has run."""

from collections.abc import Callable, Iterable
from typing import Any

from core.connection import Connection, Cursor


class Counted:
    """A connection of the core's kind whose steps are told.

    Args:
        connection: that does the work.
        step: told, in a few words, what comes next or was done: twice a statement, after every
            step of a copy, and before the end.
    """

    def __init__(self, connection: Connection, step: Callable[[str], object]) -> None:
        self._connection = connection
        self._step = step

    @property
    def in_transaction(self) -> bool:
        """Whether BEGIN has been said and not yet ended."""
        return self._connection.in_transaction

    def execute(self, sql: str, parameters: Any = (), /) -> Cursor:  # noqa: ANN401 - as SQLite's
        """Run one statement."""
        words = " ".join(sql.split())
        self._step(f"before {words}")
        cursor = self._connection.execute(sql, parameters)
        self._step(f"after {words}")
        return cursor

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Cursor:
        """Run one statement for each set of parameters; it is no step."""
        return self._connection.executemany(sql, parameters)

    def backup(
        self,
        target: Any,  # noqa: ANN401 - as SQLite's
        *,
        pages: int = -1,
        progress: Callable[[int, int, int], object] | None = None,
        sleep: float = 0.25,
    ) -> None:
        """Copy this database into the target connection's."""

        def after_step(status: int, remaining: int, total: int) -> None:
            self._step(f"after {total - remaining} of {total} pages")
            if progress is not None:
                progress(status, remaining, total)

        into = target._connection if isinstance(target, Counted) else target
        self._connection.backup(into, pages=pages, progress=after_step, sleep=sleep)

    def set_progress_handler(self, handler: Callable[[], int | None] | None, n: int) -> None:
        """Call the handler every n virtual-machine steps."""
        self._connection.set_progress_handler(handler, n)

    def interrupt(self) -> None:
        """Stop what runs on this connection in another thread."""
        self._connection.interrupt()

    def close(self) -> None:
        """Close the connection."""
        self._step("before closing")
        self._connection.close()
