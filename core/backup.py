"""``QueueBackup``: backups made, proved, listed, thinned out and restored."""

import contextlib
import dataclasses
import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from . import catalog, choosing, files, naming, restore, retention
from .arguments import check_seconds
from .backup_writer import BackupWriter
from .catalog import BackupInfo
from .clock import Clock, SystemClock
from .connection import Connect, connect_stdlib
from .copying import ProgressCallback
from .database import QueueDatabase, require_file
from .drafts import Drafts
from .errors import (
    BackupFailedError,
    BackupFolderError,
    DatabaseError,
    InvalidArgumentError,
    NoBackupError,
    NotEnoughSpaceError,
    OperationTimeoutError,
)
from .locks import maintenance_lock
from .manifest import Manifest
from .paths import backup_folder, resolve
from .retention import RetentionPlan, RetentionPolicy
from .verification import Verification, verify, verify_digest

LOCK_WAIT_S = 30.0
KEEP_COUNT = 10


class QueueBackup:
    """The backups of one queue.

    Args:
        database: the queue, or its path (which need not open any more: restoring is why).
        backup_dir: where backups lie; ``backups`` beside the database unless told otherwise.
        connect: the door to SQLite; the database's own where one was given.
        clock: where the time comes from; the database's own where one was given.
        declared: names of triggers, tables and indexes that belong in the queue though no queue
            has them. Others that could run code of their author's make a backup invalid.

    Raises:
        InvalidArgumentError: a path makes no sense.

    Attributes:
        path: absolute path of the database.
        folder: absolute path of the backup folder.
    """

    def __init__(
        self,
        database: QueueDatabase | str | os.PathLike[str] | None = None,
        backup_dir: str | os.PathLike[str] | None = None,
        *,
        connect: Connect | None = None,
        clock: Clock | None = None,
        declared: Collection[str] = (),
    ) -> None:
        opened = database if isinstance(database, QueueDatabase) else None
        self.path = opened.path if opened else resolve(database)  # type: ignore[arg-type]
        self.folder = (
            backup_folder(self.path)
            if backup_dir is None
            else resolve(backup_dir, what="the backup folder")
        )
        self._database = opened
        self._connect: Connect = connect or (opened.connect if opened else connect_stdlib)
        self._clock: Clock = clock or (opened.clock if opened else SystemClock())
        self._declared = frozenset(declared)

    # -- making ----------------------------------------------------------------------------

    def create_backup(
        self,
        name: str | None = None,
        *,
        progress: ProgressCallback | None = None,
        timeout_seconds: float | None = None,
    ) -> Path:
        """Leave a whole, synced, verified backup with its manifest; return its path.

        Args:
            name: becomes part of the file's name.
            progress: told of the pages copied after every step; an exception from it stops the
                backup and leaves nothing.
            timeout_seconds: how long copying and verifying may take.

        Raises:
            InvalidBackupNameError: the name is no name.
            InvalidArgumentError: the timeout makes no sense.
            BackupFolderError: the folder cannot be used.
            BackupFailedError: the source cannot be read, the disk is full, or the copy is not
                what the source was.
            BackupUnsureError: it is there, and a power cut may undo it.
            OperationTimeoutError: it took longer.
            MaintenanceBusyError: another maintenance run did not end in time.

        Locks: shared on the queue; the maintenance lock.
        On a live queue: safe: no writer waits; the -wal grows until the copy is done.
        """
        naming.check_name(name)
        _check_timeout(timeout_seconds)
        # The source comes first: a mistyped path must not leave a folder or a lock file behind,
        # and opening it ends a restore that was cut off, which takes the maintenance lock.
        with self._failing_as_backup(), self._source() as database:
            self._prepare_folder()
            with maintenance_lock(self.path, "backup", wait_s=LOCK_WAIT_S, clock=self._clock):
                writer = BackupWriter(database, self.folder, timeout_seconds)
                writer.clear_leftovers()
                return writer.write(name, progress)

    @contextlib.contextmanager
    def _failing_as_backup(self) -> Iterator[None]:
        try:
            yield
        except OperationTimeoutError:
            # It is an OSError too, by way of TimeoutError.
            raise
        except (DatabaseError, NotEnoughSpaceError, OSError, sqlite3.Error) as error:
            raise BackupFailedError(detail=str(error)) from error

    @contextlib.contextmanager
    def _source(self) -> Iterator[QueueDatabase]:
        if self._database is not None:
            require_file(self.path)
            # A closed one opens again when it is used; the caller's connections stay as they are.
            yield self._database
            return
        with QueueDatabase(self.path, connect=self._connect, clock=self._clock) as database:
            yield database

    def _prepare_folder(self) -> None:
        try:
            files.make_folder(self.folder)
        except OSError as error:
            raise BackupFolderError(folder=str(self.folder), detail=str(error)) from error
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise BackupFolderError(folder=str(self.folder), detail="it is read-only")

    # -- proving ---------------------------------------------------------------------------

    def verify_backup(self, path: str | os.PathLike[str]) -> bool:
        """Return whether the backup is what its manifest says, and a sound queue.

        Args:
            path: the backup, or its name in the backup folder.

        Raises:
            BackupMissingError: there is no such file.

        Locks: none.
        On a live queue: safe.
        """
        return self.check_backup(path).ok

    def check_backup(
        self, path: str | os.PathLike[str], *, timeout_seconds: float | None = None
    ) -> Verification:
        """Return what is wrong with the backup, and what was counted in it.

        Args:
            path: the backup, or its name in the backup folder.
            timeout_seconds: how long it may take.

        Raises:
            BackupMissingError: there is no such file.
            OperationTimeoutError: it took longer.

        Locks: none.
        On a live queue: safe.
        """
        _check_timeout(timeout_seconds)
        return verify(
            choosing.existing(path, self.folder),
            connect=self._connect,
            clock=self._clock,
            timeout_s=timeout_seconds,
            live=self.path,
            declared=self._declared,
        )

    # -- listing ---------------------------------------------------------------------------

    def list_backups(self, *, include_foreign: bool = False) -> list[BackupInfo]:
        """Return the backups of this queue, newest first; those of the old kind are among them.

        Args:
            include_foreign: also return those that other queues keep in the same folder.

        Raises:
            BackupFolderError: the folder cannot be read.

        Locks: none.
        On a live queue: safe.
        """
        try:
            found = catalog.read_catalog(self.folder, self.path)
        except OSError as error:
            raise BackupFolderError(folder=str(self.folder), detail=str(error)) from error
        return [info for info in found if info.ours or include_foreign]

    def newest_verified(self) -> BackupInfo | None:
        """Return the newest backup of this queue that is proved sound now, or None.

        One with a manifest is proved by its digest, one of the old kind by all checks.

        Raises:
            BackupFolderError: the folder cannot be read.

        Locks: none.
        On a live queue: safe; reads the whole backup.
        """
        return self.choose_newest().backup

    def choose_newest(self) -> choosing.Choice:
        """Return the newest backup of this queue that is proved sound now, and what is newer.

        Raises:
            BackupFolderError: the folder cannot be read.

        Locks: none.
        On a live queue: safe; reads the whole backup.
        """
        return choosing.choose(self.list_backups(), self._fault_of)

    def _fault_of(self, info: BackupInfo) -> str:
        """Return what is wrong with a backup, empty for nothing; an unreadable one raises."""
        if info.is_legacy:
            proof = verify(
                info.path,
                connect=self._connect,
                clock=self._clock,
                live=self.path,
                declared=self._declared,
            )
        else:
            proof = verify_digest(info.path, clock=self._clock)
        return "" if proof.ok else str(proof)

    def _is_proved(self, info: BackupInfo) -> bool:
        return not self._fault_of(info)

    # -- thinning out ----------------------------------------------------------------------

    def cleanup_old_backups(self, keep_count: int = KEEP_COUNT) -> int:
        """Keep the newest so many sound backups of this queue; return how many were removed.

        Args:
            keep_count: at least 1.

        Raises:
            InvalidArgumentError: keep_count is below 1.
            DatabaseMissingError: there is neither the queue nor a backup.
            BackupFolderError: the folder cannot be read.
            MaintenanceBusyError: another maintenance run did not end in time.

        Locks: the maintenance lock.
        On a live queue: safe.
        """
        if isinstance(keep_count, bool) or not isinstance(keep_count, int) or keep_count < 1:
            raise InvalidArgumentError(
                what="keep_count", value=keep_count, cure="Keep at least 1 backup."
            )
        return len(self.apply_retention(RetentionPolicy(last=keep_count)))

    def plan_retention(self, policy: RetentionPolicy) -> RetentionPlan:
        """Return what a retention run would do now; nothing is touched.

        Raises:
            DatabaseMissingError: there is neither the queue nor a backup.
            BackupFolderError: the folder cannot be read.

        Locks: none.
        On a live queue: safe; reads the backups that would be kept.
        """
        return self._plan(self._ours(), policy)

    def _ours(self) -> list[BackupInfo]:
        everyone = self.list_backups(include_foreign=True)
        choosing.refuse_unknown(self.path, everyone)
        return [info for info in everyone if info.ours]

    def _plan(self, backups: list[BackupInfo], policy: RetentionPolicy) -> RetentionPlan:
        try:
            return retention.plan(backups, policy, self._is_proved)
        except OSError as error:
            # What cannot be read now may be sound, so nothing is planned on the strength of it.
            raise BackupFolderError(folder=str(self.folder), detail=str(error)) from error

    def apply_retention(self, policy: RetentionPolicy) -> list[Path]:
        """Remove what the policy does not keep, oldest first; return what was removed.

        A backup loses its name first and its manifest last: a crash in between leaves what the
        next run clears, never a backup that lost its proof.

        Raises:
            DatabaseMissingError: there is neither the queue nor a backup.
            BackupFolderError: the folder cannot be read or written.
            MaintenanceBusyError: another maintenance run did not end in time.

        Locks: the maintenance lock.
        On a live queue: safe.
        """
        # Asked first too: a mistyped path must not leave a lock file behind.
        self._ours()
        with maintenance_lock(self.path, "retention", wait_s=LOCK_WAIT_S, clock=self._clock):
            backups = self._ours()
            going = self._plan(backups, policy).remove[::-1]
            manifests = {info.path: info.manifest for info in backups}
            try:
                self._withdraw([(path, manifests[path]) for path in going])
            except OSError as error:
                raise BackupFolderError(folder=str(self.folder), detail=str(error)) from error
        return list(going)

    def _withdraw(self, going: Sequence[tuple[Path, Manifest | None]]) -> None:
        if not self.folder.exists():
            return
        drafts = Drafts(self.folder, self.path)
        drafts.clear()
        for path, manifest in going:
            assert manifest is not None, "only backups with a manifest are removed"
            drafts.withdraw(path, manifest)

    # -- restoring -------------------------------------------------------------------------

    def restore_backup(
        self,
        path: str | os.PathLike[str],
        *,
        live: bool = False,
        allow_foreign: bool = False,
        timeout_seconds: float = 300.0,
        progress: ProgressCallback | None = None,
    ) -> "restore.RestoreResult":
        """Put the backup's state in the database's place, and say what that cost.

        What was there is kept in a quarantine folder, so it can be undone. Every lease in the
        restored queue is released. Killed at any point, the next opening finds the old state
        whole or the new state whole.

        Args:
            path: the backup, or its name in the backup folder.
            live: restore under connections that are open; they see the restored rows at their
                next transaction.
            allow_foreign: take a backup of another queue.
            timeout_seconds: how long waiting and copying may take.
            progress: told of the pages written after every step; an exception from it stops the
                restore, until all are written.

        Raises:
            BackupMissingError: there is no such file.
            BackupInvalidError: the backup failed its verification; nothing was touched.
            ForeignBackupError: it is of another queue.
            DatabaseHeldError: somebody has the database open (it says who).
            RestoreFailedError: it could not be done; the database is as it was.
            OperationTimeoutError: it took longer; the database is as it was.
            InterruptedRestoreError: an error came when the restored state was in place already.
            MaintenanceBusyError: another maintenance run did not end in time.

        Locks: exclusive (or, live, writer) while the pages are written; the maintenance lock.
        On a live queue: stop it first, or say ``live``; writers then wait for the whole of it.
        """
        check_seconds("timeout_seconds", timeout_seconds)
        backup = choosing.existing(path, self.folder)
        if not allow_foreign:
            choosing.refuse_foreign(backup, self.path)
        return self._restorer(live, timeout_seconds, progress).restore(backup)

    def restore_newest(self, *, live: bool = False) -> "restore.RestoreResult":
        """Restore the newest sound backup of this queue; see ``restore_backup``.

        What is newer and was passed over is in the result's ``passed_over``.

        Raises:
            NoBackupError: there is none.
        """
        choice = self.choose_newest()
        result = self.restore_backup(self.newest_or_error(choice).path, live=live)
        return dataclasses.replace(result, passed_over=choice.passed_over)

    def newest_or_error(self, choice: choosing.Choice | None = None) -> BackupInfo:
        """Return the newest sound backup of this queue.

        Args:
            choice: what ``choose_newest`` has said; looked for where it is not given.

        Raises:
            NoBackupError: there is none; it says what else lies in the folder.
        """
        choice = choice or self.choose_newest()
        if choice.backup is not None:
            return choice.backup
        everyone = self.list_backups(include_foreign=True)
        detail = choosing.lack_of_a_sound_one(everyone, self.path)
        raise NoBackupError(path=str(self.path), folder=str(self.folder), detail=detail)

    def undo_restore(
        self, *, live: bool = False, timeout_seconds: float = 300.0
    ) -> "restore.RestoreResult":
        """Bring back what the last restore replaced, leases and all; it can itself be undone.

        Raises:
            NothingToUndoError: there was no restore, or it is undone.
            DatabaseHeldError, RestoreFailedError, OperationTimeoutError, MaintenanceBusyError:
                as for ``restore_backup``.

        Locks: as for ``restore_backup``.
        On a live queue: stop it first, or say ``live``.
        """
        check_seconds("timeout_seconds", timeout_seconds)
        return self._restorer(live, timeout_seconds, None).undo()

    def _restorer(
        self, live: bool, timeout_s: float, progress: ProgressCallback | None
    ) -> "restore.Restorer":
        return restore.Restorer(
            self.path,
            connect=self._connect,
            clock=self._clock,
            live=live,
            timeout_s=timeout_s,
            progress=progress,
            declared=self._declared,
        )


def _check_timeout(timeout_s: float | None) -> None:
    if timeout_s is not None:
        check_seconds("timeout_seconds", timeout_s)
