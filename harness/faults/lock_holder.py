"""A program that takes a lock on a queue, says so, and keeps it for a while or until told."""

import sqlite3
import sys
import threading
import time

_BEGIN = {
    "write": ("BEGIN IMMEDIATE",),
    # A deferred transaction has its snapshot once it has read.
    "read": ("BEGIN", "SELECT count(*) FROM sqlite_master"),
}


def main(database: str, kind: str, seconds: float) -> None:
    """Hold the lock until the input ends, but no longer than so many seconds."""
    told = threading.Event()
    threading.Thread(target=_listen, args=(told,), daemon=True).start()
    connection = sqlite3.connect(database, isolation_level=None, timeout=10.0)
    for statement in _BEGIN[kind]:
        connection.execute(statement).fetchall()
    held_s = time.monotonic()
    _say("held")
    told.wait(seconds)
    connection.execute("ROLLBACK")
    connection.close()
    _say(f"held for {time.monotonic() - held_s:.3f} s")
    told.wait()


def _listen(told: threading.Event) -> None:
    sys.stdin.read()
    told.set()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
