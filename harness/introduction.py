"""What the driver of a run declares, and which checks are not applicable to its queue.

The controlling process asks the driver once, before anything is collected; the test processes tell
it which checks they left out for that.
"""

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from harness.drivers.client import Driver, DriverError
from harness.drivers.last_words import last_words
from harness.drivers.promises import core_capabilities
from harness.drivers.protocol import Capabilities
from harness.options import DRIVER
from harness.settings import Settings
from reports.model import NotApplicable
from reports.plain import from_plain, to_line
from reports.text import printable

_NAME_CHARACTERS = 200
_PREFIX = "not-applicable-"


@dataclass(frozen=True)
class Introduction:
    """What a driver says of itself.

    Attributes:
        name: what it calls itself.
        capabilities: what it declares.
    """

    name: str
    capabilities: Capabilities

    def facts(self) -> dict[str, str]:
        """Return it for the reports."""
        declared = self.capabilities
        yes = [name for name, value in asdict(declared).items() if value is True]
        words = (
            *yes,
            declared.delivery,
            f"{declared.durability} durability",
            *declared.maintenance,
        )
        return {
            "driver calls itself": printable(self.name)[:_NAME_CHARACTERS],
            "driver declares": ", ".join(words),
        }


def ask_driver(settings: Settings, folder: Path) -> Introduction:
    """Return what the driver of the run declares, on a queue that it makes below the folder.

    Raises:
        pytest.UsageError: it does not start, or has no right answer.
    """
    if settings.driver is None:
        return Introduction("queuedrill core", core_capabilities())
    own = Path(tempfile.mkdtemp(prefix="hello-", dir=folder))
    words = settings.command().words(own / "queue.db")
    try:
        with Driver(words, name="asked", stderr_path=own / "stderr") as driver:
            return Introduction(driver.hello["driver"], driver.capabilities)
    except DriverError as error:
        # The file that the error names goes with this run: what matters is told here.
        what = str(error).partition("; see ")[0]
        shown = last_words(own / "stderr")
        raise pytest.UsageError(
            f"{DRIVER.flag} {settings.driver!r}: {what}{f'; it said: {shown}' if shown else ''}. "
            "Try it alone with: queuedrill driver check CMD"
        ) from None


def hand_over(folder: Path, left_out: Sequence[NotApplicable]) -> None:
    """Tell the controlling process, from a test process, which checks are not applicable."""
    if left_out:
        path = folder / f"{_PREFIX}{os.getpid()}.json"
        path.write_text(to_line(tuple(left_out)), encoding="ascii")


def handed_over(folder: Path) -> list[NotApplicable]:
    """Return what the test processes told; each of them collected the same."""
    lines = [path.read_text(encoding="ascii") for path in sorted(folder.glob(f"{_PREFIX}*"))]
    return [from_plain(NotApplicable, each) for line in lines for each in json.loads(line)]
