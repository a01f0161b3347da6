"""Brings the tasks back that a damaged queue file still holds, into a new file.

The damaged file is copied once, with its log, by a process of its own, and is never opened by
SQLite: its pages are read one by one (``treewalk.py``), so that damage costs what it covers, and
neither a trigger nor a view nor a line of its schema is run. The new file gets its name when it is
whole, proved and synced. It replaces nothing: what is done with it is a person's decision.
"""

import contextlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from . import files, observer
from .arguments import check_seconds
from .catalog import BackupInfo
from .clock import Clock, Deadline, SystemClock
from .connection import Connect, Connection, connect_stdlib, scalar
from .copying import ProgressCallback
from .database import require_file, require_queue
from .errors import (
    DatabaseHeldError,
    InvalidArgumentError,
    NotEnoughSpaceError,
    SalvageFailedError,
    SalvageTargetError,
)
from .journalpages import pages_before
from .pagefile import Overlay, PageFile
from .paths import backup_folder, resolve, sides, uri, wal_of
from .salvagecompare import compare_with_backup, newest_backup
from .salvagemaking import OPERATION, Made, make_draft
from .salvagereport import Compared, Expected, Log, SalvageReport
from .schema import EXPECTED_COLUMNS, indexes_missing
from .stopping import watched
from .translation import system_translated, translated
from .walpages import committed_pages

TIMEOUT_SECONDS = 3600.0
_LISTED_MOST = 10_000
_MEGABYTE = 1024 * 1024
# The copy, and the new file beside it.
_TIMES = 2


def salvage(
    damaged: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    connect: Connect = connect_stdlib,
    clock: Clock | None = None,
    backup_dir: str | os.PathLike[str] | None = None,
    stranded: bool = False,
    on_progress: ProgressCallback | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> SalvageReport:
    """Make a new queue of every task that the damaged file still holds; say how many of how many.

    Args:
        damaged: path of the damaged file; its -wal or -journal is read with it.
        out: path of the new file; nothing may be there, and its folder must be.
        connect: the door to SQLite.
        clock: where the time comes from.
        backup_dir: where backups lie, to compare with the newest; else ``backups`` beside the
            damaged file.
        stranded: also take the transactions that lie behind a damaged frame of the -wal, which
            SQLite would drop.
        on_progress: told of the pages read; an exception from it stops the salvage.
        timeout_seconds: when to give up, in seconds.

    Returns:
        What came back, of how much. Where nothing did, no file is made, and ``out`` is None.

    Raises:
        SalvageTargetError: there is something at ``out``.
        DatabaseHeldError: somebody has the damaged file open.
        DatabaseMissingError, NotAFileError, EmptyDatabaseError: there is nothing to read.
        NotEnoughSpaceError: the copy and the new file have no room.
        OperationTimeoutError: it took longer.
        SalvageFailedError: what came back makes no sound queue.
        DatabaseError: the disk is full, or fails.
        InvalidArgumentError: an argument makes no sense.

    Locks: none.
    On a live queue: stop it first; it refuses where somebody has the file open.
    """
    check_seconds("timeout_seconds", timeout_seconds, above_zero=True)
    source, target = resolve(damaged, what="DAMAGED"), resolve(out, what="OUT")
    _require_source(source)
    _require_free(target)
    clock = clock or SystemClock()
    job = _Job(
        source=source,
        out=target,
        backups=backup_folder(source) if backup_dir is None else resolve(backup_dir),
        connect=connect,
        clock=clock,
        deadline=Deadline(timeout_seconds, clock),
        stranded=stranded,
        on_progress=on_progress,
    )
    with _scratch(target) as folder, system_translated(target):
        return job.run(folder)


def _require_source(source: Path) -> None:
    # A -wal that was left behind alone, or beside an empty file, has pages too.
    wal = wal_of(source)
    if source.is_dir() or not (wal.is_file() and wal.stat().st_size):
        require_file(source)


def _require_free(out: Path) -> None:
    if not out.parent.is_dir():
        raise InvalidArgumentError(
            what="OUT", value=str(out), cure="Its folder is not there; make it first."
        )
    for path in (out, *sides(out)):
        # A log beside the name would be replayed over the new file.
        if path.exists() or path.is_symlink():
            raise SalvageTargetError(path=str(path))


@contextlib.contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """Yield a hidden folder beside the new file, on its disk; it is gone at the end."""
    with system_translated(out.parent):
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name[:100]}.salvage-", dir=out.parent))
    try:
        yield folder
    finally:
        files.remove_tree(folder)


