"""The note beside a database that says which restore is under way.

It is written and synced before a restore touches anything and removed when all is in place, so
that the next opening can tell the old state from the new one (``recovery.py``).
"""

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from . import files

Route = Literal["interface", "swap"]
"""How the new state comes in: SQLite's backup interface, or a swap of files."""

RESTORE_KEY = "restore_id"
"""Key in the queue's own table under which the restored state carries the restore's id."""

_FOLDERS = ("staging", "quarantine")


@dataclass(frozen=True)
class RestoreIntent:
    """One restore that has begun.

    Attributes:
        restore_id: random, unique.
        route: how the new state comes in.
        backup: path of what is restored.
        staging: folder with the new set, whole and synced, under its final names.
        quarantine: folder that the old set goes to.
        old: names of the old set's files.
        new: names of the new set's files; the database itself is the last.
        started_utc: when it began.
    """

    restore_id: str
    route: Route
    backup: str
    staging: str
    quarantine: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    started_utc: str


def intent_path(database: Path) -> Path:
    """Return the path of the note."""
    return database.with_name(database.name + "-restore.json")


def write_intent(database: Path, intent: RestoreIntent) -> None:
    """Leave the note; it survives a power cut once this returns.

    Its folders are written as seen from the database's: by the next opening that may be mounted
    elsewhere, or have been moved.
    """
    facts = asdict(intent)
    for name in _FOLDERS:
        folder = Path(facts[name])
        if folder.is_relative_to(database.parent):
            facts[name] = folder.relative_to(database.parent).as_posix()
    files.write_new(intent_path(database), json.dumps(facts, indent=1).encode())


def read_intent(database: Path) -> RestoreIntent | None:
    """Return the note that is there, or None.

    Raises:
        ValueError: there is one and it cannot be read.
    """
    try:
        content = files.read_note(intent_path(database))
    except FileNotFoundError:
        return None
    try:
        facts = json.loads(content)
        facts["old"], facts["new"] = _names(facts["old"]), _names(facts["new"])
        for name in _FOLDERS:
            facts[name] = str(database.parent / facts[name])
        return RestoreIntent(**facts)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{intent_path(database)} cannot be read: {error}") from error


def _names(names: list[object]) -> tuple[str, ...]:
    if not all(isinstance(name, str) for name in names):
        raise TypeError("a name is no text")
    return tuple(map(str, names))


def clear_leftovers(database: Path) -> None:
    """Remove notes that were never finished; the caller holds the maintenance lock."""
    files.clear_temporaries(intent_path(database))


def remove_intent(database: Path) -> None:
    """Take the note away: all is in place."""
    files.remove(intent_path(database), sync=False)
    # One that a power cut brings back finds all in place, and is taken away again (recovery.py).
    with contextlib.suppress(OSError):
        files.sync_folder(database.parent)
