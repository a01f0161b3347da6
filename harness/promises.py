"""What the queue has promised, kept outside the database so that it can be compared at the end.

Every acknowledgement is on the disk before the scenario goes on: what the queue loses, this file
still has, also where the process that wrote it was killed.
"""

import json
import os
import threading
from pathlib import Path
from typing import Self

from harness.checkers import Ruling, Valid
from harness.history import FinalTask, Operation

_NAME = "promises-kept"
_ENDS = {"complete": "completed", "fail": "dead_letter"}


class PromiseLog:
    """Adds one line for each acknowledgement that binds the queue; any thread may write to it.

    Args:
        path: a new file, one JSON object a line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("x", encoding="ascii", newline="\n")

    def add(self, operation: Operation) -> None:
        """Leave the acknowledgement flushed and synced, if it promises something for good."""
        promise = _promise(operation)
        if promise is None:
            return
        with self._lock:
            self._file.write(json.dumps(promise) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; harmless twice."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def promises_kept(path: Path, final: tuple[FinalTask, ...]) -> Ruling:
    """Return whether the queue has at its end what it had promised.

    Args:
        path: the promise log.
        final: all tasks at the end. Where a backup was restored in between, promises made after
            that backup do not bind, and this is no question to ask.
    """
    promises = read_promises(path)
    if not promises:
        return Ruling(name=_NAME, valid=Valid.UNKNOWN, reason="nothing was promised")
    by_key = {task.key: task.status for task in final}
    broken = tuple(
        f"{key} was promised to be {status}, and is {by_key.get(key, 'gone')}"
        for key, status in promises
        if key not in by_key or status not in ("there", by_key[key])
    )
    return Ruling(
        name=_NAME,
        valid=Valid.FALSE if broken else Valid.TRUE,
        seen=len(promises),
        violations=broken,
    )


def read_promises(path: Path) -> list[tuple[str, str]]:
    """Return the keys with what was promised; a last line that was torn off is left out."""
    promises = []
    for line in path.read_text(encoding="ascii").splitlines():
        try:
            promise = json.loads(line)
        except ValueError:
            continue
        promises.append((str(promise["key"]), str(promise["status"])))
    return promises


def _promise(operation: Operation) -> dict[str, object] | None:
    if operation.key is None:
        return None
    if operation.op == "enqueue":
        return {"key": operation.key, "status": "there"}
    status = _ENDS.get(operation.op)
    if operation.op == "fail" and operation.facts.get("status") != status:
        return None
    return None if status is None else {"key": operation.key, "status": status}
