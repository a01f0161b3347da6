"""Defects that let a queue be corrupted, or hide who does it."""

from typing import Any

from core.content_checks import INDEX
from core.examination import Examination, Outcome
from core.findings import Level
from harness.planted.defect import Catch, Change, Defect
from harness.profile import Profile

Right = Any
"""The right part, which the wrong one may call."""

_FORKED = "test_ways_by_locks.py::test_forked_process_loses_no_task"


def _nothing(_right: Right) -> Right:
    return lambda *_arguments: None


def _nobody(_right: Right) -> Right:
    return lambda _database: []


def _never_the_same(_right: Right) -> Right:
    return lambda _first, _second: False


def _index_not_asked(right: Right) -> Right:
    def check_index(_exam: Examination) -> Outcome:
        return Outcome(Level.OK, "none", "No index of a log that nobody has open tells of more.")

    return tuple((name, check_index if name == INDEX else check) for name, check in right)


DEFECTS = (
    Defect(
        name="fork-hands-down",
        group="durability",
        wrong="A forked child opens the queue beside the connection that it inherited: its parent "
        "deletes the log under it, and nothing that it is told to put in gets there.",
        changes=(
            Change("core.slot", "Slot.close_if_idle", _nothing),
            Change("core.forks", "refuse_inherited", _nothing),
        ),
        catches=(
            Catch(f"{_FORKED}[core]", "was refused by"),
            Catch(f"{_FORKED}[core-inside]", "was refused by"),
        ),
    ),
    Defect(
        name="lost-log-unseen",
        group="maintenance",
        wrong="The health check does not ask the -shm which log there was: a -wal that somebody "
        "deleted after a crash takes committed tasks along, and all is said to be well.",
        changes=(Change("core.health", "_CHECKS", _index_not_asked),),
        catches=(
            Catch(
                "test_ways_by_files.py::test_damage_through_files_is_found_and_ended_by_a_restore"
                "[1.3-log-deleted]",
                "is to be found by wal.index",
            ),
        ),
    ),
    Defect(
        name="astray-worker-unseen",
        group="maintenance",
        wrong="A worker that goes on with a file that was replaced is not seen: nobody stops it, "
        "and what it does is in no file that anybody finds.",
        changes=(Change("core.file_checks", "find_astray", _nobody),),
        catches=(
            Catch(
                "test_ways_by_locks.py::test_worker_on_a_file_that_is_gone_is_told",
                "is told as OK",
            ),
        ),
    ),
    Defect(
        name="queue-read-past-sqlite",
        group="durability",
        wrong="The queue's own file is read as a backup would be, beside a connection to it: "
        "closing it drops the locks of the process, and two write at once.",
        changes=(Change("core.verification", "_same_file", _never_the_same),),
        catches=(
            Catch(
                "test_ways_by_locks.py::test_core_never_opens_its_files_past_sqlite",
                "verify-itself opens",
            ),
        ),
        profile=Profile.NIGHTLY,
    ),
)
