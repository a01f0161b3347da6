"""What kind of file system a path lies on, as far as the system tells without being asked twice.

SQLite relies on the locks of the file system, and those of file systems on a network are often
broken or missing (https://www.sqlite.org/howtocorrupt.html, section 2.1); a -wal cannot be shared
between machines at all (https://www.sqlite.org/wal.html).
"""

import re
import sys
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(r"\\([0-7]{3})")
_NETWORK = {
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "9p", "afs", "ceph", "lustre", "gfs2",
    "ocfs2", "beegfs", "coda", "vboxsf", "prl_fs", "vmhgfs", "fakeowner",
}  # fmt: skip
# A program stands behind it, and which locks it has nobody knows.
_BY_A_PROGRAM = "fuse."
_LOCAL_PROGRAMS = {"fuse.ntfs-3g", "fuse.lxcfs", "fuse.fuse-overlayfs"}
_DRIVE_REMOTE = 4


def shared_file_system(path: Path) -> str:
    """Return the name of the network file system that the path lies on, or nothing.

    Nothing is also returned where the system does not tell: on macOS, for example.

    Args:
        path: absolute; it need not exist.
    """
    return _of_windows(path) if sys.platform == "win32" else _of_linux(path)


def _of_linux(path: Path) -> str:
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
    name = type_of(path, mounts)
    return name if _is_shared(name) else ""


def type_of(path: Path, mounts: str) -> str:
    """Return the type of the file system that a path lies on, or nothing where none fits.

    Args:
        path: absolute.
        mounts: lines as ``/proc/self/mountinfo`` has them.
    """
    found, depth = "", -1
    for line in mounts.splitlines():
        before, _separator, after = line.partition(" - ")
        words, kinds = before.split(" "), after.split(" ")
        point = Path(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), words[4]))
        # What is mounted later lies over what was there.
        if path.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = kinds[0], len(point.parts)
    return found


def _is_shared(name: str) -> bool:
    if name in _NETWORK:
        return True
    return name.startswith(_BY_A_PROGRAM) and name not in _LOCAL_PROGRAMS


def windows_share(path: str) -> str:
    """Return what a path of Windows says itself: whether it leads to a server's share."""
    return "a network share" if path.startswith("\\\\") else ""


def _of_windows(path: Path) -> str:
    share = windows_share(str(path))
    if sys.platform == "win32" and not share:
        import ctypes  # noqa: PLC0415 - for Windows alone

        if ctypes.windll.kernel32.GetDriveTypeW(f"{path.drive}\\") == _DRIVE_REMOTE:
            return "a network drive"
    return share
