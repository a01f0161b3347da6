"""What the source files of the scenarios say, read without running them."""

import ast
import functools
from pathlib import Path

SCENARIOS = Path(__file__).parents[2] / "scenarios"


@functools.cache
def scenario_names() -> frozenset[str]:
    """Return the ids of all scenarios below their folder, without their parameters."""
    return frozenset(
        f"{path.name}::{node.name}"
        for path in SCENARIOS.glob("test_*.py")
        # Some are there on some systems only.
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )
