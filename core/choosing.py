"""Which backup a caller means, and why there may be none."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .catalog import BackupInfo, same_file
from .errors import (
    BackupFolderError,
    BackupInvalidError,
    BackupMissingError,
    DatabaseMissingError,
    ForeignBackupError,
)
from .manifest import UnreadableManifestError, read_manifest
from .translation import system_translated


@dataclass(frozen=True)
class Choice:
    """The newest sound backup, and what was passed over to get to it.

    Attributes:
        backup: it; None where none is sound.
        passed_over: newer ones, newest first, each with what is wrong with it or why it could not
            be read just now: read a moment later, that one may be sound.
    """

    backup: BackupInfo | None
    passed_over: tuple[tuple[Path, str], ...] = ()


def choose(backups: Iterable[BackupInfo], fault_of: Callable[[BackupInfo], str]) -> Choice:
    """Return the first backup without a fault.

    Args:
        backups: newest first.
        fault_of: returns what is wrong with one, empty where it is sound; may raise OSError.
    """
    passed_over: list[tuple[Path, str]] = []
    for info in backups:
        try:
            fault = fault_of(info)
        except OSError as error:
            fault = f"it cannot be read now ({error})"
        if not fault:
            return Choice(info, tuple(passed_over))
        passed_over.append((info.path, fault))
    return Choice(None, tuple(passed_over))


def existing(path: str | os.PathLike[str], folder: Path) -> Path:
    """Return the absolute path of the backup that is meant; a link is not followed.

    Args:
        path: a bare name means one in the folder; anything with a folder in it is taken as it is.
        folder: the backup folder.

    Raises:
        BackupMissingError: there is nothing there.
        BackupFolderError: this user may not look there.
    """
    given = os.fspath(path)
    if not given or "\0" in given:
        raise BackupMissingError(path=given.replace("\0", "\\0"))
    plain = Path(given)
    where = folder / plain if plain.name == given else plain
    try:
        found = where.exists() or where.is_symlink()
    except PermissionError as error:
        raise BackupFolderError(folder=str(where.parent), detail=str(error)) from error
    except OSError:
        # A name that the system cannot even look for.
        found = False
    if not found:
        raise BackupMissingError(path=str(where))
    return where.absolute()


def refuse_foreign(backup: Path, database: Path) -> None:
    """Return unless the backup says that it is of another queue.

    Raises:
        ForeignBackupError: it is.
        BackupInvalidError: its manifest cannot be read now.
    """
    try:
        manifest = read_manifest(backup)
    except UnreadableManifestError:
        # It fails its verification, whosever it is.
        return
    except OSError as error:
        # Read a moment later it may be sound, and another queue's.
        raise BackupInvalidError(path=str(backup), detail=str(error)) from error
    if manifest is not None and not same_file(manifest.source, str(database)):
        raise ForeignBackupError(path=str(backup), source=manifest.source)


def refuse_unknown(database: Path, backups: Sequence[BackupInfo]) -> None:
    """Return if there is the queue, or any backup that it may be brought back from.

    Args:
        database: path of the queue.
        backups: all in the folder, those of other queues too.

    Raises:
        DatabaseMissingError: there is neither, so the path is mistyped.
        UnreadableDatabaseError: the system does not let this user look.
    """
    with system_translated(database):
        if not backups and not database.exists():
            raise DatabaseMissingError(path=str(database))


def lack_of_a_sound_one(backups: Sequence[BackupInfo], database: Path) -> str:
    """Return, for people, what there is instead of a sound backup.

    Args:
        backups: all in the folder, those of other queues too.
        database: the queue.
    """
    broken = sum(info.ours for info in backups)
    others = len(backups) - broken
    details = []
    if broken:
        details.append(f"{broken} of this queue failed verification.")
    if others:
        details.append(
            f"{others} there {'is' if others == 1 else 'are'} of another queue: if this queue has "
            "moved, name one and add --foreign."
        )
    return " ".join(details) or f'Make one with: queuedrill backup --db "{database}"'
