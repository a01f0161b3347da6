"""The only module that renames, deletes, copies and syncs files.

A name appears only when what it names is whole and synced; nothing is ever overwritten unless the
caller says ``replace``. After a rename the folder is synced, since until then a power cut may
undo the rename (``man 2 fsync``); Windows has no such call and journals its folders itself.
"""

import contextlib
import errno
import functools
import hashlib
import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path

from . import primitives

NOTE_BYTES_MOST = 1 << 20
_CHUNK_BYTES = 1 << 20
_READING = os.O_RDONLY | sum(
    getattr(os, flag, 0) for flag in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC")
)
_DRAFT_SUFFIX = ".draft"
_TOKEN = re.compile(r"[0-9a-f]{12}", re.ASCII)
# A virus scanner or an indexer may hold a file on Windows for a moment.
_SHARING_RETRIES = 20
_SHARING_WAIT_S = 0.05


def create_empty(path: Path) -> None:
    """Make an empty file readable by its owner alone.

    Raises:
        FileExistsError: the name is taken; the file there is as it was.
    """
    primitives.close(primitives.create(path))


def make_folder(path: Path) -> None:
    """Make the folder, and those above it, where missing; a new one is its owner's alone."""
    if path.is_dir():
        return
    make_parents = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(make_parents):
        with contextlib.suppress(FileExistsError):
            primitives.make_folder(folder)
            sync_folder(folder.parent)
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))


def sync_file(path: Path) -> None:
    """Make the file's content survive a power cut. Never call it on a live database.

    Closing a file drops this process's POSIX locks on it
    (https://www.sqlite.org/howtocorrupt.html, section 2.2).
    """
    _sync(primitives.open_file(path))


def sync_folder(folder: Path) -> None:
    """Make renames and deletions in the folder survive a power cut, where the system can."""
    if os.name == "nt":
        return
    _sync(primitives.open_folder(folder))


def _sync(descriptor: int) -> None:
    with _closing(descriptor):
        primitives.sync(descriptor)


def write_new(path: Path, content: bytes, *, draft: Path | None = None) -> None:
    """Make a synced file with this content, whole or not at all.

    Args:
        path: must not exist.
        content: all of it.
        draft: a free name on the same disk to write it under first; by default a hidden one
            beside the path.

    Raises:
        FileExistsError: the name is taken; the file there is as it was.
    """
    with temporary_beside(path, draft) as written:
        _write_synced(written, content)
        publish(written, path)


def write_replacing(path: Path, content: bytes) -> None:
    """Put a synced file with this content in the place of what was there, whole or not at all."""
    with temporary_beside(path) as draft:
        _write_synced(draft, content)
        replace(draft, path)


@contextlib.contextmanager
def replacing(path: Path, *, like: Path | None = None) -> Iterator[Callable[[bytes], None]]:
    """Put a synced file in the place of what was there, whole or not at all, piece by piece.

    Args:
        path: its name; what is there stays until the body has ended without an error.
        like: a file whose owner and mode it gets; its owner's alone unless told.

    Yields:
        What takes the next piece of its content.
    """
    with temporary_beside(path) as draft:
        with _closing(primitives.create(draft)) as descriptor:
            yield functools.partial(_write_all, descriptor)
            primitives.sync(descriptor)
        if like is not None:
            adopt_access(draft, like=like)
        replace(draft, path)


def publish(draft: Path, final: Path) -> None:
    """Give a whole, synced file its final name, and sync the folder.

    Raises:
        FileExistsError: the name is taken; both files are as they were.
    """
    if os.name == "nt":
        _retrying(lambda: primitives.rename(draft, final))
    else:
        _publish_by_link(draft, final)
    sync_folder(final.parent)


def _publish_by_link(draft: Path, final: Path) -> None:
    try:
        # rename(2) overwrites; link(2) does not.
        primitives.link(draft, final)
    except FileExistsError:
        raise
    except OSError:
        # No hard links here (FAT, some network shares). An empty file to reserve the name would
        # be a half file if we died now, so the name is looked at and then taken.
        if final.exists():
            raise FileExistsError(str(final)) from None
        primitives.replace(draft, final)
    else:
        # Under its final name it is whole; a second one that stays is a draft like any other.
        with contextlib.suppress(OSError):
            primitives.unlink(draft)


def replace(source: Path, target: Path) -> None:
    """Move the file over the target's name in one step, and sync the folders."""
    _retrying(lambda: primitives.replace(source, target))
    sync_folder(target.parent)
    if source.parent != target.parent:
        sync_folder(source.parent)


def move(source: Path, target: Path) -> None:
    """Move the file to a name that is free, and sync both folders.

    Raises:
        FileExistsError: the name is taken.
    """
    if target.exists():
        raise FileExistsError(str(target))
    replace(source, target)


def remove(path: Path, *, sync: bool = True) -> bool:
    """Delete the file if it is there; return whether it was.

    Args:
        path: the file.
        sync: also sync the folder, so that a power cut cannot bring the file back.
    """
    try:
        _retrying(lambda: primitives.unlink(path))
    except FileNotFoundError:
        return False
    if sync:
        sync_folder(path.parent)
    return True


