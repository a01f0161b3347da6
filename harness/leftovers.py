"""What a kill leaves of a folder: read at a standstill, and laid out again to be looked at."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import primitives
from core.connection import connect_stdlib
from core.locks import lock_path
from core.paths import sides, uri
from harness.step import Step

_MEMORY = "-shm"
_VARYING = re.compile(r"[0-9a-f]{6,}|[0-9]+")

Contents = Mapping[Path, bytes | None]
"""Paths below the folder; None for a folder."""


@dataclass(frozen=True, eq=False)
class Leftover:
    """What a kill at some steps leaves.

    Attributes:
        steps: the steps one after the other at which it is the same.
        contents: of the folder.
    """

    steps: tuple[Step, ...]
    contents: Contents

    def __str__(self) -> str:
        return str(self.steps[-1])


def read_folder(folder: Path, database: Path) -> Contents:
    """Return all that lies in the folder, as whoever comes after a kill finds it.

    The file of the maintenance lock is left out, and the -shm where it cannot be read: Windows
    does not let anybody read what is locked. Nobody in this process may have the database open.
    """
    unread = {lock_path(database), *(folder.rglob("*-shm") if os.name == "nt" else ())}
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if path not in unread
    }


def shape(contents: Contents) -> list[tuple[str, int]]:
    """Return the names without what is random or a time in them, with the databases' sizes."""
    return sorted(
        (_VARYING.sub("#", path.as_posix()), _size(content))
        for path, content in contents.items()
        if not path.name.endswith(_MEMORY)
    )


def _size(content: bytes | None) -> int:
    # A note has times in it, and is now longer, now shorter.
    return 0 if content is None or content.startswith(b"{") else len(content)


def lay_out(contents: Contents, folder: Path) -> None:
    """Have exactly this in the folder, which is emptied before."""
    shutil.rmtree(folder)
    folder.mkdir()
    # A folder sorts before what lies in it.
    for path, content in contents.items():
        if content is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(content)


def leftovers(steps: Iterable[Step], folder: Path, database: Path) -> Iterator[Leftover]:
    """Yield what a kill would leave at each step, what stays the same only once.

    Args:
        steps: of a verb that stands still at each of them.
        folder: all that it changes lies there.
        database: the queue in it.
    """
    same: list[Step] = []
    last: Contents | None = None
    for step in steps:
        now = last if last is not None and not step.changed else read_folder(folder, database)
        if last is not None and _on_disk(now) != _on_disk(last):
            yield Leftover(tuple(same), last)
            same = []
        same.append(step)
        last = now
    if last is not None:
        yield Leftover(tuple(same), last)


def _on_disk(contents: Contents) -> Contents:
    """Leave the -shm out: it moves all the time, and whoever comes after a kill makes it anew."""
    return {path: each for path, each in contents.items() if not path.name.endswith(_MEMORY)}


@contextlib.contextmanager
def unsynced() -> Iterator[None]:
    """Have the core sync nothing of its own in the body, where leftovers are judged.

    Nobody cuts the power there, and syncing is what takes the time.
    """

    def nothing(descriptor: int) -> None:
        del descriptor

    right, primitives.sync = primitives.sync, nothing
    try:
        yield
    finally:
        primitives.sync = right


def asked_of_copy(database: Path, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query on a copy of the database and its logs, which stay as they are.

    Whoever opens the file itself folds them in. Nobody may have it open.
    """
    with tempfile.TemporaryDirectory() as folder:
        for file in (database, *sides(database)):
            if file.exists() and not file.name.endswith("-shm"):
                shutil.copyfile(file, Path(folder) / file.name)
        connection = connect_stdlib(uri(Path(folder) / database.name, mode="rw"), timeout_s=0.0)
        with contextlib.closing(connection):
            return connection.execute(sql).fetchall()
