"""Looking for tasks in the archives of a queue, which is what became of those that were moved."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from .clock import SystemClock
from .connection import Connect, Connection
from .errors import InterruptedOperationError
from .paths import uri
from .schema import told_of
from .taskrows import TaskRow, read_rows
from .translation import translated
from .untrusted import deadline_of, open_untrusted

_TIMEOUT_S = 5.0
_STEPS_BETWEEN_LOOKS = 10_000


class ArchivedCopies:
    """The tasks that lie in a queue's archives.

    Args:
        archives: paths that archives were made at.
        connect: the door to SQLite.
        stop: asked now and then; a true answer interrupts.
    """

    def __init__(
        self,
        archives: Sequence[Path],
        *,
        connect: Connect,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        self._archives = archives
        self._connect = connect
        self._stop = stop

    def of(self, ids: Collection[int], columns: Sequence[str]) -> Iterator[TaskRow]:
        """Yield the archived copies of these tasks, with the columns asked for.

        An archive that has not all of the columns is passed over.

        Raises:
            DatabaseError: an archive cannot be read.

        Locks: shared, on the archive, for a moment at a time.
        """
        for path in self._archives:
            if path.is_file():
                with _explained(path), self._opened(path) as connection:
                    yield from _matching(connection, ids, columns)

    @contextlib.contextmanager
    def _opened(self, path: Path) -> Iterator[Connection]:
        # The queue says where it lies, and who wrote that may have written anything else.
        opened = open_untrusted(
            uri(path, mode="ro"),
            path,
            connect=self._connect,
            deadline=deadline_of(path, None, SystemClock()),
            timeout_s=_TIMEOUT_S,
        )
        with contextlib.closing(opened.connection) as connection:
            connection.set_progress_handler(self._stop, _STEPS_BETWEEN_LOOKS)
            yield connection


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Name the archive in what goes wrong, so that it is not said of the queue."""
    try:
        with translated(path, _TIMEOUT_S):
            yield
    except InterruptedOperationError as error:
        # Who watches the reading knows better why it was stopped.
        raise error.__cause__ or error from None


def _matching(
    connection: Connection, ids: Collection[int], columns: Sequence[str]
) -> Iterator[TaskRow]:
    found = told_of(connection, "table_info", "archived_tasks")
    if not {str(row[1]) for row in found}.issuperset(columns):
        return
    for row in read_rows(connection, columns, table="archived_tasks", key="archive_id"):
        if row.id in ids:
            yield row
