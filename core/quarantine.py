"""What a restore replaced: kept as one set in a folder of its own, so it can be undone."""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from . import files
from .intent import RestoreIntent
from .paths import QUARANTINE_FOLDER, sides
from .timestamps import parse, to_datetime

_RECORD = "restore.json"


@dataclass(frozen=True)
class QuarantineRecord:
    """One set that a restore replaced.

    Attributes:
        restore_id: the restore's id.
        database: path of the database.
        backup: path of what was restored.
        at_ms: when, UTC milliseconds.
        files: names of the set's files; empty where there was no database.
        number: counts a database's restores, since its clock may be set back.
        undone: whether it has been brought back since.
    """

    restore_id: str
    database: str
    backup: str
    at_ms: int
    files: tuple[str, ...]
    number: int
    undone: bool = False


def new_folder(database: Path, restore_id: str, now_ms: int) -> Path:
    """Make and return the folder for the set that a restore is about to replace."""
    stamp = f"{to_datetime(now_ms):%Y%m%d_%H%M%S}"
    folder = database.parent / QUARANTINE_FOLDER / f"{database.name}.{stamp}_{restore_id}"
    files.make_folder(folder)
    return folder


def write_record(folder: Path, record: QuarantineRecord) -> None:
    """Write, or write anew, what the set in the folder is."""
    content = json.dumps(asdict(record), indent=1).encode()
    files.write_replacing(folder / _RECORD, content)


def records(database: Path) -> list[tuple[Path, QuarantineRecord]]:
    """Return the sets of this database with their folders, newest first."""
    found = []
    for folder in _folders(database):
        record = _read(folder, database)
        if record is not None:
            found.append((folder, record))
    return sorted(found, key=lambda item: item[1].number, reverse=True)


def next_number(database: Path) -> int:
    """Return the number of the restore that is about to begin; the caller holds the lock."""
    return max((record.number for _folder, record in records(database)), default=0) + 1


def keep(database: Path, intent: RestoreIntent) -> None:
    """Write the record that a restore was cut off before writing, so that it can be undone."""
    folder = Path(intent.quarantine)
    if _read(folder, database) is None:
        record = QuarantineRecord(
            restore_id=intent.restore_id,
            database=str(database),
            backup=intent.backup,
            at_ms=parse(intent.started_utc) or 0,
            files=intent.old,
            number=next_number(database),
        )
        write_record(folder, record)


def mark_undone(folder: Path, record: QuarantineRecord) -> None:
    """Remember that the set was brought back."""
    write_record(folder, replace(record, undone=True))


def clear_leftovers(database: Path) -> None:
    """Remove sets without a record: the restore was cut off before it began.

    The caller holds the maintenance lock, and there is no note of a restore under way.
    """
    for folder in list(_folders(database)):
        if (folder / _RECORD).exists():
            files.clear_temporaries(folder / _RECORD)
        else:
            files.remove_tree(folder)


def is_folder_of(database: Path, folder: Path) -> bool:
    """Return whether the path is one that ``new_folder`` gives for this database."""
    name = re.escape(database.name) + r"\.\d{8}_\d{6}_[0-9a-f]{16}"
    above = database.parent / QUARANTINE_FOLDER
    return folder.parent == above and re.fullmatch(name, folder.name, re.ASCII) is not None


def _folders(database: Path) -> Iterator[Path]:
    """Yield the folders of this database: others have theirs beside them, under longer names."""
    above = database.parent / QUARANTINE_FOLDER
    for folder in above.iterdir() if above.is_dir() else ():
        if is_folder_of(database, folder):
            yield folder


def _read(folder: Path, database: Path) -> QuarantineRecord | None:
    """Return the record in the folder, or None where there is none that a restore can have written.

    What it names is copied by an undo, perhaps by root.
    """
    try:
        facts = json.loads(files.read_note(folder / _RECORD))
        record = QuarantineRecord(**{**facts, "files": tuple(facts["files"])})
        own = {file.name for file in (database, *sides(database))}
        known = type(record.number) is int and own.issuperset(record.files)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return record if known else None
