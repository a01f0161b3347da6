"""Write-ahead logs of every kind, forged ones too, and what SQLite itself makes of them."""

import contextlib
import shutil
import sqlite3
import struct
from dataclasses import dataclass

from core.paths import wal_of

HEADER = struct.Struct(">8I")
FRAME = struct.Struct(">6I")
VERSION = 3_007_000
CANNOT_OPEN = "cannot open"


def make_log(folder, page_size, acts):
    """Return the path of a database in a folder of its own, its -wal as a crash leaves it.

    Args:
        folder: where both are made, and then copied from while they are open.
        page_size: bytes a page.
        acts: what a program did: "commit", "rollback" and "spill" (which ends with no commit) with
            how many rows, "restart" (the next commit begins the log anew) and "passive".
    """
    folder.mkdir()
    path = folder / "open.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in (f"page_size = {page_size}", "journal_mode = WAL", "wal_autocheckpoint = 0",
                       "synchronous = OFF", "cache_size = 3"):  # fmt: skip
            connection.execute(f"PRAGMA {pragma}").fetchall()
        connection.execute("CREATE TABLE t (x)")
        for act, rows in acts:
            do(connection, act, rows, page_size)
        return copied(path, folder / "left")


def do(connection, act, rows, page_size):
    """Do one act of a program."""
    if act in {"restart", "passive"}:
        if not connection.in_transaction:
            connection.execute(f"PRAGMA wal_checkpoint({act})").fetchall()
        return
    if not connection.in_transaction:
        connection.execute("BEGIN IMMEDIATE")
    wide = b"x" * (page_size // 3)
    connection.executemany("INSERT INTO t VALUES (?)", [(wide,)] * rows)
    # Pages that are in the log already are written anew.
    connection.execute("UPDATE t SET x = x || 'y' WHERE rowid % 7 = 0")
    if act != "spill":
        connection.execute(act)


def copied(path, folder):
    """Return the path of a copy of the database and its log."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for file in (path, wal_of(path)):
        if file.exists():
            shutil.copyfile(file, folder / f"q.db{file.name.removeprefix(path.name)}")
    return folder / "q.db"


@dataclass(frozen=True)
class Recovered:
    """What SQLite recovers: frames of the log that are in force, and pages of the database."""

    frames: int
    pages: int


def recover(path, folder):
    """Return what SQLite recovers of a copy, or CANNOT_OPEN."""
    copy = copied(path, folder)
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
        try:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            _busy, frames, _done = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.OperationalError as error:
            if "unable to open" not in str(error):
                raise
            return CANNOT_OPEN
        return Recovered(frames, pages)


# -- forging ---------------------------------------------------------------------------------


def summed(data, start, order):
    """Return SQLite's checksum, word after word as its documentation has it."""
    first, second = start
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second


def split(log):
    """Return the header's fields, and each frame's fields with its page."""
    header = list(HEADER.unpack_from(log))
    size = FRAME.size + header[2]
    frames = [
        (list(FRAME.unpack_from(log, place)), log[place + FRAME.size : place + size])
        for place in range(HEADER.size, len(log) - size + 1, size)
    ]
    return header, frames


def forged(header, frames):
    """Return a log of these parts with checksums that fit, in the order that its magic names."""
    order = ">" if header[0] & 1 else "<"
    body = struct.pack(">6I", *header[:6])
    running = summed(body, (0, 0), order)
    log = body + struct.pack(">2I", *running)
    for fields, page in frames:
        running = summed(struct.pack(">2I", *fields[:2]), running, order)
        running = summed(page, running, order)
        log += struct.pack(">6I", *fields[:4], *running) + page
    return log


def turn_around(path, valid):
    """Give the log of a database, whose first frames are valid, the other order of bytes."""
    header, frames = split(wal_of(path).read_bytes())
    header[0] ^= 1
    wal_of(path).write_bytes(forged(header, frames[:valid]))


def commits(log):
    """Return the number and the database's pages of each frame that says it is a commit."""
    header, frames = split(log)
    return {
        number: fields[1]
        for number, (fields, _page) in enumerate(frames, 1)
        if fields[1] and fields[2:4] == header[4:6]
    }
