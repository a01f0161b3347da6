"""Defects of the guard against files of others: what they hold runs, is followed, or never ends."""

import sqlite3
from io import BufferedReader
from pathlib import Path
from typing import Any

from core.clock import Clock, Deadline
from core.connection import Connect
from core.untrusted import Untrusted
from harness.planted.defect import Catch, Change, Defect

Right = Any
"""The right part, which the wrong one may call."""

_REFUSED = "test_hostile.py::test_hostile_backup_is_refused_by_name"
_AFTER_PROOF = "test_hostile.py::test_backup_that_turns_hostile_after_its_proof_runs_nothing"
_UNDO = "test_hostile.py::test_undo_of_a_hostile_queue_runs_nothing"
_JUDGED = "test_hostile.py::test_hostile_queue_is_judged_and_never_good"
_ENDS = "test_hostile.py::test_reading_a_foreign_file_ends_though_nobody_said_when"
_LINK = "test_hostile.py::test_link_in_the_backup_folder_is_not_followed"
_MANIFEST_LINK = "test_hostile.py::test_link_in_the_place_of_a_manifest_is_not_followed"
_MANY = "test_hostile.py::test_files_of_others_come_to_errors_of_ours"


def _no_strangers(_right: Right) -> Right:
    def read_strangers(*_arguments: object) -> tuple[()]:
        """Take every schema for one's own."""
        return ()

    return read_strangers


def _allow_all(*_action: object) -> int:
    return sqlite3.SQLITE_OK


def _no_judge(_right: Right) -> Right:
    def judge(_self: object, *action: object) -> int:
        return _allow_all(*action)

    return judge


def _opened_as_ours(_right: Right) -> Right:
    """Trust the copy, since what it was made of has been proved."""

    def open_untrusted(
        name: str, _path: Path, *, connect: Connect, timeout_s: float = 0.0, **_guards: object
    ) -> Untrusted:
        return Untrusted(connect(name, timeout_s=timeout_s), (), _allow_all)

    return open_untrusted


def _no_deadline(_right: Right) -> Right:
    def deadline_of(_path: Path, timeout_s: float | None, clock: Clock) -> Deadline:
        return Deadline(timeout_s, clock)

    return deadline_of


def _follow_file(_right: Right) -> Right:
    return Path.is_file


def _follow_open(_right: Right) -> Right:
    def open_regular(path: Path) -> BufferedReader:
        return path.open("rb")

    return open_regular


def _follow_manifest(_right: Right) -> Right:
    return Path.read_bytes


def _triggers_alone(right: Right) -> Right:
    """Look for triggers, since nothing else acts by itself."""

    def read_strangers(*arguments: object) -> tuple[Any, ...]:
        return tuple(stranger for stranger in right(*arguments) if stranger.kind == "trigger")

    return read_strangers


def _beside(_right: Right) -> Right:
    def choose(*_seen: object) -> str:
        return "beside"

    return choose


DEFECTS = (
    Defect(
        name="hostile-trigger-restored",
        group="hostile",
        wrong="Nobody looks for triggers in a backup: one that somebody has put there is restored "
        "into the queue, and acts on every task from then on.",
        changes=(Change("core.untrusted", "read_strangers", _no_strangers),),
        catches=(
            Catch(f"{_REFUSED}[trigger-on-tasks]", "was verified as sound"),
            Catch(f"{_REFUSED}[expression]", "was verified as sound"),
        ),
    ),
    Defect(
        name="hostile-expressions-unseen",
        group="hostile",
        wrong="Triggers are looked for, and what columns, checks and virtual tables compute is "
        "not: a check of the file runs what its author wrote.",
        changes=(Change("core.untrusted", "read_strangers", _triggers_alone),),
        catches=(
            Catch(f"{_REFUSED}[expression]", "was verified as sound"),
            Catch(f"{_JUDGED}[expression]", "told by no finding"),
        ),
    ),
    Defect(
        name="hostile-copy-trusted",
        group="hostile",
        wrong="A backup is looked through when it is proved and not when it is copied: a trigger "
        "that is put in between acts while leases are released.",
        changes=(Change("core.staging", "open_untrusted", _opened_as_ours),),
        catches=(Catch(_AFTER_PROOF, "has ended tasks that nobody did"),),
    ),
    Defect(
        name="hostile-queue-acts",
        group="hostile",
        wrong="No action of a statement is judged: a trigger in the queue that a restore replaced "
        "runs when the restore is undone.",
        changes=(Change("core.untrusted", "_Guard.judge", _no_judge),),
        catches=(Catch(_UNDO, "the trigger ran"),),
    ),
    Defect(
        name="hostile-file-endless",
        group="hostile",
        wrong="A foreign file is read for as long as it takes, so that one can be made that keeps "
        "the nightly run at work for ever.",
        changes=(Change("core.verification", "deadline_of", _no_deadline),),
        catches=(Catch(_ENDS, "have no end"),),
    ),
    Defect(
        name="link-followed",
        group="hostile",
        wrong="A link in the backup folder is followed: whoever may write there chooses which file "
        "of the machine a restore reads.",
        changes=(
            Change("core.catalog", "is_regular", _follow_file),
            Change("core.verification", "is_regular", _follow_file),
            Change("core.verification", "open_regular", _follow_open),
            Change("core.files", "open_regular", _follow_open),
        ),
        catches=(Catch(_LINK, "a link is listed as a backup"),),
    ),
    Defect(
        name="manifest-link-followed",
        group="hostile",
        wrong="A link in the place of a manifest is followed, and what lies behind it is told.",
        changes=(Change("core.manifest", "_content", _follow_manifest),),
        catches=(Catch(_MANIFEST_LINK, "was followed and believed"),),
    ),
    Defect(
        name="hostile-health-writes",
        group="hostile",
        wrong="Health opens the queue that it judges as a worker would, and a file from unknown "
        "hands is changed by looking at it.",
        changes=(Change("core.viewpoint", "_choose", _beside),),
        catches=(Catch(_MANY, "health changed or left"),),
    ),
)
