"""Changes the core a little, thousands of times, and counts which changes no test notices.

    python -m tests.mutation                     # all areas
    python -m tests.mutation retention backup    # some of them
    python -m tests.mutation --scenarios         # the gate on what the tests let live

The mutants are made and run by mutmut (the extra ``mutation``; Linux and macOS), in a copy of the
checkout, with the tests that call the function that was changed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.mutation.areas import AREAS, Area
from tests.mutation.survivors import Survivor, from_diff

ROOT = Path(__file__).parents[2]
COPIED = ("core", "harness", "reports", "scenarios", "tests", "docs")
COPIED_FILES = ("conftest.py", "pyproject.toml", "README.md")
AREA_TIMEOUT_S = 4 * 3600.0
SHOW_TIMEOUT_S = 120.0
TOLD_CHARACTERS = 2000
GATE_TIMEOUT_S = 600.0
MUTMUT = [sys.executable, "-m", "mutmut"]
# A child of a test that gives its rights away can read no settings any more: it has them before.
EARLY = """
import contextlib

with contextlib.suppress(Exception):
    from mutmut.configuration import config

    config()
"""
SURVIVED, NO_TESTS = 0, (5, 33)


@dataclass
class Score:
    """What became of the mutants of one module.

    Attributes:
        killed: so many were noticed by a test.
        survivors: these were not.
        by_gate: so many of those were noticed by a scenario.
    """

    killed: int = 0
    survivors: list[Survivor] = field(default_factory=list)
    by_gate: int = 0

    @property
    def holes(self) -> list[Survivor]:
        """The survivors that nothing explains."""
        return [each for each in self.survivors if each.reason() is None]


def copy_checkout(folder: Path) -> None:
    """Leave a copy of the sources in the folder, which mutmut may change."""
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in COPIED_FILES:
        shutil.copy(ROOT / name, folder / name)


def configure(folder: Path, area: Area) -> None:
    """Tell mutmut what to change and which tests to run."""
    lines = {
        "source_paths": ["core"],
        "only_mutate": [f"core/{name}.py" for name in area.modules],
        "also_copy": [*(name for name in COPIED if name not in ("core", "tests")), *COPIED_FILES],
        "pytest_add_cli_args_test_selection": [f"tests/core/test_{n}.py" for n in area.tests],
        "pytest_add_cli_args": ["-x", "-p", "no:xdist"],
    }
    said = [f"{key} =\n" + "".join(f"    {each}\n" for each in all_) for key, all_ in lines.items()]
    (folder / "setup.cfg").write_text("[mutmut]\n" + "".join(said), encoding="utf-8")


def run_area(folder: Path, area: Area, jobs: int) -> dict[str, Score]:
    """Make and run the mutants of an area; return the scores of its modules."""
    configure(folder, area)
    early = folder / "early"
    early.mkdir(exist_ok=True)
    (early / "sitecustomize.py").write_text(EARLY, encoding="utf-8")
    done = subprocess.run(
        [*MUTMUT, "run", "--max-children", str(jobs)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(early)},
        stdout=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        timeout=AREA_TIMEOUT_S,
        check=False,
    )
    scores = {name: _score(folder, name) for name in area.modules}
    if not any(score.killed for score in scores.values()):
        raise SystemExit(f"no mutant was tried: {done.stdout[-TOLD_CHARACTERS:]}")
    return scores


def _score(folder: Path, module: str) -> Score:
    meta = folder / "mutants" / "core" / f"{module}.py.meta"
    score = Score()
    if not meta.exists():
        return score
    for name, code in json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"].items():
        if code in (SURVIVED, *NO_TESTS):
            score.survivors.append(_survivor(folder, name))
        elif code is not None:
            score.killed += 1
    return score


def _survivor(folder: Path, name: str) -> Survivor:
    shown = subprocess.run(
        [*MUTMUT, "show", name],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=SHOW_TIMEOUT_S,
        check=True,
    )
    return from_diff(name, shown.stdout)


def try_gate(folder: Path, area: Area, score: Score) -> None:
    """Run the scenarios of the area on each survivor that nothing explains."""
    for survivor in score.holes:
        module = folder / "core" / f"{survivor.function.partition('.')[0]}.py"
        right = module.read_text(encoding="utf-8")
        subprocess.run([*MUTMUT, "apply", survivor.name], cwd=folder, check=True, timeout=60)
        try:
            if _is_red(folder, area):
                score.survivors.remove(survivor)
                score.by_gate += 1
        finally:
            module.write_text(right, encoding="utf-8")


def _is_red(folder: Path, area: Area) -> bool:
    files = [f"scenarios/{name}" for name in area.scenarios]
    command = [sys.executable, "-m", "pytest", *files, "-x", f"--queue-report-dir={folder}/report"]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, timeout=GATE_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 1


def tell(scores: dict[str, Score]) -> None:
    """Print the score of each module, and every hole."""
    print(f"{'module':<18}{'mutants':>9}{'killed':>9}{'by gate':>9}{'explained':>11}{'holes':>7}")
    for name, score in scores.items():
        total = score.killed + score.by_gate + len(score.survivors)
        explained = len(score.survivors) - len(score.holes)
        row = f"{total:>9}{score.killed:>9}{score.by_gate:>9}{explained:>11}{len(score.holes):>7}"
        print(f"{name:<18}{row}")
    for name, score in scores.items():
        for hole in score.holes:
            print(f"HOLE {name}: {hole.function}: {hole.change}")
    reasons = Counter(each.reason() for score in scores.values() for each in score.survivors)
    for reason, count in reasons.most_common():
        print(f"{count:>6}  {reason or 'holes'}")


def main() -> int:
    """Run what was asked for; 1 where a mutant lives for no reason."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("areas", nargs="*", choices=[*AREAS, []], default=list(AREAS))
    parser.add_argument("--scenarios", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    scores: dict[str, Score] = {}
    for name in given.areas:
        with tempfile.TemporaryDirectory(prefix="mutation-") as made:
            folder = Path(made)
            copy_checkout(folder)
            found = run_area(folder, AREAS[name], given.jobs)
            for score in found.values() if given.scenarios else ():
                try_gate(folder, AREAS[name], score)
        scores |= found
        tell(found)
    return int(any(score.holes for score in scores.values()))


if __name__ == "__main__":
    sys.exit(main())
