"""A program that opens a queue, reads it, and leaves: in order, or without closing anything."""

import os
import sqlite3
import sys
from pathlib import Path


def main(database: str, manner: str) -> None:
    """Read the file as SQLite does and as bytes, say how many tasks there are, and be gone."""
    connection = sqlite3.connect(database, isolation_level=None, timeout=10.0)
    (count,) = connection.execute("SELECT count(*) FROM task_queue").fetchone()
    sys.stdout.write(f"{count} tasks\n")
    sys.stdout.flush()
    if manner == "abrupt":
        os._exit(0)
    connection.close()
    # In a process without a connection this takes nobody's locks away.
    Path(database).read_bytes()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
