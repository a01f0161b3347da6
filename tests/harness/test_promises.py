"""The promise log: what was acknowledged is in it, and what the queue lost is seen by it."""

import pytest

from harness.checkers import Valid
from harness.history import FinalTask, History
from harness.promises import PromiseLog, promises_kept, read_promises


@pytest.fixture
def log(tmp_path):
    """A log that a history writes to, and its path."""
    path = tmp_path / "promises.jsonl"
    with PromiseLog(path) as promises, History(tmp_path / "history.jsonl", promises) as history:
        yield history, path


def task(key, status):
    """A task at the end."""
    return FinalTask(id=1, key=key, status=status, attempts=0, max_attempts=1, digest="")


def acknowledge(history, op, key, **facts):
    """Have an operation acknowledged."""
    history.begin("w", op, key=key).ok(facts=facts)


def test_an_acknowledgement_is_in_the_file_at_once(log):
    """Enqueue, complete and a last fail bind; a claim and an operation without answer do not."""
    history, path = log
    acknowledge(history, "enqueue", "a")
    acknowledge(history, "claim", "a")
    acknowledge(history, "complete", "a")
    acknowledge(history, "fail", "b", status="queued")
    acknowledge(history, "fail", "b", status="dead_letter")
    history.begin("w", "enqueue", key="c").unknown("no answer")
    assert read_promises(path) == [("a", "there"), ("a", "completed"), ("b", "dead_letter")]


def test_a_lost_task_breaks_its_promise(log):
    """A task that was acknowledged and is gone is named."""
    history, path = log
    acknowledge(history, "enqueue", "a")
    acknowledge(history, "enqueue", "b")
    ruling = promises_kept(path, (task("a", "queued"),))
    assert ruling.valid is Valid.FALSE
    assert ruling.violations == ("b was promised to be there, and is gone",)


def test_an_undone_completion_breaks_its_promise(log):
    """A task that was completed and waits again is named."""
    history, path = log
    acknowledge(history, "complete", "a")
    ruling = promises_kept(path, (task("a", "queued"),))
    assert ruling.violations == ("a was promised to be completed, and is queued",)


def test_kept_promises_are_true(log):
    """What is there as promised raises nothing."""
    history, path = log
    acknowledge(history, "enqueue", "a")
    acknowledge(history, "complete", "a")
    ruling = promises_kept(path, (task("a", "completed"),))
    assert (ruling.valid, ruling.seen) == (Valid.TRUE, 2)


def test_no_promise_says_nothing(log):
    """An empty log is no pass."""
    _history, path = log
    assert promises_kept(path, ()).valid is Valid.UNKNOWN


def test_a_torn_last_line_is_left_out(log):
    """A log whose writer was killed in a line can still be read."""
    history, path = log
    acknowledge(history, "enqueue", "a")
    with path.open("a") as file:
        file.write('{"key": "b", "sta')
    assert read_promises(path) == [("a", "there")]
