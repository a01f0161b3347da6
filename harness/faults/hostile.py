"""Faults of the folder: what somebody puts there who may write to it, and means harm.

The target is the path of a queue or backup that nobody has open.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from core.errors import BackupInvalidError
from harness.faults.damage import FileFault
from harness.faults.fault import Sighting

TRIGGER = (
    "CREATE TRIGGER planted AFTER UPDATE ON task_queue BEGIN "
    "UPDATE task_queue SET status = 'completed'; END"
)
_SUFFIX = ".elsewhere"


@dataclass(frozen=True)
class HostileSchema(FileFault):
    """Somebody puts code into a file: a trigger, a view without an end, a column that computes.

    Simulated by statements that SQLite itself runs on it. Survivable because the schema is judged
    before anything in it could run, and what nobody declared is refused by name.

    Attributes:
        statements: what is run on the file.
    """

    statements: tuple[str, ...] = (TRIGGER,)
    name: ClassVar[str] = "hostile-schema"
    asked: ClassVar[str] = "code put into the schema of the file"
    permitted: ClassVar[tuple[type[Exception], ...]] = (BackupInvalidError,)

    def damage(self, database: Path) -> None:
        """Run the statements."""
        with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
            for statement in self.statements:
                connection.execute(statement).close()


@dataclass(frozen=True)
class LinkInPlace:
    """A file in a folder of ours is a link that leads out of it.

    Simulated by moving the file out of the folder and leaving a link at its name. Survivable
    because what lies in the folder is opened without following a link.
    """

    name: ClassVar[str] = "link-in-place"
    asked: ClassVar[str] = "a link out of the folder in the place of a file"
    permitted: ClassVar[tuple[type[Exception], ...]] = (BackupInvalidError,)

    @contextlib.contextmanager
    def inject(self, target: Path) -> Iterator[Sighting]:
        """Leave a link for the body; confirmed by what the system says of the name itself."""
        elsewhere = target.parent.parent / f"{target.name}{_SUFFIX}"
        target.rename(elsewhere)
        target.symlink_to(elsewhere)
        try:
            leads_to = target.readlink()
            yield Sighting(target.is_symlink() and leads_to == elsewhere, f"it leads to {leads_to}")
        finally:
            if target.is_symlink():
                target.unlink()
            if not target.exists():
                elsewhere.rename(target)
            elsewhere.unlink(missing_ok=True)
