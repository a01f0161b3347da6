"""The trial driver: our own core but for the one thing that was asked for."""

import sys

import pytest

from harness.crew import Crew
from harness.drivers.client import DriverError
from harness.history import History, Outcome
from harness.planted import DEFECTS
from harness.trial import trial_command

DEADLINE_S = 30


@pytest.fixture
def path(tmp_path):
    """Where the driver makes its queue."""
    return tmp_path / "queue.db"


@pytest.fixture
def start(tmp_path, path):
    """Starts trial drivers on one queue; all of them are gone afterwards."""
    with History(tmp_path / "history.jsonl") as history, Crew(history, tmp_path) as crew:
        yield lambda name, *settings: crew.start_program(trial_command(path, *settings), name)


def test_the_command_names_the_queue_and_the_settings(path):
    """It is this interpreter, the program, the file, and what was asked for."""
    words = trial_command(path, "--defect", "x")

    assert words[0] == sys.executable
    assert words[-4:] == ["--db", str(path), "--defect", "x"]


def test_without_a_setting_it_is_our_own_core(start):
    """Nothing was asked for, nothing is wrong."""
    first, second = start("first"), start("second")
    first.enqueue("k")
    assert first.claim().key == "k"

    assert second.claim().task_id is None
    assert first.complete().ok
    assert first.complete().outcome is Outcome.FAILED


def test_a_double_claim_is_planted(start):
    """A task that is held is handed out again, and both complete it."""
    workers = [start(name, "--defect", "double-claim") for name in ("first", "second")]
    workers[0].enqueue("k")

    assert [worker.claim().key for worker in workers] == ["k", "k"]
    assert [worker.complete().ok for worker in workers] == [True, True]


def test_a_missing_fence_is_planted(start):
    """Who lost the task to somebody else can complete it all the same."""
    stale, holder = (start(name, "--defect", "no-fencing") for name in ("stale", "holder"))
    stale.enqueue("k")
    stale.claim(lease_s=0.001)
    while holder.claim().task_id is None:
        holder.reclaim()

    assert stale.complete().ok
    assert [task.status for task in holder.final()] == ["completed"]


@pytest.mark.parametrize("defect", DEFECTS)
def test_every_defect_can_be_asked_for(defect, start):
    """Each starts, and does what does not touch its defect."""
    worker = start("w", "--defect", defect)

    assert worker.enqueue("k").ok
    assert worker.claim().key == "k"


def test_a_defect_that_nobody_planted_is_refused(start, tmp_path):
    """A name that is mistyped is no queue without defects."""
    with pytest.raises(DriverError):
        start("w", "--defect", "none")

    assert "there is no defect 'none'" in (tmp_path / "w.stderr").read_text(encoding="utf-8")


@pytest.mark.parametrize("op", ["enqueue", "complete"])
def test_it_dies_after_the_commit_and_before_its_answer(op, start):
    """What was asked for is done and nobody was told; other operations are answered."""
    worker, witness = start("w", "--die-in", op, "--die-at=-1"), start("witness")
    if op == "complete":
        worker.enqueue("k")
        worker.claim()

    outcome = (worker.enqueue("k") if op == "enqueue" else worker.complete()).outcome

    assert outcome is Outcome.UNKNOWN
    assert worker.driver.process.wait(DEADLINE_S) is not None
    assert worker.driver.killed_by_signal()
    status = {"enqueue": "queued", "complete": "completed"}[op]
    assert [task.status for task in witness.final()] == [status]
