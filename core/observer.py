"""Looks at a live database's files from a process that never connects to it.

On POSIX, closing any descriptor of a database drops the locks that the process's own connections
hold on it and can destroy the file (https://www.sqlite.org/howtocorrupt.html, section 2.2). So
whatever reads the bytes of a live file (who holds it, a copy, the walk of its -wal) runs in a
child process: ``Observer`` starts it, the rest of this module is what runs there.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from . import wal, walindex
from .errors import DatabaseIOError, NotEnoughSpaceError, OperationTimeoutError
from .fileformat import MAGIC
from .files import copy, free_bytes, make_folder, remove, sha256
from .holders import Holder, find_holders, find_writer
from .paths import shm_of, sides, wal_of

DEFAULT_TIMEOUT_S = 60.0
_COPY_TRIES = 5
_MEGABYTE = 1024 * 1024
_HEAD_BYTES = 20
_WAL_VERSION = 2

Journal = Literal["wal", "rollback"]

# Gives the child this package under a name of its own, whatever it is called here, without
# running __init__.py of it or of an application around it.
_BOOTSTRAP = (
    "import sys, types; p = types.ModuleType('observed_core'); p.__path__ = [sys.argv[1]]; "
    "sys.modules['observed_core'] = p; "
    "from observed_core.observer import main; main(sys.argv[2:])"
)


@dataclass(frozen=True)
class Seen:
    """What is seen of a database from outside.

    Attributes:
        held: whether any process has it open.
        holders: those that could be named; best effort.
        walk: the frames of its -wal; None while somebody holds it, since it moves then.
        journal: the journal mode that the file's header names; None where it names none.
        writer: who holds the writer lock; None where nobody does, or the system does not tell.
        index: what its -shm says of the -wal; None while somebody holds it, or where there is none.
    """

    held: bool
    holders: tuple[Holder, ...]
    walk: wal.WalWalk | None
    journal: Journal | None
    writer: Holder | None = None
    index: walindex.WalIndex | None = None


@dataclass(frozen=True)
class Copied:
    """A copy of a database that nobody held.

    Attributes:
        path: the copied database, its -wal beside it if there was one.
        walk: the frames of the copied -wal.
        sha256: digests of the originals by file name, taken while copying.
    """

    path: Path
    walk: wal.WalWalk
    sha256: dict[str, str]


def journal_of(database: Path) -> Journal | None:
    """Return the journal mode that the file's header names, or None where it names none.

    A header with a later write version names none: SQLite reads such a file and never writes it
    (https://www.sqlite.org/fileformat2.html#file_format_version_numbers).

    Never call it in a process that has a connection to the file.
    """
    if not database.is_file():
        return None
    with database.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if len(head) < _HEAD_BYTES or not head.startswith(MAGIC):
        return None
    if head[18] > _WAL_VERSION:
        return None
    return "wal" if head[18] == _WAL_VERSION else "rollback"


class HeldMeanwhileError(Exception):
    """Somebody opened or changed the database while it was copied."""


def look(database: Path, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> Seen:
    """Return who has the database open, and the walk of its -wal when nobody has.

    Args:
        database: path of the database; it need not be one.
        timeout_s: how long the child may take, in seconds.

    Raises:
        OperationTimeoutError: it took longer.
        DatabaseIOError: the files could not be read.

    Locks: none.
    On a live queue: safe.
    """
    facts = _run(["look", str(database)], database, timeout_s)
    holders = tuple(Holder(**holder) for holder in facts["holders"])
    walk = None if facts["walk"] is None else _walk_from(facts["walk"])
    writer = None if facts["writer"] is None else Holder(**facts["writer"])
    index = None if facts["index"] is None else _index_from(facts["index"])
    return Seen(facts["held"], holders, walk, facts["journal"], writer, index)


def copy_unheld(
    database: Path, folder: Path, *, timeout_s: float = DEFAULT_TIMEOUT_S
) -> Copied | None:
    """Return a copy of the database with its -wal, or None where somebody holds it.

    Sizes, times and the -wal's salt are compared before and after, and holders looked for again,
    so the copy is of one moment. The -shm is not copied: SQLite builds it again.

    Args:
        database: path of the database.
        folder: where the copy goes; made where missing, and nothing in it is overwritten.
        timeout_s: how long the child may take, in seconds.

    Raises:
        OperationTimeoutError: it took longer.
        NotEnoughSpaceError: the folder's disk cannot take the copy.
        DatabaseIOError: the files could not be read or written.

    Locks: none.
    On a live queue: safe; it gives up as soon as somebody holds the database.
    """
    make_folder(folder)
    needed = sum(file.stat().st_size for file in (database, wal_of(database)) if file.exists())
    if free_bytes(folder) < needed + _MEGABYTE:
        raise NotEnoughSpaceError(
            operation=f"copying {database.name}",
            folder=str(folder),
            needed_mb=needed / _MEGABYTE,
            free_mb=free_bytes(folder) / _MEGABYTE,
        )
    facts = _run(["copy", str(database), str(folder)], database, timeout_s)
    if facts["held"]:
        return None
    return Copied(Path(facts["path"]), _walk_from(facts["walk"]), dict(facts["sha256"]))


def _index_from(facts: dict[str, Any]) -> walindex.WalIndex:
    first, second = facts["salt"]
    return walindex.WalIndex(**{**facts, "salt": (first, second)})


def _walk_from(facts: dict[str, Any]) -> wal.WalWalk:
    salt = facts["salt"]
    return wal.WalWalk(**{**facts, "salt": None if salt is None else (salt[0], salt[1])})


def _run(arguments: list[str], database: Path, timeout_s: float) -> dict[str, Any]:
    command = [sys.executable, "-I", "-X", "utf8", "-c", _BOOTSTRAP, str(Path(__file__).parent)]
    try:
        # run() kills and reaps the child when the time is up.
        done = subprocess.run(
            [*command, *arguments],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise OperationTimeoutError(
            operation=f"looking at {database}", timeout_s=timeout_s
        ) from error
    except OSError as error:
        # No process can be started: no memory, no more processes, no more open files.
        raise DatabaseIOError(path=str(database), detail=str(error)) from error
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"]
        raise DatabaseIOError(path=str(database), detail=words[-1])
    facts: dict[str, Any] = json.loads(done.stdout.decode("utf-8"))
    return facts


# -- in the child ----------------------------------------------------------------------------


def main(arguments: list[str]) -> None:
    """Do what ``look`` or ``copy_unheld`` asks, and print the answer as JSON."""
    verb, database = arguments[0], Path(arguments[1])
    answer = _look(database) if verb == "look" else _copy(database, Path(arguments[2]))
    json.dump(answer, sys.stdout)


def _look(database: Path) -> dict[str, Any]:
    held, holders = find_holders(database)
    writer = find_writer(database)
    index = None if held else walindex.read_index(shm_of(database))
    return {
        "held": held,
        "holders": [asdict(holder) for holder in holders],
        "writer": None if writer is None else asdict(writer),
        "walk": None if held else asdict(wal.walk(wal_of(database))),
        "journal": journal_of(database),
        "index": None if index is None else asdict(index),
    }


def _copy(database: Path, folder: Path) -> dict[str, Any]:
    for _attempt in range(_COPY_TRIES):
        try:
            return _copy_once(database, folder)
        except HeldMeanwhileError:
            continue
    return {"held": True}


def _copy_once(database: Path, folder: Path) -> dict[str, Any]:
    _refuse_held(database)
    before = _state(database)
    names = [file for file in (database, *_journals(database)) if file.exists()]
    targets: list[Path] = []
    try:
        for source in names:
            copy(source, folder / source.name)
            # Only what was made here may be deleted again.
            targets.append(folder / source.name)
        _refuse_held(database)
        _refuse_changed(database, before)
    except BaseException:
        for target in targets:
            remove(target)
        raise
    return {
        "held": False,
        "path": str(folder / database.name),
        "walk": asdict(wal.walk(wal_of(folder / database.name))),
        # Of the copies: they were compared with the originals by size, time and salt.
        "sha256": {target.name: sha256(target) for target in targets},
    }


def _journals(database: Path) -> list[Path]:
    """Return the -wal and -journal: both hold content, the -shm does not."""
    return [side for side in sides(database) if not side.name.endswith("-shm")]


def _refuse_held(database: Path) -> None:
    held, _holders = find_holders(database)
    if held:
        raise HeldMeanwhileError


def _refuse_changed(database: Path, before: list[object]) -> None:
    if _state(database) != before:
        raise HeldMeanwhileError


def _state(database: Path) -> list[object]:
    state: list[object] = [wal.salt_of(wal_of(database))]
    for file in (database, *_journals(database)):
        try:
            facts = os.stat(file)  # noqa: PTH116 - one idiom for files that may be missing
        except FileNotFoundError:
            state.append(None)
        else:
            state.append((facts.st_size, facts.st_mtime_ns, facts.st_ino))
    return state
