"""Faults of the disk: no room on it."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from core.errors import BackupFailedError, NotEnoughSpaceError
from core.files import free_bytes
from harness.faults.fault import Sighting


@dataclass(frozen=True)
class ShortDisk:
    """A disk has less room than a verb needs.

    Simulated by what the system answers when this process asks how much is free; nothing is
    filled. Survivable because a verb asks before it begins, and says how much it needs.

    Attributes:
        free: bytes that are said to be free.
    """

    name: ClassVar[str] = "short-disk"
    asked: ClassVar[str] = "a disk with less room than the verb needs"
    permitted: ClassVar[tuple[type[Exception], ...]] = (NotEnoughSpaceError, BackupFailedError)
    free: int = 0

    @contextlib.contextmanager
    def inject(self, target: Path) -> Iterator[Sighting]:
        """Have the system say so for the body; confirmed by what the core is told.

        Args:
            target: a folder on the disk.
        """
        right = shutil.disk_usage

        def usage(path: Any) -> Any:  # noqa: ANN401 - as the right one
            return right(path)._replace(free=self.free)

        shutil.disk_usage = usage
        try:
            told = free_bytes(target)
            yield Sighting(told == self.free, f"{told} bytes are said to be free at {target}")
        finally:
            shutil.disk_usage = right
