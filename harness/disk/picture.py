"""What a queue, its backups, its archive and its quarantine hold, read without the core's verbs."""

import contextlib
import hashlib
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from core.connection import Connect, Connection
from core.paths import uri

_T = TypeVar("_T")
_UNCOMPARED = ("queuedrill_meta", "sqlite_sequence", "sqlite_stat1", "sqlite_stat4")
_RANDOM = re.compile(r"[0-9a-f]{12,16}", re.ASCII)
_LEFT_OUT = ("-wal", "-shm", "-maintenance.lock")


@dataclass(frozen=True)
class Picture:
    """What was found.

    Attributes:
        content: digest of the queue's rows; of its bytes, where it does not open.
        tasks: ids of the tasks in the queue.
        archived: ids of the tasks in its archive.
        backups: names of the backups that a user sees.
        unsound: of these, those that are not what their manifest says.
        set_aside: how many sets a restore has put into quarantine.
    """

    content: str
    tasks: frozenset[int]
    archived: frozenset[int]
    backups: frozenset[str]
    unsound: frozenset[str]
    set_aside: int


def take_picture(database: Path, connect: Connect) -> Picture:
    """Return what is there now."""
    folder = database.parent
    backups = list(folder.glob("backups/queue_backup_*.db"))
    content, tasks = _of_queue(database, connect)
    return Picture(
        content=content,
        tasks=tasks,
        archived=_archived(folder / "archive" / f"{database.stem}-archive.db", connect),
        backups=frozenset(backup.name for backup in backups),
        unsound=frozenset(backup.name for backup in backups if not _is_sound(backup)),
        set_aside=len(list(folder.glob("quarantine/*/restore.json"))),
    )


def problems_of(database: Path, connect: Connect) -> list[str]:
    """Return what is wrong with the file, and whether somebody left its writer lock taken."""
    try:
        with contextlib.closing(connect(uri(database, mode="rw"), timeout_s=0.0)) as connection:
            problems = [row[0] for row in connection.execute("PRAGMA integrity_check").fetchall()]
            if connection.execute("PRAGMA foreign_key_check").fetchall():
                problems.append("there are references to nothing")
            connection.execute("BEGIN IMMEDIATE").close()
            connection.execute("ROLLBACK").close()
    except sqlite3.Error as error:
        return [str(error)]
    return [problem for problem in problems if problem != "ok"]


def names_in(folder: Path) -> Counter[str]:
    """Return the files below the folder, what is random in their names left out."""
    return Counter(
        _RANDOM.sub("#", path.relative_to(folder).as_posix())
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(_LEFT_OUT)
    )


def _of_queue(database: Path, connect: Connect) -> tuple[str, frozenset[int]]:
    try:
        return _asked(database, connect, lambda opened: (_digest(opened), _ids(opened)))
    except sqlite3.Error:
        content = database.read_bytes() if database.exists() else b""
        return f"unopened {hashlib.sha256(content).hexdigest()}", frozenset()


def _asked(database: Path, connect: Connect, ask: Callable[[Connection], _T]) -> _T:
    with contextlib.closing(connect(uri(database, mode="rw"), timeout_s=0.0)) as connection:
        return ask(connection)


def _digest(connection: Connection) -> str:
    digest = hashlib.sha256()
    sql = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
    for (name,) in connection.execute(sql).fetchall():
        if name not in _UNCOMPARED:
            rows = connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall()
            digest.update(repr((name, rows)).encode())
    return digest.hexdigest()


def _ids(connection: Connection) -> frozenset[int]:
    return frozenset(row[0] for row in connection.execute("SELECT id FROM task_queue").fetchall())


def _archived(archive: Path, connect: Connect) -> frozenset[int]:
    if not archive.exists():
        return frozenset()
    sql = "SELECT id FROM archived_tasks"
    try:
        rows = _asked(archive, connect, lambda opened: opened.execute(sql).fetchall())
    except sqlite3.Error:
        # Made, and without its columns yet.
        return frozenset()
    return frozenset(row[0] for row in rows)


def _is_sound(backup: Path) -> bool:
    manifest = backup.with_name(f"{backup.name}.manifest.json")
    if not manifest.exists():
        return False
    wanted = json.loads(manifest.read_bytes())["sha256"]
    return bool(hashlib.sha256(backup.read_bytes()).hexdigest() == wanted)
