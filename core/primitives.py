"""The calls to the system that change a file or a name, one function each.

``files.py`` makes no others. Whoever wants to know of every change that the core makes to a disk
stands here: the module's functions are looked up anew at each call, so that a process may replace
them by ones that take note first.
"""

import os
import shutil
from pathlib import Path

OWNER_ONLY_FILE = 0o600
OWNER_ONLY_FOLDER = 0o700
_BINARY = getattr(os, "O_BINARY", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)


def create(path: Path) -> int:
    """Make an empty file of its owner alone; return a descriptor of it.

    Raises:
        FileExistsError: the name is taken; the file there is as it was.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY | _NOFOLLOW
    return os.open(path, flags, OWNER_ONLY_FILE)


def open_file(path: Path) -> int:
    """Return a descriptor of a file that is there, to write to it or to sync it."""
    return os.open(path, os.O_RDWR | _BINARY)


def open_folder(folder: Path) -> int:
    """Return a descriptor of a folder, to sync it; Windows has none."""
    return os.open(folder, os.O_RDONLY)


def write(descriptor: int, content: bytes) -> int:
    """Write some of the content where the descriptor stands; return how many bytes."""
    return os.write(descriptor, content)


def sync(descriptor: int) -> None:
    """Make what the descriptor leads to survive a power cut: a content, or a folder's names."""
    os.fsync(descriptor)


def close(descriptor: int) -> None:
    """Let the descriptor go."""
    os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder of its owner alone.

    Raises:
        FileExistsError: the name is taken.
    """
    folder.mkdir(mode=OWNER_ONLY_FOLDER)


def link(path: Path, name: Path) -> None:
    """Give the file a second name.

    Raises:
        FileExistsError: the name is taken.
    """
    os.link(path, name)


def rename(path: Path, name: Path) -> None:
    """Give the file another name; one that is taken is refused on Windows alone."""
    os.rename(path, name)  # noqa: PTH104 - shown beside os.replace


def replace(path: Path, name: Path) -> None:
    """Give the file another name, which whatever has it loses."""
    os.replace(path, name)  # noqa: PTH105 - shown beside os.rename


def unlink(path: Path) -> None:
    """Take a name away from a file.

    Raises:
        FileNotFoundError: there is no such name.
    """
    path.unlink()


def remove_tree(folder: Path) -> None:
    """Take away a folder with all names in it; links in it are not followed."""
    shutil.rmtree(folder)
