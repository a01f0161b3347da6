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
# https://www.sqlite.org/walformat.html, section 2.3: the writer's lock is a byte of the -shm.
_WAL_WRITER_BYTE = 120
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
    return bool(pids), [Holder(pid or None, command_of(pid)) for pid in sorted(pids)]


def find_writer(database: Path) -> Holder | None:
    """Return who holds the writer lock, where the system tells; nobody waits for being asked."""
    pid = _writing(database)
    return None if pid is None else Holder(pid or None, command_of(pid))


if sys.platform == "win32":

    def _writing(_database: Path) -> int | None:
        """Return None: Windows does not tell whose a lock is."""
        return None

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
        """Return the ids of processes that hold a POSIX lock on the database; 0 for unknown."""
        found = (
            _lock_holder(database, _PENDING_BYTE, _LOCK_BYTES),
            _lock_holder(database, _PENDING_BYTE + 2, _LOCK_BYTES - 2),
        )
        return {pid for pid in found if pid is not None}

    def _writing(database: Path) -> int | None:
        """Return the id of the process that holds the writer lock, 0 for unknown, None for none."""
        shm = database.with_name(database.name + "-shm")
        for file, byte in ((shm, _WAL_WRITER_BYTE), (database, _PENDING_BYTE + 1)):
            pid = _lock_holder(file, byte, 1) if file.is_file() else None
            if pid is not None:
                return pid
        return None

    def _lock_holder(file: Path, start: int, length: int) -> int | None:
        """Return who holds a lock on one of the bytes.

        F_GETLK asks and takes no lock, so it delays nobody.
        """
        descriptor = os.open(file, os.O_RDONLY)
        try:
            return _asked(descriptor, fcntl.F_WRLCK, start, length)
        finally:
            os.close(descriptor)

    def _asked(descriptor: int, kind: int, start: int, length: int) -> int | None:
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


def command_of(pid: int) -> str:
    """Return the command line of a process, shortened, or nothing where the system tells none."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return " ".join(b" ".join(words).decode("utf-8", "replace").split())[:_COMMAND_MOST]
