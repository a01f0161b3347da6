"""The hidden names under which a backup comes to be and goes.

A backup gets its own name as the last step of its making, and loses it as the first step of its
removal. In between it lies under a name that only its queue's runs use, and its manifest names
that draft; so what a cut-off run left is known for what it is, and cleared by the next one.
"""

import contextlib
import hashlib
import os
from pathlib import Path

from . import files
from .manifest import SUFFIX, Manifest, UnreadableManifestError, manifest_path, read_manifest
from .paths import sides

TOKEN_LENGTH = 16
_BACKUP = "queue_backup_"


class Drafts:
    """The drafts of one queue in one folder; the caller holds the queue's maintenance lock.

    Args:
        folder: the backup folder; it exists.
        database: path of the queue. Queues that share a folder have drafts of their own.
    """

    def __init__(self, folder: Path, database: Path) -> None:
        self._folder = folder
        key = hashlib.sha256(os.path.normcase(str(database)).encode("utf-8", "surrogatepass"))
        self._prefix = f".queue_backup_{key.hexdigest()[:12]}_"

    def new_token(self) -> str:
        """Return a random token that names one draft."""
        return os.urandom(TOKEN_LENGTH // 2).hex()

    def backup(self, token: str) -> Path:
        """Return the path of the draft itself."""
        return self._folder / f"{self._prefix}{token}.draft.db"

    def manifest(self, token: str) -> Path:
        """Return the path under which its manifest is written before it gets its name."""
        return self._folder / f"{self._prefix}{token}.draft.json"

    def clear(self) -> None:
        """Remove what runs that were cut off left: drafts, and manifests of nothing."""
        self._discard({name.removeprefix(self._prefix)[:TOKEN_LENGTH] for name in self._names()})

    def discard(self, token: str) -> None:
        """Remove what is left of this draft; a backup that was published stays."""
        self._discard({token})

    def withdraw(self, backup: Path, manifest: Manifest) -> None:
        """Remove a backup of this queue with its manifest.

        It is renamed to its draft first: cut off after that, it is a draft like any other, and
        never a backup that lost its proof.
        """
        for side in sides(backup):
            # Whoever opened it left these; they are nothing without it.
            files.remove(side, sync=False)
        files.replace(backup, self.backup(manifest.draft))
        self.discard(manifest.draft)

    def _names(self) -> list[str]:
        return [path.name for path in self._folder.iterdir() if path.name.startswith(self._prefix)]

    def _discard(self, tokens: set[str]) -> None:
        if not tokens:
            return
        # Manifests first: once the draft is gone nobody knows whose they were.
        # Path.glob would take a folder that may not be read for an empty one.
        for path in list(self._folder.iterdir()):
            if path.name.startswith(_BACKUP) and path.name.endswith(SUFFIX):
                self._remove_if_orphan(path.with_name(path.name.removesuffix(SUFFIX)), tokens)
        for name in self._names():
            if name.removeprefix(self._prefix)[:TOKEN_LENGTH] in tokens:
                files.remove(self._folder / name, sync=False)
        files.sync_folder(self._folder)

    def _remove_if_orphan(self, backup: Path, tokens: set[str]) -> None:
        with contextlib.suppress(UnreadableManifestError):
            manifest = read_manifest(backup)
            if manifest is not None and manifest.draft in tokens and not backup.exists():
                files.remove(manifest_path(backup))
