"""The fixtures of the scenarios; loaded by ``scenarios/conftest.py``."""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from core.database import QueueDatabase
from harness.children import CHILDREN_VARIABLE
from harness.closing import Books
from harness.crew import Crew
from harness.drivers.client import Driver
from harness.evidence import Evidence
from harness.history import History
from harness.ledger import Ledger
from harness.outcome import Inconclusive
from harness.patient import Patient
from harness.promises import PromiseLog
from harness.settings import Settings
from harness.subject import Subject, look_at, look_once

_REPORTS = pytest.StashKey[list[pytest.TestReport]]()
_NAME_CHARACTERS = 60


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the reports of a scenario's phases for its fixtures."""
    report = yield
    item.stash.setdefault(_REPORTS, []).append(report)
    return report


@pytest.fixture
def scratch(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    evidence: Evidence,
    queue_settings: Settings,
) -> Iterator[Path]:
    """A folder of the scenario's own; it is kept beside the reports if the scenario fails."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    yield folder
    if any(report.failed for report in request.node.stash.get(_REPORTS, [])):
        kept = _free_name(queue_settings.report_dir / "artefacts", request.node.nodeid)
        shutil.copytree(folder, kept)
        evidence.artefact(kept)


@pytest.fixture
def promises(scratch: Path) -> Iterator[PromiseLog]:
    """Every acknowledgement that binds the queue, outside of its database."""
    with PromiseLog(scratch / "promises.jsonl") as promises:
        yield promises


@pytest.fixture
def history(scratch: Path, promises: PromiseLog) -> Iterator[History]:
    """The record of the scenario's operations."""
    with History(scratch / "history.jsonl", promises) as history:
        yield history


@pytest.fixture
def books(history: History, promises: PromiseLog, evidence: Evidence) -> Books:
    """All that the scenario writes down, to be judged at its end."""
    return Books(history=history, promises=promises, evidence=evidence)


@pytest.fixture
def ledger(evidence: Evidence) -> Ledger:
    """Injects faults and writes them into the record of the check."""
    return Ledger(evidence)


@pytest.fixture
def crew(history: History, scratch: Path, queue_settings: Settings) -> Iterator[Crew]:
    """Starts worker processes; all are gone when the scenario ends."""
    with Crew(history, scratch, queue_settings.command()) as crew:
        yield crew


@pytest.fixture
def queue_path(scratch: Path, queue_settings: Settings) -> Path:
    """Path of a new queue, which nobody has open; the driver makes it, where one was given."""
    path = scratch / "queue.db"
    if queue_settings.driver is None:
        QueueDatabase(path, create=True).close()
        return path
    words = queue_settings.command().words(path)
    with Driver(words, name="maker", stderr_path=scratch / "maker.stderr"):
        return path


@pytest.fixture
def patient(queue_path: Path) -> Iterator[Patient]:
    """A queue to be made worse and mended again."""
    patient = Patient(queue_path)
    with contextlib.closing(patient.database):
        yield patient


@pytest.fixture(scope="session")
def subject(queue_settings: Settings, shared_folder: Path) -> Subject:
    """The given queue file, looked at once for all test processes of the run."""
    path = queue_settings.db
    if path is None:
        raise Inconclusive("no queue file was given: --queue-db PATH")
    thresholds = queue_settings.limits.thresholds()
    return look_once(
        shared_folder, lambda folder: look_at(path, queue_settings.backup_dir, folder, thresholds)
    )


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The folder of this run alone, the same in all its test processes.

    The list of its child processes lies in it.
    """
    told = os.environ.get(CHILDREN_VARIABLE)
    if told is None:
        raise Inconclusive("this run has no folder that its processes share")
    return Path(told).parent


def _free_name(folder: Path, nodeid: str) -> Path:
    """Return a path that is free: nothing kept by an earlier run is overwritten."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", nodeid.removeprefix("scenarios/")).strip("-")
    digest = hashlib.sha256(nodeid.encode()).hexdigest()[:8]
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{readable[:_NAME_CHARACTERS]}-{digest}"
    names = (stem if number == 1 else f"{stem}-{number}" for number in range(1, 10_000))
    return next(path for name in names if not (path := folder / name).exists())
