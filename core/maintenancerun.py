"""The steps of a maintenance run, each acted on and written down.

A step that fails stops what builds on it and nothing else. Damage found anywhere stops every step
that writes to the database: more writing makes damage worse.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from .backup import QueueBackup
from .database import QueueDatabase
from .errors import DatabaseCorruptError, DatabaseIOError, NotADatabaseError, QueueError
from .integrity import SOUND
from .maintenance import QueueMaintenance
from .rowcounts import RowCounts, count_rows, count_same_rows
from .runreport import RunReport, Step
from .timestamps import to_text
from .translation import translated

_MEGABYTE = 1024 * 1024
_DAMAGE = (DatabaseCorruptError, NotADatabaseError, DatabaseIOError)
_SHOWN_PROBLEMS = 5


class StepFailed(Exception):  # noqa: N818 - no error of ours: the result of a step
    """The step was done, and its result is bad."""


@dataclass
class MaintenanceRun:
    """One run under way.

    Attributes:
        name: hourly, daily or weekly.
        database: the queue.
        backup_dir: where backups lie; None for the usual folder.
        wait_s: how long a step waits for another maintenance run.
        steps: what was done so far.
        damage: what is broken in the database, once that is known.
        counted: the rows of before VACUUM.
        differing: what finished tasks no longer hold though nobody wrote to them, once known.
    """

    name: str
    database: QueueDatabase
    backup_dir: str | os.PathLike[str] | None
    wait_s: float
    steps: list[Step] = field(default_factory=list)
    damage: str | None = None
    counted: RowCounts | None = None
    differing: str | None = None

    def __post_init__(self) -> None:
        self.started_utc = to_text(self.database.clock.now_ms())
        self.maintenance = QueueMaintenance(self.database, wait_s=self.wait_s)
        # Whoever maintains a queue knows what is in it; health is where it is judged.
        layout = self.database.layout
        declared = (*layout.triggers, *layout.tables, *layout.indexes)
        self.backup = QueueBackup(self.database, self.backup_dir, declared=declared)

    def report(self) -> RunReport:
        """Return what was done."""
        return RunReport(self.name, self.started_utc, tuple(self.steps))

    def do(
        self,
        name: str,
        action: Callable[[], str],
        *,
        needs: bool = True,
        why: str = "",
        writes: bool = True,
    ) -> bool:
        """Do the step if what it needs was done; write down what came of it; return whether ok."""
        if self.damage is not None and writes:
            needs, why = False, f"the database is damaged ({self.damage})"
        if not needs:
            self.steps.append(
                Step(name, ok=False, seconds=0.0, detail=f"not run: {why}", ran=False)
            )
            return False
        start_s = self.database.clock.monotonic_s()
        ok, detail = self._attempt(action)
        seconds = self.database.clock.monotonic_s() - start_s
        self.steps.append(Step(name, ok, seconds, detail))
        return ok

    def _attempt(self, action: Callable[[], str]) -> tuple[bool, str]:
        try:
            return True, action()
        except StepFailed as result:
            return False, str(result)
        except Exception as error:  # noqa: BLE001 - written down; the steps that are safe go on
            if self._is_damage(error):
                self.damage = str(error)
            kind = "" if isinstance(error, QueueError) else f"{type(error).__name__}: "
            return False, f"{kind}{error}"

    # -- steps -----------------------------------------------------------------------------

    def back_up(self, name: str, keep_count: int) -> bool:
        """Make a backup, verify it, and only then thin out; return whether it is verified."""
        made: list[os.PathLike[str]] = []

        def create() -> str:
            made.append(self.backup.create_backup(name=name))
            return str(made[0])

        def verify() -> str:
            verification = self.backup.check_backup(made[0])
            if not verification.ok:
                raise StepFailed(str(verification))
            return f"{verification.path.name} is sound, {sum(verification.counts.values())} tasks"

        def prune() -> str:
            return f"{self.backup.cleanup_old_backups(keep_count)} old backups removed"

        created = self.do("backup", create, writes=False)
        verified = self.do(
            "verify backup", verify, needs=created, why="there is no new backup", writes=False
        )
        # What finished tasks held may be in an older backup alone.
        self.do(
            "prune backups", prune, needs=verified and self.differing is None,
            why=self.differing or "the new backup is not verified", writes=False,
        )  # fmt: skip
        return verified

    def check_content(self) -> str:
        """Compare finished tasks with what is recorded of them, and record them anew."""
        result = self.maintenance.check_content()
        if result.damaged:
            self.differing = f"finished tasks are not as they were recorded ({result})"
            raise StepFailed(str(result))
        return f"{result}; {result.tally.tasks} recorded"

    def analyze(self) -> str:
        """Bring the statistics up to date."""
        return f"writers waited {self.maintenance.analyze():.3f} s at most"

    def checkpoint(self) -> str:
        """Bring the -wal into the database as far as readers let it."""
        result = self.maintenance.checkpoint()
        if result["busy"]:
            raise StepFailed("a lock was not had in time; nothing was checkpointed")
        if not result["complete"]:
            return (
                f"incomplete: {result['checkpointed']} of {result['log']} frames, readers hold on"
            )
        return "complete"

    def free_stale_leases(self, timeout_seconds: float) -> None:
        """Take tasks from holders that are gone."""

        def free() -> str:
            released = self.maintenance.release_stale_leases(timeout_seconds)
            said = f"{released.requeued} requeued, {released.dead_lettered} moved to dead_letter"
            if released.unreadable:
                raise StepFailed(
                    f"{said}; the leases of {len(released.unreadable)} held tasks cannot be read: "
                    f"{', '.join(map(str, released.unreadable[:_SHOWN_PROBLEMS]))}"
                )
            return said

        self.do("stale leases", free)

    def check_integrity(self) -> str:
        """Check every page and index entry; findings are damage."""
        rows = self.maintenance.integrity_check()
        if rows != SOUND:
            self.damage = "; ".join(rows[:_SHOWN_PROBLEMS])
            raise StepFailed(f"{len(rows)} findings: {self.damage}")
        return "ok"

    def vacuum(self, timeout_seconds: float) -> str:
        """Count the rows, and rewrite the database."""
        self.counted = count_rows(self.database)
        result = self.maintenance.vacuum(timeout_seconds=timeout_seconds)
        before, after = result.size_before_bytes / _MEGABYTE, result.size_after_bytes / _MEGABYTE
        return (
            f"{before:.2f} MB to {after:.2f} MB, writers waited "
            f"{result.writer_lock_seconds:.2f} s at most"
        )

    def verify_database(self) -> str:
        """Check the database whole, and that no row of before VACUUM is missing."""
        said = self.check_integrity()
        with translated(self.database.path):
            connection = self.database.connection()
            broken = connection.execute("PRAGMA foreign_key_check").fetchmany(_SHOWN_PROBLEMS)
        if broken:
            raise StepFailed(f"rows refer to nothing, the first in {broken[0][0]}")
        return f"{said}, {self._compare_counts()}"

    def _compare_counts(self) -> str:
        before = self.counted
        if before is None:
            return f"{count_rows(self.database).tasks} tasks"
        after = count_same_rows(self.database, before)
        if after.tasks < before.tasks or after.logs < before.logs:
            raise StepFailed(
                f"{before.tasks - after.tasks} tasks and {before.logs - after.logs} log rows that "
                "were there before VACUUM are missing"
            )
        return f"the {after.tasks} tasks of before VACUUM are there"

    def _is_damage(self, error: BaseException) -> bool:
        """Return whether the error, or what it came of, says that the database is damaged.

        The same said of another file, a draft on the backups' disk, does not.
        """
        seen: BaseException | None = error
        while seen is not None:
            if isinstance(seen, _DAMAGE) and seen.facts.get("path") == str(self.database.path):
                return True
            seen = seen.__cause__
        return False
