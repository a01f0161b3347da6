"""One of the processes that race for a log: a writer, or one that does nothing but checkpoints.

An SQLite before 3.51.3 may lose that race (https://www.sqlite.org/wal.html, section 11). Says how
often it did its work before its time was up, or before it failed, and why.
"""

import json
import sqlite3
import sys
import time

_STATEMENTS = {
    "writer": "INSERT INTO task_queue (type, payload) VALUES ('race', '{}')",
    "checkpointer": "PRAGMA wal_checkpoint(PASSIVE)",
}


def main(database: str, role: str, seconds: float) -> dict[str, object]:
    """Do it again and again until the time is up."""
    connection = sqlite3.connect(database, isolation_level=None, timeout=10.0)
    for pragma in ("synchronous = OFF", "wal_autocheckpoint = 0"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    end_s, done, error = time.monotonic() + seconds, 0, ""
    try:
        while time.monotonic() < end_s:
            connection.execute(_STATEMENTS[role]).fetchall()
            done += 1
    except sqlite3.Error as raised:
        error = str(raised)
    connection.close()
    return {"done": done, "error": error}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], sys.argv[2], float(sys.argv[3]))) + "\n")
