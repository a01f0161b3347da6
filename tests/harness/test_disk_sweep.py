"""The sweep of power cuts sees what is planted, makes it small, and sees nothing else."""

import random
from collections import Counter
from dataclasses import replace
from functools import partial, partialmethod

import pytest

from harness.disk.cuts import Budget
from harness.disk.left import DATABASE, Finder, Found, Queue
from harness.disk.losses import losses
from harness.disk.model import Disk
from harness.disk.operations import NORMAL, OPERATIONS, Operation, new_disk
from harness.disk.sweep import Sweep, lay_out
from harness.outcome import Inconclusive
from harness.planted import DEFECTS, planted
from tests.harness.disk_entries import base, link, sync, write

SMALL = Budget(enumerated=16, drawn=2)
PLANTED = (
    # A file's sync is left out.
    ("synchronous-normal", "enqueue", "was acknowledged and is lost", "-wal"),
    ("synchronous-off", "complete", "the queue is neither", "queue.db"),
    ("backup-not-synced", "backup", "is listed and is not", "draft.db"),
    ("note-not-synced", "restore", "the queue is neither", "-restore.json"),
    # The folder's sync is left out.
    ("backup-name-not-synced", "backup", "was reported and is not listed", ".manifest.json"),
    ("swap-folders-not-synced", "restore-swap", "the queue is", "the rename of"),
    # A name is given before the sync, or in the wrong order.
    ("note-named-before-synced", "restore", "the queue is neither", "-restore.json"),
    ("backup-named-before-manifest", "backup", "is listed and is not", "nothing"),
    ("backup-named-at-once", "backup", "is listed and is not", "nothing"),
    ("prune-removes-proof-first", "prune", "is listed and is not", "nothing"),
)


def survey_of(operation, scratch, budget=SMALL, **disk):
    """Return what came of a sweep."""
    with operation.recorded(scratch) as recorded:
        return recorded.sweep().run(budget, random.Random(0), new_disk(**disk))


@pytest.mark.parametrize(
    ("defect", "operation", "wrong", "lost"), PLANTED, ids=[each[0] for each in PLANTED]
)
def test_protocol_that_is_wrong_in_one_place_is_found(tmp_path, defect, operation, wrong, lost):
    """The failure says what is wrong, and names a write or a name that belongs to it."""
    with planted(DEFECTS[defect]):
        survey = survey_of(OPERATIONS[operation], tmp_path)
    told = [str(failure) for failure in survey.failures]
    assert survey.survived < survey.cuts
    assert any(wrong in each for each in told), told
    assert any(lost in each.partition("loses")[2] for each in told), told
    assert all(len(failure.cut.lost()) <= 2 for failure in survey.failures)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=str)
def test_right_protocol_survives(tmp_path, operation):
    """What is found is as before or as after, and both are found."""
    survey = survey_of(operation, tmp_path)
    assert survey.survived == survey.cuts > survey.moments
    assert survey.failures == []
    assert survey.outcomes >= 2


@pytest.mark.parametrize("operation", ["enqueue", "complete-rollback", "backup"])
def test_disk_that_lies_shows_up(tmp_path, operation):
    """With all syncs swallowed, what was acknowledged is lost."""
    survey = survey_of(OPERATIONS[operation], tmp_path, Budget(0, 10), lies=True)
    assert survey.failures


def test_operation_that_fails_is_no_record(tmp_path):
    """Nothing is judged of it."""
    with (
        pytest.raises(Inconclusive, match="NoBackupError"),
        replace(OPERATIONS["restore"], prepare=OPERATIONS["enqueue"].prepare).recorded(tmp_path),
    ):
        pass


def test_record_that_does_not_make_the_folder_again_is_none(tmp_path, monkeypatch):
    """What was changed past the recorder is missing in every state."""
    monkeypatch.setenv("QUEUEDRILL_PLANTED", "backup-without-wal")
    with (
        pytest.raises(Inconclusive, match="the record does not make"),
        OPERATIONS["backup"].recorded(tmp_path),
    ):
        pass


class PlainSweep(Sweep):
    """Finds the one file as it is."""

    def found(self, state):
        """Return what the file holds."""
        return Found(queue=Queue(str(state.contents.get("f"))))


def smallest(record, bad, tmp_path):
    """Return what the first failure loses, where contents of which this is true are wrong."""
    sweep = PlainSweep(
        record, lambda found, _said: "bad" if bad(found.queue.content) else "", tmp_path / "left"
    )
    survey = sweep.run(Budget(enumerated=1, drawn=60), random.Random(0), Disk())
    return [each.told for each in survey.failures[0].cut.lost()] if survey.failures else None


