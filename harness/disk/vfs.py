"""A file system for SQLite that tells a watcher of every call before and after it is made.

It stands over SQLite's own (https://www.sqlite.org/vfs.html), which does the work. The -shm is not
seen: SQLite maps it into memory below this layer.
"""

import contextlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import apsw

_Answer = TypeVar("_Answer")
_DEFAULT = ""


class Kind(StrEnum):
    """What SQLite asks of a file system."""

    OPEN = "open"
    READ = "read"
    WRITE = "write"
    SYNC = "sync"
    TRUNCATE = "truncate"
    DELETE = "delete"
    SIZE = "size"
    CLOSE = "close"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call.

    Attributes:
        kind: of it.
        path: of the file; None for a temporary one that has no name.
        offset: in bytes, of a read or a write; for truncate, the size that it leaves.
        data: what a write writes.
        amount: bytes that a read asks for.
        synced_folder: whether a delete is to be synced in the folder before it returns.
        flags: of an open (https://www.sqlite.org/c3ref/c_open_autoproxy.html).
    """

    kind: Kind
    path: Path | None
    offset: int = 0
    data: bytes = b""
    amount: int = 0
    synced_folder: bool = False
    flags: int = 0

    def __str__(self) -> str:
        name = "a nameless file" if self.path is None else self.path.name
        return f"{self.kind.value} {name}"


class Watcher(Protocol):
    """Is told of every call; what ``before`` raises, SQLite gets in the place of an answer."""

    def before(self, call: Call) -> None:
        """Take note of a call that is about to be made."""

    def after(self, call: Call) -> None:
        """Take note of a call that was made, and did not fail."""


@contextlib.contextmanager
def watched_files(watcher: Watcher, *, syncing: bool = True) -> Iterator[str]:
    """Register a file system for the body; yield its name, as connections are given it.

    All connections to it must be closed by the end of the body.

    Args:
        watcher: is told.
        syncing: whether a sync is made once it is told. Where no power is cut it makes no
            difference but to the time it takes.
    """
    vfs = _WatchedVfs(f"watched-{secrets.token_hex(4)}", watcher)
    vfs.syncing = syncing
    try:
        yield vfs.name
    finally:
        vfs.unregister()


def failure(code: int) -> apsw.Error:
    """Return what a watcher raises to have SQLite see this result code.

    Args:
        code: a primary or an extended one (https://www.sqlite.org/rescode.html).
    """
    return cast("apsw.Error", apsw.exception_for(code))


class _WatchedVfs(apsw.VFS):
    def __init__(self, name: str, watcher: Watcher) -> None:
        super().__init__(name, _DEFAULT)
        self.name = name
        self.syncing = True
        self.watcher = watcher

    def xOpen(self, name: Any, flags: list[int]) -> "_WatchedFile":  # noqa: ANN401, N802
        shown = name.filename() if isinstance(name, apsw.URIFilename) else name
        call = Call(kind=Kind.OPEN, path=Path(shown) if shown else None, flags=flags[0])
        return _told(self.watcher, call, lambda: _WatchedFile(name, flags, call.path, self))

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - apsw's
        call = Call(kind=Kind.DELETE, path=Path(filename), synced_folder=bool(syncdir))
        base = super().xDelete
        _told(self.watcher, call, lambda: base(filename, syncdir))


class _WatchedFile(apsw.VFSFile):
    def __init__(
        self,
        name: Any,  # noqa: ANN401 - apsw's
        flags: list[int],
        path: Path | None,
        vfs: _WatchedVfs,
    ) -> None:
        super().__init__(_DEFAULT, name, flags)
        self._path = path
        self._watcher = vfs.watcher
        self._syncing = vfs.syncing

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        call = Call(kind=Kind.READ, path=self._path, offset=offset, amount=amount)
        base = super().xRead
        return _told(self._watcher, call, lambda: base(amount, offset))

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: ANN401, N802
        call = Call(kind=Kind.WRITE, path=self._path, offset=offset, data=bytes(data))
        base = super().xWrite
        _told(self._watcher, call, lambda: base(data, offset))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        call = Call(kind=Kind.TRUNCATE, path=self._path, offset=newsize)
        base = super().xTruncate
        _told(self._watcher, call, lambda: base(newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802
        base = super().xSync
        call = Call(kind=Kind.SYNC, path=self._path)
        _told(self._watcher, call, lambda: base(flags) if self._syncing else None)

    def xFileSize(self) -> int:  # noqa: N802
        base = super().xFileSize
        return _told(self._watcher, Call(kind=Kind.SIZE, path=self._path), base)

    def xClose(self) -> None:  # noqa: N802
        base = super().xClose
        _told(self._watcher, Call(kind=Kind.CLOSE, path=self._path), base)


def _told(watcher: Watcher, call: Call, make: Callable[[], _Answer]) -> _Answer:
    watcher.before(call)
    answer = make()
    watcher.after(call)
    return answer
