"""Reading a queue from the command line without changing a byte of it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from core.connection import Connection
    from core.leases import StaleLeases
    from core.statistics import DatabaseStats
    from core.stopping import ProgressCallback
    from core.viewpoint import Viewpoint

T = TypeVar("T")

_TRIES = 3


def read_leases(path: Path, timeout_seconds: float) -> "StaleLeases":
    """Return all held tasks, sorted by what their leases say now.

    Args:
        path: absolute path of the database.
        timeout_seconds: grace after the end of a lease.

    Raises:
        DatabaseError: there is no queue to read.
        UnsettledError: the file kept changing while it was read.
        InvalidArgumentError: the timeout is negative or no number.

    Locks: none, or shared beside others.
    On a live queue: safe.
    """
    from core import SystemClock
    from core.arguments import check_seconds
    from core.leases import stale_leases

    check_seconds("timeout_seconds", timeout_seconds)
    now_ms = SystemClock().now_ms()
    return _look(path, lambda view: stale_leases(view.connection, now_ms, timeout_seconds))


def read_statistics(path: Path) -> "DatabaseStats":
    """Return the figures of the database.

    Args:
        path: absolute path of the database.

    Raises:
        DatabaseError: there is no queue to read.
        UnsettledError: the file kept changing while it was read.

    Locks: none, or shared beside others.
    On a live queue: safe.
    """
    from core.statistics import statistics_of

    def read(view: "Viewpoint") -> "DatabaseStats":
        figures = statistics_of(view.connection, path, timeout_s=view.busy_timeout_s)
        # A connection that trusts that nobody writes does not say in which mode others would.
        if view.way == "immutable" and view.in_wal_mode:
            figures["wal_mode"], figures["journal_mode"] = True, "wal"
        return figures

    return _look(path, read)


def check_integrity(
    path: Path, timeout_seconds: float | None, progress: "ProgressCallback | None"
) -> list[str]:
    """Return ["ok"], or what is wrong with the database.

    Args:
        path: absolute path of the database.
        timeout_seconds: how long the check may take.
        progress: told how it goes on.

    Raises:
        DatabaseError: it cannot be opened for another reason than damage.
        OperationTimeoutError: it took longer.
        UnsettledError: the file kept changing while it was read.

    Locks: none, or shared beside others.
    On a live queue: safe; outside WAL mode writers wait for it.
    """
    from core import SystemClock
    from core.clock import Deadline
    from core.errors import DatabaseCorruptError, NotADatabaseError
    from core.integrity import integrity_of

    clock = SystemClock()
    deadline = Deadline(timeout_seconds, clock)
    try:
        return _look(path, lambda view: integrity_of(view.connection, deadline, clock, progress))
    except (DatabaseCorruptError, NotADatabaseError) as error:
        return [str(error)]


def _look(path: Path, read: Callable[["Viewpoint"], T]) -> T:
    """Return what is read from a place that changes nothing, once that was of one moment."""
    from core import connect_stdlib
    from core.errors import UnsettledError
    from core.viewpoint import viewpoint

    for _attempt in range(_TRIES):
        with viewpoint(path, connect=connect_stdlib) as view:
            _require_queue(path, view.connection)
            found = read(view)
        # Asked once this process itself has let the file go.
        if view.undisturbed():
            return found
    raise UnsettledError(path=str(path), detail="it changed each time while it was read")


def _require_queue(path: Path, connection: "Connection") -> None:
    from core.errors import NotAQueueError
    from core.schema import read_layout

    layout = read_layout(connection)
    if not layout.is_queue:
        missing = ", ".join(item for item in layout.missing if item.startswith("task_queue"))
        raise NotAQueueError(path=str(path), missing=missing)
