"""Reading a queue from the command line without changing a byte of it."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.connection import Connection
    from core.leases import StaleLeases

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
    from core import SystemClock, connect_stdlib
    from core.arguments import check_seconds
    from core.errors import UnsettledError
    from core.leases import stale_leases
    from core.viewpoint import viewpoint

    check_seconds("timeout_seconds", timeout_seconds)
    for _attempt in range(_TRIES):
        with viewpoint(path, connect=connect_stdlib) as view:
            _require_queue(path, view.connection)
            found = stale_leases(view.connection, SystemClock().now_ms(), timeout_seconds)
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