def remove_tree(folder: Path) -> None:
    """Delete a folder of ours with all in it, if it is there; links are not followed."""
    if folder.is_dir() and not folder.is_symlink():
        primitives.remove_tree(folder)
        sync_folder(folder.parent)


def copy(source: Path, target: Path, *, progress: Callable[[int], None] | None = None) -> None:
    """Copy a file that nobody writes to a name that is free, synced, its owner's alone.

    Args:
        source: the file; never a live database (see ``sync_file``).
        target: must not exist.
        progress: called with the bytes copied so far.

    Raises:
        FileExistsError: the target is there.
    """
    with temporary_beside(target) as draft:
        with open_regular(source) as read, _closing(primitives.create(draft)) as written:
            done = 0
            while chunk := read.read(_CHUNK_BYTES):
                _write_all(written, chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done)
            primitives.sync(written)
        publish(draft, target)


def sha256(path: Path, *, each: Callable[[], object] | None = None) -> str:
    """Return the hexadecimal SHA-256 of a file that nobody writes.

    Args:
        path: the file.
        each: called after each megabyte; an exception from it stops.
    """
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            if each is not None:
                each()
    return digest.hexdigest()


def open_regular(path: Path) -> BufferedReader:
    """Return a regular file open to be read; the caller closes it.

    Whoever may write to its folder could else have a link lead anywhere, or a pipe wait for ever.

    Raises:
        FileNotFoundError: there is none.
        OSError: it is a link, or no regular file.
    """
    if path.is_symlink():
        # Windows knows no way of opening that follows none.
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    descriptor = os.open(path, _READING)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is no regular file", str(path))


def read_note(path: Path) -> bytes:
    """Return the content of a small file of ours.

    Raises:
        OSError: it cannot be read, or is a link, or no regular file.
        ValueError: it is larger than any that this program writes.
    """
    with open_regular(path) as file:
        content = file.read(NOTE_BYTES_MOST + 1)
    if len(content) > NOTE_BYTES_MOST:
        raise ValueError(f"{path.name} is larger than any that is written here")
    return content


def free_bytes(folder: Path) -> int:
    """Return the bytes that this user may still write on the folder's disk."""
    nearest = folder
    while not nearest.exists():
        nearest = nearest.parent
    return shutil.disk_usage(nearest).free


def adopt_access(path: Path, like: Path) -> None:
    """Give a file the owner of another and, if that is a file too, its mode, as far as one may.

    A database that comes back in a file of its own must stay open to the workers of another user.
    Windows has no such owner: a file has the rights of its folder.
    """
    if sys.platform != "win32":
        facts = like.stat()
        with contextlib.suppress(PermissionError):
            os.chown(path, facts.st_uid, facts.st_gid)
        if stat.S_ISREG(facts.st_mode):
            path.chmod(stat.S_IMODE(facts.st_mode))


def is_one_file(path: Path, name: Path) -> bool:
    """Return whether both names are there and lead to one file.

    A power cut may leave a rename half done, with both, where the folders are two
    (``man 2 fsync`` speaks of each by itself).
    """
    try:
        return path.samefile(name)
    except FileNotFoundError:
        return False


def is_regular(path: Path) -> bool:
    """Return whether the path itself is a regular file and no link."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


@contextlib.contextmanager
def temporary_beside(path: Path, draft: Path | None = None) -> Iterator[Path]:
    """Yield a free hidden name beside the path; what is left under it is deleted at the end.

    Args:
        path: the final name.
        draft: yielded in the place of a random name.
    """
    if draft is None:
        draft = path.with_name(f"{_draft_prefix(path)}{os.urandom(6).hex()}{_DRAFT_SUFFIX}")
    try:
        yield draft
    finally:
        # The first error is the one to tell, and what cannot be removed the next run clears.
        with contextlib.suppress(OSError):
            remove(draft, sync=False)


def clear_temporaries(path: Path) -> None:
    """Delete the hidden drafts of this path that killed processes left beside it.

    The caller knows that nobody is writing the file now.
    """
    prefix = _draft_prefix(path)
    for draft in path.parent.iterdir():
        token = draft.name.removeprefix(prefix).removesuffix(_DRAFT_SUFFIX)
        if draft.name == f"{prefix}{token}{_DRAFT_SUFFIX}" and _TOKEN.fullmatch(token):
            remove(draft, sync=False)


def _draft_prefix(path: Path) -> str:
    # Short, so that the longest permitted name still fits the file system's 255 bytes.
    return f".{path.name[:100]}."


def _write_synced(draft: Path, content: bytes) -> None:
    with _closing(primitives.create(draft)) as descriptor:
        _write_all(descriptor, content)
        primitives.sync(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    # One call may write less than it was given (man 2 write).
    left = memoryview(content)
    while left:
        left = left[primitives.write(descriptor, bytes(left)) :]


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        primitives.close(descriptor)


def _retrying(action: Callable[[], object]) -> None:
    """Do the action, again for a second where Windows says that somebody has the file open."""
    retries = _SHARING_RETRIES if os.name == "nt" else 0
    while True:
        try:
            action()
        except PermissionError:
            if retries == 0:
                raise
            retries -= 1
            time.sleep(_SHARING_WAIT_S)
        else:
            return
