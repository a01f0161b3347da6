"""Which backups lie in a folder, whose they are, and in which order they were made."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from . import naming
from .files import is_regular
from .manifest import Manifest, UnreadableManifestError, read_manifest
from .timestamps import to_datetime

_MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class BackupInfo:
    """One backup in the folder.

    Attributes:
        path: the file.
        name: the name it was given, or None.
        size_bytes: its length.
        created_ms: the snapshot's moment from the manifest, else from the file's name, in UTC
            milliseconds; never the file's times, which a copy changes.
        manifest: its manifest; None for a backup of the old kind or an unreadable one.
        manifest_problem: why the manifest cannot be used, or None.
        ours: whether it is of this queue, as far as it says: one that names no queue counts.
    """

    path: Path
    name: str | None
    size_bytes: int
    created_ms: int
    manifest: Manifest | None
    manifest_problem: str | None
    ours: bool

    @property
    def size_mb(self) -> float:
        """The file's length in MB of 1024 * 1024 bytes."""
        return self.size_bytes / _MEGABYTE

    @property
    def created_at(self) -> datetime:
        """The moment in local time without a zone, in whole seconds, as the file's name has it."""
        local = to_datetime(self.created_ms).astimezone()
        return local.replace(tzinfo=None, microsecond=0)

    @property
    def created_at_utc(self) -> datetime:
        """The moment, aware, in UTC."""
        return to_datetime(self.created_ms)

    @property
    def is_legacy(self) -> bool:
        """Whether it was made without a manifest, so never is removed automatically."""
        return self.manifest is None and self.manifest_problem is None


def same_file(first: str, second: str) -> bool:
    """Return whether two real paths name one file, as the platform compares names."""
    return os.path.normcase(first) == os.path.normcase(second)


def moment_of(path: Path, manifest: Manifest | None) -> int | None:
    """Return when the backup was made, UTC milliseconds, as its manifest or else its name tells."""
    if manifest is not None:
        return manifest.created_ms
    read = naming.read_file_name(path)
    return None if read is None else naming.local_to_ms(read.local_time)


def read_catalog(folder: Path, source: Path) -> list[BackupInfo]:
    """Return the backups in the folder, newest first; drafts and links are not among them.

    Args:
        folder: the backup folder; a missing one is empty.
        source: the database whose backups count as ours.

    Raises:
        OSError: the folder cannot be read.
    """
    if not folder.exists():
        return []
    # Path.glob would take a folder that may not be read for an empty one.
    found = (_read(path, source) for path in folder.iterdir())
    return sorted(
        (info for info in found if info is not None),
        key=lambda info: (info.created_ms, info.path.name),
        reverse=True,
    )


def _read(path: Path, source: Path) -> BackupInfo | None:
    read = naming.read_file_name(path)
    if read is None or not is_regular(path):
        return None
    manifest, problem, named = None, None, None
    try:
        manifest = read_manifest(path)
        named = manifest.source if manifest else None
    except UnreadableManifestError as error:
        problem, named = str(error), error.source
    except OSError as error:
        problem = str(error)
    try:
        size_bytes = path.stat().st_size
    except FileNotFoundError:
        # Another run has removed it since the folder was read.
        return None
    created_ms = moment_of(path, manifest)
    assert created_ms is not None, "the name was read"
    return BackupInfo(
        path=path,
        name=read.name,
        size_bytes=size_bytes,
        created_ms=created_ms,
        manifest=manifest,
        manifest_problem=problem,
        ours=named is None or same_file(named, str(source)),
    )
