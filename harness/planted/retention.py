"""Defects of retention: the backup that was needed is the one that went."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core import files
from core.backup import QueueBackup
from core.catalog import BackupInfo
from core.drafts import Drafts
from core.maintenancerun import MaintenanceRun
from core.manifest import Manifest, manifest_path
from core.retention import RetentionPlan, RetentionPolicy
from harness.planted.defect import Catch, Change, Defect

Right = Any
"""The right part, which the wrong one may call."""


def _oldest_first(right: Right) -> Right:
    def plan(
        backups: Sequence[BackupInfo],
        policy: RetentionPolicy,
        is_sound: Callable[[BackupInfo], bool],
    ) -> RetentionPlan:
        made: RetentionPlan = right(backups[::-1], policy, is_sound)
        return made

    return plan


def _all_sound(right: Right) -> Right:
    def plan(
        backups: Sequence[BackupInfo],
        policy: RetentionPolicy,
        _is_sound: Callable[[BackupInfo], bool],
    ) -> RetentionPlan:
        made: RetentionPlan = right(backups, policy, lambda _info: True)
        return made

    return plan


def _by_file_times(right: Right) -> Right:
    def read(path: Path, source: Path) -> BackupInfo | None:
        info: BackupInfo | None = right(path, source)
        if info is None:
            return None
        return replace(info, created_ms=path.stat().st_mtime_ns // 1_000_000)

    return read


def _everybody_s(right: Right) -> Right:
    """Take every backup in the folder for one of this queue."""

    def read_catalog(folder: Path, source: Path) -> list[BackupInfo]:
        return [replace(info, ours=True) for info in right(folder, source)]

    return read_catalog


def _one_less(right: Right) -> Right:
    def cleanup(self: QueueBackup, keep_count: int = 10) -> int:
        removed: int = right(self, max(1, keep_count - 1))
        return removed

    return cleanup


def _old_kind_too(right: Right) -> Right:
    """What ``sorted(glob("queue_backup_*.db"))[:-keep]`` does to those without a manifest."""

    def apply(self: QueueBackup, policy: RetentionPolicy) -> list[Path]:
        legacy = [info.path for info in self.list_backups()[policy.last :] if info.is_legacy]
        gone: list[Path] = right(self, policy)
        for path in legacy:
            files.remove(path)
        return gone + legacy

    return apply


def _thin_out_first(right: Right) -> Right:
    def back_up(self: MaintenanceRun, name: str, keep_count: int) -> bool:
        self.do("make room", lambda: str(self.backup.cleanup_old_backups(keep_count)), writes=False)
        verified: bool = right(self, name, keep_count)
        return verified

    return back_up


def _manifest_first(right: Right) -> Right:
    def withdraw(self: Drafts, backup: Path, manifest: Manifest) -> None:
        files.remove(manifest_path(backup))
        right(self, backup, manifest)

    return withdraw


DEFECTS = (
    Defect(
        name="prune-deletes-newest",
        group="retention",
        wrong="The backups are sorted the wrong way round: the oldest stay and the newest go.",
        changes=(Change("core.retention", "plan", _oldest_first),),
        catches=(
            Catch(
                "test_retention.py::test_after_every_backup_prune_keeps_the_newest_so_many",
                "not the right ones",
            ),
        ),
    ),
    Defect(
        name="prune-by-file-times",
        group="retention",
        wrong="Backups are ordered by their files' times, which a copy or a touch changes: an old "
        "one that was copied pushes out the newest.",
        changes=(Change("core.catalog", "_read", _by_file_times),),
        catches=(
            Catch(
                "test_retention.py::test_changed_file_times_prune_goes_by_the_snapshots",
                "file's time",
            ),
        ),
    ),
    Defect(
        name="prune-counts-broken",
        group="retention",
        wrong="Broken backups count as kept, so that some of them push out the last good one.",
        changes=(Change("core.retention", "plan", _all_sound),),
        catches=(
            Catch(
                "test_retention.py::test_all_newer_ones_broken_prune_keeps_the_last_good_one",
                "the last good backup was removed",
            ),
        ),
    ),
    Defect(
        name="prune-takes-foreign",
        group="retention",
        wrong="Of a folder that two queues share, one queue's run removes the other's backups.",
        changes=(Change("core.catalog", "read_catalog", _everybody_s),),
        catches=(
            Catch(
                "test_retention.py::test_shared_folder_prune_leaves_the_other_queue_s_alone",
                "of another queue were removed",
            ),
        ),
    ),
    Defect(
        name="prune-keeps-one-less",
        group="retention",
        wrong="One backup less is kept than was asked for.",
        changes=(Change("core.backup", "QueueBackup.cleanup_old_backups", _one_less),),
        catches=(
            Catch(
                "test_retention.py::test_after_every_backup_prune_keeps_the_newest_so_many",
                "that keeps 2 left 1 of 2",
            ),
        ),
    ),
    Defect(
        name="prune-takes-old-kind",
        group="retention",
        wrong="Backups without a manifest, which nobody but people may remove, are removed.",
        changes=(Change("core.backup", "QueueBackup.apply_retention", _old_kind_too),),
        catches=(
            Catch(
                "test_retention.py::test_old_kind_prune_leaves_what_has_no_manifest",
                "a backup without a manifest was removed",
            ),
        ),
    ),
    Defect(
        name="prune-before-verified",
        group="retention",
        wrong="The daily run removes old backups before the new one is verified: a run whose "
        "backup fails costs backups that were good.",
        changes=(Change("core.maintenancerun", "MaintenanceRun.back_up", _thin_out_first),),
        catches=(
            Catch(
                "test_retention.py::test_failed_backup_daily_run_removes_nothing",
                "without a new backup",
            ),
        ),
    ),
    Defect(
        name="prune-removes-proof-first",
        group="retention",
        wrong="The manifest goes before its backup: a run that dies in between leaves one that "
        "nothing can prove, and that no later run removes.",
        changes=(Change("core.drafts", "Drafts.withdraw", _manifest_first),),
        catches=(
            Catch(
                "test_power_cut.py::test_power_cut_at_any_moment_costs_nothing_acknowledged[prune]",
                "is listed and is not",
            ),
            Catch(
                "test_maintenance_kills.py::"
                "test_killed_at_steps_drawn_from_all_verb_is_whole_or_not_at_all[prune]",
                "a list with half backups",
            ),
        ),
    ),
)
