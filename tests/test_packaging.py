"""The project runs from its checkout, and nothing of it lands in anybody's site-packages."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
BACKEND = ROOT / "harness" / "packaging"


def test_building_a_wheel_is_refused() -> None:
    """Asked for a wheel, the build backend says why not and what to do instead."""
    done = subprocess.run(
        [sys.executable, "-c", "import checkout_only as b; b.build_wheel('.')"],
        cwd=BACKEND,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode != 0
    assert "pip install -e ." in done.stderr


def test_project_cannot_be_uploaded() -> None:
    """The package index refuses it by its classifier."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert "Private :: Do Not Upload" in project["classifiers"]


def test_ci_runs_exactly_the_commands_of_the_readme() -> None:
    """What a reader is told to run is what CI runs."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    commands = [
        line
        for line in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
        if line.startswith("python3 ")
    ]

    assert len(commands) == 2
    assert [command for command in commands if command not in readme] == []
