"""What a check needs of the machine, and whether it is there."""

import functools
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from harness.strikes import can_trace


@functools.cache
def _strace() -> bool:
    with tempfile.TemporaryDirectory(prefix="queuedrill-") as folder:
        return can_trace(Path(folder))


SECOND_DISK = Path("/dev/shm")  # noqa: S108 - looked for, and used where it is another disk
"""A folder on a disk of its own, where the system has it."""


def _second_disk() -> bool:
    here = Path(tempfile.gettempdir())
    usable = SECOND_DISK.is_dir() and os.access(SECOND_DISK, os.W_OK)
    return usable and SECOND_DISK.stat().st_dev != here.stat().st_dev


_HOLE_BYTES = 64 * 1024 * 1024


@functools.cache
def _sparse_files() -> bool:
    """Ask the disk itself: what was never written may take room, or none."""
    with tempfile.NamedTemporaryFile(prefix="queuedrill-") as file:
        file.truncate(_HOLE_BYTES)
        taken = _bytes_taken(file.fileno())
    return taken is not None and taken < _HOLE_BYTES // 2


def _bytes_taken(descriptor: int) -> int | None:
    """Return what the file takes on the disk, or None where the system does not tell."""
    blocks: int | None = getattr(os.fstat(descriptor), "st_blocks", None)
    return None if blocks is None else 512 * blocks


@functools.cache
def _rights() -> bool:
    """Ask whether a file that may not be written is not: the administrator may write to any."""
    with tempfile.TemporaryDirectory(prefix="queuedrill-") as folder:
        path = Path(folder) / "read-only"
        path.touch(mode=0o444)
        writable = _may_write(path)
        path.chmod(0o600)
    return not writable


def _may_write(path: Path) -> bool:
    return os.access(path, os.W_OK)


_EQUIPMENT: dict[str, tuple[Callable[[], bool], str]] = {
    "posix": (lambda: os.name == "posix", "it is about what only a POSIX system does"),
    "linux": (lambda: sys.platform == "linux", "it is about what only Linux does"),
    "second disk": (_second_disk, f"{SECOND_DISK} is not there, or is no disk of its own"),
    "sparse files": (_sparse_files, "the disk keeps room for what was never written to a file"),
    "rights": (_rights, "this user may write to files that are read-only"),
    "strace": (_strace, "strace is not there, or may not attach itself to a process"),
}
EQUIPMENT = tuple(_EQUIPMENT)
"""What a check can need of the machine."""


class UnknownEquipmentError(ValueError):
    """A check needs what no machine is asked for; the message says what."""


def missing(needs: Iterable[str]) -> list[str]:
    """Return why a check cannot be made on this machine; nothing where it can.

    Args:
        needs: some of ``EQUIPMENT``.

    Raises:
        UnknownEquipmentError: one of them is not.
    """
    reasons = []
    for need in needs:
        if need not in _EQUIPMENT:
            raise UnknownEquipmentError(need)
        is_there, reason = _EQUIPMENT[need]
        if not is_there():
            reasons.append(reason)
    return reasons


def memory_folder() -> Path | None:
    """Return a folder in memory, where there is one, for files that need not survive."""
    return SECOND_DISK if SECOND_DISK.is_dir() and os.access(SECOND_DISK, os.W_OK) else None
