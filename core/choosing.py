"""Which backup a caller means, and why there may be none."""

import os
from collections.abc import Sequence
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
