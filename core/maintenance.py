"""``QueueMaintenance``: every maintenance verb of a queue, two of which never run at once."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .analysis import ROWS_LIMIT, analyze
from .archive import BATCH_TASKS, ArchiveResult, archive_finished, archive_path
from .arguments import check_integer, check_seconds
from .attempts import Outcome
from .checkpoint import TIMEOUT_SECONDS as CHECKPOINT_SECONDS
from .checkpoint import CheckpointResult, Mode, check_mode, checkpoint
from .content import ContentResult, check_content
from .database import QueueDatabase
from .errors import DatabaseBusyError, QueueError
from .integrity import integrity_check
from .journal import enable_wal
from .locks import maintenance_lock
from .observer import look
from .paths import resolve
from .releasing import TIMEOUT_SECONDS as STALE_SECONDS
from .releasing import ReleasedLeases, release_one, release_stale
from .statistics import DatabaseStats, read_statistics
from .stopping import ProgressCallback
from .vacuum import TIMEOUT_SECONDS as VACUUM_SECONDS
from .vacuum import VacuumResult, incremental_vacuum, vacuum


class QueueMaintenance:
    """The maintenance of one queue.

    Every verb that writes holds the queue's maintenance lock, an operating-system lock on a file
    beside the database; workers never wait for it.

    Args:
        database: the queue.
        wait_s: how long a verb waits for another maintenance run to end, in seconds.

    Raises:
        InvalidArgumentError: the wait makes no sense.
    """

    CHECKPOINT_PASSIVE: Mode = "PASSIVE"
    CHECKPOINT_FULL: Mode = "FULL"
    CHECKPOINT_RESTART: Mode = "RESTART"
    CHECKPOINT_TRUNCATE: Mode = "TRUNCATE"

    def __init__(self, database: QueueDatabase, *, wait_s: float = 0.0) -> None:
        check_seconds("wait_s", wait_s)
        self.database = database
        self.wait_s = wait_s

    # -- the file --------------------------------------------------------------------------

    def checkpoint(
        self, mode: str = CHECKPOINT_PASSIVE, *, timeout_seconds: float = CHECKPOINT_SECONDS
    ) -> CheckpointResult:
        """Bring the pages of the -wal into the database as far as the mode can.

        Args:
            mode: PASSIVE waits for nobody and may leave some; FULL waits for all; RESTART also
                lets the -wal begin anew; TRUNCATE also cuts it to nothing.
            timeout_seconds: how long it waits for a lock, and writers wait for it at most.

        Returns:
            ``busy``, ``log``, ``checkpointed`` as SQLite says them, and ``complete``, ``mode``,
            ``seconds``. A lock that was not had in time is ``busy`` 1 and no error.

        Raises:
            InvalidArgumentError: there is no such mode, or the timeout makes no sense.
            MaintenanceBusyError: another maintenance run is at work.
            ReadOnlyDatabaseError: the database was opened read-only.

        Locks: FULL, RESTART and TRUNCATE take the writer lock while they wait for readers;
            PASSIVE none, but on an SQLite with the WAL-reset defect it keeps writers out too.
        On a live queue: safe; delays writers by the timeout at most.
        """
        known = check_mode(mode)
        check_seconds("timeout_seconds", timeout_seconds)
        with self._alone("checkpoint"):
            return checkpoint(self.database, known, timeout_seconds)

    def vacuum(
        self, *, timeout_seconds: float = VACUUM_SECONDS, progress: ProgressCallback | None = None
    ) -> VacuumResult:
        """Rewrite the database without free pages; say what it gained and what it cost.

        The rows stay as they are. Stopped before its end, the file is as it was. The last step,
        which copies the pages back, looks at neither deadline nor progress.

        Args:
            timeout_seconds: how long it may wait and work.
            progress: told the seconds so far, about ten times a second; an exception from it
                (or Ctrl-C) stops VACUUM.

        Raises:
            NotEnoughSpaceError: the disk of the database or the one for temporary files cannot
                take the copy (twice the size where both are one); nothing was done.
            DatabaseBusyError: the writer lock was not had in time; nothing was done.
            OperationTimeoutError: it took longer and was stopped.
            InvalidArgumentError: the timeout makes no sense.
            MaintenanceBusyError: another maintenance run is at work.
            ReadOnlyDatabaseError: the database was opened read-only.

        Locks: writer, from its beginning to its end.
        On a live queue: delays writers for all of it; those with a shorter busy timeout fail.
        """
        check_seconds("timeout_seconds", timeout_seconds)
        with self._alone("vacuum"):
            return vacuum(self.database, timeout_seconds, progress)

    def incremental_vacuum(self, pages: int | None = None) -> int:
        """Give free pages back to the disk, some hundreds a transaction; return how many.

        Args:
            pages: at most so many; None for all.

        Raises:
            VacuumNotPossibleError: the file has no ``auto_vacuum = INCREMENTAL``.
            InvalidArgumentError: the number makes no sense.
            DatabaseBusyError: the writer lock was not had in time.
            MaintenanceBusyError: another maintenance run is at work.
            ReadOnlyDatabaseError: the database was opened read-only.

        Locks: writer, for moments.
        On a live queue: safe.
        """
        if pages is not None:
            check_integer("pages", pages, least=1)
        with self._alone("incremental vacuum"):
            return incremental_vacuum(self.database, pages)

    def analyze(self, table: str | None = None, *, analysis_limit: int = ROWS_LIMIT) -> float:
        """Bring the query planner's statistics up to date; return the seconds writers waited.

        Args:
            table: only this table; None for all.
            analysis_limit: rows read of each index; 0 reads all, and writers wait for it.

        Raises:
            UnknownTableError: there is no such table; nothing was done.
            InvalidArgumentError: the limit makes no sense.
            DatabaseBusyError: the writer lock was not had in time; nothing was done.
            MaintenanceBusyError: another maintenance run is at work.
            ReadOnlyDatabaseError: the database was opened read-only.

        Locks: writer, for a moment with the usual limit.
        On a live queue: safe.
        """
        check_integer("analysis_limit", analysis_limit, least=0, most=2**31 - 1)
        with self._alone("analyze"):
            return analyze(self.database, table, analysis_limit)

    def integrity_check(
        self, *, timeout_seconds: float | None = None, progress: ProgressCallback | None = None
    ) -> list[str]:
        """Return ["ok"], or everything that is wrong with the file.

        It cannot see a changed payload or a row that was never written
        (https://www.sqlite.org/pragma.html#pragma_integrity_check).

        Args:
            timeout_seconds: how long it may take; None for as long as it takes.
            progress: told the seconds so far; an exception from it stops the check.

        Raises:
            OperationTimeoutError: it took longer.
            InvalidArgumentError: the timeout makes no sense.
            DatabaseBusyError: the file was locked.

        Locks: shared; none of the maintenance lock.
        On a live queue: safe in WAL mode (the -wal grows meanwhile); in other journal modes it
            delays writers for all of it.
        """
        if timeout_seconds is not None:
            check_seconds("timeout_seconds", timeout_seconds)
        return integrity_check(self.database, timeout_seconds, progress)

    def check_content(
        self,
        record: str | os.PathLike[str] | None = None,
        *,
        accept: bool = False,
        only_compare: bool = False,
        timeout_seconds: float | None = None,
        progress: ProgressCallback | None = None,
    ) -> ContentResult:
        """Compare every finished task with what is recorded of it, and record it anew.

        The record is a file outside of the database. It tells what ``integrity_check`` cannot: a
        payload that has changed, a task that is no longer finished, or gone, without anybody having
        written to it, requeued it or archived it. What differs keeps the record that it had, and is
        told again each time until it is as recorded or accepted. After a restore nothing can be
        compared: all is recorded anew, and the result says so.

        Args:
            record: the record, ``<name>-content.jsonl`` beside the queue unless told otherwise.
            accept: record what differs as it is now, also in the place of a record that cannot be
                used; what is no record at all is never overwritten.
            only_compare: write nothing.
            timeout_seconds: how long reading the queue may take; None for as long as it takes.
            progress: told the seconds so far; an exception from it stops the check.

        Raises:
            ContentRecordError: the record is damaged, or no record; it is as it was.
            ForeignRecordError: it is that of another queue; it is as it was.
            OperationTimeoutError: it took longer; the record is as it was.
            InvalidArgumentError: an argument makes no sense.
            MaintenanceBusyError: another maintenance run is at work.
            DatabaseError: the queue, its archive or the record cannot be read or written.

        Locks: shared.
        On a live queue: safe (the -wal grows meanwhile).
        """
        if timeout_seconds is not None:
            check_seconds("timeout_seconds", timeout_seconds)
        path = None if record is None else resolve(record, what="the record's path")
        with maintenance_lock(
            self.database.path, "content", wait_s=self.wait_s, clock=self.database.clock
        ):
            return check_content(
                self.database, path, timeout_seconds, progress,
                accept=accept, write=not only_compare,
            )  # fmt: skip

    def enable_wal(self) -> None:
        """Leave the database in WAL mode, which the file remembers.

        Raises:
            WalNotPossibleError: SQLite left it in another mode.
            DatabaseBusyError: somebody else is at work on it.
            MaintenanceBusyError: another maintenance run is at work.
            ReadOnlyDatabaseError: the database was opened read-only.

        Locks: exclusive, for a moment.
        On a live queue: safe; refused while anybody is at work.
        """
        with self._alone("enable WAL"):
            enable_wal(self.database)

    # -- the tasks -------------------------------------------------------------------------

    def cleanup_stale_leases(self, timeout_seconds: float = STALE_SECONDS) -> int:
        """Take tasks away whose lease ran out longer ago than the timeout; return how many.

        As ``release_stale_leases``, which says more.

        Locks: writer, for moments.
        On a live queue: safe.
        """
        return self.release_stale_leases(timeout_seconds).released

    def release_stale_leases(self, timeout_seconds: float = STALE_SECONDS) -> ReleasedLeases:
        """Take tasks away whose lease ran out longer ago than the timeout, and say what became.

        Each counts an attempt and is queued again or, its attempts used up, moved to
        ``dead_letter``, with its history. A holder that is merely late gets LeaseLostError.

        Args:
            timeout_seconds: grace after the end of a lease.

        Raises:
            InvalidArgumentError: the timeout makes no sense.
            DatabaseBusyError: the writer lock was not had in time; each task is as it was or
                moved whole.
            CommitUnknownError: the last of them may be moved or not; doing it again is harmless.
            MaintenanceBusyError: another maintenance run is at work.
            ReadOnlyDatabaseError: the database was opened read-only.

        Locks: writer, for moments.
        On a live queue: safe.
        """
        check_seconds("timeout_seconds", timeout_seconds)
        with self._alone("stale leases"):
            return release_stale(self.database, timeout_seconds)

    def release_lease(self, task_id: int) -> Outcome:
        """Take one task away from its holder, whatever its lease says; return what became of it.

        For leases that have no readable end, and holders known to be dead. It counts an attempt.

        Args:
            task_id: the task.

        Raises:
            TaskNotHeldError: nobody holds it.
            InvalidArgumentError: that is no id.
            DatabaseBusyError: the writer lock was not had in time; nothing was done.
            CommitUnknownError: it may be released or not; doing it again tells.
            MaintenanceBusyError: another maintenance run is at work.
            ReadOnlyDatabaseError: the database was opened read-only.

        Locks: writer, for a moment.
        On a live queue: safe; the task may run twice at one time if its holder lives.
        """
        check_integer("task_id", task_id)
        with self._alone("release lease"):
            return release_one(self.database, task_id)

    def archive_finished(
        self,
        older_than_seconds: float,
        archive_path: str | os.PathLike[str] | None = None,
        *,
        batch_tasks: int = BATCH_TASKS,
    ) -> ArchiveResult:
        """Move finished tasks, with their history, into a database of their own.

        An idempotency key goes with its task: the same key can be enqueued again afterwards.

        Args:
            older_than_seconds: only tasks that ended longer ago.
            archive_path: the archive, made where missing; ``archive/<name>-archive.db`` beside
                the queue unless told otherwise. An archive belongs to one queue.
            batch_tasks: tasks in one transaction; writers wait for one batch at most.

        Raises:
            ArchiveError: the archive cannot be used, or another table refers to the tasks;
                every task is still in one of the two.
            InvalidArgumentError: an argument makes no sense.
            DatabaseBusyError: the writer lock was not had in time; running it again goes on.
            CommitUnknownError: the last batch may have left the queue; running it again settles it.
            MaintenanceBusyError: another maintenance run is at work.
            ReadOnlyDatabaseError: the database was opened read-only.

        Locks: writer, for moments.
        On a live queue: safe.
        """
        check_seconds("older_than_seconds", older_than_seconds)
        check_integer("batch_tasks", batch_tasks, least=1, most=10_000)
        path = _default_archive(self.database) if archive_path is None else resolve(archive_path)
        with self._alone("archive"):
            return archive_finished(self.database, older_than_seconds, path, batch_tasks)

    # -- together --------------------------------------------------------------------------

    def optimize(self, full: bool = False) -> dict[str, Any]:
        """Run ANALYZE and, if full, VACUUM; return the figures before and after.

        Args:
            full: also VACUUM.

        Returns:
            ``analyzed``, ``vacuumed`` (whether it was done), ``stats_before``, ``stats_after``.

        Raises:
            NotEnoughSpaceError: VACUUM has no space; ANALYZE was done.
            DatabaseBusyError: the writer lock was not had in time.
            OperationTimeoutError: VACUUM took too long and was stopped.
            MaintenanceBusyError: another maintenance run is at work.
            ReadOnlyDatabaseError: the database was opened read-only.

        Locks: writer, for a moment, or for all of the VACUUM.
        On a live queue: safe; if full it delays writers.
        """
        with self._alone("optimize"):
            before = read_statistics(self.database)
            analyze(self.database, None, ROWS_LIMIT)
            if full:
                vacuum(self.database, VACUUM_SECONDS, None)
            after = read_statistics(self.database)
        return {
            "analyzed": True,
            "vacuumed": full,
            "stats_before": before,
            "stats_after": after,
        }

    def get_database_stats(self) -> DatabaseStats:
        """Return the figures of the database, those of the runbook and more.

        Raises:
            DatabaseError: it could not be read.

        Locks: shared, for a moment.
        On a live queue: safe.
        """
        return read_statistics(self.database)

    @contextlib.contextmanager
    def _alone(self, verb: str) -> Iterator[None]:
        self.database.require_writable()
        with maintenance_lock(
            self.database.path, verb, wait_s=self.wait_s, clock=self.database.clock
        ):
            try:
                yield
            except DatabaseBusyError as error:
                told = _told_by_whom(error, self.database.path)
                if told is None:
                    raise
                raise told from error


def _told_by_whom(error: DatabaseBusyError, path: Path) -> DatabaseBusyError | None:
    """Return the error with who keeps the database locked, or None where that cannot be seen."""
    try:
        seen = look(path)
    except (QueueError, OSError):
        return None
    holders = [holder for holder in seen.holders if holder.pid != os.getpid()]
    if seen.writer is not None:
        who = f"The writer lock is held by {seen.writer}."
    elif holders:
        who = f"It is open in {', '.join(map(str, holders))}."
    else:
        return None
    return DatabaseBusyError(f"{error} {who}", **error.facts)


def _default_archive(database: QueueDatabase) -> Path:
    return archive_path(database.path)