WRITES = (base("f", b"........"), *(write("f", b"x", place) for place in range(8)), sync("f"))


def test_failure_is_as_small_as_it_can_be(tmp_path):
    """One lost write, two, or as many as it takes; where none is needed, none."""
    one = smallest(WRITES, lambda content: content[5] == ".", tmp_path)
    assert one == ["the write of bytes 3 to 4 of f"]
    two = smallest(WRITES, lambda content: content[3] == content[6] == ".", tmp_path)
    assert two == ["the write of bytes 1 to 2 of f", "the write of bytes 4 to 5 of f"]
    three = smallest(WRITES, lambda content: content.count(".") >= 3, tmp_path)
    assert len(three) == 3
    assert smallest(WRITES, lambda _content: True, tmp_path) == []
    assert smallest(WRITES, lambda _content: False, tmp_path) is None


def test_state_is_laid_out_as_it_is(tmp_path):
    """Contents, folders and second names; what was there before is gone."""
    folder = tmp_path / "left"
    folder.mkdir()
    (folder / "stale").touch()
    disk = Disk()
    for entry in (base("f", b"x"), link("f", "g")):
        disk.follow(entry)
    lay_out(disk.left(disk.loose), folder)
    assert {path.name for path in folder.iterdir()} == {"f", "g"}
    assert (folder / "f").samefile(folder / "g")


def test_each_part_of_a_state_is_looked_at_once(tmp_path, monkeypatch):
    """A run of retention leaves the queue as it is, and many states of its backups."""
    looks = Counter()
    for part in ("queue", "kept"):
        look = getattr(Finder, part)
        counted = partial(lambda self, part, look: looks.update([part]) or look(self), look=look)
        monkeypatch.setattr(Finder, part, partialmethod(counted, part=part))
    with OPERATIONS["prune"].recorded(tmp_path) as recorded:
        promised = recorded.promised()
        looks.clear()
        survey = recorded.sweep(promised).run(SMALL, random.Random(0), new_disk())
    assert looks == {"queue": 1, "kept": survey.states}
    assert survey.states < survey.cuts


def test_normal_durability_costs_something_and_never_the_file(tmp_path):
    """Some cuts cost nothing and some a few; full durability costs nothing at all."""
    costs = {}
    for operation in (NORMAL, OPERATIONS["enqueue"]):
        with operation.recorded(tmp_path) as recorded:
            promised = recorded.promised()
            sweep = recorded.sweep(promised)
            found = list(losses(recorded.record, promised, sweep, random.Random(0), new_disk()))
            costs[operation.name] = {cost for _cut, cost in found}
            # The worst is among them at each moment, whatever is drawn.
            worst = {cut.moment.number for cut, _cost in found if not cut.there}
            assert worst == {cut.moment.number for cut, _cost in found}
    assert costs["enqueue"] == {0}
    assert None not in costs["enqueue-normal"]
    assert max(costs["enqueue-normal"]) > 0


def test_queue_that_is_not_sound_has_no_cost(tmp_path):
    """A cut that leaves no sound queue is told apart from one that costs tasks."""
    with planted(DEFECTS["synchronous-off"]):
        operation = Operation("off", "enqueue", NORMAL.prepare, NORMAL.settings)
        with operation.recorded(tmp_path) as recorded:
            promised = recorded.promised()
            sweep = recorded.sweep(promised)
            found = losses(recorded.record, promised, sweep, random.Random(0), new_disk())
            assert None in {cost for _cut, cost in found}


def test_finder_sees_damage_and_says_what_it_is(tmp_path):
    """No queue, a damaged one and a sound one are three things."""
    finder = Finder(tmp_path)
    assert finder.queue().content == "no queue"
    OPERATIONS["enqueue"].prepare(tmp_path)
    sound = finder.queue()
    assert sound.wrong == ""
    content = bytearray((tmp_path / DATABASE).read_bytes())
    content[4096:8192] = bytes(4096)
    (tmp_path / DATABASE).write_bytes(content)
    assert finder.queue().wrong
    content[:100] = bytes(100)
    (tmp_path / DATABASE).write_bytes(content)
    damaged = finder.queue()
    assert damaged.content.startswith("bytes ")
    assert "not a database" in damaged.wrong
