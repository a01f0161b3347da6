"""Where the queue and what belongs to it lie."""

import os
import platform
from pathlib import Path, PurePath
from urllib.parse import quote

from .errors import InvalidArgumentError

ENVIRONMENT_VARIABLE = "PRISMQ_QUEUE_DB_PATH"
WINDOWS_PATH = r"C:\Data\PrismQ\queue\queue.db"
BACKUP_FOLDER = "backups"
QUARANTINE_FOLDER = "quarantine"
SIDE_SUFFIXES = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database: https://www.sqlite.org/tempfiles.html."""


def default_path() -> Path:
    """Return the queue's path when none is given.

    The environment variable PRISMQ_QUEUE_DB_PATH, else the runbook's path on Windows, else
    ``queuedrill/queue.db`` in the user's data folder.
    """
    told = os.environ.get(ENVIRONMENT_VARIABLE)
    if told:
        return Path(told)
    if os.name == "nt":
        return Path(WINDOWS_PATH)
    if platform.system() == "Darwin":
        return Path.home() / "Library" / "Application Support" / "queuedrill" / "queue.db"
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "queuedrill" / "queue.db"


def resolve(path: str | os.PathLike[str] | None, *, what: str = "the database path") -> Path:
    """Return the absolute path of the real file, symbolic links followed as SQLite follows them.

    Args:
        path: what was given; None is the default path.
        what: what it is the path of, for the message.

    Raises:
        InvalidArgumentError: the path is empty or holds a NUL.
    """
    given = os.fspath(default_path() if path is None else path)
    if not given or "\0" in given:
        raise InvalidArgumentError(
            what=what, value=given, cure="Give a path with at least one character and no NUL."
        )
    return Path(os.path.realpath(given))


def sides(path: Path) -> tuple[Path, ...]:
    """Return the -wal, -shm and -journal that SQLite may keep beside the database."""
    return tuple(path.with_name(path.name + suffix) for suffix in SIDE_SUFFIXES)


def wal_of(path: Path) -> Path:
    """Return the path of the database's write-ahead log."""
    return path.with_name(path.name + "-wal")


def shm_of(path: Path) -> Path:
    """Return the path of the shared memory in which SQLite keeps an index of that log."""
    return path.with_name(path.name + "-shm")


def lock_folder(path: Path) -> Path:
    """Return the path of the folder by which SQLite's dot-file locking would lock the database."""
    return path.with_name(path.name + ".lock")


def backup_folder(path: Path) -> Path:
    """Return the folder that backups of this database go to unless told otherwise."""
    return path.parent / BACKUP_FOLDER


def uri(path: PurePath, **parameters: str | int) -> str:
    """Return the path as an SQLite URI file name (https://www.sqlite.org/uri.html).

    Args:
        path: an absolute path.
        parameters: query parameters such as ``mode="ro"`` or ``immutable=1``.
    """
    text = path.as_posix()
    # A drive letter needs a slash before it; a UNC path must not be taken for an authority.
    rooted = text if text.startswith("/") else "/" + text
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return f"file://{quote(os.fsencode(rooted), safe='/:')}" + (f"?{query}" if query else "")
