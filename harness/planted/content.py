"""Defects of the content check: it does not see what has changed, or cries wolf, or forgets."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from core import files, primitives
from core.connection import Connection
from core.contentcomparison import Comparison
from core.contentrecord import Head
from core.maintenancerun import MaintenanceRun
from harness.planted.defect import Catch, Change, Defect

Right = Any
"""The right part, which the wrong one may call."""

CLEAN = "test_content.py::test_work_beside_the_comparison_raises_no_difference"
RESTORED = "test_content.py::test_restore_is_said_and_raises_no_difference"
TOLD = "test_content.py::test_damage_to_a_finished_task_is_told_by_its_id_each_night"


def _forget(right: Right) -> Right:
    def begin(self: Comparison, now: Head, recorded: Head) -> None:
        right(self, now, recorded)
        self._accept = True

    return begin


def _count(_right: Right) -> Right:
    def judge(*_arguments: object, **_options: object) -> str:
        return "same"

    return judge


def _without_payload(right: Right) -> Right:
    def content_columns(columns: object) -> tuple[str, ...]:
        return tuple(name for name in right(columns) if name != "payload")

    return content_columns


def _in_bounds(right: Right) -> Right:
    """Take an id for all that there is to know of a task that is gone."""

    def missing(self: Comparison, found: object) -> None:
        if self._accept:
            right(self, found)

    return missing


def _no_archive(_right: Right) -> Right:
    def known_archives(_connection: Connection, _database: Path) -> list[Path]:
        return []

    return known_archives


def _distrust(_right: Right) -> Right:
    def written_since(*_arguments: object) -> bool:
        return False

    return written_since


def _take_any(right: Right) -> Right:
    def incomparable(self: object, now: Head, recorded: Head, *, accept: bool) -> str:
        found: str = right(self, now, replace(recorded, source=now.source), accept=accept)
        return found

    return incomparable


def _one_life(right: Right) -> Right:
    def incomparable(self: object, now: Head, recorded: Head, *, accept: bool) -> str:
        found: str = right(self, now, replace(recorded, life=now.life), accept=accept)
        return found

    return incomparable


def _believe(_right: Right) -> Right:
    def check_digest(_file: object) -> None:
        """Take it that the record is as it was written."""

    return check_digest


def _in_place(_right: Right) -> Right:
    @contextlib.contextmanager
    def replacing(path: Path, *, like: Path) -> Iterator[Callable[[bytes], object]]:
        """Write over what is there once all is known."""
        pieces: list[bytes] = []
        yield pieces.append
        descriptor = primitives.open_file(path) if path.exists() else primitives.create(path)
        try:
            os.ftruncate(descriptor, 0)
            for piece in pieces:
                primitives.write(descriptor, piece)
        finally:
            primitives.close(descriptor)
            files.adopt_access(path, like=like)

    return replacing


def _no_sequence(_right: Right) -> Right:
    def sequence(_connection: Connection) -> int:
        return 0

    return sequence


def _say_only(right: Right) -> Right:
    def check_content(self: MaintenanceRun) -> str:
        try:
            said: str = right(self)
        finally:
            self.differing = None
        return said

    return check_content


DEFECTS = (
    Defect(
        name="content-told-once",
        group="maintenance",
        wrong="A finished task that differs is recorded as it is now: it is told in one night's "
        "report, and every later one is green.",
        changes=(Change("core.contentcomparison", "Comparison._begin", _forget),),
        catches=(Catch(TOLD, "was told once and forgotten"),),
    ),
    Defect(
        name="content-compared-by-count",
        group="maintenance",
        wrong="Finished tasks are counted and not compared: a changed payload passes.",
        changes=(
            Change("core.contentcomparison", "judge", _count),
            Change("core.contentcomparison", "_is_same", _count),
        ),
        catches=(
            Catch(f"{TOLD}[flipped-bit]", "was told as"),
            Catch(f"{TOLD}[swapped-tasks]", "was told as"),
            Catch(f"{TOLD}[lost-write]", "was told as"),
        ),
    ),
    Defect(
        name="content-without-the-payload",
        group="maintenance",
        wrong="The digest of a finished task leaves its payload out, which is most of it.",
        changes=(Change("core.content", "content_columns", _without_payload),),
        catches=(Catch(f"{TOLD}[flipped-bit]", "was told as"),),
    ),
    Defect(
        name="content-ignores-the-missing",
        group="maintenance",
        wrong="What is not in the queue any more is not compared: a finished task that somebody "
        "deleted is never missed.",
        changes=(Change("core.contentcomparison", "Comparison._missing", _in_bounds),),
        catches=(Catch(f"{TOLD}[deleted-task]", "was told as"),),
    ),
    Defect(
        name="content-takes-the-archive-for-loss",
        group="maintenance",
        wrong="Finished tasks that were archived are told as missing, each night.",
        changes=(Change("core.content", "known_archives", _no_archive),),
        catches=(Catch(CLEAN, "a difference that is none"),),
    ),
    Defect(
        name="content-takes-programs-for-damage",
        group="maintenance",
        wrong="A key that is enqueued again, or a dead letter that is requeued, is told as damage.",
        changes=(Change("core.contentcomparison", "_written_since", _distrust),),
        catches=(Catch(CLEAN, "a difference that is none"),),
    ),
    Defect(
        name="content-takes-a-restore-for-damage",
        group="maintenance",
        wrong="The record of before a restore is compared with what was restored: all that was "
        "finished in between is told as damage.",
        changes=(Change("core.content", "QueueContent._incomparable", _one_life),),
        catches=(Catch(RESTORED, "a restore was told as damage"),),
    ),
    Defect(
        name="content-record-of-another-queue",
        group="maintenance",
        wrong="Whatever record lies there is compared with: that of another queue makes every "
        "task missing.",
        changes=(Change("core.content", "QueueContent._incomparable", _take_any),),
        catches=(
            Catch(
                "test_content.py::test_record_of_another_queue_is_refused",
                "the record of another queue was told as",
            ),
        ),
    ),
    Defect(
        name="content-record-not-proved",
        group="maintenance",
        wrong="The record's own digest is not looked at: a bit that turned in it is told as "
        "damage to the queue, or to nothing.",
        changes=(Change("core.contentrecord", "_check_digest", _believe),),
        catches=(
            Catch(
                "test_content.py::test_damaged_record_is_not_told_as_a_damaged_queue",
                "of the record: told as",
            ),
        ),
    ),
    Defect(
        name="content-record-written-over",
        group="maintenance",
        wrong="The new record is written over the old one: a run that dies has neither, and what "
        "was known of the finished tasks is lost.",
        changes=(Change("core.files", "replacing", _in_place),),
        catches=(
            Catch(
                "test_maintenance_kills.py::"
                "test_killed_at_steps_drawn_from_all_verb_is_whole_or_not_at_all[content]",
                "a record that cannot be used",
            ),
        ),
    ),
    Defect(
        name="content-blind-to-an-older-file",
        group="maintenance",
        wrong="An older copy of the queue that somebody put in place is compared task by task, and "
        "what was put in since is taken for deleted, not for a file that went back.",
        changes=(Change("core.content", "_sequence", _no_sequence),),
        catches=(
            Catch(
                "test_content.py::test_older_file_in_the_queue_s_place_is_told",
                "an older file was told as",
            ),
        ),
    ),
    Defect(
        name="run-prunes-the-last-good-copy",
        group="maintenance",
        wrong="The daily run says that a finished task is damaged, and removes the backups that "
        "still had it as it was.",
        changes=(Change("core.maintenancerun", "MaintenanceRun.check_content", _say_only),),
        catches=(
            Catch(
                "test_content.py::"
                "test_daily_run_keeps_every_backup_while_a_finished_task_is_damaged",
                "backups from before were removed",
            ),
        ),
    ),
)
