"""Who writes to a file that the queue's name leads to no longer.

A database that is deleted, replaced or renamed while somebody has it open stays open: what he
commits is in no file that anybody else will find, and both files share the names of their logs
(https://www.sqlite.org/howtocorrupt.html, section 2.5). Linux shows which file a process has open;
nothing is opened to see it, so this takes nobody's locks away.
"""

import os
from pathlib import Path

from .holders import Holder, command_of
from .paths import wal_of

_PROC = Path("/proc")
_ACCESS = 0o3


def find_astray(database: Path) -> list[Holder] | None:
    """Return the processes that do, or None where the system does not show it.

    Processes of other users are not seen.

    Args:
        database: path of the queue; there need be no file.
    """
    if not (_PROC / "self" / "fdinfo").is_dir():
        return None
    first = _look(database)
    # A process that is about to open or close has some of its files for a moment.
    pids = first & _look(database) if first else first
    return [Holder(pid, command_of(pid)) for pid in sorted(pids)]


def _look(database: Path) -> set[int]:
    pids = {int(each.name) for each in _PROC.iterdir() if each.name.isdigit()}
    return {pid for pid in pids if _is_astray(_PROC / str(pid), database)}


def _is_astray(process: Path, database: Path) -> bool:
    """Return whether it has a deleted file of the queue's open, or the queue's log and not it."""
    log = wal_of(database)
    written = _written(process, {str(database), str(log)})
    gone = {f"{database} (deleted)", f"{log} (deleted)"}
    return bool(written & gone) or written == {str(log)}


def _written(process: Path, names: set[str]) -> set[str]:
    """Return which of the names, deleted or not, it has open for writing.

    Whoever only reads, to copy a log for example, loses nothing.
    """
    wanted = names | {f"{name} (deleted)" for name in names}
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:
        # Another user's process, or one that has just ended.
        return set()
    return {
        name
        for descriptor in descriptors
        if (name := _leads_to(descriptor)) in wanted and _writes(process, descriptor.name)
    }


def _leads_to(descriptor: Path) -> str:
    try:
        return os.readlink(descriptor)  # noqa: PTH115 - no path: it may have a word after the name
    except OSError:
        return ""


def _writes(process: Path, number: str) -> bool:
    try:
        lines = (process / "fdinfo" / number).read_text(encoding="ascii").splitlines()
    except OSError:
        return False
    flags = next((line.split()[1] for line in lines if line.startswith("flags:")), "0")
    return int(flags, 8) & _ACCESS != os.O_RDONLY
