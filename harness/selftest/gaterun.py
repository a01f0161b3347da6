"""One run of the gate in a process of its own, with a deadline, and what it left."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from harness import children
from harness.children import ChildProcess
from harness.inherited import PLANTED_VARIABLE
from harness.options import OPTIONS, PLANT, PROFILE, REPORT_DIR, SEED
from harness.profile import Profile
from harness.selftest.code import ROOT
from reports.json_report import JSON_NAME

RUN_TIMEOUT_S = {Profile.GATE: 600.0, Profile.NIGHTLY: 3 * 3600.0, Profile.SOAK: 6 * 3600.0}
_OUTPUT_NAME = "output.txt"
# What a run around this one was told is not for the runs that it starts.
_FOREIGN = ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", children.CHILDREN_VARIABLE, PLANTED_VARIABLE)


@dataclass(frozen=True, kw_only=True)
class GateRun:
    """What the gate is asked to do.

    Attributes:
        checks: node ids or files below the checkout; ``scenarios`` for all.
        seed: of its random choices.
        plant: name of the defect that it has, or None.
        profile: how much it does.
        folder: for its reports; new, or that of an earlier such run.
        alone: whether it runs in one process, since others run beside it.
    """

    checks: Sequence[str]
    seed: int
    plant: str | None
    profile: Profile
    folder: Path
    alone: bool

    def words(self) -> list[str]:
        """Return the command."""
        asked = {
            SEED.flag: str(self.seed),
            PROFILE.flag: self.profile.value,
            REPORT_DIR.flag: str(self.folder),
        }
        if self.plant is not None:
            asked[PLANT.flag] = self.plant
        return [
            *(sys.executable, "-X", "utf8", "-m", "pytest", *self.checks),
            *("-p", "no:cacheprovider"),
            *(["-n", "0"] if self.alone else []),
            *(f"{flag}={value}" for flag, value in asked.items()),
        ]


@dataclass(frozen=True, kw_only=True)
class GateRan:
    """How it ended.

    Attributes:
        status: its exit status; None where its time was up and it was killed.
        report: what report.json holds; empty without one.
    """

    status: int | None
    report: Mapping[str, Any]


def run_gate(run: GateRun, *, timeout_s: float | None = None) -> GateRan:
    """Run the gate; nothing of it is left running when this returns.

    Args:
        run: what it is to do.
        timeout_s: how long it may take, in seconds; None for what its profile may.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    with (run.folder / _OUTPUT_NAME).open("wb") as output:
        process = subprocess.Popen(
            run.words(),
            cwd=ROOT,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        status = _wait(process, timeout_s or RUN_TIMEOUT_S[run.profile])
    path = run.folder / JSON_NAME
    report = json.loads(path.read_text(encoding="ascii")) if path.exists() else {}
    return GateRan(status=status, report=report)


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> int | None:
    created = psutil.Process(process.pid).create_time()
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            children.reap([ChildProcess(pid=process.pid, created=created)])
            process.wait()


def _environment() -> dict[str, str]:
    told = {*_FOREIGN, *(option.variable for option in OPTIONS)}
    return {name: value for name, value in os.environ.items() if name not in told}