@dataclass(frozen=True, kw_only=True)
class _Job:
    source: Path
    out: Path
    backups: Path
    connect: Connect
    clock: Clock
    deadline: Deadline
    stranded: bool
    on_progress: ProgressCallback | None

    def run(self, folder: Path) -> SalvageReport:
        began_s = self.clock.monotonic_s()
        copied = self._copy(folder / "copy")
        log, overlay, log_path = self._log(copied)
        draft = folder / "draft"
        with PageFile(copied.path, log_path, overlay) as pages, translated(self.out):
            made = make_draft(
                draft,
                pages,
                connect=self.connect,
                clock=self.clock,
                deadline=self.deadline,
                on_progress=self.on_progress,
            )
        compared = None
        something = is_something(made)
        backup = newest_backup(self.backups, self.source)
        if something:
            self._prove(draft, made)
            compared = self._compare(draft, made, backup)
            self._publish(draft)
        expected = list(made.expected)
        if log.stranded_commits and not log.stranded_taken:
            # What was read is an older state, and its indexes know of no later one.
            expected = [replace(each, exact=False) for each in expected]
        told = backup.manifest if backup is not None else None
        by_backup = [Expected("backup", sum(told.counts.values()), exact=False)] if told else []
        return SalvageReport(
            damaged=self.source,
            out=self.out if something else None,
            tasks=made.counts["task_queue"],
            logs=made.counts["task_logs"] - made.leases_released,
            workers=made.counts["workers"],
            found=made.found,
            expected=(*expected, *by_backup),
            lost=dict(Counter(status or "unknown" for _id, status in made.lost)),
            lost_ids=tuple(task_id for task_id, _status in made.lost[:_LISTED_MOST]),
            doubts=made.doubts.count,
            doubtful=tuple(made.doubts.first),
            in_doubt=len(made.doubts.tasks),
            set_aside=made.set_aside,
            deleted=made.deleted,
            leases_released=made.leases_released,
            page_errors=tuple(made.errors.first),
            error_count=made.errors.count,
            pages=pages.count,
            pages_missing=max(0, pages.header.declared - pages.count),
            guessed=pages.header.guessed,
            log=log,
            compared=compared,
            seconds=self.clock.monotonic_s() - began_s,
        )

    def _copy(self, folder: Path) -> observer.Copied:
        """Copy the set as one, by a process that has no connection to it."""
        there = [file for file in (self.source, *sides(self.source)) if file.exists()]
        needed = _TIMES * sum(file.stat().st_size for file in there) + _MEGABYTE
        free = files.free_bytes(folder)
        if free < needed:
            raise NotEnoughSpaceError(
                operation=OPERATION,
                folder=str(self.out.parent),
                needed_mb=needed / _MEGABYTE,
                free_mb=free / _MEGABYTE,
            )
        left_s = self.deadline.remaining_s()
        copied = observer.copy_unheld(self.source, folder, timeout_s=left_s)
        if copied is None:
            holders = ", ".join(map(str, observer.look(self.source).holders))
            raise DatabaseHeldError(
                path=str(self.source),
                holders=holders or "another process",
                cure="It changes meanwhile, so stop everything that has it open first.",
            )
        return copied

    def _log(self, copied: observer.Copied) -> tuple[Log, Overlay | None, Path]:
        """Return what lay beside the file, and the pages to be read out of it."""
        wal, _shm, journal = sides(copied.path)
        walk = copied.walk
        if walk.frames and observer.journal_of(copied.path) == "rollback":
            # A copy over the old file, most likely: SQLite would mix the two.
            return Log("foreign-wal", 0, 0, False, walk.damage), None, wal
        overlay = committed_pages(wal, walk, stranded=self.stranded)
        if overlay is not None or walk.damage != "none":
            read = overlay or Overlay()
            taken = self.stranded and read.stranded > 0
            return Log("wal", read.frames, read.stranded, taken, walk.damage), overlay, wal
        before = pages_before(journal)
        if before is not None:
            return Log("journal", before.frames, 0, False, "none"), before, journal
        return Log("none", 0, 0, False, "none"), None, wal

    def _prove(self, draft: Path, made: Made) -> None:
        """Raise unless the draft is a sound queue with every row that was put into it."""
        connection = self.connect(uri(draft, mode="rw"), timeout_s=0.0)
        with (
            translated(self.out),
            contextlib.closing(connection),
            watched(connection, OPERATION, self.deadline, self.clock),
        ):
            wrong = _wrong_with(self.out, connection, made)
            if wrong:
                raise SalvageFailedError(path=str(self.source), detail="; ".join(wrong))
            # As workers expect it, and one file again once this connection is closed.
            connection.execute("PRAGMA journal_mode = WAL").fetchall()

    def _compare(self, draft: Path, made: Made, backup: BackupInfo | None) -> Compared | None:
        """Compare with the newest backup; what differs from it is in doubt."""
        if backup is None:
            return None
        compared, differing = compare_with_backup(draft, backup.path, self.connect, self.deadline)
        made.doubts.add("backup", differing)
        return compared

    def _publish(self, draft: Path) -> None:
        files.sync_file(draft)
        _require_free(self.out)
        try:
            files.publish(draft, self.out)
        except FileExistsError as error:
            raise SalvageTargetError(path=str(self.out)) from error


def is_something(made: Made) -> bool:
    """Return whether there is anything to make a queue of, or proof that it was empty."""
    proved = bool(made.expected) and made.expected[0].exact
    return made.counts["task_queue"] > 0 or (proved and made.expected[0].tasks == 0)


def _wrong_with(path: Path, connection: Connection, made: Made) -> list[str]:
    require_queue(path, connection)
    wrong = [str(row[0]) for row in connection.execute("PRAGMA integrity_check").fetchall()]
    wrong = [] if wrong == ["ok"] else wrong
    wrong += indexes_missing(connection)
    loose = connection.execute("PRAGMA foreign_key_check").fetchall()
    wrong += [f"row {row[1]} of {row[0]} refers to nothing" for row in loose]
    for table in EXPECTED_COLUMNS:
        count = scalar(connection, f"SELECT count(*) FROM {table}")
        if count != made.counts[table]:
            wrong.append(f"{table} has {count} rows of {made.counts[table]}")
    return wrong
