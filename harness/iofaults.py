"""I/O faults struck at the verbs of the core, by a process that alone owns the files.

The process strikes and judges (``drivers/faulted_verb.py``); this module asks it for one run after
the other, and adds up how many points a verb survived.
"""

import contextlib
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.disk.striker import Mode
from harness.faults.helper import Helper, helper
from harness.outcome import Inconclusive

_PROGRAM = Path(__file__).with_name("drivers") / "faulted_verb.py"
_SMALL_DISK = _PROGRAM.with_name("on_small_disk.py")
CALLS = "calls"
"""Strikes single calls, of SQLite and of the core."""
LIMITS = "limits"
"""Leaves little room, by the means of a user."""
HANDLES = "handles"
"""Leaves few open files, also for processes that are to be started."""


@dataclass(frozen=True)
class Point:
    """Where a fault strikes.

    Attributes:
        verb: that is struck.
        kind: of fault.
        mode: how long it lasts.
        at: at the how-manyth call, from 1.
    """

    verb: str
    kind: str
    mode: str
    at: int

    def __str__(self) -> str:
        return f"{self.verb}, {self.kind}, call {self.at}, {self.mode}"


@dataclass(frozen=True)
class Struck:
    """What became of one run.

    Attributes:
        point: where it was to be struck.
        call: that was struck; empty where none was.
        told: what the caller of the verb was told: done, failed, unknown, or no error of ours.
        said: the error.
        state: what was there afterwards.
        wrong: what may not be; empty where the verb survived.
    """

    point: Point
    call: str
    told: str
    said: str
    state: str
    wrong: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.point} ({self.call}): {'; '.join(self.wrong) or self.told}"


@dataclass
class Tally:
    """How many points of one verb, one kind and one mode were struck, and how many survived.

    Attributes:
        struck: the points.
        survived: those of them at which nothing was wrong.
        bad: the others, and a run that nothing struck and that went wrong.
    """

    struck: int = 0
    survived: int = 0
    bad: list[Struck] = field(default_factory=list)

    def add(self, run: Struck) -> None:
        """Count one run."""
        self.struck += bool(run.call)
        self.survived += bool(run.call) and not run.wrong
        if run.wrong:
            self.bad.append(run)


class FaultedVerbs:
    """The process that strikes; ask it for runs.

    Args:
        process: of the program.
    """

    def __init__(self, process: Helper) -> None:
        self._process = process

    def counts(self, verb: str) -> Mapping[str, int]:
        """Return how many calls of each kind the verb makes where nothing strikes."""
        counts: dict[str, int] = self._ask({"verb": verb})["counts"]
        return counts

    def strike(self, point: Point) -> Struck:
        """Return what became of the verb that was struck there."""
        told = self._ask(
            {"verb": point.verb, "kind": point.kind, "mode": point.mode, "at": point.at}
        )
        return Struck(
            point=point,
            call=told["struck"],
            told=told["told"],
            said=told["said"],
            state=told["state"],
            wrong=tuple(told["wrong"]),
        )

    def exhaust(self, verb: str, kind: str, mode: str, *, most: int) -> Tally:
        """Strike at call 1, 2, 3 until a run passes in which nothing struck.

        Args:
            verb: that is struck.
            kind: of fault.
            mode: how long it lasts.
            most: more calls than there can be.

        Raises:
            Inconclusive: there are more.
        """
        tally = Tally()
        for at in range(1, most + 1):
            run = self.strike(Point(verb, kind, mode, at))
            tally.add(run)
            if not run.call:
                return tally
        raise Inconclusive(f"{verb} was struck {most} times by {kind}, and there is no end")

    def _ask(self, question: Mapping[str, object]) -> dict[str, Any]:
        self._process.tell(json.dumps(question))
        line = self._process.line()
        if not line:
            raise Inconclusive(f"the process that was to strike has no answer to {question}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.contextmanager
def faulted_verbs(folder: Path, means: str = CALLS) -> Iterator[FaultedVerbs]:
    """Yield the process, which is gone at the end.

    Args:
        folder: an empty one, for its queue.
        means: how it strikes.
    """
    with helper(_PROGRAM, folder, means) as process:
        yield FaultedVerbs(process)


@contextlib.contextmanager
def on_small_disk(disk: Path) -> Iterator[FaultedVerbs]:
    """Yield the process that strikes by limits, with its queue on a small disk of its own.

    Args:
        disk: an empty folder, where that process sees the disk.
    """
    with helper(_SMALL_DISK, disk, _PROGRAM, disk / "struck", LIMITS) as process:
        yield FaultedVerbs(process)


def one_of_each_kind(verb: str, counts: Mapping[str, int], chance: random.Random) -> list[Point]:
    """Return a point of each kind that can strike the verb, drawn.

    Args:
        verb: that is struck.
        counts: its calls of each kind.
        chance: decides; seeded.
    """
    return [
        Point(verb, kind, chance.choice(list(Mode)), chance.randint(1, count))
        for kind, count in sorted(counts.items())
    ]
