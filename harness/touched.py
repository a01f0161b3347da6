"""What a program does to the files of a folder, as the system sees it: strace follows all of it.

Names and digests before and after cannot show a byte that was written and put back, a lock that was
held for a moment, or anything at all while others are writing.
"""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import children

_TIMEOUT_S = 120.0
_OPENING = ("open", "openat", "openat2", "creat")
# These have the file first, as a descriptor; strace shows its path.
_BY_DESCRIPTOR = (
    *("write", "pwrite64", "writev", "pwritev", "ftruncate", "fallocate", "fchmod", "fsetxattr"),
)
_BY_NAME = (
    *("truncate", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat"),
    *("symlink", "symlinkat", "mkdir", "mkdirat", "rmdir", "chmod", "fchmodat", "utimensat"),
    *("chown", "lchown", "fchownat", "setxattr"),
)
_LOCKING = ("fcntl", "flock")
# "?" lets strace pass over a call that the system lacks.
_CALLS = ",".join(f"?{name}" for name in (*_OPENING, *_BY_DESCRIPTOR, *_BY_NAME, *_LOCKING, "mmap"))
_LINE = re.compile(r"^\d+ +(\w+)\((.*)$")
_DESCRIPTOR = re.compile(r"^\d+<([^>]*)>")
_MAPPED = re.compile(r"PROT_WRITE.*MAP_SHARED[^,]*, \d+<([^>]*)>")
_NAMES = re.compile(r'"([^"]*)"')
_EXCLUSIVE = re.compile(r"\bF_WRLCK\b|\bLOCK_EX\b")
_FAILED = re.compile(r"\) += -1 E\w+")


@dataclass(frozen=True)
class Touched:
    """What a program did to the files below a folder.

    Attributes:
        opened: how often it opened one of them. SQLite opens a -wal so that it could be written
            also for a connection that only reads; that alone writes nothing. Run by root, it
            also gives a -wal and a -shm the owner of the database (fchown): left out here.
        written: calls that wrote to one, mapped it to write, cut it, made, renamed or removed it.
        locked: calls for a lock that keeps others out.
        exit_status: of the program.
        output: what it said on stdout and stderr.
    """

    opened: int
    written: tuple[str, ...]
    locked: tuple[str, ...]
    exit_status: int
    output: str


def run_watched(command: Sequence[str], folder: Path, log: Path) -> Touched:
    """Run the program to its end; return what it and its children did below the folder.

    Paths count as the program gives them to the system, so give it absolute ones.

    Args:
        command: its words.
        folder: real path of the files that count.
        log: a new file, strace's.

    Raises:
        OSError: strace is not there.
        subprocess.TimeoutExpired: the program did not end; it is gone.
    """
    words = ["strace", "-f", "-y", "-s", "4096", "-o", str(log), "-e", f"trace={_CALLS}", *command]
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        children.register(process.pid)
        try:
            output, _none = process.communicate(timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
    opened, written, locked = read_log(log, folder)
    return Touched(opened, written, locked, process.returncode, output.decode("utf-8", "replace"))


def read_log(log: Path, folder: Path) -> tuple[int, tuple[str, ...], tuple[str, ...]]:
    """Return how often files below the folder were opened, what was written, and what locked.

    A call that failed counts as none; one whose end is not in its line counts as done.
    """
    opened, written, locked = 0, list[str](), list[str]()
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        found = _LINE.match(line)
        if found is None or _FAILED.search(line):
            continue
        name, rest = found[1], found[2]
        if not any(path.startswith(f"{folder}{os.sep}") for path in _paths(name, rest)):
            continue
        if name in _OPENING:
            opened += 1
            written += [line] if "O_TRUNC" in rest or name == "creat" else []
        elif name in _LOCKING:
            # F_GETLK only asks who has it.
            locked += [line] if _EXCLUSIVE.search(rest) and "F_GETLK" not in rest else []
        else:
            written.append(line)
    return opened, tuple(written), tuple(locked)


def _paths(name: str, rest: str) -> list[str]:
    """Return the paths of the files that the call is about."""
    if name == "mmap":
        return _MAPPED.findall(rest)
    if name in (*_BY_DESCRIPTOR, *_LOCKING):
        return _DESCRIPTOR.findall(rest)
    return _NAMES.findall(rest)
