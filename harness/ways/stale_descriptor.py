"""A program that goes on to write to a descriptor that it has closed, which is the queue's by now.

``log`` closes its log and opens the queue; what a thread then writes to the log's number goes into
the queue. ``stderr`` closes its standard streams first: SQLite takes no descriptor below three
(https://www.sqlite.org/compile.html#minimum_file_descriptor).
"""

import json
import os
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.database import QueueDatabase

_LINE = b"2026-01-01 00:00:00 worker: nothing to do, asking again in a moment\n" * 4


def main(database: Path, log: Path, which: str) -> None:
    """Say whether the number led to the queue when it was written to, and be gone."""
    stale = 2 if which == "stderr" else os.open(log, os.O_CREAT | os.O_WRONLY)
    os.close(stale)
    with QueueDatabase(database):
        same = _leads_to(stale, database)
        writer = threading.Thread(target=_write, args=(stale,))
        writer.start()
        writer.join()
        facts = {"descriptor": stale, "is_the_queue": same}
        os.write(sys.stdout.fileno(), json.dumps(facts).encode() + b"\n")
        # Without closing anything: what is in the file is what was written to it.
        os._exit(0)


def _leads_to(descriptor: int, database: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), database.stat())
    except OSError:
        return False


def _write(descriptor: int) -> None:
    try:
        os.write(descriptor, _LINE)
    except OSError:
        # Nothing is open there, or it is not for writing.
        return


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
