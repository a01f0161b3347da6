"""Has a child try one case after another; one that dies or stands still has found something."""

import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness.equipment import memory_folder
from harness.faults.helper import Helper
from harness.fuzz.trying import Trial

_PROGRAM = Path(__file__).with_name("child.py")
REPLAY = "python -m harness.fuzz --first {number} --count 1"


@dataclass
class Hunt:
    """What came of many cases.

    Attributes:
        tried: how many.
        unchanged: how many of them had the bytes of a sound file, so tried nothing.
        found: those that came to what no case may come to.
        answers: how often the verbs said what.
        seconds: how long it took.
    """

    tried: int = 0
    unchanged: int = 0
    found: list[Trial] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def add(self, trial: Trial) -> None:
        """Take one more in."""
        self.tried += 1
        self.unchanged += trial.answers == ["the same bytes"]
        self.answers.update(trial.answers)
        if trial.wrong:
            self.found.append(trial)

    def __str__(self) -> str:
        """Return the figures in one line."""
        rate = self.tried / self.seconds if self.seconds else 0.0
        return f"{self.tried} files tried, {rate:.0f} a second, {len(self.found)} findings"


def hunt(numbers: Iterable[int], *, seconds: float, keep: Path | None = None) -> Hunt:
    """Return what came of the cases of these numbers.

    Args:
        numbers: of the cases.
        seconds: begin no further case after so long.
        keep: where the files of each finding are laid, with the command that tries them again.
    """
    found = Hunt()
    start_s = time.monotonic()
    left = iter(numbers)
    while not _all_tried(left, found, start_s + seconds, keep):
        pass
    found.seconds = time.monotonic() - start_s
    return found


def _all_tried(left: Iterator[int], found: Hunt, end_s: float, keep: Path | None) -> bool:
    """Try cases in one child until it dies; return whether none is left."""
    with _child() as (child, folder):
        for number in left:
            child.tell(str(number))
            said = child.line()
            trial = Trial(**json.loads(said)) if said else _died(number, child.kill())
            found.add(trial)
            if trial.wrong and keep is not None:
                _keep(trial, folder / "place", keep)
            if not said:
                return False
            if time.monotonic() > end_s:
                return True
    return True


def _died(number: int, status: int) -> Trial:
    """Return what a child came to that said no more: it died, or stood still and was killed."""
    return Trial(number, [], [f"the process died or stood still (exit status {status})"])


def _keep(trial: Trial, place: Path, keep: Path) -> None:
    folder = keep / str(trial.number)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(place, folder, symlinks=True)
    lines = [REPLAY.format(number=trial.number), *trial.changes, *trial.wrong]
    (folder / "replay.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextmanager
def _child() -> Iterator[tuple[Helper, Path]]:
    """Yield a child and its folder; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="queuedrill-fuzz-", dir=memory_folder()) as folder:
        child = Helper(_PROGRAM, folder)
        try:
            yield child, Path(folder)
        finally:
            child.end()
