"""What would be left is what was written for a kill, and what was synced for a power cut."""

import os
import threading

import pytest

from core import files
from harness.remains import KILL, POWER_CUT, Recorder

POSIX = pytest.mark.skipif(os.name == "nt", reason="a name counts as synced there when it is given")


@pytest.fixture
def folder(tmp_path):
    """A folder with one file, which counts as synced."""
    folder = tmp_path / "followed"
    folder.mkdir()
    (folder / "old").write_bytes(b"old")
    return folder


@pytest.fixture
def recorder(folder):
    """Follows that folder."""
    return Recorder(folder)


def left(recorder, fault, *, returned=True):
    """The states that the fault could leave, as they are laid out."""
    return [
        dict(each.files)
        for each in recorder.remains
        if each.fault == fault and each.returned is returned
    ]


def sync(path):
    """Sync a file or a folder."""
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    os.fsync(descriptor)
    os.close(descriptor)


def test_what_was_written_survives_a_kill_and_no_power_cut(folder, recorder):
    """A new file that nobody synced is whole after a kill, and empty or gone after a power cut."""
    with recorder.recording():
        (folder / "new").write_bytes(b"new")

    assert left(recorder, KILL) == [{"old": b"old", "new": b"new"}]
    assert left(recorder, POWER_CUT) == [{"old": b"old"}, {"old": b"old", "new": b""}]


def test_what_was_synced_survives_as_it_was_then(folder, recorder):
    """What was written after the sync is not on the disk."""
    with recorder.recording():
        (folder / "old").write_bytes(b"synced")
        sync(folder / "old")
        (folder / "old").write_bytes(b"later")

    assert left(recorder, KILL) == [{"old": b"later"}]
    assert left(recorder, POWER_CUT) == [{"old": b"synced"}]
    assert left(recorder, POWER_CUT, returned=False) == [{"old": b"old"}]


@POSIX
@pytest.mark.parametrize("call", [os.rename, os.replace, os.link])
def test_a_name_is_on_the_disk_once_its_folder_is_synced(folder, recorder, call):
    """Until then both names may be there, either, or neither; afterwards it is as it looks."""
    name = call.__name__
    with recorder.recording():
        getattr(os, name)(folder / "old", folder / "new")
        before = list(recorder.remains)
        sync(folder)

    assert {} not in [each.files for each in before]
    half = left(recorder, POWER_CUT, returned=False)
    assert {"old": b"old", "new": b"old"} in half
    assert {"old": b"old"} in half
    after = {path.name: b"old" for path in folder.iterdir()}
    assert after in half
    assert left(recorder, POWER_CUT) == [after]
    assert recorder.calls == [name, "fsync"]
    assert recorder.appeared == {"new"}


@POSIX
def test_a_file_that_was_removed_may_come_back(folder, recorder):
    """A removal is a change of a name like any other."""
    with recorder.recording():
        (folder / "old").unlink()

    assert left(recorder, KILL) == [{}]
    assert left(recorder, POWER_CUT) == [{"old": b"old"}, {}]
    assert recorder.calls == ["unlink"]


def test_the_number_of_a_file_that_is_gone_syncs_no_other(folder, recorder):
    """A new file is not on the disk because one before it, of the same number, was."""
    with recorder.recording():
        (folder / "old").unlink()
        (folder / "new").write_bytes(b"new")

    assert all(state.get("new", b"") == b"" for state in left(recorder, POWER_CUT))


def test_a_file_published_as_the_core_does_it_is_whole_or_not_there(folder, recorder):
    """Through the core's own way, no state has the name without the content."""
    with recorder.recording():
        files.write_new(folder / "new", b"new")

    assert {"new"} <= recorder.appeared
    states = left(recorder, KILL, returned=False) + left(recorder, POWER_CUT, returned=False)
    assert {state["new"] for state in states if "new" in state} == {b"new"}
    assert all(state["new"] == b"new" for state in left(recorder, POWER_CUT))


def test_other_folders_and_other_threads_go_their_way(folder, recorder, tmp_path):
    """Nothing is recorded of what happens elsewhere, and nothing once the body has ended."""
    elsewhere = tmp_path / "elsewhere"
    right = os.fsync
    with recorder.recording():
        elsewhere.write_bytes(b"x")
        thread = threading.Thread(target=sync, args=(elsewhere,))
        thread.start()
        thread.join(10.0)
        os.replace(elsewhere, tmp_path / "moved")  # noqa: PTH105 - the call is the subject
    sync(folder / "old")

    assert recorder.calls == []
    assert os.fsync is right
    assert left(recorder, KILL, returned=False) == []


def test_a_folder_that_is_made_later_is_followed(tmp_path):
    """A folder that was not there at first is empty until something is synced into it."""
    recorder = Recorder(tmp_path / "later")
    with recorder.recording():
        recorder.folder.mkdir()
        files.write_new(recorder.folder / "new", b"new")

    assert {"new": b"new"} in left(recorder, POWER_CUT)


def test_a_moment_can_be_looked_at_between_calls(folder, recorder, tmp_path):
    """What lies there half written is kept too, and can be laid out as a folder."""
    with recorder.recording():
        (folder / "new").write_bytes(b"ha")
        recorder.look("half way")
        (folder / "new").write_bytes(b"half")

    (half,) = [each for each in recorder.remains if str(each) == "kill half way"]
    half.lay_out(tmp_path / "laid out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "laid out").iterdir()} == {
        "old": b"old",
        "new": b"ha",
    }
