"""What recovers a damaged queue: each cure is tried, and what it leaves is read to its end."""

import contextlib
import sqlite3
from collections.abc import Callable

from core.backup import QueueBackup
from core.database import QueueDatabase
from core.paths import sides
from core.salvage import salvage
from harness.damage.detectors import FAILURES, Scene
from harness.damage.effects import Effect, is_sound, said_by, works_on
from harness.damage.reading import Content
from harness.damage.regions import Region
from harness.damage.spans import Files
from harness.damage.specimens import StoppedClock
from harness.damage.stage import Stage

NOTHING, NO_CURE = "nothing needed", "none"
_WITHOUT_SHM, _REINDEX, _VACUUM = "deleting the -shm", "REINDEX", "VACUUM"
SALVAGE, RESTORE, OLDER = "salvage", "restore", "restore of the backup before"
_SALVAGED = "salvaged.db"
CURES = (NOTHING, _WITHOUT_SHM, _REINDEX, _VACUUM, SALVAGE, RESTORE, OLDER, NO_CURE)
"""Their names; the first that leaves what is true is the one that is told."""


def cure_for(
    scene: Scene, region: Region, stage: Stage, files: Files, effect: Effect, *, seen: bool
) -> str:
    """Return the mildest cure that works, each tried on the damaged files anew.

    Args:
        scene: the damaged files, and what is true.
        region: that was struck; of a damaged backup it is asked what a restore does then.
        stage: where they are laid out again.
        files: the damaged files.
        effect: of the damage.
        seen: whether any detector saw it; what nobody sees and nobody feels needs no cure.
    """
    if effect is Effect.NONE and not seen:
        return NOTHING
    for name, cure in ({} if region.of_backup else _MILD).items():
        stage.lay(files)
        if _cured(scene, cure, scene.specimen.truth):
            return name
    stage.lay(files)
    if not region.of_backup and _salvaged(scene):
        return SALVAGE
    stage.lay(files)
    return _restored(scene)


def _salvaged(scene: Scene) -> bool:
    """Return whether a new queue has every task just as it was, and no other."""
    out = scene.folder / _SALVAGED
    try:
        report = salvage(scene.database, out, clock=StoppedClock())
        if report.out is None:
            return False
        with QueueDatabase(out, clock=StoppedClock()) as database:
            same = said_by(database).tasks == scene.specimen.truth.tasks
            return same and is_sound(out) and works_on(database)
    except FAILURES:
        return False


def _restored(scene: Scene) -> str:
    """Return which restore works: that of the newest backup that can be verified."""
    specimen = scene.specimen
    try:
        backups = QueueBackup(scene.database, clock=StoppedClock())
        chosen = backups.newest_verified()
        if chosen is None:
            return NO_CURE
        backups.restore_backup(chosen.path)
        newest = chosen.path == scene.backup
        wanted = specimen.restored if newest else specimen.restored_older
        return (RESTORE if newest else OLDER) if _says(scene, wanted, rows_only=True) else NO_CURE
    except FAILURES:
        return NO_CURE


def _cured(scene: Scene, cure: Callable[[Scene], None], wanted: Content) -> bool:
    try:
        cure(scene)
        return _says(scene, wanted)
    except FAILURES:
        return False


def _says(scene: Scene, wanted: Content, *, rows_only: bool = False) -> bool:
    """Return whether the queue opens, is sound, says what it has to, and can be worked on.

    A restore leaves the journal mode of the file that it goes into, so settings are not compared.
    """
    with QueueDatabase(scene.database, clock=StoppedClock()) as database:
        said = said_by(database)
        same = said.rows == wanted.rows if rows_only else said == wanted
        return same and is_sound(scene.database) and works_on(database)


def _without_shm(scene: Scene) -> None:
    _wal, shm, _journal = sides(scene.database)
    shm.unlink(missing_ok=True)


def _run(sql: str) -> Callable[[Scene], None]:
    def run(scene: Scene) -> None:
        with contextlib.closing(sqlite3.connect(scene.database, isolation_level=None)) as opened:
            opened.execute(sql).fetchall()

    return run


def _nothing(_scene: Scene) -> None:
    """Let it be: the next opening mends it."""


_MILD = {
    NOTHING: _nothing,
    _WITHOUT_SHM: _without_shm,
    _REINDEX: _run("REINDEX"),
    _VACUUM: _run("VACUUM"),
}
