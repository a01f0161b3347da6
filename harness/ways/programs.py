"""The programs of this folder that are run once and say what came of it."""

import json
from pathlib import Path
from typing import Any

from harness.faults.helper import helper
from harness.outcome import Inconclusive

_FOLDER = Path(__file__).parent


def said(program: str, *arguments: object) -> list[Any]:
    """Return what a program says, one JSON value a line, once it has ended.

    Raises:
        Inconclusive: it said nothing.
    """
    with helper(_FOLDER / program, *arguments) as process:
        lines = [json.loads(line) for line in iter(process.line, "")]
    if not lines:
        raise Inconclusive(f"{program} ended with {process.exit_status} and said nothing")
    return lines
