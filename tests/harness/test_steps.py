"""The steps of a process: counted while armed, named, and told apart by whether files changed."""

import subprocess
import sys
from pathlib import Path

import pytest

from core import files, primitives
from harness.disk.vfs import Call, Kind
from harness.drivers.file_steps import FileSteps
from harness.drivers.process import was_killed
from harness.drivers.steps import Steps

DIES = """
import sys
from harness.drivers.steps import Steps, dies_at
steps = Steps(dies_at(2))
steps.armed = True
for what in ("one", "two", "three"):
    steps.take(what)
    print(what, flush=True)
"""
AUDITED = """
import os, shutil, sys
from pathlib import Path
from harness.drivers.steps import Steps
folder = Path(sys.argv[1])
steps = Steps(lambda step: print(step.what, flush=True))
sys.addaudithook(steps.audit_hook(folder))
steps.armed = True
(folder / "inner").mkdir()
(folder / "inner" / "file").write_bytes(b"")
os.replace(folder / "inner" / "file", folder / "inner" / "named")
shutil.rmtree(folder / "inner")
Path(sys.argv[2]).write_bytes(b"")
"""


@pytest.fixture
def taken():
    """The steps that were taken."""
    return []


@pytest.fixture
def steps(taken):
    """Armed ones that are written down."""
    steps = Steps(taken.append)
    steps.armed = True
    return steps


def test_steps_are_counted_while_armed(steps, taken):
    """What happens at other times has no number."""
    steps.take("one")
    steps.armed = False
    steps.take("none")
    steps.armed = True
    steps.take("two")
    assert [str(step) for step in taken] == ["step 1, one", "step 2, two"]


def test_a_statement_is_two_steps_and_may_change_files(steps, taken):
    """One before it and one after it; its lines become one."""
    steps.before(None, "SELECT\n  1")
    steps.before(None, "again")
    steps.after(None, "SELECT 1")
    assert [step.what for step in taken] == ["before SELECT 1", "before again", "after SELECT 1"]
    assert [step.changed for step in taken] == [True, False, True]


@pytest.mark.parametrize(
    ("kind", "changed"), [(kind, kind not in ("read", "size", "sync")) for kind in Kind]
)
def test_a_call_of_sqlite_is_a_step_and_changes_files_unless_it_reads(steps, taken, kind, changed):
    """What is looked at anew after it, and what is not."""
    watcher, call = FileSteps(steps), Call(kind=kind, path=Path("queue.db"))
    for _number in range(2):
        watcher.before(call)
        watcher.after(call)
    assert [step.what for step in taken] == [f"before {kind} queue.db"] * 2
    assert [step.changed for step in taken] == [True, changed]


def test_writes_of_the_core_are_steps_in_the_body_alone(steps, taken, tmp_path):
    """Python tells no audit hook of them; what the module had before comes back."""
    right = primitives.write
    with steps.of_core():
        files.write_new(tmp_path / "file", b"content")
    files.write_new(tmp_path / "other", b"content")
    assert [step.what for step in taken][:3] == ["before write", "before sync", "before close"]
    assert all(step.changed for step in taken)
    assert primitives.write is right


def test_what_is_done_to_files_below_the_folder_is_a_step(tmp_path):
    """A tree goes name by name, and what is done elsewhere is none."""
    folder = tmp_path / "queue"
    folder.mkdir()
    command = [sys.executable, "-c", AUDITED, str(folder), str(tmp_path / "elsewhere")]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    steps = said.stdout.splitlines()
    assert steps[:2] == ["before os.mkdir of inner", "before open of file"]
    assert "before os.rename of file" in steps
    assert "before os.remove of named" in steps
    assert "before os.rmdir of inner" in steps
    assert not any("elsewhere" in step for step in steps)


def test_a_process_dies_at_its_step_and_not_before():
    """The system says that it died, and the step before is done."""
    died = subprocess.run(
        [sys.executable, "-c", DIES], capture_output=True, text=True, check=False, timeout=60
    )
    assert was_killed(died.returncode)
    assert died.stdout.splitlines() == ["one"]
