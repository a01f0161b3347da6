"""docs/faults.md says of every fault what the code says, and every fault is of use."""

import fault_document
import pytest

from harness.faults import FAULTS

TEXT = fault_document.DOCUMENT.read_text(encoding="utf-8")
BY_NAME = {fault.name: fault for fault in FAULTS}


@pytest.mark.parametrize("name", BY_NAME)
def test_every_fault_has_its_row(name):
    """What happens, how, by what it is confirmed, why it is survivable, and who uses it."""
    assert fault_document.row(BY_NAME[name]) in fault_document.part("faults"), (
        "python tests/harness/fault_document.py --write"
    )


@pytest.mark.parametrize("name", BY_NAME)
def test_every_fault_is_used_by_a_scenario(name):
    """A fault that nobody brings about is a promise that nobody tries."""
    assert fault_document.users(BY_NAME[name]) != []


@pytest.mark.parametrize("name", BY_NAME)
def test_who_uses_a_fault_names_it(name):
    """The head of a scenario's file says which faults it brings about."""
    silent = [
        path.name
        for path in fault_document.users(BY_NAME[name])
        if name not in _faults_line(path.read_text(encoding="utf-8"))
    ]

    assert silent == []


def _faults_line(source):
    return source.split("Faults:")[1].split("Method:")[0]


@pytest.mark.parametrize("name", ["faults", "calls", "alarms"])
def test_what_the_code_decides_stands_there_and_nothing_else(name):
    """No row too many, in the order of the code."""
    assert fault_document.part(name) == fault_document.parts()[name], (
        "python tests/harness/fault_document.py --write"
    )


def test_what_scenarios_do_themselves_has_a_row():
    """Each fault that a scenario writes down by a name of its own is in the second table, alone."""
    section = TEXT.split("## What a scenario does itself")[1].split("###")[0]
    rows = [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")]

    assert sorted(rows) == sorted(fault_document.made_by_scenarios())
    assert "killed-at-step" in rows
    assert not set(rows) & set(BY_NAME)


def test_every_step_at_which_a_process_is_struck_is_named():
    """The calls to the file system are those of the code."""
    for call in fault_document.CALLS:
        assert f"`{call}`" in "".join(fault_document.part("calls"))


def test_writing_leaves_what_is_right_as_it_is(tmp_path, monkeypatch):
    """The document that the code writes is the one that is there."""
    copy = tmp_path / "faults.md"
    copy.write_text(TEXT.replace("| `no-fault` |", "| `some-fault` |"), encoding="utf-8")
    monkeypatch.setattr(fault_document, "DOCUMENT", copy)

    fault_document.write()

    assert copy.read_text(encoding="utf-8") == TEXT
