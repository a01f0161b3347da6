"""One command runs everything: the linter, the formatter and the type checker are tests too."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CHECKS = {
    "ruff-check": ["ruff", "check", "."],
    "ruff-format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy", "--strict"],
    "mypy-windows": ["mypy", "--strict", "--platform", "win32"],
}


@pytest.mark.parametrize("check", CHECKS)
def test_source_passes(check: str) -> None:
    """The linter, the formatter and the type checker find nothing."""
    done = subprocess.run(
        [sys.executable, "-m", *CHECKS[check]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
