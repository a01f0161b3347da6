"""A program with a worker whose disk takes its time over a sync, and another one beside it.

The sync stands still until the other worker has had its answer. A line of JSON says what each of
them was told, in the order in which it was.
"""

import json
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


from core.connection import Connect
from core.database import QueueDatabase
from core.errors import QueueError
from core.tasks import TaskQueue
from harness.disk.binding import apsw_door
from harness.disk.vfs import Call, Kind, watched_files
from harness.inherited import planted_by_parent

BUSY_TIMEOUT_MS = 400
_DEADLINE_S = 20.0


class StandingSync:
    """Has the first sync of one thread stand still until it is told to go on."""

    def __init__(self) -> None:
        self.stands = threading.Event()
        self.go_on = threading.Event()
        self.thread: int | None = None

    def before(self, call: Call) -> None:
        """Stand still at a sync of the thread."""
        ours = threading.get_ident() == self.thread
        if call.kind is Kind.SYNC and ours and not self.stands.is_set():
            self.stands.set()
            self.go_on.wait(_DEADLINE_S)

    def after(self, call: Call) -> None:
        """Let it be."""


def main(path: Path) -> None:
    """Say what the two workers are told."""
    sync, said = StandingSync(), list[dict[str, object]]()
    with planted_by_parent(), watched_files(sync) as vfs:
        door = apsw_door(vfs)

        def slow() -> None:
            sync.thread = threading.get_ident()
            _enqueue(path, door, "slow", said)

        thread = threading.Thread(target=slow)
        thread.start()
        sync.stands.wait(_DEADLINE_S)
        said.append({"who": "sync", "stands": sync.stands.is_set()})
        _read(path, door, said)
        _enqueue(path, door, "beside", said)
        sync.go_on.set()
        thread.join(_DEADLINE_S)
        _enqueue(path, door, "afterwards", said)
    print(json.dumps(said), flush=True)


def _enqueue(path: Path, door: Connect, who: str, said: list[dict[str, object]]) -> None:
    with QueueDatabase(path, connect=door, busy_timeout_ms=BUSY_TIMEOUT_MS) as database:
        start_s = time.monotonic()
        try:
            TaskQueue(database).enqueue("t", {}, idempotency_key=who)
            told = "done"
        except QueueError as error:
            told = type(error).__name__
        said.append({"who": who, "told": told, "seconds": time.monotonic() - start_s})


def _read(path: Path, door: Connect, said: list[dict[str, object]]) -> None:
    with QueueDatabase(path, connect=door, read_only=True) as database:
        rows = database.connection().execute("SELECT count(*) FROM task_queue").fetchall()
        said.append({"who": "reader", "told": rows[0][0]})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
