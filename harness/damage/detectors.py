"""What looks for damage: each detector is shown files as they lie there, and says what it sees.

Each is asked alone, in the order in which a person would: first what reads without opening, then
the opening (which may change a -wal or a journal), then what reads through it.
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from core import payloads, schema, wal
from core.connection import Connection, connect_stdlib
from core.content import QueueContent
from core.database import QueueDatabase, require_queue
from core.errors import QueueError
from core.observer import journal_of
from core.paths import uri, wal_of
from core.verification import verify_digest
from harness.damage.specimens import BACKUPS, DATABASE, Specimen, StoppedClock

_STEPS_BETWEEN_LOOKS, _TIMEOUT_S = 100_000, 20.0
_ROWS_MOST = 100
# Python raises the last in the place of an error whose message quotes a name that is no text.
FAILURES = (QueueError, sqlite3.Error, OSError, UnicodeDecodeError)


@dataclass(frozen=True)
class Found:
    """What a detector said.

    Attributes:
        says: its words; empty where it sees nothing.
        seconds: how long it looked.
    """

    says: str
    seconds: float


@dataclass(frozen=True)
class Scene:
    """Files that are laid out, and what is known of them from elsewhere.

    Attributes:
        folder: where they lie.
        specimen: whose they were before.
    """

    folder: Path
    specimen: Specimen

    @property
    def database(self) -> Path:
        """Path of the queue."""
        return self.folder / DATABASE

    @property
    def backup(self) -> Path:
        """Path of its newest backup."""
        return self.folder / BACKUPS / self.specimen.newest


def _walk(scene: Scene) -> str:
    """Walk the frames of the -wal, and ask whose it is."""
    walk = wal.walk(wal_of(scene.database))
    if walk.damage != "none":
        return f"{walk.damage} {walk.bad_frame or ''}".strip()
    foreign = walk.frames > 0 and journal_of(scene.database) == "rollback"
    return "a -wal beside a file that has none" if foreign else ""


def _digest(scene: Scene) -> str:
    """Compare the newest backup with the digest in its manifest."""
    return "" if verify_digest(scene.backup, clock=StoppedClock()).ok else "it differs"


def _opening(scene: Scene) -> str:
    """Open the queue as a worker does."""
    with QueueDatabase(scene.database, busy_timeout_ms=0):
        return ""


Ask = Callable[[Connection, Scene], str]


def _pragma(check: str) -> Ask:
    def ask(connection: Connection, _scene: Scene) -> str:
        rows = connection.execute(f"PRAGMA {check}({_ROWS_MOST})").fetchall()
        return "; ".join(str(row[0]) for row in rows if row[0] != "ok")

    return ask


def _references(connection: Connection, _scene: Scene) -> str:
    rows = connection.execute("PRAGMA foreign_key_check").fetchall()
    return f"{len(rows)} rows refer to nothing" if rows else ""


def _counts(connection: Connection, scene: Scene) -> str:
    """Compare the tasks per status with those that were acknowledged."""
    counts = schema.count_by_status(connection)
    return "" if counts == scene.specimen.counts else f"{counts}"


def _decoding(connection: Connection, _scene: Scene) -> str:
    """Read every task, and its payload as JSON."""
    sql = "SELECT id, CAST(payload AS BLOB), CAST(compatibility AS BLOB) FROM task_queue"
    for task, *stored in connection.execute(sql):
        if not all(payloads.decode(each or b"")[1] for each in stored):
            return f"task {task} holds no JSON"
    return ""


def _content(connection: Connection, scene: Scene) -> str:
    """Compare finished tasks with the record of what they held, which lies beside the queue."""
    require_queue(scene.database, connection)
    compared = QueueContent(scene.database, clock=StoppedClock()).compare(connection)
    return "" if compared.ok else str(compared)


_CONNECTED: dict[str, Ask] = {
    "quick_check": _pragma("quick_check"),
    "integrity_check": _pragma("integrity_check"),
    "foreign_key_check": _references,
    "counts": _counts,
    "decoding": _decoding,
    "content": _content,
}
_FILE: dict[str, Callable[[Scene], str]] = {
    "wal-walk": _walk,
    "digest": _digest,
    "opening": _opening,
}
DETECTORS = (*_FILE, *_CONNECTED)
"""Their names, in the order in which they look."""


def look(scene: Scene) -> Mapping[str, Found]:
    """Return what every detector says of the files, which may be others afterwards."""
    found = {name: _timed(partial(ask, scene)) for name, ask in _FILE.items()}
    try:
        connection = connect_stdlib(uri(scene.database, mode="rw"), timeout_s=0.0)
    except FAILURES as error:
        return {**found, **dict.fromkeys(_CONNECTED, Found(str(error), 0.0))}
    with contextlib.closing(connection):
        give_up_after(connection, _TIMEOUT_S)
        for name, ask in _CONNECTED.items():
            found[name] = _timed(partial(ask, connection, scene))
    return found


def _timed(ask: Callable[[], str]) -> Found:
    start_s = time.perf_counter()
    try:
        says = ask()
    except FAILURES as error:
        says = str(error)
    return Found(says, time.perf_counter() - start_s)


def give_up_after(connection: Connection, timeout_s: float) -> None:
    """Interrupt what runs on the connection once the time is up: damage may make it endless."""
    end_s = time.monotonic() + timeout_s
    connection.set_progress_handler(lambda: time.monotonic() > end_s, _STEPS_BETWEEN_LOOKS)
