"""Runs the checks of a driver, each on a queue of its own."""

import tempfile
from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from harness.drivers.check import leases, speaking, tasks, upkeep
from harness.drivers.check.trial import Check, Trial, WrongError
from harness.drivers.command import DriverCommand
from harness.drivers.protocol import Capabilities

CHECKS: tuple[Check, ...] = (
    *speaking.FIRST,
    *tasks.CHECKS,
    *leases.CHECKS,
    *upkeep.CHECKS,
    *speaking.LAST,
)
"""All checks, in the order in which a driver is best written."""


class State(StrEnum):
    """What came of a check."""

    OK = "ok"
    WRONG = "WRONG"
    NOT_DECLARED = "not declared"


@dataclass(frozen=True)
class Finding:
    """What came of one check.

    Attributes:
        check: what was tried.
        state: what came of it.
        detail: what is wrong, with the driver's last line; or what is not declared.
    """

    check: Check
    state: State
    detail: str = ""


def check_driver(
    command: DriverCommand, only: Collection[str] = (), *, scratch: Path | None = None
) -> Generator[Finding, None, None]:
    """Yield what came of each check, as soon as it is known.

    The driver is asked for its capabilities first; where it has no right answer to that, the
    check ``hello`` alone is made.

    Args:
        command: of the driver.
        only: names of the checks to make; all of them where there is none.
        scratch: where the queues are made; a temporary folder unless told.
    """
    with tempfile.TemporaryDirectory(
        prefix="queuedrill-driver-", dir=scratch, ignore_cleanup_errors=True
    ) as folder:
        runner = _Runner(command, Path(folder))
        wrong = runner.introduce()
        if wrong:
            yield Finding(CHECKS[0], State.WRONG, wrong)
            return
        for check in CHECKS:
            if not only or check.name in only:
                yield runner.run(check)


class _Runner:
    def __init__(self, command: DriverCommand, folder: Path) -> None:
        self._command = command
        self._folder = folder
        self._capabilities = Capabilities()

    def introduce(self) -> str:
        """Learn what the driver declares; return what is wrong with that, or nothing."""

        def learn(trial: Trial) -> None:
            self._capabilities = trial.start().capabilities

        return self._try("introduction", learn)

    def run(self, check: Check) -> Finding:
        missing = [
            need for need in check.needs if not self._command.offers(need, self._capabilities)
        ]
        if missing:
            return Finding(check, State.NOT_DECLARED, ", ".join(missing))
        wrong = self._try(check.name, check.run)
        return Finding(check, State.WRONG if wrong else State.OK, wrong)

    def _try(self, name: str, run: Callable[[Trial], None]) -> str:
        folder = self._folder / name
        folder.mkdir()
        try:
            with Trial(self._command, folder, self._capabilities) as trial, trial.naming_the_line():
                run(trial)
        except WrongError as error:
            return str(error)
        return ""
