"""A verb is killed from outside at its calls, and what is left is told from what it must."""

from random import Random

import pytest
from _pytest.outcomes import Failed

from core.backup import QueueBackup
from core.database import QueueDatabase
from core.tasks import TaskQueue
from harness.callsweep import CallSweep
from harness.evidence import Evidence, unconfirmed_fault
from harness.outcome import Inconclusive
from harness.stepwise import plain_verb
from harness.strikes import can_trace

MOST = 6


@pytest.fixture
def path(tmp_path):
    """A queue with one task, in a folder of its own; nobody has it open."""
    if not can_trace(tmp_path):
        pytest.skip("no process may be traced here")
    path = tmp_path / "queue" / "queue.db"
    with QueueDatabase(path, create=True) as database:
        TaskQueue(database).enqueue("t", {})
    return path


@pytest.fixture
def require(path, tmp_path):
    """Sweeps a backup; returns the properties that were recorded."""

    def require(judge, allowed):
        properties = []
        sweep = CallSweep(path, "backup", "", tmp_path)
        evidence = Evidence(properties, tmp_path)
        sweep.require_survived(evidence, judge, allowed, most=MOST, chance=Random(3))
        return properties

    return require


def listed(path):
    """Say how many backups there are."""
    return str(len(QueueBackup(path).list_backups()))


def test_each_kill_is_seen_and_survived(require, path):
    """A backup is there or not, and strace says that each process was killed."""
    properties = require(lambda: listed(path), ("0", "1"))
    assert not unconfirmed_fault(properties)
    assert any(f"saw {MOST} processes die" in str(value) for _name, value in properties)


def test_a_state_that_is_not_allowed_fails(require, path):
    """It is said with the call at which a kill leaves it."""
    with pytest.raises(Failed, match=r"kills of backup lost: at step [0-9]+, \w+: 0"):
        require(lambda: listed(path), ("1",))


def test_an_end_that_is_not_the_promised_one_fails(require, path):
    """A verb that ends well and leaves something else has not kept its promise."""
    with pytest.raises(Failed, match="not killed, ended so: done; there is 1"):
        require(lambda: listed(path), ("1", "0"))


def test_kills_that_are_all_on_one_side_say_nothing(require):
    """Where only one of two states was seen, the sweep was none."""
    with pytest.raises(Inconclusive, match="on one side"):
        require(lambda: "always", ("never", "always"))


def test_a_plain_verb_runs_when_it_is_told_to(path):
    """Before that it has not begun, and it says how it ended."""
    with plain_verb(path, "backup", "") as verb:
        before = listed(path)
        ended = verb.run()
    assert (before, ended, listed(path)) == ("0", "done", "1")
