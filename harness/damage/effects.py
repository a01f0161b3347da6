"""What damage does to those who work on: the truth that the detectors are held against."""

import contextlib
from enum import StrEnum
from pathlib import Path

from core.connection import connect_stdlib, scalar
from core.database import QueueDatabase
from core.paths import uri
from core.tasks import TaskQueue
from harness.damage.detectors import FAILURES, Scene, give_up_after
from harness.damage.reading import Content, read
from harness.damage.regions import Region
from harness.damage.specimens import StoppedClock

_TIMEOUT_S = 20.0
_TASKS_COUNT, _DONE_COUNT, _BIG_BYTES = 8, 4, 9_000


class Effect(StrEnum):
    """What damage does."""

    NONE = "none"
    CHANGED = "changed"
    UNREADABLE = "unreadable"
    BREAKS = "breaks"


def effect_of(scene: Scene, region: Region) -> Effect:
    """Return what the damage does to whoever reads the file, and then works on.

    A backup is only read: nobody works on it.
    """
    if region.of_backup:
        return _effect_on_backup(scene)
    try:
        with QueueDatabase(scene.database, clock=StoppedClock()) as database:
            content = said_by(database)
            if content != scene.specimen.truth:
                return Effect.CHANGED
            return Effect.NONE if works_on(database) else Effect.BREAKS
    except FAILURES:
        return Effect.UNREADABLE


def _effect_on_backup(scene: Scene) -> Effect:
    try:
        content = _read_alone(scene.backup)
    except FAILURES:
        return Effect.UNREADABLE
    return Effect.NONE if content == scene.specimen.restored else Effect.CHANGED


def _read_alone(backup: Path) -> Content:
    with QueueDatabase(backup) as database:
        return said_by(database)


def said_by(database: QueueDatabase) -> Content:
    """Return all that the queue says.

    Raises:
        sqlite3.Error: it cannot be read to its end.
    """
    with contextlib.closing(database.open_connection()) as connection:
        give_up_after(connection, _TIMEOUT_S)
        return read(connection)


def works_on(database: QueueDatabase) -> bool:
    """Do some work that takes and frees pages; return whether it went well and left a sound file.

    What was not sound before need not be afterwards.
    """
    sound = is_sound(database.path)
    try:
        tasks = TaskQueue(database, durability="normal")
        for number in range(_TASKS_COUNT):
            tasks.enqueue("after", {"number": number, "text": "y" * (_BIG_BYTES * (number % 2))})
        for _number in range(_DONE_COUNT):
            task = tasks.claim("worker-after")
            if task is None:
                return False
            tasks.complete(task)
    except FAILURES:
        return False
    return is_sound(database.path) or not sound


def is_sound(path: Path) -> bool:
    """Return whether integrity_check and foreign_key_check find nothing."""
    connection = connect_stdlib(uri(path, mode="rw"), timeout_s=0.0)
    with contextlib.closing(connection):
        give_up_after(connection, _TIMEOUT_S)
        try:
            return scalar(connection, "PRAGMA integrity_check(1)") == "ok" and not (
                connection.execute("PRAGMA foreign_key_check").fetchall()
            )
        except FAILURES:
            return False
