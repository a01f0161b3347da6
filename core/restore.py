"""The restore protocol, and its undoing.

Order: prove the backup; make the new state ready in a staging folder; take the old state into
quarantine; leave a note (``intent.py``); put the new state in place (``placement.py``, or the swap
of ``recovery.py``); take the note away. Cut off before the note, nothing has happened; after it,
the next opening finishes or finds that nothing was replaced (``recovery.py``).
"""

import os
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from . import files, placement, quarantine, recovery, staging
from .catalog import moment_of
from .clock import Clock, Deadline
from .connection import Connect
from .copying import ProgressCallback
from .cost import RestoreCost, compare
from .errors import (
    BackupInvalidError,
    DatabaseError,
    InterruptedRestoreError,
    NotEnoughSpaceError,
    NothingToUndoError,
    OperationTimeoutError,
    RestoreFailedError,
)
from .intent import RestoreIntent, Route, intent_path, remove_intent, write_intent
from .intent import clear_leftovers as clear_notes
from .locks import maintenance_lock
from .manifest import Manifest
from .paths import wal_of
from .quarantine import QuarantineRecord
from .staging import Staged
from .timestamps import to_text
from .translation import system_translated
from .verification import verify

_LOCK_WAIT_S = 30.0
_MEGABYTE = 1024 * 1024
_FAILURES = (DatabaseError, NotEnoughSpaceError, OSError, sqlite3.Error)


@dataclass(frozen=True)
class RestoreResult:
    """What a restore did and what it cost.

    Attributes:
        backup: what was restored.
        route: "interface" (SQLite's backup interface) or "swap" (of files).
        quarantine: folder with what was there before, or None where there was nothing.
        tasks_restored: tasks in the restored queue.
        leases_released: tasks that were held in the backup and are queued now.
        tasks_lost: tasks of the old state that are not in the restored one; None where the old
            state could not be read.
        tasks_to_run_again: tasks that were finished and are not any more; None likewise.
        backup_age_s: seconds between the backup's snapshot and the restore; what was done in
            them is what the two numbers above count. None for an undo, and for a backup that has
            neither a manifest nor a name that tells.
        phases_s: seconds of each phase.
        passed_over: newer backups that were not taken, newest first, each with why not; none where
            the backup was named.
    """

    backup: Path
    route: Route
    quarantine: Path | None
    tasks_restored: int
    leases_released: int
    tasks_lost: int | None
    tasks_to_run_again: int | None
    backup_age_s: float | None
    phases_s: dict[str, float]
    passed_over: tuple[tuple[Path, str], ...] = ()

    @property
    def seconds(self) -> float:
        """The whole time, in seconds."""
        return sum(self.phases_s.values())


