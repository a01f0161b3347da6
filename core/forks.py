"""What a fork hands down: connections that the child may neither use nor close.

SQLite keeps a list of what this process has locked. A forked child inherits the list and none of
the locks, so what it opens beside an inherited connection is locked in its own memory alone: the
parent closes as the last one and deletes the log, and what the child commits afterwards is
acknowledged and lost (https://www.sqlite.org/howtocorrupt.html, section 2.7).

So a thread that forks closes its idle connection before, and both processes open anew when they
need to. Where it is in the middle of a transaction, or another thread has the queue open too, that
cannot be, and the child is refused.
"""

import os
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .errors import ForkedError

File = tuple[int, int] | None


class Closes(Protocol):
    """Has a connection."""

    def close_if_idle(self) -> None:
        """Close it, unless it is in the middle of a transaction."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A connection that is open in this process, or was in the one that it was forked from.

    It outlasts whoever has it: a connection that nobody refers to any more is still there, until
    the garbage is collected.

    Attributes:
        pid: of the process that opened it.
        thread: that did so.
        file: device and inode of the database.
        owner: closes it.
    """

    pid: int
    thread: int
    file: File
    owner: "weakref.ref[Closes]"


_opened: dict[int, Opened] = {}


def opened(owner: Closes, file: File) -> Opened:
    """Return what is to be closed before this process forks; hand it to ``closed`` afterwards."""
    connection = Opened(os.getpid(), threading.get_ident(), file, weakref.ref(owner))
    _opened[id(connection)] = connection
    return connection


def closed(connection: Opened) -> None:
    """Forget a connection that was closed in the process that opened it."""
    del _opened[id(connection)]


def refuse_inherited(path: Path, file: File) -> None:
    """Return if no connection to the file was handed down to this process.

    Args:
        path: of the file, for the message.
        file: its device and inode.

    Raises:
        ForkedError: one was.
    """
    # Copied in one step, whatever other threads do meanwhile.
    if any(each.file == file and each.pid != os.getpid() for each in list(_opened.values())):
        raise ForkedError(path=str(path))


def _before_fork() -> None:
    for each in list(_opened.values()):
        owner = each.owner()
        if owner is not None and each.thread == threading.get_ident() and each.pid == os.getpid():
            owner.close_if_idle()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork)
