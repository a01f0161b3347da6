"""Defects of maintenance: what a verb does to the queue, and what it says that it did."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.checkpoint import CheckpointResult, Mode
from core.connection import Connection
from core.database import QueueDatabase
from core.errors import UnknownTableError
from core.maintenancerun import MaintenanceRun
from core.paths import uri
from core.quarantine import mark_undone, records
from core.releasing import ReleasedLeases
from core.schema import LEASED, PROCESSING, QUEUED
from core.staging import Staged
from core.wholetask import WholeTask, WholeTaskReader
from harness.planted.defect import Catch, Change, Defect

Right = Any
"""The right part, which the wrong one may call."""

ARCHIVED = "test_archive.py::test_archive_takes_what_is_finished_and_old_and_nothing_else"
DAMAGED = "test_runs.py::test_run_on_a_damaged_queue_names_all_of_it_and_writes_nothing"
KILLED = (
    "test_maintenance_kills.py::test_killed_at_steps_drawn_from_all_verb_is_whole_or_not_at_all"
)
STUCK = "test_runs.py::test_daily_run_behind_a_stuck_reader_says_that_some_is_left"
UNBACKED = "test_runs.py::test_weekly_run_without_a_verified_backup_does_not_vacuum"


# -- the verbs -----------------------------------------------------------------------------------


def _ask_nobody(_right: Right) -> Right:
    def check_space(_path: Path, _size: int, _free_bytes: object) -> None:
        """Take it that there is room."""

    return check_space


def _boast(right: Right) -> Right:
    """Take a checkpoint that came back for one that is done."""

    def checkpoint(*arguments: Any) -> CheckpointResult:  # noqa: ANN401 - as the right one
        result: CheckpointResult = right(*arguments)
        return {**result, "complete": True}

    return checkpoint


def _first_row(right: Right) -> Right:
    """Do what ``fetchone()`` does to a check that has more to say."""

    def rows(connection: Connection) -> list[str]:
        found: list[str] = right(connection)
        return found[:1]

    return rows


def _accept_any_table(right: Right) -> Right:
    def analyze(database: QueueDatabase, table: str | None, analysis_limit: int) -> float:
        with contextlib.suppress(UnknownTableError):
            seconds: float = right(database, table, analysis_limit)
            return seconds
        return 0.0

    return analyze


def _take_no_lock(_right: Right) -> Right:
    @contextlib.contextmanager
    def maintenance_lock(_database: Path, _verb: str, **_settings: object) -> Iterator[None]:
        yield

    return maintenance_lock


def _other_sides(_right: Right) -> Right:
    """Look for ``queue.wal``: the suffix of a name replaced, where SQLite adds one to it."""

    def sides(path: Path) -> tuple[Path, ...]:
        return tuple(path.with_suffix(suffix) for suffix in (".wal", ".shm", ".journal"))

    return sides


# -- cut off -------------------------------------------------------------------------------------


def _swap_by_hand(_right: Right) -> Right:
    """Do what a script does: VACUUM INTO, then rm, then mv."""

    def vacuum(database: QueueDatabase, _timeout_s: float, _progress: object) -> None:
        path = database.path
        small = path.with_name(f"{path.name}.small")
        small.unlink(missing_ok=True)
        database.connection().execute("VACUUM INTO ?", (str(small),)).close()
        database.close()
        path.unlink()
        small.rename(path)
        _in_wal_mode(database, again=False)

    return vacuum


def _by_journal_mode(_right: Right) -> Right:
    """Be rid of the -wal by the journal mode, and take that back afterwards."""

    def checkpoint(database: QueueDatabase, mode: Mode, _timeout_s: float) -> CheckpointResult:
        database.close()
        _in_wal_mode(database, again=True)
        return CheckpointResult(
            busy=0, log=0, checkpointed=0, complete=True, mode=mode, seconds=0.0
        )

    return checkpoint


def _in_wal_mode(database: QueueDatabase, *, again: bool) -> None:
    connection = database.connect(uri(database.path, mode="rw"), timeout_s=1.0)
    with contextlib.closing(connection):
        if again:
            connection.execute("PRAGMA journal_mode = DELETE").fetchall()
        connection.execute("PRAGMA journal_mode = WAL").fetchall()


def _mark_first(right: Right) -> Right:
    """Write down that the restore is undone, then begin to undo it."""

    def stage_set(sources: list[Path], staged: Path, **settings: Any) -> Staged:  # noqa: ANN401 - as the right one
        folder = sources[0].parent
        for record in (
            each for kept, each in records(staged.parents[1] / staged.name) if kept == folder
        ):
            mark_undone(folder, record)
        result: Staged = right(sources, staged, **settings)
        return result

    return stage_set


def _autocommit(right: Right) -> Right:
    """Have each statement be a transaction of its own."""

    def release_stale(database: QueueDatabase, timeout_seconds: float) -> ReleasedLeases:
        def transaction(*_durability: str) -> contextlib.AbstractContextManager[Connection]:
            return contextlib.nullcontext(database.connection())

        vars(database)["transaction"] = transaction
        try:
            released: ReleasedLeases = right(database, timeout_seconds)
        finally:
            del vars(database)["transaction"]
        return released

    return release_stale


# -- the runs ------------------------------------------------------------------------------------


def _look_no_further(_right: Right) -> Right:
    def checkpoint(self: MaintenanceRun) -> str:
        self.maintenance.checkpoint()
        return "complete"

    return checkpoint


def _green_step(right: Right) -> Right:
    """Write down what went wrong, and go on as if nothing had."""

    def attempt(self: MaintenanceRun, action: object) -> tuple[bool, str]:
        _ok, detail = right(self, action)
        return True, detail

    return attempt


def _need_nothing(right: Right) -> Right:
    def do(self: MaintenanceRun, name: str, action: object, **settings: Any) -> bool:  # noqa: ANN401 - as the right one
        done: bool = right(self, name, action, **{**settings, "needs": True})
        return done

    return do


def _forget_damage(right: Right) -> Right:
    def do(self: MaintenanceRun, name: str, action: object, **settings: object) -> bool:
        self.damage = None
        done: bool = right(self, name, action, **settings)
        return done

    return do


# -- the archive ---------------------------------------------------------------------------------


def _delete_first(_right: Right) -> Right:
    def move_batch(self: Any) -> None:  # noqa: ANN401 - private
        tasks = self._read_batch()
        with self.database.transaction() as connection:
            for task in tasks:
                self.reader.delete(connection, task.id)
        self.archive.add(tasks)
        self.result.moved += len(tasks)
        self.settle()
        self._batch.clear()

    return move_batch


def _take_all_but_queued(_right: Right) -> Right:
    """Take whatever was not touched for long, if it does not wait."""

    def due(self: Any, _before_ms: int) -> Iterator[int]:  # noqa: ANN401 - private
        rows = self.database.connection().execute(
            "SELECT id FROM task_queue WHERE status <> ?", (QUEUED,)
        )
        yield from (task_id for (task_id,) in rows.fetchall())

    return due


def _also_held(right: Right) -> Right:
    finished: tuple[str, ...] = right
    return (*finished, LEASED, PROCESSING)


def _whatever_its_age(right: Right) -> Right:
    def due(self: object, _before_ms: int) -> Iterator[int]:
        yield from right(self, 2**62)

    return due


def _leave_history(right: Right) -> Right:
    """Read the task, and forget that it has a history."""

    def read(self: WholeTaskReader, connection: Connection, task_id: int) -> WholeTask | None:
        task: WholeTask | None = right(self, connection, task_id)
        return None if task is None else replace(task, logs=())

    return read


DEFECTS = (
    Defect(
        name="vacuum-by-hand",
        group="maintenance",
        wrong="The small copy is made beside the queue and moved into its place once that is "
        "deleted: a run that is cut off in between leaves no queue.",
        changes=(Change("core.maintenance", "vacuum", _swap_by_hand),),
        catches=(Catch(f"{KILLED}[vacuum]", "vacuum leaves neither"),),
    ),
    Defect(
        name="checkpoint-by-journal-mode",
        group="maintenance",
        wrong="The -wal is got rid of by leaving WAL mode: a run that is cut off leaves a queue "
        "whose readers keep its writers waiting.",
        changes=(Change("core.maintenance", "checkpoint", _by_journal_mode),),
        catches=(Catch(f"{KILLED}[checkpoint]", "its journal mode is delete"),),
    ),
    Defect(
        name="undo-marks-first",
        group="restore",
        wrong="That a restore is undone is written down before it is: where that is cut off, it "
        "cannot be undone any more.",
        changes=(Change("core.staging", "stage_set", _mark_first),),
        catches=(Catch(f"{KILLED}[undo]", "the last one is undone"),),
    ),
    Defect(
        name="stale-leases-autocommitted",
        group="maintenance",
        wrong="Stale leases are cleaned up without a transaction: a run that is cut off leaves "
        "tasks that were taken away and have no history of it.",
        changes=(Change("core.maintenance", "release_stale", _autocommit),),
        catches=(Catch(f"{KILLED}[stale-leases]", "a mixture"),),
    ),
    Defect(
        name="vacuum-without-room",
        group="maintenance",
        wrong="VACUUM does not ask whether its copy fits: it fills the disk under the workers.",
        changes=(Change("core.vacuum", "_check_space", _ask_nobody),),
        catches=(
            Catch(
                "test_refusals.py::test_vacuum_without_room_is_refused_and_changes_nothing",
                "VACUUM was run on a disk that cannot take its copy",
            ),
        ),
    ),
    Defect(
        name="checkpoint-boasts",
        group="maintenance",
        wrong="A checkpoint says that it is complete whatever SQLite says of it: nobody learns "
        "that a reader lets the -wal grow.",
        changes=(Change("core.maintenance", "checkpoint", _boast),),
        catches=(Catch(STUCK, "is said to be complete"),),
    ),
    Defect(
        name="run-ignores-the-checkpoint",
        group="maintenance",
        wrong="The daily run calls its checkpoint complete without looking at what it did.",
        changes=(Change("core.maintenancerun", "MaintenanceRun.checkpoint", _look_no_further),),
        catches=(Catch(STUCK, "is said to be complete"),),
    ),
    Defect(
        name="integrity-first-row",
        group="maintenance",
        wrong="Of what the integrity check finds the first row is read: who mends that one "
        "believes that the queue is sound.",
        changes=(Change("core.integrity", "_rows", _first_row),),
        catches=(Catch(DAMAGED, "the integrity check does not name the damage"),),
    ),
    Defect(
        name="analyze-of-nothing",
        group="maintenance",
        wrong="A table that is not there is analyzed without an error: a mistyped name is never "
        "noticed, and the plans stay bad.",
        changes=(Change("core.maintenance", "analyze", _accept_any_table),),
        catches=(
            Catch(
                "test_refusals.py::test_analyze_of_a_table_that_is_not_there_is_refused",
                "which is not there, are updated",
            ),
        ),
    ),
    Defect(
        name="runs-overlap",
        group="maintenance",
        wrong="No run keeps another out: VACUUM begins in the middle of an archive run.",
        changes=(Change("core.maintenance", "maintenance_lock", _take_no_lock),),
        catches=(
            Catch(
                "test_refusals.py::test_verb_in_the_middle_of_another_run_is_refused",
                "not kept out by a run that is at work",
            ),
        ),
    ),
    Defect(
        name="statistics-of-another-file",
        group="maintenance",
        wrong="The size of the -wal is that of a file which has another name: it is 0 however "
        "large the -wal grows.",
        changes=(Change("core.statistics", "sides", _other_sides),),
        catches=(
            Catch("test_witness.py::test_figures_are_those_of_the_file", "statistics wal_size_mb"),
        ),
    ),
    Defect(
        name="run-green-on-an-exception",
        group="maintenance",
        wrong="A step of a run that raised counts as done: a run that could make no backup is ok.",
        changes=(Change("core.maintenancerun", "MaintenanceRun._attempt", _green_step),),
        catches=(Catch(UNBACKED, "is said to be ok"),),
    ),
    Defect(
        name="vacuum-without-a-backup",
        group="maintenance",
        wrong="The weekly run rewrites the database though there is no backup that is verified.",
        changes=(Change("core.maintenancerun", "MaintenanceRun.do", _need_nothing),),
        catches=(Catch(UNBACKED, "VACUUM was run without a verified backup"),),
    ),
    Defect(
        name="run-writes-to-damage",
        group="maintenance",
        wrong="A run goes on writing to a queue that it has found damaged, and makes it worse.",
        changes=(Change("core.maintenancerun", "MaintenanceRun.do", _forget_damage),),
        catches=(Catch(DAMAGED, "has written to a damaged queue"),),
    ),
    Defect(
        name="archive-deletes-first",
        group="maintenance",
        wrong="Tasks are deleted from the queue before they are in the archive: a run that is cut "
        "off in between loses them.",
        changes=(Change("core.archive", "_Mover._move_batch", _delete_first),),
        catches=(
            Catch(
                "test_archive.py::test_killed_at_any_step_archive_loses_no_task",
                "archive leaves neither",
            ),
            Catch(f"{KILLED}[archive]", "archive leaves neither"),
        ),
    ),
    Defect(
        name="archive-takes-what-is-held",
        group="maintenance",
        wrong="All that does not wait is archived: a task is taken from under the worker that is "
        "doing it.",
        changes=(
            Change("core.archive", "_Mover._due", _take_all_but_queued),
            Change("core.archive", "FINISHED", _also_held),
        ),
        catches=(Catch(ARCHIVED, "held for long"),),
    ),
    Defect(
        name="archive-ignores-the-age",
        group="maintenance",
        wrong="Every finished task is archived, and not those that are old enough: who looks for "
        "yesterday's does not find them.",
        changes=(Change("core.archive", "_Mover._due", _whatever_its_age),),
        catches=(Catch(ARCHIVED, "completed lately"),),
    ),
    Defect(
        name="archive-without-history",
        group="maintenance",
        wrong="A task is archived without its history, which is deleted with it.",
        changes=(Change("core.wholetask", "WholeTaskReader.read", _leave_history),),
        catches=(
            Catch(
                ARCHIVED,
                "not there with their history",
            ),
        ),
    ),
)
