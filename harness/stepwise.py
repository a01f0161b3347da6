"""A verb of the core in a process of its own that stands still, or dies, at its steps.

While it stands still its files can be looked at as a kill at that moment would leave them, others
can do their work between two steps, or it can be killed there.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from harness.drivers.client import was_killed
from harness.faults.helper import Helper, helper
from harness.step import Step

_PROGRAM = Path(__file__).with_name("drivers") / "stepwise_verb.py"


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
            _step, files, what = said.split(" ", 2)
            yield Step(number, what, changed=files == "other")
            self._process.tell("on")
        self.ended = said or "it ended without a word"

    def kill(self) -> bool:
        """Kill it where it stands; return whether the system says that it died of that."""
        return was_killed(self._process.kill())


@contextlib.contextmanager
def stepwise(database: Path, verb: str, argument: object = "") -> Iterator[Stepwise]:
    """Begin the verb; its process is gone at the end of the body.

    Args:
        database: the queue; no connection of this process may be open to it.
        verb: one of ``drivers/stepwise_verb.py``.
        argument: the backup for a verb that reads one, a name for ``backup``, the age in seconds
            for ``archive``, the grace in seconds for ``stale-leases``; nothing for the others.
    """
    with helper(_PROGRAM, database, verb, argument) as process:
        yield Stepwise(process)


def dies_at_step(database: Path, verb: str, argument: object, number: int) -> bool:
    """Run the verb in a process that kills itself at this step; return whether it died of that."""
    with helper(_PROGRAM, database, verb, argument, "--die-at", number) as process:
        return not process.line() and was_killed(process.end())


class PlainVerb:
    """A verb as users run it, before it begins.

    Attributes:
        pid: of its process.
    """

    def __init__(self, process: Helper) -> None:
        self._process = process
        self.pid = process.pid

    def run(self) -> str:
        """Run it; return ``done`` or why it failed, or nothing where it died."""
        self._process.tell("go")
        said = self._process.line()
        self._process.end()
        return said


@contextlib.contextmanager
def plain_verb(database: Path, verb: str, argument: object) -> Iterator[PlainVerb]:
    """Have a verb ready to run, on Python's own SQLite; its process is gone after the body.

    Args:
        database: the queue.
        verb: as for ``stepwise``.
        argument: likewise.
    """
    with helper(_PROGRAM, database, verb, argument, "--plain") as process:
        ready = process.line()
        assert ready == "ready", f"the process of {verb} said {ready!r}"
        yield PlainVerb(process)
