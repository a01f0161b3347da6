"""Each trap of the trial driver strikes the operation that it is set up for, and no other."""

import runpy
from pathlib import Path

import pytest

from core.database import QueueDatabase
from harness.crew import Crew
from harness.drivers import core_driver
from harness.drivers.traps import SAID, UNSAID
from harness.history import History, Outcome
from harness.trial import trial_command

FULL, NORMAL = 2, 1
DEADLINE_S = 20.0


@pytest.fixture
def start(tmp_path, path):
    """Starts a worker with a trap."""
    with History(tmp_path / "history.jsonl") as history, Crew(history, tmp_path) as crew:
        yield lambda *options: crew.start_program(trial_command(path, *options), "worker")


def keys(path):
    """The keys of all tasks in the file."""
    with QueueDatabase(path) as database:
        sql = "SELECT idempotency_key FROM task_queue ORDER BY id"
        return [row[0] for row in database.connection().execute(sql).fetchall()]


@pytest.mark.parametrize(
    ("moment", "outcome"), [(SAID, Outcome.OK), (UNSAID, Outcome.UNKNOWN), (1, Outcome.UNKNOWN)]
)
def test_a_death_comes_at_its_moment(start, path, moment, outcome):
    """With the answer said it is heard, before that it is not; what is committed is there."""
    worker = start("--die-in", "enqueue", f"--die-at={moment}")
    assert worker.claim().ok
    assert worker.enqueue("a").outcome is outcome
    worker.driver.process.wait(DEADLINE_S)
    assert worker.driver.killed_by_signal()
    assert keys(path) == (["a"] if moment < 0 else [])


@pytest.mark.parametrize("done", [True, False])
def test_a_commit_fails_once(start, path, done):
    """The first commit of the operation fails, done or not; the next one and others do not."""
    worker = start("--fail-commit-of", "enqueue", *(["--though-done"] if done else []))
    first = worker.enqueue("a")
    assert first.outcome is Outcome.UNKNOWN
    assert "disk I/O error" in first.error
    assert keys(path) == (["a"] if done else [])
    assert worker.enqueue("a").ok
    assert worker.claim().ok
    assert keys(path) == ["a"]


def test_the_setting_of_a_commit_is_told(start):
    """What the operation's connection was set to when it committed; nothing for the others."""
    worker = start("--tell-synchronous-of", "complete")
    worker.enqueue("a")
    flight = worker.send_claim()
    flight.settle()
    assert "synchronous" not in flight.answer
    flight = worker.send_about("complete")
    flight.settle()
    assert flight.answer["synchronous"] >= FULL


def test_the_setting_that_is_told_is_the_one_of_that_commit(start):
    """Claims are committed without a sync, and that is what is told."""
    worker = start("--tell-synchronous-of", "claim")
    worker.enqueue("a")
    flight = worker.send_claim()
    flight.settle()
    assert flight.answer["synchronous"] == NORMAL


def test_the_drivers_program_is_the_module_that_can_be_changed(monkeypatch):
    """Started by its path it runs what is planted into the module of its name."""
    monkeypatch.setattr(core_driver, "main", lambda: 42)
    with pytest.raises(SystemExit, match="42"):
        runpy.run_path(str(Path(core_driver.__file__)), run_name="__main__")
