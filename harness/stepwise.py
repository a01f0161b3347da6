"""A verb of the core in a process of its own that stands still at every step.

While it stands still its files can be looked at as a kill at that moment would leave them, others
can do their work between two steps, or it can be killed there.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.drivers.client import was_killed
from harness.drivers.stepwise_verb import STATEMENTS
from harness.faults.helper import Helper, helper

_PROGRAM = Path(__file__).with_name("drivers") / "stepwise_verb.py"


@dataclass(frozen=True)
class Step:
    """One moment of a verb.

    Attributes:
        number: from 1.
        what: comes next or was just done, for people.
    """

    number: int
    what: str

    def __str__(self) -> str:
        return f"step {self.number}, {self.what}"


class Stepwise:
    """The verb under way; iterate over it to let it go on from step to step.

    Attributes:
        pid: of its process.
        ended: ``done``, or why it failed; empty until then.
    """

    def __init__(self, process: Helper) -> None:
        self._process = process
        self.pid = process.pid
        self.ended = ""

    def __iter__(self) -> Iterator[Step]:
        """Yield each step while the verb stands still there."""
        number = 0
        while (said := self._process.line()).startswith("step "):
            number += 1
            yield Step(number, said.removeprefix("step "))
            self._process.tell("on")
        self.ended = said or "it ended without a word"

    def kill(self) -> bool:
        """Kill it where it stands; return whether the system says that it died of that."""
        return was_killed(self._process.kill())


@contextlib.contextmanager
def stepwise(
    database: Path, verb: str, argument: object, *, seen: str = STATEMENTS
) -> Iterator[Stepwise]:
    """Begin the verb; its process is gone at the end of the body.

    Args:
        database: the queue; no connection of this process may be open to it.
        verb: a name in ``VERBS`` of the program.
        argument: its own: a backup, an age in seconds, how many are to be kept, or anything.
        seen: what is a step besides what the core does to files: ``STATEMENTS``, or ``CALLS`` for
            SQLite's calls to the file system as well.
    """
    with helper(_PROGRAM, database, verb, argument, seen) as process:
        yield Stepwise(process)
