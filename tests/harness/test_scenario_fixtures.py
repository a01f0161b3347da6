"""What a scenario leaves behind: its folder where it fails, nothing where it passes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFTEST = (ROOT / "scenarios" / "conftest.py").read_text(encoding="utf-8")
SCENARIO = '''
"""Claim: c. Faults: none. Method: m. A failure means: f."""
import pytest
from harness.outcome import Inconclusive

pytestmark = pytest.mark.scenario


def test_it(crew, queue_path, history, scratch):
    """It holds."""
    worker = crew.start(queue_path, "w")
    worker.enqueue("k")
    {end}
'''


def run(tmp_path, end):
    """Run a scenario that ends so, in a project of its own; return its exit status."""
    (tmp_path / "conftest.py").write_text(
        'pytest_plugins = ["harness.plugin"]\n' + CONFTEST, encoding="utf-8"
    )
    (tmp_path / "test_one.py").write_text(SCENARIO.format(end=end), encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_one.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    return done.returncode


@pytest.mark.parametrize(
    ("end", "status"),
    [("assert history is None", 1), ("raise Inconclusive('no answer')", 7)],
    ids=["failed", "inconclusive"],
)
def test_a_scenario_that_does_not_pass_keeps_its_folder(tmp_path, end, status):
    """Database, history and what the drivers said lie beside the reports, named in them."""
    assert run(tmp_path, end) == status
    (kept,) = (tmp_path / "queue-report" / "artefacts").iterdir()
    assert {"queue.db", "history.jsonl", "w.stderr"} <= {each.name for each in kept.iterdir()}
    report = (tmp_path / "queue-report" / "report.json").read_text(encoding="utf-8")
    assert f"artefacts/{kept.name}" in report


def test_what_an_earlier_run_kept_is_not_overwritten(tmp_path):
    """A second failure of the same scenario is kept beside the first."""
    run(tmp_path, "assert not history")
    run(tmp_path, "assert not history")
    kept = sorted((tmp_path / "queue-report" / "artefacts").iterdir())
    assert len(kept) == 2
    assert kept[1].name == f"{kept[0].name}-2"


def test_a_scenario_that_passes_leaves_nothing(tmp_path):
    """There is nothing to look into where nothing is wrong."""
    assert run(tmp_path, "pass") == 0
    assert not (tmp_path / "queue-report" / "artefacts").exists()
