"""What a backup is worth: the tasks that come back from it."""

import hashlib
import tempfile
from pathlib import Path

from core.backup import QueueBackup
from core.database import QueueDatabase
from core.manifest import manifest_path


def keys_in(database: Path) -> frozenset[str]:
    """Return the idempotency keys of all tasks of a queue.

    Args:
        database: a queue, which this process opens and closes again.

    Raises:
        DatabaseError: it cannot be read.
    """
    with QueueDatabase(database) as opened:
        rows = opened.connection().execute("SELECT idempotency_key FROM task_queue").fetchall()
    return frozenset(str(row[0]) for row in rows)


def unproved(backups: QueueBackup) -> list[str]:
    """Return the names of listed backups that have no manifest, or do not verify."""
    return [
        info.path.name
        for info in backups.list_backups()
        if info.manifest is None or not backups.verify_backup(info.path)
    ]


class Prover:
    """Restores backups, each in a new place; one whose bytes are as they were then only once.

    Args:
        scratch: where the new places are made; they are left there.
    """

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._proved: dict[str, frozenset[str]] = {}

    @property
    def restored(self) -> int:
        """How many restores were made."""
        return len(self._proved)

    def keys(self, backup: Path) -> frozenset[str]:
        """Return the keys of the tasks that come back from the backup.

        Raises:
            BackupMissingError: there is no such file.
            BackupInvalidError: it failed its verification.
            RestoreFailedError: it could not be restored.
        """
        digest = _digest(backup)
        if digest not in self._proved:
            target = Path(tempfile.mkdtemp(prefix="restored-", dir=self._scratch)) / "queue.db"
            QueueBackup(target, backup.parent).restore_backup(backup, allow_foreign=True)
            self._proved[digest] = keys_in(target)
        return self._proved[digest]


def _digest(backup: Path) -> str:
    digest = hashlib.sha256(str(backup).encode("utf-8", "surrogatepass"))
    for file in (backup, manifest_path(backup)):
        digest.update(file.read_bytes() if file.exists() else b"none")
    return digest.hexdigest()
