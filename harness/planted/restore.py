"""Defects of restoring: the wrong state comes back, half of one, or none can be taken back."""

import contextlib
import shutil
from pathlib import Path
from typing import Any

from core import files
from core.catalog import BackupInfo
from core.clock import Deadline, SystemClock
from core.connection import Connection
from core.copying import copy_pages
from core.intent import RESTORE_KEY, RestoreIntent
from core.paths import sides, uri
from core.placement import InterfacePlacement, Target
from core.schema import write_meta
from core.verification import Verification
from harness.planted.defect import Catch, Change, Defect

Right = Any
"""The right part, which the wrong one may call."""

CUT_OFF = "test_cut_off.py::test_killed_at_any_step_restore_leaves_old_or_new"
DRILL = "test_restore.py::test_restore_after_disaster_accounts_for_every_task"
NEWEST = "test_restore.py::test_restore_newest_takes_the_newest_sound_one"
LIVE = "test_live_restore.py::test_live_restore_keeps_every_task_acknowledged_during_it"
UNDO = "test_undo.py::test_undo_brings_back_all_that_was_replaced"


# -- the files -----------------------------------------------------------------------------------


def _delete_and_copy(_right: Right) -> Right:
    """Do what a script does: rm, then cp."""

    def put_in_place(self: Any, *, by_interface: bool) -> None:  # noqa: ANN401 - private
        del by_interface
        database: Path = self._restorer.database
        for file in (database, *sides(database)):
            file.unlink(missing_ok=True)
        shutil.copyfile(self.staged.path, database)

    return put_in_place


def _leave_no_note(_right: Right) -> Right:
    def write_intent(_database: Path, _intent: RestoreIntent) -> None:
        """Forget what is about to be done."""

    return write_intent


def _leave_sides(_right: Right) -> Right:
    """Take the database for all that there is."""

    def sides(_database: Path) -> tuple[Path, ...]:
        return ()

    return sides


def _throw_sides_away(right: Right) -> Right:
    """Take the -wal for something that can be spared."""

    def sides(database: Path) -> tuple[Path, ...]:
        for side in right(database):
            side.unlink(missing_ok=True)
        return ()

    return sides


# -- leases --------------------------------------------------------------------------------------


def _keep_leases(_right: Right) -> Right:
    def release_leases(connection: Connection, restore_id: str, _now_ms: int) -> int:
        connection.execute("BEGIN IMMEDIATE")
        write_meta(connection, RESTORE_KEY, restore_id)
        connection.execute("COMMIT")
        return 0

    return release_leases


def _release_afterwards(right: Right) -> Right:
    """Release the leases of the restored queue, once it is in place and whoever may read it."""

    def put_in_place(self: Any, *, by_interface: bool) -> None:  # noqa: ANN401 - private
        right(self, by_interface=by_interface)
        restorer = self._restorer
        address = uri(restorer.database, mode="rw")
        with contextlib.closing(restorer.connect(address, timeout_s=1.0)) as connection:
            connection.execute(
                "UPDATE task_queue SET status = 'queued', locked_by = NULL, "
                "lease_until_utc = NULL, reserved_at_utc = NULL "
                "WHERE status IN ('leased', 'processing')"
            ).close()

    return put_in_place


# -- which backup --------------------------------------------------------------------------------


def _order_by_file_time(right: Right) -> Right:
    def read_catalog(folder: Path, source: Path) -> list[BackupInfo]:
        found: list[BackupInfo] = right(folder, source)
        return sorted(found, key=lambda info: info.path.stat().st_mtime, reverse=True)

    return read_catalog


def _order_by_name(right: Right) -> Right:
    def read_catalog(folder: Path, source: Path) -> list[BackupInfo]:
        found: list[BackupInfo] = right(folder, source)
        return sorted(found, key=lambda info: info.path.name, reverse=True)

    return read_catalog


def _take_anybodys(_right: Right) -> Right:
    def same_file(_first: str, _second: str) -> bool:
        return True

    return same_file


def _believe(right: Right) -> Right:
    def choose(backups: Any, _fault_of: Any) -> Any:  # noqa: ANN401 - as the right one
        return right(backups, lambda _info: "")

    return choose


