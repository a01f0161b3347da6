"""A worker whose memory goes bad: a page that SQLite has in its cache changes under it.

It reads all tasks, has a byte changed in every copy of one payload that its memory holds, and then
commits another change to the same page. Linux only, where a process can write to its own memory as
to a file.
"""

import json
import re
import sqlite3
import sys
from pathlib import Path

_KEY = "k7"
_MEMORY = Path("/proc/self/mem")
_MAPS = Path("/proc/self/maps")
_WRITABLE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw")


def main(database: str) -> dict[str, int]:
    """Return how many places were changed."""
    connection = sqlite3.connect(database, isolation_level=None)
    # Something to look for that is nowhere else: the key lies beside the payload in the page.
    (payload,) = connection.execute(
        "SELECT payload FROM task_queue NOT INDEXED WHERE idempotency_key = ?", (_KEY,)
    ).fetchone()
    connection.execute("SELECT max(payload) FROM task_queue NOT INDEXED").fetchall()
    connection.execute("BEGIN IMMEDIATE")
    row = payload[-60:].encode()
    changed = sum(_change_all(start, end, row) for start, end in _writable())
    connection.execute("UPDATE task_queue SET priority = 101 WHERE idempotency_key = 'k8'")
    connection.execute("COMMIT")
    connection.close()
    return {"changed": changed}


def _writable() -> list[tuple[int, int]]:
    found = (_WRITABLE.match(line) for line in _MAPS.read_text(encoding="ascii").splitlines())
    return [(int(match[1], 16), int(match[2], 16)) for match in found if match]


def _change_all(start: int, end: int, row: bytes) -> int:
    """Change the byte before the end of each copy; return how many there were."""
    with _MEMORY.open("r+b", buffering=0) as memory:
        try:
            memory.seek(start)
            content = memory.read(end - start)
        except OSError:
            return 0
        places = [match.start() for match in re.finditer(re.escape(row), content)]
        for place in places:
            memory.seek(start + place)
            memory.write(b"y")
    return len(places)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1])) + "\n")
