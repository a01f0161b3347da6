"""A verb stands still at each step, and what a kill there would leave is told from what it must."""

from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from _pytest.outcomes import Failed

from core.backup import QueueBackup
from core.database import QueueDatabase
from core.tasks import TaskQueue
from harness.cutoff import CutOff, Depth
from harness.evidence import Evidence, unconfirmed_fault
from harness.leftovers import Leftover, asked_of_copy, lay_out, leftovers, read_folder, shape
from harness.outcome import Inconclusive
from harness.step import Step
from harness.stepwise import dies_at_step, stepwise

COUNT = "SELECT count(*) FROM task_queue"


@pytest.fixture
def path(tmp_path):
    """A queue in a folder of its own with one task in its backup and two since."""
    path = tmp_path / "here" / "queue.db"
    with QueueDatabase(path, create=True) as database:
        tasks = TaskQueue(database)
        tasks.enqueue("t", {})
        QueueBackup(database).create_backup()
        for _number in range(2):
            tasks.enqueue("t", {})
    return path


@pytest.fixture
def cut(path):
    """Its restore, to be cut off."""
    return CutOff(path, "restore", QueueBackup(path).list_backups()[0].path)


@pytest.fixture
def evidence(tmp_path):
    """Evidence that nobody reads but the test."""
    return Evidence([], tmp_path)


def count(path):
    """Say how many tasks there are."""
    with QueueDatabase(path) as database:
        return str(database.connection().execute(COUNT).fetchone()[0])


def test_a_verb_goes_on_from_step_to_step(cut, path):
    """It is not done before it was let go on from every step, and says how it ended."""
    with stepwise(path, cut.verb, cut.argument) as process:
        steps = list(process)
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    assert any("task_queue" in step.what for step in steps)
    assert any(step.what.startswith("before os.rename") for step in steps)
    assert process.ended == "done"
    assert count(path) == "1"


def test_calls_of_sqlite_and_of_the_core_are_steps(cut, path):
    """Each read, write and sync below SQLite is one, and so is each write of the core itself."""
    with stepwise(path, cut.verb, cut.argument) as process:
        steps = list(process)
    for what in ("before write queue.db", "before sync ", "before read ", "before open "):
        assert any(step.what.startswith(what) for step in steps), what
    assert {"before write", "before sync", "before close"} <= {step.what for step in steps}


def test_a_step_after_a_read_leaves_what_the_one_before_it_leaves(cut, path):
    """Only what may have changed a file since is said to have."""
    with stepwise(path, cut.verb, cut.argument) as process:
        steps = list(process)
    after_read = [
        after.changed
        for step, after in pairwise(steps)
        if step.what.startswith(("before read", "before size"))
    ]
    assert after_read.count(False) > len(after_read) / 2
    assert all(
        after.changed for step, after in pairwise(steps) if step.what.startswith("before write q")
    )


def test_a_verb_kills_itself_at_the_step_at_which_another_stands_still(cut, path):
    """They leave the same names of the same sizes, and one step further another set of them."""
    begun = read_folder(path.parent, path)
    lay_out(begun, path.parent)
    with stepwise(path, cut.verb, cut.argument) as process:
        first, second = list(leftovers(process, path.parent, path))[3:5]
    for left in (first, second):
        lay_out(begun, path.parent)
        assert dies_at_step(path, cut.verb, cut.argument, left.steps[0].number)
        assert shape(read_folder(path.parent, path)) == shape(left.contents)
    assert first.contents != second.contents


def test_a_verb_that_is_done_before_the_step_does_not_die(cut, path):
    """It is never taken for one that was killed."""
    assert not dies_at_step(path, cut.verb, cut.argument, 1_000_000)
    assert count(path) == "1"


