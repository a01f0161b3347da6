"""A program that stops in the middle of a transaction and waits there to be killed.

With a page cache of a few pages, SQLite writes changed pages to the -wal before the commit
(https://www.sqlite.org/pragma.html#pragma_cache_spill).
"""

import sqlite3
import sys

_INSERT = "INSERT INTO task_queue (type, payload) VALUES ('half', json_object('filling', ?))"


def main(database: str, rows: int) -> None:
    """Insert so many tasks, say so, and wait without a commit."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA cache_size = 2")
    connection.execute("PRAGMA cache_spill = 1")
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(_INSERT, [("x" * 1000,)] * rows)
    sys.stdout.write("in transaction\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
