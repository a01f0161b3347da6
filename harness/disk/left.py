"""What the next program finds of a queue, its backups and what a restore set aside.

Used in the process that is recorded and in the one that judges, so that both say it alike.
"""

import contextlib
import hashlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core import quarantine, recovery
from core.backup import QueueBackup
from core.connection import Connection, connect_stdlib
from core.errors import QueueError
from core.fileformat import MAGIC
from core.intent import intent_path
from core.manifest import SUFFIX
from core.paths import uri

DATABASE = "queue.db"
BACKUPS = "backups"
MISSING = "no queue"


def content_of(connection: Connection) -> str:
    """Return a digest of all rows of all tables."""
    digest = hashlib.sha256()
    sql = "SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY name"
    for name, made in connection.execute(sql).fetchall():
        rows = connection.execute(f'SELECT * FROM "{name}" ORDER BY 1').fetchall()
        digest.update(repr((name, made, rows)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]


def content_of_bytes(content: bytes) -> str:
    """Return a digest of a file as it is, for a database that cannot be opened."""
    return "bytes " + hashlib.sha256(content).hexdigest()[:16]


@dataclass(frozen=True)
class Queue:
    """What is found in the queue's place.

    Attributes:
        content: as ``content_of`` has it; of a queue that cannot be opened, as
            ``content_of_bytes`` has it; or ``no queue``.
        wrong: why the queue is none, or what the check of the whole file says; empty if sound.
        told: what the opening says of a restore that was cut off: old, new, lost, or nothing.
    """

    content: str
    wrong: str = ""
    told: str = ""


@dataclass(frozen=True)
class Kept:
    """What is found of backups.

    Attributes:
        listed: those that are, with the digests of their bytes and their manifests'.
        unproved: what is wrong with those of them that are not sound.
    """

    listed: Mapping[str, str] = field(default_factory=dict)
    unproved: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is found.

    Attributes:
        queue: in the queue's place.
        kept: backups.
        set_aside: contents that restores have set aside, and that can be brought back.
    """

    queue: Queue
    kept: Kept = field(default_factory=Kept)
    set_aside: tuple[str, ...] = ()


class Finder:
    """Looks at a folder with a queue as the next program does, which may change what is there.

    Args:
        folder: the same for every look; no connection of this process is open to what is in it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / DATABASE
        self._note = intent_path(self._path)
        self._uri = uri(self._path, mode="rw")
        self._backups = QueueBackup(self._path, folder / BACKUPS)
        self._proofs: dict[tuple[str, str], str] = {}
        self._aside: dict[str, str] = {}

    def look(self) -> Found:
        """Return all that is found."""
        return Found(queue=self.queue(), kept=self.kept(), set_aside=self.set_aside())

    def queue(self) -> Queue:
        """Return what is found of the queue; a restore that was cut off is brought to an end."""
        as_it_is, told = self._if_it_is_none(), ""
        try:
            if self._note.exists():
                told = self._recover()
            return Queue(*self._read(), told)
        except (QueueError, sqlite3.Error) as error:
            content = content_of_bytes(as_it_is)
            return Queue(content, f"{type(error).__name__}: {error}", told)

    def _if_it_is_none(self) -> bytes:
        """Return what the file holds, where SQLite may change it and then say that it is none."""
        if not self._path.is_file():
            return b""
        with self._path.open("rb") as file:
            head = file.read(len(MAGIC))
            return b"" if head == MAGIC else head + file.read()

    def kept(self) -> Kept:
        """Return what is found of its backups."""
        listed = self._listed()
        unproved = {name: said for name, of in listed.items() if (said := self._proof(name, of))}
        return Kept(listed, unproved)

    def set_aside(self) -> tuple[str, ...]:
        """Return the contents that restores have set aside, and that can be brought back."""
        return tuple(
            self._content_aside(folder / DATABASE)
            for folder, record in quarantine.records(self._path)
            if record.files and all((folder / name).is_file() for name in record.files)
        )

    def _content_aside(self, path: Path) -> str:
        """Return what a file holds that nobody changes; the same bytes are read once."""
        as_it_is = content_of_bytes(path.read_bytes())
        if as_it_is not in self._aside:
            try:
                connection = connect_stdlib(uri(path, mode="ro", immutable=1), timeout_s=0.0)
                with contextlib.closing(connection):
                    self._aside[as_it_is] = content_of(connection)
            except sqlite3.Error:
                self._aside[as_it_is] = as_it_is
        return self._aside[as_it_is]

    def _read(self) -> tuple[str, str]:
        if not self._path.exists():
            return MISSING, ""
        connection = connect_stdlib(self._uri, timeout_s=0.0)
        with contextlib.closing(connection):
            # Nobody cuts the power of the one who looks.
            connection.execute("PRAGMA synchronous = OFF").close()
            # One look at the file's locks and journals instead of one for each statement.
            connection.execute("BEGIN").close()
            said = [row[0] for row in connection.execute("PRAGMA integrity_check").fetchall()]
            content = content_of(connection)
            connection.execute("COMMIT").close()
        return content, "; ".join(said[:2]) if said != ["ok"] else ""

    def _recover(self) -> str:
        recovered = recovery.on_opening(self._path, read_only=False, connect=connect_stdlib)
        return "" if recovered is None else recovered.state

    def _listed(self) -> dict[str, str]:
        names = [info.path.name for info in self._backups.list_backups()]
        return {name: self._digest(self._backups.folder / name) for name in names}

    @staticmethod
    def _digest(backup: Path) -> str:
        pair = (backup, backup.with_name(backup.name + SUFFIX))
        digests = [file.exists() and hashlib.sha256(file.read_bytes()).hexdigest() for file in pair]
        return " ".join(str(digest)[:16] for digest in digests)

    def _proof(self, name: str, digest: str) -> str:
        """Return what is wrong with a backup; one of the same bytes is proved once."""
        if (name, digest) not in self._proofs:
            said = self._backups.check_backup(name)
            self._proofs[name, digest] = "" if said.ok else str(said)
        return self._proofs[name, digest]
