"""A file that says how wrong a driver's clock is; whoever writes it moves that clock at once."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class WrongTime:
    """How a clock is wrong.

    Attributes:
        offset_ms: milliseconds that it is ahead, at the moment ``since_ms``.
        rate: how fast it runs from then on; 1 is right, -1 is backwards.
        since_ms: UTC milliseconds since 1970.
    """

    offset_ms: int = 0
    rate: float = 1.0
    since_ms: int = 0

    def shown_ms(self, now_ms: int) -> int:
        """Return what the wrong clock shows.

        Args:
            now_ms: what a right one shows, in milliseconds since 1970.
        """
        return self.since_ms + round((now_ms - self.since_ms) * self.rate) + self.offset_ms


class ClockFile:
    """The file at this path; where there is none the clock is right.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> WrongTime:
        """Return how wrong the clock is to be now."""
        try:
            return WrongTime(**json.loads(self.path.read_text(encoding="ascii")))
        except FileNotFoundError:
            return WrongTime()

    def write(self, wrong: WrongTime) -> None:
        """Move the clock, at once and whole."""
        draft = self.path.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(wrong)), encoding="ascii")
        os.replace(draft, self.path)  # noqa: PTH105 - the name says what it does