def _verify_nothing(_right: Right) -> Right:
    def verify(path: Path, **_settings: object) -> Verification:
        return Verification(path)

    return verify


# -- who else is there ---------------------------------------------------------------------------


def _refuse_nobody(_right: Right) -> Right:
    def require_untouched(_database: Path, _names: tuple[str, ...], _timeout_s: float) -> None:
        pass

    return require_untouched


def _always_swap(_right: Right) -> Right:
    def find_target(_database: Path, _connect: object, **_settings: Any) -> Target:  # noqa: ANN401 - as the right one
        return Target(opens=False, page_size=0)

    return find_target


def _quarantine_first(_right: Right) -> Right:
    """Copy the old state while nobody is kept from changing it."""

    def live_in_wal(self: InterfacePlacement, new: Connection, target: Connection) -> None:
        self._quarantine_under_lock()
        copy_pages(new, target, deadline=self.deadline, progress=self.progress)

    return live_in_wal


def _wait_for_ever(right: Right) -> Right:
    """Let ``Connection.backup`` wait for a lock, as it does when nobody stops it."""

    def copy_without_end(source: Connection, target: Connection, **settings: Any) -> None:  # noqa: ANN401 - as the right one
        right(source, target, **{**settings, "deadline": Deadline(None, SystemClock())})

    return copy_without_end


# -- what is kept --------------------------------------------------------------------------------


def _copy_file_alone(_right: Right) -> Right:
    """Copy the database file, and not what is in its -wal."""

    def quarantine(self: InterfacePlacement, _source: Connection) -> None:
        files.copy(self.database, self.quarantined)

    return quarantine


def _oldest_first(right: Right) -> Right:
    def records(database: Path) -> list[Any]:
        found: list[Any] = right(database)
        return found[::-1]

    return records


def _compare_backwards(right: Right) -> Right:
    def compare(old: Path, restored: Path, **settings: Any) -> Any:  # noqa: ANN401 - as the right one
        return right(restored, old, **settings)

    return compare


