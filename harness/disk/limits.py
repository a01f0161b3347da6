"""Full disks by the means of a user: limits on pages, on the size of files, and a small disk.

Nothing stands between SQLite and its files here. A level is tried after the other, from no room at
all, until a verb has all that it needs; until then something has to strike.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from core.connection import Connect, Connection, connect_stdlib
from harness.disk.faulted import DATABASE
from harness.disk.trial import CountingDoor

PAGES = "limit on the database's pages"
SIZE = "limit on the size of files"
SPACE = "room on the disk"
HANDLES = "limit on open files"
READ_ONLY = "disk that is read-only"
Limit = Callable[[int], contextlib.AbstractContextManager[None]]
_PAGE_BYTES = 4096
_PAGES_MOST = 4_294_967_294
_STEP_BYTES = 4 * _PAGE_BYTES
_FILLER = ".filler"
_NUMBERS_LEAST = 64
_TIMEOUT_S = 20.0


class Limits:
    """Sets limits in the process that alone owns the files, which it opens through ``sqlite3``.

    Args:
        folder: of the queue.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pages: int | None = None
        self.connect = CountingDoor(self._door(connect_stdlib))
        self.struck = ""
        self.counts: dict[str, int] = {}

    def open_connections(self) -> int:
        """Return how many connections are open."""
        return self.connect.count()

    @contextlib.contextmanager
    def arming(self, kind: str, _mode: str, at: int) -> Iterator[None]:
        """Leave room for ``at`` - 1 pages, as the kind counts them, in the body."""
        of_files: dict[str, Limit] = {
            PAGES: self._few_pages,
            SPACE: self._little_room,
            READ_ONLY: self._read_only,
        }
        limit = {**_OF_PROCESS, **of_files}.get(kind)
        with contextlib.nullcontext() if limit is None else limit(at - 1):
            yield

    @contextlib.contextmanager
    def _few_pages(self, more: int) -> Iterator[None]:
        self._pages = (self._folder / DATABASE).stat().st_size // _PAGE_BYTES + more
        try:
            self._limit(self._pages)
            yield
        finally:
            self._pages = None
            self._limit(_PAGES_MOST)

    def _limit(self, pages: int) -> None:
        self.connect.count()
        for connection in self.connect.open:
            connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()

    def _door(self, right: Connect) -> Connect:
        def connect(uri: str, *, timeout_s: float) -> Connection:
            connection = right(uri, timeout_s=timeout_s)
            if self._pages is not None:
                connection.execute(f"PRAGMA max_page_count = {self._pages}").fetchall()
            return connection

        return connect

    @contextlib.contextmanager
    def _little_room(self, steps: int) -> Iterator[None]:
        filler = self._folder.parent / _FILLER
        free = shutil.disk_usage(filler.parent).free
        with filler.open("wb") as file:
            file.write(bytes(max(0, free - steps * _STEP_BYTES)))
        try:
            yield
        finally:
            filler.unlink()

    @contextlib.contextmanager
    def _read_only(self, level: int) -> Iterator[None]:
        """Have the small disk read-only where the level is 0, which binds root too."""
        if level > 0:
            yield
            return
        self._remount("ro")
        try:
            yield
        finally:
            self._remount("rw")

    def _remount(self, how: str) -> None:
        disk = str(self._folder.parent)
        words = ["mount", "-o", f"remount,{how}", disk]
        subprocess.run(words, check=True, timeout=_TIMEOUT_S)


if sys.platform != "win32":
    import resource

    @contextlib.contextmanager
    def _small_files(pages: int) -> Iterator[None]:
        # Python ignores SIGXFSZ, so that a write beyond the limit is an error and no death.
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (pages * _PAGE_BYTES, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    @contextlib.contextmanager
    def _few_handles(more: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        # The limit is one on the numbers of files: those that are free below the highest are taken.
        taken = [os.dup(0)]
        while (number := os.dup(0)) != taken[-1] + 1 or number < _NUMBERS_LEAST:
            taken.append(number)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (number + more, before[1]))
            os.close(number)
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
            for each in taken:
                os.close(each)

    _OF_PROCESS: dict[str, Limit] = {SIZE: _small_files, HANDLES: _few_handles}
else:
    _OF_PROCESS: dict[str, Limit] = {}


@contextlib.contextmanager
def limits(folder: Path) -> Iterator[Limits]:
    """Yield the means for one process."""
    yield Limits(folder)
