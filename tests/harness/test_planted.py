"""Every planted defect replaces what is there, is undone, and is named as the table says."""

import os

import pytest

from core.tasks import TaskQueue
from harness.inherited import PLANTED_VARIABLE, planted_by_parent
from harness.planted import DEFECTS, Change, planted
from tests.harness.sources import scenario_names

GROUPS = (
    "claiming",
    "leases",
    "durability",
    "disk",
    "backup",
    "restore",
    "retention",
    "maintenance",
    "salvage",
    "hostile",
)


def _parts(defect):
    return [vars(holder)[name] for holder, name in (c.where() for c in defect.changes)]


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS)
def test_a_defect_replaces_its_parts_and_is_undone(defect):
    """Each part is another one while the defect is planted, and the right one afterwards."""
    before = _parts(defect)
    with planted(defect):
        assert os.environ[PLANTED_VARIABLE] == defect.name
        within = _parts(defect)
    assert all(one is not other for one, other in zip(before, within, strict=True))
    assert _parts(defect) == before
    assert PLANTED_VARIABLE not in os.environ


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS)
def test_a_defect_says_who_must_see_it(defect):
    """It is of a known group, is told in a sentence, and names checks that there are."""
    assert defect.group in GROUPS
    assert defect.wrong.endswith(".")
    assert defect.changes
    assert defect.catches
    for catch in defect.catches:
        assert catch.says
        # Whole: it is what pytest is asked for.
        scenario = catch.scenario.partition("[")[0]
        assert any(scenario in (name, name.partition("::")[0]) for name in scenario_names()), catch


def test_names_are_the_keys_of_the_table():
    """No two defects share a name."""
    assert all(name == defect.name for name, defect in DEFECTS.items())


def test_a_child_has_the_defect_of_its_parent(monkeypatch):
    """A driver that is started in a run with a defect has it too, and none otherwise."""
    monkeypatch.delenv(PLANTED_VARIABLE, raising=False)
    right = TaskQueue.claim
    with planted_by_parent():
        assert TaskQueue.claim is right
    monkeypatch.setenv(PLANTED_VARIABLE, "double-claim")
    with planted_by_parent():
        assert TaskQueue.claim is not right
    assert TaskQueue.claim is right


def test_a_part_that_is_not_there_cannot_be_replaced():
    """A name that the core no longer has is an error, and no defect that changes nothing."""
    with pytest.raises(AttributeError):
        Change("core.tasks", "TaskQueue.no_such_verb", lambda right: right).where()
