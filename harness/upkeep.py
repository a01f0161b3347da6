"""The verbs that keep a queue, each as one call: the same for who runs it and who kills it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from core.backup import QueueBackup
from core.connection import Connect
from core.database import QueueDatabase
from core.maintenance import QueueMaintenance

Verb = Callable[[Path, Connect, str], object]
"""Takes the queue, the door to SQLite, and the verb's own argument."""
KEEP_COUNT = 1


def _backup(database: Path, connect: Connect, name: str) -> object:
    return QueueBackup(database, connect=connect).create_backup(name or None)


def _verify(database: Path, connect: Connect, backup: str) -> object:
    verification = QueueBackup(database, connect=connect).check_backup(backup)
    if not verification.ok:
        raise ValueError(str(verification))
    return verification


def _prune(database: Path, connect: Connect, _argument: str) -> object:
    return QueueBackup(database, connect=connect).cleanup_old_backups(KEEP_COUNT)


def _restore(database: Path, connect: Connect, backup: str) -> object:
    return QueueBackup(database, connect=connect).restore_backup(backup)


def _restore_live(database: Path, connect: Connect, backup: str) -> object:
    return QueueBackup(database, connect=connect).restore_backup(backup, live=True)


def _undo(database: Path, connect: Connect, _argument: str) -> object:
    return QueueBackup(database, connect=connect).undo_restore()


def _vacuum(database: Path, connect: Connect, _argument: str) -> object:
    with QueueDatabase(database, connect=connect) as opened:
        return QueueMaintenance(opened).vacuum()


def _checkpoint(database: Path, connect: Connect, _argument: str) -> object:
    with QueueDatabase(database, connect=connect) as opened:
        result = QueueMaintenance(opened).checkpoint(QueueMaintenance.CHECKPOINT_TRUNCATE)
    if not result["complete"]:
        raise ValueError(str(result))
    return result


def _archive(database: Path, connect: Connect, age_s: str) -> object:
    with QueueDatabase(database, connect=connect) as opened:
        return QueueMaintenance(opened).archive_finished(float(age_s))


def _stale_leases(database: Path, connect: Connect, grace_s: str) -> object:
    with QueueDatabase(database, connect=connect) as opened:
        return QueueMaintenance(opened).release_stale_leases(float(grace_s))


def _content(database: Path, connect: Connect, _argument: str) -> object:
    with QueueDatabase(database, connect=connect) as opened:
        result = QueueMaintenance(opened).check_content()
    if not result.ok:
        raise ValueError(str(result))
    return result


VERBS: Mapping[str, Verb] = {
    "backup": _backup,
    "verify": _verify,
    "prune": _prune,
    "restore": _restore,
    "restore-live": _restore_live,
    "undo": _undo,
    "vacuum": _vacuum,
    "checkpoint": _checkpoint,
    "archive": _archive,
    "stale-leases": _stale_leases,
    "content": _content,
}