def test_what_is_looked_at_has_both_ends_and_is_drawn_by_the_seed():
    """The same seed draws the same, and no more than was asked for."""
    left = [Leftover((Step(number, ""),), {}) for number in range(50)]
    drawn = [Depth(8, 1, Random(seed)).choose(left) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(len(set(each)) == 8 + 3 for each in drawn)
    assert all((each[0], each[-1]) == (left[0], left[-1]) for each in drawn)
    assert Depth().choose(left) == left


def test_what_is_looked_at_has_both_sides_of_each_turn():
    """Where a name comes or goes it is looked before and afterwards, whatever is drawn."""
    names = ("", "", "a", "a", "a", "", "", "")
    left = [Leftover((Step(number, ""),), {Path(name): b""}) for number, name in enumerate(names)]
    chosen = Depth(0, turns=True).choose(left)
    assert [each.steps[0].number for each in chosen] == [0, 1, 2, 4, 5, 7]
    assert Depth(0).choose(left) == [left[0], left[4], left[-1]]


def test_a_verb_that_fails_says_why(path):
    """A backup that is not there is told, and is not taken for the end of a restore."""
    with stepwise(path, "restore", "nothing.db") as process:
        assert not list(process)
    assert process.ended.startswith("failed BackupMissingError: ")


def test_a_verb_is_killed_where_it_stands(cut, path):
    """The system says that it died of the signal, and nothing was restored."""
    with stepwise(path, cut.verb, cut.argument) as process:
        step = next(iter(process))
        assert process.kill()
    assert step.number == 1
    assert count(path) == "3"


def test_a_verb_whose_watcher_is_gone_ends(cut, path):
    """Nobody has to kill it: it goes no further than where it stands."""
    with stepwise(path, cut.verb, cut.argument) as process:
        next(iter(process))
    assert not process.kill()
    assert count(path) == "3"


def test_leftovers_are_told_apart_and_laid_out_again(tmp_path):
    """What stays the same is one leftover; what is laid out is what was read, and no more."""
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    database = folder / "queue.db"

    def steps():
        for number, content in enumerate((b"a", b"a", b"b"), start=1):
            database.write_bytes(content)
            (folder / "inner" / "file").write_bytes(b"kept")
            yield Step(number, "write")
            (folder / "queue.db-shm").write_bytes(bytes([number]))

    left = list(leftovers(steps(), folder, database))
    (folder / "new").write_bytes(b"")
    lay_out(left[0].contents, folder)
    assert [len(each.steps) for each in left] == [2, 1]
    assert read_folder(folder, database) == left[0].contents
    names = {each.name for each in folder.iterdir()}
    # The -shm, which alone makes no leftover another, is only left where it can be read.
    assert names - {"queue.db-shm"} == {"inner", "queue.db"}


def test_a_copy_is_asked_and_not_the_file(path):
    """The -wal is read with the file, and stays what it was."""
    with QueueDatabase(path) as database:
        TaskQueue(database).enqueue("t", {})
        wal = path.with_name("queue.db-wal")
        before = wal.stat().st_size
        assert asked_of_copy(path, COUNT) == [(4,)]
        assert wal.stat().st_size == before > 0


def test_what_is_allowed_passes_and_one_kill_confirms_it(cut, path):
    """Three tasks before and one afterwards, at every step: the kill in the middle is confirmed."""
    properties = []
    cut.require_survived(
        Evidence(properties, path.parent), lambda: count(path), ("3", "1"), done="1"
    )
    assert sum(name == "queue.fault" for name, _value in properties) == 1
    assert not unconfirmed_fault(properties)


def test_as_many_as_asked_are_killed_for_real(cut, path):
    """Each of them leaves what was copied at its step."""
    properties = []
    cut.require_survived(
        Evidence(properties, path.parent),
        lambda: count(path),
        ("3", "1"),
        done="1",
        depth=Depth(5, 3, Random(1)),
    )
    assert sum(name == "queue.fault" for name, _value in properties) == 3
    assert not unconfirmed_fault(properties)


def test_a_state_that_is_not_allowed_fails(cut, path, evidence):
    """It is said with the step at which a kill leaves it."""
    with pytest.raises(Failed, match=r"leaves neither 1; at step [0-9]+, .*: 3"):
        cut.require_survived(evidence, lambda: count(path), ("1",), done="1")


def test_another_end_than_the_promised_one_fails(cut, path, evidence):
    """A verb that ends well and leaves something else has not kept its promise."""
    with pytest.raises(Failed, match="is done, and what is there is 1"):
        cut.require_survived(evidence, lambda: count(path), ("3", "1"), done="3")


def test_a_verb_that_does_not_end_well_fails(path, evidence):
    """A verb that could not be done at all survived nothing."""
    with pytest.raises(Failed, match="ended so: failed BackupMissingError"):
        CutOff(path, "restore", "nothing.db").require_survived(evidence, str, ("",), done="")


def test_a_sweep_that_misses_a_state_says_nothing(cut, path, evidence):
    """Where a state that may be left was never seen, nothing was tried."""
    with pytest.raises(Inconclusive, match="not all of"):
        cut.require_survived(evidence, lambda: count(path), ("3", "1", "2"), done="1")
