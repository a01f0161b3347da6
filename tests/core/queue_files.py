"""Queue files and what can happen to them, for the tests of backup and restore."""

import contextlib
import os
import sqlite3

from core import QueueDatabase
from core.manifest import manifest_path

START_MS = 1_770_000_000_000
CREATED = "2026-01-01 00:00:00.000"
INSERT = (
    "INSERT INTO task_queue (type, payload, status, created_at_utc, locked_by, reserved_at_utc, "
    "lease_until_utc) VALUES ('t', ?, ?, ?, ?, ?, ?)"
)


@contextlib.contextmanager
def opened(path):
    """Open the file as any program would, with no help of ours."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def add_tasks(path, count, *, status="queued", created=CREATED, payload="{}"):
    """Put tasks into the queue as a program of the field does; return their ids."""
    held = status in {"leased", "processing"}
    lease = ("worker", CREATED, CREATED) if held else (None, None, None)
    with opened(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        ids = [
            connection.execute(INSERT, (payload, status, created, *lease)).lastrowid
            for _ in range(count)
        ]
        connection.execute("COMMIT")
    return ids


def make_queue(path, count=10, **how):
    """Make a queue with so many tasks that nobody has open; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    QueueDatabase(path, create=True).close()
    add_tasks(path, count, **how)
    return path


def states(path):
    """Return the status of every task by id, as a program that is not ours reads it."""
    with opened(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return dict(connection.execute("SELECT id, status FROM task_queue").fetchall())


def set_status(path, ids, status):
    """Give the tasks a status."""
    with opened(path) as connection:
        connection.executemany(
            "UPDATE task_queue SET status = ? WHERE id = ?", [(status, number) for number in ids]
        )


def make_legacy(source, target):
    """Make a backup as the runbook's own program does: the interface, and no manifest."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with opened(source) as connection, opened(target) as copy:
        connection.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE").fetchall()
    return target


def flip_bit(path, offset=None):
    """Turn one bit of the file; in its middle unless told otherwise."""
    with path.open("r+b") as file:
        where = path.stat().st_size // 2 if offset is None else offset
        file.seek(where)
        byte = file.read(1)[0]
        file.seek(where)
        file.write(bytes([byte ^ 1]))


def flip_payload_bit(path, text):
    """Turn one bit inside a payload that holds the text, where no structure check looks."""
    flip_bit(path, path.read_bytes().index(text.encode()))


def truncate(path, part=0.5):
    """Cut the file to a part of its length."""
    os.truncate(path, int(path.stat().st_size * part))


def edit_manifest(backup, old, new):
    """Change a text in the backup's manifest; it must be there."""
    path = manifest_path(backup)
    content = path.read_text(encoding="utf-8")
    assert old in content
    path.write_text(content.replace(old, new), encoding="utf-8")


def names(folder):
    """Return the names of all files in the folder, hidden ones too, sorted."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def everything(folder):
    """Return the content of every file under the folder, by relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def make_backups(backup, clock, count):
    """Make so many backups, an hour apart; return their paths, oldest first."""
    paths = []
    for _ in range(count):
        clock.advance_s(3600.0)
        paths.append(backup.create_backup())
    return paths


def listed(backup, **how):
    """Return the paths of the backups that are listed, newest first."""
    return [info.path for info in backup.list_backups(**how)]