@dataclass
class Restorer:
    """One restore or undo of one database.

    Attributes:
        database: path of the database; it need not exist or open.
        connect: the door to SQLite.
        clock: where the time comes from.
        live: whether others may have the database open.
        timeout_s: how long waiting and copying may take.
        progress: told of the pages written.
        declared: names of triggers, tables and indexes that belong in the queue.
    """

    database: Path
    connect: Connect
    clock: Clock
    live: bool
    timeout_s: float
    progress: ProgressCallback | None = None
    declared: Collection[str] = ()
    _phases_s: dict[str, float] = field(default_factory=dict)

    def restore(self, backup: Path) -> RestoreResult:
        """Put the backup's state in place; see ``QueueBackup.restore_backup``."""
        files.make_folder(self.database.parent)
        with self._prepared():
            with self._phase("verify"):
                proof = verify(
                    backup,
                    connect=self.connect,
                    clock=self.clock,
                    live=self.database,
                    declared=self.declared,
                )
            if not proof.ok:
                raise BackupInvalidError(path=str(backup), detail=str(proof))
            age_s = self._age_s(backup, proof.manifest)

            def stage(path: Path, restore_id: str, page_size: int) -> Staged:
                return staging.stage_backup(
                    backup,
                    path,
                    restore_id=restore_id,
                    page_size=page_size,
                    now_ms=self.clock.now_ms(),
                    connect=self.connect,
                    deadline=self._deadline(),
                    declared=self.declared,
                )

            return self._replace(backup, stage, needed=backup.stat().st_size, age_s=age_s)

    def _age_s(self, backup: Path, manifest: Manifest | None) -> float | None:
        created_ms = moment_of(backup, manifest)
        return None if created_ms is None else (self.clock.now_ms() - created_ms) / 1000

    def undo(self) -> RestoreResult:
        """Bring back what the last restore replaced; see ``QueueBackup.undo_restore``."""
        if not intent_path(self.database).exists():
            # Asked first too: a mistyped path must not leave a lock file behind.
            self._last_quarantine()
        with self._prepared():
            folder, record = self._last_quarantine()
            sources = [folder / name for name in record.files]

            def stage(path: Path, restore_id: str, page_size: int) -> Staged:
                return staging.stage_set(
                    sources,
                    path,
                    restore_id=restore_id,
                    page_size=page_size,
                    connect=self.connect,
                    deadline=self._deadline(),
                )

            needed = sum(source.stat().st_size for source in sources)
            result = self._replace(folder, stage, needed=needed, age_s=None)
            # All is in place; and the set that this run has put aside is the next to be undone.
            with suppress(OSError):
                quarantine.mark_undone(folder, record)
            return result

    def _deadline(self) -> Deadline:
        return Deadline(self.timeout_s, self.clock)

    def _last_quarantine(self) -> tuple[Path, QuarantineRecord]:
        with system_translated(self.database):
            kept = quarantine.records(self.database)
        if not kept:
            raise NothingToUndoError(path=str(self.database), detail="none was recorded")
        folder, record = kept[0]
        if record.undone:
            raise NothingToUndoError(path=str(self.database), detail="the last one is undone")
        if not record.files:
            raise NothingToUndoError(
                path=str(self.database), detail="there was no database before the last one"
            )
        gone = [name for name in record.files if not (folder / name).is_file()]
        if gone:
            raise NothingToUndoError(
                path=str(self.database), detail=f"{', '.join(gone)} is gone from {folder}"
            )
        return folder, record

    # -- the protocol ----------------------------------------------------------------------

    @contextmanager
    def _prepared(self) -> Iterator[None]:
        """Hold the maintenance lock, with nothing left of restores that were cut off."""
        wait_s = min(_LOCK_WAIT_S, self.timeout_s)
        with maintenance_lock(self.database, "restore", wait_s=wait_s, clock=self.clock):
            with system_translated(self.database):
                recovery.recover(self.database, connect=self.connect)
                clear_notes(self.database)
                staging.clear_leftovers(self.database)
                quarantine.clear_leftovers(self.database)
            yield

    def _replace(
        self,
        backup: Path,
        stage: Callable[[Path, str, int], Staged],
        *,
        needed: int,
        age_s: float | None,
    ) -> RestoreResult:
        restore_id = os.urandom(8).hex()
        folder = staging.staging_folder(self.database, restore_id)
        try:
            target = placement.find_target(
                self.database, self.connect, live=self.live, timeout_s=self.timeout_s
            )
            self._check_space(needed)
            with self._phase("stage"):
                staged = stage(folder / self.database.name, restore_id, target.page_size)
            run = _Run(self, backup, staged, restore_id)
            with self._phase("replace"):
                run.put_in_place(by_interface=target.opens and staged.opens)
            with self._phase("compare"):
                cost = run.cost()
            return self._result(run, cost, age_s)
        except BaseException as error:
            self._settle(error)
            if isinstance(error, OperationTimeoutError) or not isinstance(error, _FAILURES):
                raise
            raise RestoreFailedError(detail=str(error)) from error
        finally:
            self._tidy(folder)

    def _settle(self, error: BaseException) -> None:
        """Leave the old state in place after an error; raise where that cannot be said.

        Raises:
            InterruptedRestoreError: the new state is in place, or it is not known which.
        """
        if not intent_path(self.database).exists():
            return
        recovered = recovery.recover(self.database, connect=self.connect)
        if recovered is not None and recovered.state != "old" and isinstance(error, Exception):
            raise InterruptedRestoreError(
                f"{recovered} An error came before that was sure: {error}",
                path=str(self.database),
            ) from error

    def _tidy(self, folder: Path) -> None:
        if intent_path(self.database).exists():
            # The next opening needs them.
            return
        # What cannot be removed now (a virus scanner reads it) is cleared by the next restore.
        with suppress(OSError):
            files.remove_tree(folder)
            quarantine.clear_leftovers(self.database)

    def _check_space(self, needed: int) -> None:
        # The staged copy, the quarantined one, and the pages in the target's -wal.
        there = [file for file in (self.database, wal_of(self.database)) if file.exists()]
        total = 2 * needed + sum(file.stat().st_size for file in there) + _MEGABYTE
        free = files.free_bytes(self.database.parent)
        if free < total:
            raise NotEnoughSpaceError(
                operation="the restore",
                folder=str(self.database.parent),
                needed_mb=total / _MEGABYTE,
                free_mb=free / _MEGABYTE,
            )

    def _result(self, run: "_Run", cost: RestoreCost, age_s: float | None) -> RestoreResult:
        return RestoreResult(
            backup=run.backup,
            route=run.route,
            quarantine=run.quarantine if run.old else None,
            tasks_restored=run.staged.tasks,
            leases_released=run.staged.leases_released,
            tasks_lost=cost.tasks_lost,
            tasks_to_run_again=cost.tasks_to_run_again,
            backup_age_s=age_s,
            phases_s=dict(self._phases_s),
        )

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        start_s = self.clock.monotonic_s()
        yield
        self._phases_s[name] = self.clock.monotonic_s() - start_s