DEFECTS = (
    Defect(
        name="restore-deletes-and-copies",
        group="restore",
        wrong="The old files are deleted and the backup is copied to their place: a restore that "
        "is cut off leaves no queue.",
        changes=(Change("core.restore", "_Run.put_in_place", _delete_and_copy),),
        catches=(Catch(CUT_OFF, "no queue"),),
    ),
    Defect(
        name="restore-without-a-note",
        group="restore",
        wrong="Nothing says that a restore is under way, so nobody ends one that was cut off "
        "between the old file and the new one.",
        changes=(Change("core.restore", "write_intent", _leave_no_note),),
        catches=(Catch(f"{CUT_OFF}[destroyed-header]", "no queue"),),
    ),
    Defect(
        name="old-wal-left",
        group="restore",
        wrong="The -wal of the old database stays beside the restored one, and is replayed over "
        "it by the next who opens it.",
        changes=(Change("core.placement", "sides", _leave_sides),),
        catches=(Catch(f"{DRILL}[left-over-wal]", "from after the backup"),),
    ),
    Defect(
        name="leases-kept",
        group="restore",
        wrong="Tasks that were held while the backup was made stay with workers that are dead.",
        changes=(Change("core.staging", "_release_leases", _keep_leases),),
        catches=(Catch(DRILL, "a lease of a dead worker was restored"),),
    ),
    Defect(
        name="leases-released-afterwards",
        group="restore",
        wrong="Leases are released once the restored queue is in place: a restore that is cut off "
        "before leaves those of dead workers.",
        changes=(
            Change("core.staging", "_release_leases", _keep_leases),
            Change("core.restore", "_Run.put_in_place", _release_afterwards),
        ),
        catches=(Catch(CUT_OFF, "with leases that dead workers held"),),
    ),
    Defect(
        name="newest-by-file-time",
        group="restore",
        wrong="The newest backup is the file that was touched last: a copy or a sync makes an old "
        "one the newest.",
        changes=(Change("core.catalog", "read_catalog", _order_by_file_time),),
        catches=(Catch(f"{NEWEST}[touched]", "and the newest sound one is"),),
    ),
    Defect(
        name="newest-by-name",
        group="restore",
        wrong="The newest backup is the last by name: one with a later name, or of a later hour of "
        "a changed clock, is restored in its place.",
        changes=(Change("core.catalog", "read_catalog", _order_by_name),),
        catches=(Catch(f"{NEWEST}[named-later]", "and the newest sound one is"),),
    ),
    Defect(
        name="newest-unproved",
        group="restore",
        wrong="The newest backup is chosen without proving it: where it is damaged, nothing is "
        "restored though an older one is sound.",
        changes=(Change("core.choosing", "choose", _believe),),
        catches=(Catch(f"{NEWEST}[damaged]", "a sound backup is there"),),
    ),
    Defect(
        name="newest-of-another-queue",
        group="restore",
        wrong="Whose a backup is does not matter: of queues that share a folder, one gets the "
        "tasks of another.",
        changes=(
            Change("core.catalog", "same_file", _take_anybodys),
            Change("core.choosing", "same_file", _take_anybodys),
        ),
        catches=(Catch(f"{NEWEST}[of-another-queue]", "and the newest sound one is"),),
    ),
    Defect(
        name="restore-unverified",
        group="restore",
        wrong="A backup is restored without proving it: a damaged one takes the queue's place.",
        changes=(Change("core.restore", "verify", _verify_nothing),),
        catches=(
            Catch(
                "test_corruption.py::test_damaged_backup_is_neither_verified_nor_restored"
                "[flipped-bit]",
                "was restored",
            ),
        ),
    ),
    Defect(
        name="no-lock-check",
        group="restore",
        wrong="Files are replaced under workers that have them open, who go on with a queue that "
        "nobody else will ever see.",
        changes=(
            Change("core.placement", "find_target", _always_swap),
            Change("core.placement", "require_untouched", _refuse_nobody),
        ),
        catches=(
            Catch(
                "test_live_restore.py::test_restore_under_a_worker_is_refused_and_costs_nothing",
                "was restored under a worker",
            ),
        ),
    ),
    Defect(
        name="live-quarantine-too-early",
        group="restore",
        wrong="A live restore copies the old state before it holds the writer lock: what workers "
        "put in until it has it is in neither state.",
        changes=(Change("core.placement", "InterfacePlacement._live_in_wal", _quarantine_first),),
        catches=(Catch(LIVE, "neither in the restored state nor in the quarantine"),),
    ),
    Defect(
        name="restore-waits-for-ever",
        group="restore",
        wrong="A live restore has no deadline while it waits for the writer lock: it hangs as long "
        "as a forgotten transaction does.",
        changes=(Change("core.placement", "copy_pages", _wait_for_ever),),
        catches=(
            Catch(
                "test_live_restore.py::"
                "test_live_restore_behind_a_writer_gives_up_in_time_and_changes_nothing",
                "it waited for a writer",
            ),
        ),
    ),
    Defect(
        name="quarantine-of-the-file-alone",
        group="restore",
        wrong="A live restore keeps the database file alone and not what is in its -wal: who "
        "undoes it loses the newest tasks.",
        changes=(Change("core.placement", "InterfacePlacement._quarantine", _copy_file_alone),),
        catches=(Catch(LIVE, "neither in the restored state nor in the quarantine"),),
    ),
    Defect(
        name="quarantine-without-the-wal",
        group="restore",
        wrong="The -wal of a database that no longer opens is thrown away, and with it the only "
        "copy of the newest tasks.",
        changes=(Change("core.placement", "sides", _throw_sides_away),),
        catches=(Catch(f"{UNDO}[destroyed-header]", "undoing brought back something else"),),
    ),
    Defect(
        name="undo-of-the-first",
        group="restore",
        wrong="Undoing brings back what the first restore replaced, and not the last.",
        changes=(Change("core.quarantine", "records", _oldest_first),),
        catches=(
            Catch(
                "test_undo.py::test_undo_after_two_restores_brings_back_the_last_one",
                "undoing brought back something else",
            ),
        ),
    ),
    Defect(
        name="restore-cost-backwards",
        group="restore",
        wrong="The restore counts what it brought and not what it cost: who reads it believes that "
        "nothing is lost.",
        changes=(Change("core.restore", "compare", _compare_backwards),),
        catches=(Catch(f"{DRILL}[killed-writer]", "the restore says it cost"),),
    ),
)
