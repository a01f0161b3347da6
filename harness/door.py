"""A door to SQLite at which somebody stands: each statement is told before and after it runs.

So is each step of a copy, once it is done, and the end of a connection before it comes.
"""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from core.connection import Connect, Connection, Cursor, Judge, connect_stdlib


class Watcher(Protocol):
    """Is told of every statement; what it raises, the statement raises."""

    def before(self, connection: Connection, sql: str) -> None:
        """Take note of a statement that has not run yet, on the connection behind the door."""

    def after(self, connection: Connection, sql: str) -> None:
        """Take note of a statement that has run."""


def watched(watcher: Watcher, door: Connect = connect_stdlib) -> Connect:
    """Return a door whose connections tell the watcher of their statements.

    Args:
        watcher: is told.
        door: opens the connections behind it.
    """

    def connect(uri: str, *, timeout_s: float) -> Connection:
        return _Watched(door(uri, timeout_s=timeout_s), watcher)

    return connect


class _Watched:
    def __init__(self, connection: Connection, watcher: Watcher) -> None:
        self._connection = connection
        self._watcher = watcher

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, sql: str, parameters: Any = (), /) -> Cursor:  # noqa: ANN401 - as SQLite's
        self._watcher.before(self._connection, sql)
        cursor = self._connection.execute(sql, parameters)
        self._watcher.after(self._connection, sql)
        return cursor

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Cursor:
        return self._connection.executemany(sql, parameters)

    def backup(
        self,
        target: Any,  # noqa: ANN401 - as SQLite's
        *,
        pages: int = -1,
        progress: Callable[[int, int, int], object] | None = None,
        sleep: float = 0.25,
    ) -> None:
        def after_step(status: int, remaining: int, total: int) -> None:
            self._watcher.after(self._connection, f"copying {total - remaining} of {total} pages")
            if progress is not None:
                progress(status, remaining, total)

        # SQLite's own backup takes only connections of its own.
        into = target._connection if isinstance(target, _Watched) else target
        self._connection.backup(into, pages=pages, progress=after_step, sleep=sleep)

    def set_progress_handler(self, handler: Callable[[], int | None] | None, n: int) -> None:
        self._connection.set_progress_handler(handler, n)

    def set_authorizer(self, judge: Judge | None, /) -> None:
        self._connection.set_authorizer(judge)

    def setlimit(self, category: int, limit: int, /) -> int:
        return self._connection.setlimit(category, limit)

    def interrupt(self) -> None:
        self._connection.interrupt()

    def close(self) -> None:
        self._watcher.before(self._connection, "closing")
        self._connection.close()