class _Run:
    """The replacing of one state by another."""

    def __init__(self, restorer: Restorer, backup: Path, staged: Staged, restore_id: str) -> None:
        self.backup = backup
        self.staged = staged
        self.route: Route = "swap"
        self.old: tuple[str, ...] = ()
        self._restorer = restorer
        self._restore_id = restore_id
        self._started_ms = restorer.clock.now_ms()
        self.quarantine = quarantine.new_folder(restorer.database, restore_id, self._started_ms)

    def put_in_place(self, *, by_interface: bool) -> None:
        database = self._restorer.database
        if by_interface:
            self.route, self.old = "interface", (database.name,)
            self._by_interface()
        else:
            self._by_swap()
        remove_intent(database)

    def _by_swap(self) -> None:
        database = self._restorer.database
        self.route, self.old = "swap", placement.present(database)
        like = database.with_name(self.old[0]) if self.old else database.parent
        for name in self.staged.names:
            files.adopt_access(self.staged.path.with_name(name), like=like)
        note = self._begin()
        # Staging took its time; and an undo may bring back what cannot go in through SQLite.
        placement.require_untouched(database, self.old, self._restorer.timeout_s)
        recovery.swap_in(database, note)

    def _by_interface(self) -> None:
        restorer = self._restorer
        moved = placement.InterfacePlacement(
            database=restorer.database,
            staged=self.staged.path,
            quarantined=self.quarantine / restorer.database.name,
            connect=restorer.connect,
            deadline=Deadline(restorer.timeout_s, restorer.clock),
            begin=self._begin,
            progress=restorer.progress,
        )
        if restorer.live:
            moved.live()
        else:
            moved.alone()

    def _begin(self) -> RestoreIntent:
        """Leave the note, then the quarantine's record: without the note there is no restore."""
        database = self._restorer.database
        note = RestoreIntent(
            restore_id=self._restore_id,
            route=self.route,
            backup=str(self.backup),
            staging=str(self.staged.path.parent),
            quarantine=str(self.quarantine),
            old=self.old,
            new=self.staged.names,
            started_utc=to_text(self._started_ms),
        )
        write_intent(database, note)
        record = QuarantineRecord(
            restore_id=self._restore_id,
            database=str(database),
            backup=str(self.backup),
            at_ms=self._started_ms,
            files=self.old,
            number=quarantine.next_number(database),
        )
        quarantine.write_record(self.quarantine, record)
        return note

    def cost(self) -> RestoreCost:
        if self.route == "swap":
            # What no longer opens cannot be counted.
            return RestoreCost(None, None)
        restorer = self._restorer
        deadline = Deadline(restorer.timeout_s, restorer.clock)
        old = self.quarantine / restorer.database.name
        return compare(old, self.staged.path, connect=restorer.connect, deadline=deadline)
