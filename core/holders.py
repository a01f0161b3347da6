"""Who has a database open, found from a process that has no connection to it.

Run only in the observing child (``observer.py``): looking opens and closes the file.
"""

import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

from .paths import sides

# https://www.sqlite.org/fileformat2.html#the_lock_byte_page: PENDING, RESERVED, then 510 SHARED.
_PENDING_BYTE = 0x40000000
_LOCK_BYTES = 512
_COMMAND_MOST = 120


@dataclass(frozen=True)
class Holder:
    """A process that has the database open.

    Attributes:
        pid: its id, or None where the system does not tell.
        command: its command line, shortened, or "".
    """

    pid: int | None
    command: str

    def __str__(self) -> str:
        """Return the process as people look for it."""
        if self.pid is None:
            return "another process"
        return f"process {self.pid} ({self.command})" if self.command else f"process {self.pid}"


def find_holders(database: Path) -> tuple[bool, list[Holder]]:
    """Return whether any process has the database open, and those that can be named.

    A connection in WAL mode keeps a shared lock for as long as it is open; one in another journal
    mode holds none between transactions, and is then seen by its open file where the system shows
    that (Linux, Windows).
    """
    pids = _holding(database)
    pids.discard(os.getpid())
    return bool(pids), [Holder(pid or None, _command(pid)) for pid in sorted(pids)]


if sys.platform == "win32":

    def _holding(database: Path) -> set[int]:
        """Return {0} (a process that cannot be named) if any has the database open.

        SQLite opens without FILE_SHARE_DELETE, so its files cannot be renamed while they are
        open, not even to the same name.
        """
        try:
            if database.is_file():
                os.rename(database, database)  # noqa: PTH104 - Path.rename would return a new path
        except PermissionError:
            return {0}
        return set()

else:
    import fcntl

    def _holding(database: Path) -> set[int]:
        """Return the ids of processes that hold a lock on the database or have it open."""
        found = _open_in(database)
        return found | _locking(database) if database.is_file() else found

    def _locking(database: Path) -> set[int]:
        """Return the ids of processes that hold a POSIX lock on the database; 0 for unknown.

        F_GETLK asks and takes no lock, so it delays nobody.
        """
        found = set()
        descriptor = os.open(database, os.O_RDONLY)
        try:
            for kind, start, length in (
                (fcntl.F_WRLCK, _PENDING_BYTE, _LOCK_BYTES),
                (fcntl.F_WRLCK, _PENDING_BYTE + 2, _LOCK_BYTES - 2),
            ):
                pid = _lock_holder(descriptor, kind, start, length)
                if pid is not None:
                    found.add(pid)
        finally:
            os.close(descriptor)
        return found

    def _lock_holder(descriptor: int, kind: int, start: int, length: int) -> int | None:
        if sys.platform == "darwin":
            shape, question = "@qqihh", (start, length, 0, kind, os.SEEK_SET)
            answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, struct.pack(shape, *question))
            _start, _length, pid, found, _whence = struct.unpack(shape, answer)
        else:
            shape, question = "@hhqqi4x", (kind, os.SEEK_SET, start, length, 0)
            answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, struct.pack(shape, *question))
            found, _whence, _start, _length, pid = struct.unpack(shape, answer)
        # A holder outside this process's namespace has pid 0 or -1.
        return None if found == fcntl.F_UNLCK else max(0, int(pid))


def _open_in(database: Path) -> set[int]:
    """Return the ids of processes that have the database or its side files open (Linux)."""
    wanted = {_identity(file) for file in (database, *sides(database))} - {None}
    # Who has a deleted database open goes on writing to what nobody else will ever see.
    ghosts = {f"{file} (deleted)" for file in (database, *sides(database))}
    proc = Path("/proc")
    if not (proc / "self" / "fd").is_dir():
        return set()
    return {
        int(process.name)
        for process in proc.iterdir()
        if process.name.isdigit() and _has_open(process / "fd", wanted, ghosts)
    }


def _has_open(descriptors: Path, wanted: set[tuple[int, int] | None], ghosts: set[str]) -> bool:
    try:
        return any(
            _identity(link) in wanted or _leads_to(link) in ghosts for link in descriptors.iterdir()
        )
    except OSError:
        # Another user's process, or one that has just ended.
        return False


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        facts = file.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _leads_to(link: Path) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115 - no path: it has a word after the name
    except OSError:
        return ""


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return " ".join(b" ".join(words).decode("utf-8", "replace").split())[:_COMMAND_MOST]
