"""Running the command line, and preparing queues for it."""

import contextlib
import json
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0
LONG_AGO = "2001-02-03 04:05:06"
FAR_AHEAD = "2999-01-01 00:00:00"


@dataclass(frozen=True)
class Done:
    """A command line that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self):
        """The one JSON object on stdout."""
        assert self.out.count("\n") == 1
        return json.loads(self.out)


def queuedrill(*words, **options):
    """Run ``queuedrill`` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
        **{"stdin": subprocess.DEVNULL, **options},
    )
    return Done(done.returncode, done.stdout.decode("latin-1"), done.stderr.decode("latin-1"))


def write(path, sql, *rows):
    """Run one statement on a database that nobody has open, once for each row."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(sql, rows)


def read(path, sql):
    """Return the rows of one statement."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def add_tasks(path, count):
    """Put so many queued tasks into the queue."""
    write(path, "INSERT INTO task_queue (type, payload) VALUES (?, ?)", *[("t", "{}")] * count)


def add_held(path, *, worker="w", lease_until=LONG_AGO, status="leased", attempts=0):
    """Put one task into the queue that a worker holds."""
    write(
        path,
        "INSERT INTO task_queue (type, payload, status, locked_by, lease_until_utc, attempts)"
        " VALUES ('t', '{}', ?, ?, ?, ?)",
        (status, worker, lease_until, attempts),
    )


def everything_in(folder):
    """Return every file below the folder with its content."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }
