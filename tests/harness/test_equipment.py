"""What a check needs of the machine: there, missing, or never heard of."""

import os
import sys

import pytest

from harness import equipment
from harness.equipment import UnknownEquipmentError, missing


def test_nothing_is_missing_where_nothing_is_needed():
    """A check without needs runs everywhere."""
    assert missing(()) == []


@pytest.mark.parametrize(("need", "there"), [("posix", "posix"), ("linux", "linux")])
def test_system_is_there_or_the_reason_says_what_it_is_about(need, there):
    """On the system itself nothing is missing; elsewhere one reason is told."""
    names = (os.name, sys.platform)

    assert missing([need]) == ([] if there in names else [equipment._EQUIPMENT[need][1]])


def test_strace_that_is_not_on_the_path_is_missing(monkeypatch):
    """Whoever cannot strike from outside is told so, instead of striking otherwise."""
    equipment._strace.cache_clear()
    monkeypatch.setenv("PATH", "")
    try:
        (reason,) = missing(["strace"])
    finally:
        equipment._strace.cache_clear()

    assert "strace is not there" in reason


def test_second_disk_is_none_where_it_is_the_first_one(monkeypatch, tmp_path):
    """A folder of the same disk is no other disk, though it can be written to."""
    monkeypatch.setattr(equipment, "SECOND_DISK", tmp_path)
    monkeypatch.setattr(equipment.tempfile, "gettempdir", lambda: str(tmp_path))

    assert len(missing(["second disk"])) == 1


@pytest.mark.parametrize(("taken", "there"), [(0, True), (1 << 26, False), (None, False)])
def test_disk_is_asked_for_the_room_that_a_hole_takes(monkeypatch, taken, there):
    """A disk that fills holes, or does not tell, has no sparse files."""
    monkeypatch.setattr(equipment, "_bytes_taken", lambda _descriptor: taken)

    assert _is_there("sparse files") is there


@pytest.mark.parametrize("there", [True, False])
def test_user_is_asked_what_read_only_means(monkeypatch, there):
    """An administrator may write to files that are read-only."""
    monkeypatch.setattr(equipment, "_may_write", lambda _path: not there)

    assert _is_there("rights") is there


def _is_there(need):
    ask = equipment._EQUIPMENT[need][0]
    ask.cache_clear()
    try:
        return missing([need]) == []
    finally:
        ask.cache_clear()


def test_several_lacks_are_all_told(monkeypatch):
    """Nobody has to mend one to hear of the next."""
    lacks = {
        "a": (lambda: False, "no a"),
        "b": (lambda: True, "no b"),
        "c": (lambda: False, "no c"),
    }
    monkeypatch.setattr(equipment, "_EQUIPMENT", lacks)

    assert missing(["a", "b", "c"]) == ["no a", "no c"]


def test_need_that_nobody_knows_is_an_error():
    """A typing error would else leave its check out, or in, for ever."""
    with pytest.raises(UnknownEquipmentError, match="tape drive"):
        missing(["tape drive"])
