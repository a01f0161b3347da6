"""A backup onto a stick that has less room than it says: later blocks go over the first ones.

It alone has the queue open, by an SQLite of its own over a file system that wraps around. What the
core writes itself (manifests, for example) is small and fits.
"""

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import apsw

from core.backup import QueueBackup
from core.errors import QueueError
from harness.disk.binding import apsw_door
from harness.inherited import planted_by_parent

_NAME = "small-stick"


class SmallStick(apsw.VFS):
    """A file system of which the files below one folder share too little room.

    Args:
        folder: where the stick is.
        capacity: bytes that a file there really has.
    """

    def __init__(self, folder: Path, capacity: int) -> None:
        super().__init__(_NAME, "")
        self.folder = folder
        self.capacity = capacity
        self.wrapped = 0

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: ANN401, N802 - apsw's
        """Return the file, with too little room where it is on the stick."""
        shown = name.filename() if isinstance(name, apsw.URIFilename) else name
        if shown and Path(shown).is_relative_to(self.folder):
            return _SmallFile(self, name, flags)
        return apsw.VFSFile("", name, flags)


class _SmallFile(apsw.VFSFile):
    def __init__(self, stick: SmallStick, name: Any, flags: list[int]) -> None:  # noqa: ANN401
        super().__init__("", name, flags)
        self._stick = stick

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: ANN401, N802
        """Write it, over what is there already where there is no more room."""
        if offset >= self._stick.capacity:
            self._stick.wrapped += 1
            # The length is that which was asked for: the stick says that it has the room.
            super().xWrite(bytes(len(data)), offset)
            offset %= self._stick.capacity
        super().xWrite(data, offset)


def main(database: Path, folder: Path, capacity: int) -> dict[str, object]:
    """Return how the backup ended, and how many writes went elsewhere."""
    stick = SmallStick(folder.resolve(), capacity)
    try:
        QueueBackup(database, folder, connect=apsw_door(_NAME)).create_backup()
        ended = "done"
    except QueueError as error:
        ended = type(error).__name__
    return {"ended": ended, "wrapped": stick.wrapped}


if __name__ == "__main__":
    with planted_by_parent():
        facts = main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
    sys.stdout.write(json.dumps(facts) + "\n")
