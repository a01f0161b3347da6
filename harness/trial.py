"""Starts the trial driver: our own core with one thing that is not as it should be."""

import sys
from pathlib import Path

_PROGRAM = Path(__file__).with_name("drivers") / "trial_driver.py"


def trial_command(database: Path, *settings: str) -> list[str]:
    """Return the words that start it.

    Args:
        database: the queue's file.
        settings: its own, for example ``--defect`` and a name.
    """
    return [sys.executable, "-X", "utf8", str(_PROGRAM), "--db", str(database), *settings]
