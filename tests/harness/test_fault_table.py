"""Every fault of the table: it is seen where it happens, and not where it cannot; it is put back.

Each row of ``fault_stage`` says on what; a fault without a row fails here.
"""

from contextlib import ExitStack

import pytest
from fault_stage import ROWS, Stage

from harness.crew import Crew
from harness.faults import FAULTS, NoFault, RivalWriter, ShortDisk, disk, processes
from harness.history import History
from harness.ledger import Ledger
from harness.outcome import Inconclusive

BY_NAME = {fault.name: fault for fault in FAULTS}
REVERSIBLE = [name for name, row in ROWS.items() if row.again]
CAN_FAIL = [name for name, row in ROWS.items() if row.fails is not None]


@pytest.fixture
def stage(tmp_path):
    """Where faults are tried; no process outlives it."""
    with History(tmp_path / "history.jsonl") as history, Crew(history, tmp_path) as crew:
        yield Stage(tmp_path, crew)


class Sink:
    """Takes the entries of a ledger."""

    def __init__(self):
        self.entries = []

    def fault(self, *entry):
        """Keep the entry."""
        self.entries.append(entry)


def test_every_fault_is_tried_here():
    """None is forgotten, and none is tried that is not there."""
    assert set(ROWS) == set(BY_NAME)
    assert [name for name in BY_NAME if name not in CAN_FAIL] == [NoFault.name, ShortDisk.name]


@pytest.mark.parametrize("name", BY_NAME)
def test_a_fault_is_seen_where_it_happens(name, stage):
    """The evidence is there and says something; the ledger gets it."""
    sink = Sink()
    with Ledger(sink).injected(BY_NAME[name], ROWS[name].happens(stage)) as sighting:
        assert sighting.confirmed, sighting.evidence

    ((told, asked, confirmed, evidence, _effect),) = sink.entries
    assert (told, asked, confirmed) == (name, BY_NAME[name].asked, True)
    assert evidence


@pytest.mark.parametrize("name", CAN_FAIL)
def test_a_fault_that_does_not_take_effect_is_not_confirmed(name, stage, monkeypatch, capfd):
    """Where it cannot happen the body is not run, the check is open, and the ledger says so."""
    monkeypatch.setattr(processes, "_TIMEOUT_S", 0.2)
    row, sink, ran = ROWS[name], Sink(), []
    target = row.fails(stage)

    with (
        pytest.raises(Inconclusive, match=f"fault {name} was not seen to happen"),
        Ledger(sink).injected(row.fault or BY_NAME[name], target),
    ):
        ran.append(True)

    assert not ran
    assert [(entry[0], entry[2]) for entry in sink.entries] == [(name, False)]
    capfd.readouterr()


@pytest.mark.parametrize("name", BY_NAME)
def test_a_fault_is_undone_at_its_end(name, stage):
    """What it changes is as it was before; a process that it killed stays dead."""
    row = ROWS[name]
    target = row.happens(stage)
    before = row.state(target)

    with BY_NAME[name].inject(target) as sighting:
        assert sighting.confirmed, sighting.evidence

    assert row.state(target) == before


@pytest.mark.parametrize("name", REVERSIBLE)
def test_a_fault_can_come_twice(name, stage):
    """Nothing of the first time is left that would be in the way of the second."""
    row = ROWS[name]
    target = row.happens(stage)
    before = row.state(target)

    for _time in range(2):
        with BY_NAME[name].inject(target) as sighting:
            assert sighting.confirmed, sighting.evidence
        assert row.state(target) == before


@pytest.mark.parametrize("name", BY_NAME)
def test_a_fault_is_undone_harmlessly_where_that_was_done_already(name, stage):
    """The body repaired it, or ended what was struck: the end of the fault raises nothing."""
    row = ROWS[name]
    target = row.happens(stage)

    with ExitStack() as stack:
        stack.enter_context(BY_NAME[name].inject(target))
        row.undo(target)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_fault_is_undone_where_the_body_fails(name, stage):
    """The body's error is what is told, and everything is put back."""
    row = ROWS[name]
    target = row.happens(stage)
    before = row.state(target)

    def fail():
        with Ledger(Sink()).injected(BY_NAME[name], target):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert row.state(target) == before


def test_a_mistake_of_the_scenario_is_no_fault_that_did_not_happen(stage):
    """What a programmer did wrong is told as such."""
    worker = stage.worker()
    worker.complete()
    worker.task = None

    with (
        pytest.raises(AssertionError, match="must be claimed before"),
        Ledger(Sink()).injected(BY_NAME["paused-up-to-lease"], worker),
    ):
        pass


def test_an_error_on_the_way_to_a_fault_is_its_evidence(stage):
    """The ledger says why it could not be brought about."""
    sink = Sink()
    with (
        pytest.raises(Inconclusive, match="it could not be brought about: "),
        Ledger(sink).injected(RivalWriter(), stage.garbage()),
    ):
        pass

    assert "not a database" in sink.entries[0][3]


def test_a_core_that_is_told_of_more_room_is_on_no_short_disk(stage, monkeypatch):
    """Should the core ask somebody else how much is free, the fault is not confirmed."""
    monkeypatch.setattr(disk, "free_bytes", lambda _folder: 10**12)

    with BY_NAME["short-disk"].inject(stage.folder) as sighting:
        assert not sighting.confirmed, sighting.evidence


def test_a_worker_that_does_not_answer_has_not_died_unsaid(stage, monkeypatch):
    """Whoever kills it then, it was not the fault."""
    monkeypatch.setattr(processes, "_TIMEOUT_S", 0.2)
    asked = stage.waiting()
    settle = asked.flight.settle
    asked.flight.settle = lambda: settle(0.1)

    with BY_NAME["died-unsaid"].inject(asked) as sighting:
        assert not sighting.confirmed, sighting.evidence
    assert asked.driver.process.wait(0) is None, "it lives"


def test_a_right_clock_is_not_taken_for_one_that_runs_backwards(stage):
    """However fast it is asked twice, a right clock never seems to stand still."""
    clock = stage.clock()
    for _time in range(5):
        with BY_NAME["backwards-clock"].inject(clock) as sighting:
            assert not sighting.confirmed, sighting.evidence
