"""What is said of a way to corrupt a queue: which harm it did, and who found it or should have."""

import contextlib
import re
import sqlite3

import psutil
import pytest

from harness import corrupting
from harness.corrupting import bring_about, brought_back, judge_finders, require_found_and_ended
from harness.outcome import Inconclusive
from harness.ways.harm import harm_to
from harness.ways.session import SessionError, session
from harness.ways.stage import FILLING, TASKS_COUNT, new_stage
from harness.ways.way import Way


class Notes:
    """Evidence that keeps what it is told, and fails as the real one does."""

    def __init__(self):
        self.faults = []
        self.measures = {}

    def fault(self, name, asked, confirmed, evidence, effect=""):
        """Keep it."""
        self.faults.append((name, asked, confirmed, evidence, effect))

    def measure(self, name, value, unit):
        """Keep it."""
        self.measures[name] = (value, unit)

    def require(self, condition, sentence):
        """Fail with the sentence."""
        if not condition:
            pytest.fail(sentence)


@pytest.fixture
def stage(tmp_path):
    """Return a sound queue with a backup."""
    return new_stage(tmp_path / "queue.db")


def run(path, *statements):
    """Run statements on the queue."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement).fetchall()


def way(happens, **facts):
    """Return a way that does this."""
    return Way(id="0-trial", asked="a trial", happens=happens, **facts)


def test_sound_queue_has_no_harm_and_stays_as_it_is(stage):
    """What is there is what was acknowledged, and looking changes nothing."""
    before = sorted((each.name, each.stat().st_mtime_ns) for each in stage.path.parent.iterdir())

    assert harm_to(stage.path, stage.acknowledged) == ""
    after = sorted((each.name, each.stat().st_mtime_ns) for each in stage.path.parent.iterdir())
    assert after == before


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DELETE FROM task_queue WHERE id <= 3", f"3 of {TASKS_COUNT} acknowledged tasks are gone"),
        (
            "UPDATE task_queue SET payload = '{}' WHERE id = 1",
            "1 tasks are not what was acknowledged",
        ),
        (
            "INSERT INTO task_queue (type, payload, idempotency_key) VALUES ('t', '{}', 'odd')",
            "1 tasks are there that nobody acknowledged",
        ),
        ("DROP TABLE task_queue", "its tasks cannot be read: no such table: task_queue"),
    ],
)
def test_tasks_that_are_not_those_acknowledged_are_harm(stage, statement, expected):
    """Lost, changed and foreign tasks are counted, and so is a table that is not there."""
    run(stage.path, statement)

    assert harm_to(stage.path, stage.acknowledged) == expected


def test_damaged_file_is_harm(stage):
    """What SQLite does not open says so."""
    stage.path.write_bytes(b"no database" * 1000)

    assert harm_to(stage.path, stage.acknowledged).startswith("SQLite does not open it: ")


def test_log_beside_the_file_belongs_to_it(stage):
    """Tasks that are only in the -wal are there."""
    with session(stage.path) as writer:
        stage.put(writer, ["new"])
        writer.kill()

    assert harm_to(stage.path, stage.acknowledged) == ""


def test_way_that_does_no_harm_is_inconclusive(tmp_path):
    """Nothing happened, so nothing was tried, and the fault is not confirmed."""
    notes = Notes()

    with pytest.raises(Inconclusive, match="it did no harm"):
        require_found_and_ended(way(lambda _stage: "nothing"), tmp_path, notes)

    assert [fault[2] for fault in notes.faults] == [False]


def test_harm_from_before_is_not_that_of_the_way(stage):
    """A queue that is harmed before is none to try anything on."""
    run(stage.path, "DELETE FROM task_queue WHERE id = 1")

    with pytest.raises(Inconclusive, match="was not sound before 0-trial"):
        bring_about(way(lambda _stage: "nothing"), stage)


def test_way_that_is_found_and_ended_passes_and_is_written_down(tmp_path):
    """The report has the harm, who found it, and how many tasks a salvage brings back."""
    notes = Notes()

    def lose(stage):
        run(stage.path, "DELETE FROM task_queue WHERE id = 1")
        return "a task deleted"

    require_found_and_ended(way(lose, found_by=()), tmp_path, notes)

    ((_name, asked, confirmed, evidence, effect),) = notes.faults
    assert (asked, confirmed, effect) == ("a trial", True, "found by none of health's checks")
    assert evidence == f"a task deleted; 1 of {TASKS_COUNT} acknowledged tasks are gone"
    assert notes.measures["salvaged_tasks"] == (TASKS_COUNT - 1, "tasks")


def test_way_that_a_restore_does_not_end_fails(tmp_path, monkeypatch):
    """What is left after the restore is told."""
    monkeypatch.setattr(corrupting.QueueBackup, "restore_newest", lambda _self: None)

    def lose(stage):
        run(stage.path, "DELETE FROM task_queue WHERE id = 1")
        return "a task deleted"

    with pytest.raises(pytest.fail.Exception, match="after 0-trial and a restore"):
        require_found_and_ended(way(lose, found_by=()), tmp_path, Notes())


@pytest.mark.parametrize(
    ("found_by", "found", "fails"),
    [
        (("a",), ["a"], ""),
        (("a", "b"), ["b", "c"], ""),
        ((), [], ""),
        (("a",), [], "is to be found by a, and was by none of health's checks"),
        (("a", "b"), ["c"], "is to be found by a or b, and was by c"),
        ((), ["c"], "is said to be seen by none of health's checks, and was by c"),
    ],
)
def test_who_finds_a_way_is_who_is_said_to(found_by, found, fails):
    """One of those named is enough; a way that nobody sees may not be seen in silence."""
    tried = way(lambda _stage: "", found_by=found_by)

    if fails:
        with pytest.raises(pytest.fail.Exception, match=re.escape(fails)):
            judge_finders(tried, found, Notes())
    else:
        judge_finders(tried, found, Notes())


def test_salvage_counts_only_tasks_that_are_as_they_were(stage, tmp_path):
    """A task whose payload is another one is not brought back."""
    run(stage.path, "UPDATE task_queue SET payload = '{}' WHERE id = 1")

    assert brought_back(stage, tmp_path / "out.db") == TASKS_COUNT - 1


def test_file_of_which_nothing_can_be_salvaged_brings_nothing_back(stage, tmp_path):
    """A refusal is nothing, and no error."""
    stage.path.write_bytes(b"noise" * 5000)

    assert brought_back(stage, tmp_path / "out.db") == 0


def test_session_does_one_step_at_a_time_and_says_what_sqlite_refused(stage):
    """Two of them hold and ask for one lock; what one does not get, it is told."""
    with session(stage.path) as holder, session(stage.path) as other:
        holder.sql("BEGIN IMMEDIATE")
        assert "locked" in other.refused("BEGIN IMMEDIATE")
        holder.sql("ROLLBACK")
        assert other.refused("BEGIN IMMEDIATE") == ""
        with pytest.raises(SessionError, match="syntax error"):
            other.sql("NO SQL")
        other.sql("ROLLBACK")
        assert other.sql("SELECT payload FROM task_queue WHERE id = 1") == [
            [f'{{"filling":"{FILLING}"}}']
        ]


def test_session_that_has_ended_is_an_error(stage):
    """Nobody waits for an answer of a process that is gone."""
    with session(stage.path) as ended:
        psutil.Process(ended.pid).kill()

        with pytest.raises(SessionError, match="said nothing"):
            ended.sql("SELECT 1")
