"""The maintenance lock."""

import os

import pytest

from core import ManualClock
from core.errors import MaintenanceBusyError
from core.locks import is_held, lock_path, maintenance_lock

HOLD = """
from pathlib import Path
from core.locks import maintenance_lock
with maintenance_lock(Path(argv[0]), "vacuum"):
    say("held")
    wait()
"""


def test_second_run_is_refused_and_told_who_is_at_work(spawn, tmp_path):
    """A run in another process keeps this one out, and the error names verb and process."""
    database = tmp_path / "q.db"
    child = spawn(HOLD, database)
    assert child.hear() == "held"

    with (
        pytest.raises(MaintenanceBusyError, match=f"vacuum by process {child.pid}"),
        maintenance_lock(database, "backup"),
    ):
        pass

    assert is_held(database)


def test_waiting_run_gets_the_lock_when_the_first_ends(spawn, tmp_path):
    """A run that waits begins as soon as the other has ended."""
    database = tmp_path / "q.db"
    child = spawn(HOLD, database)
    assert child.hear() == "held"
    child.release()

    with maintenance_lock(database, "backup", wait_s=30.0):
        assert child.finish() == 0


def test_waiting_ends_at_its_deadline(spawn, tmp_path):
    """A wait is as long as was said, and no longer."""
    database = tmp_path / "q.db"
    clock = ManualClock(0)
    assert spawn(HOLD, database).hear() == "held"

    with (
        pytest.raises(MaintenanceBusyError),
        maintenance_lock(database, "backup", wait_s=2.0, clock=clock),
    ):
        pass

    assert clock.monotonic_s() == pytest.approx(2.0)


def test_lock_ends_with_a_killed_holder(spawn, tmp_path):
    """A run that is killed keeps nobody out."""
    database = tmp_path / "q.db"
    child = spawn(HOLD, database)
    assert child.hear() == "held"
    child.kill()

    with maintenance_lock(database, "backup"):
        assert is_held(database)
    assert not is_held(database)
    assert lock_path(database).exists()


def test_lock_keeps_out_this_process_too(tmp_path):
    """Two runs in one process do not overlap either."""
    database = tmp_path / "q.db"
    with (
        maintenance_lock(database, "backup"),
        pytest.raises(MaintenanceBusyError, match=f"backup by process {os.getpid()}"),
        maintenance_lock(database, "vacuum"),
    ):
        pass


def test_asking_makes_no_file(tmp_path):
    """Asking whether somebody is at work leaves nothing beside the database."""
    assert not is_held(tmp_path / "q.db")
    assert list(tmp_path.iterdir()) == []


def test_unreadable_holder_is_still_a_holder(tmp_path):
    """A lock file with garbage in it keeps its promise; only the name is missing."""
    database = tmp_path / "q.db"
    with maintenance_lock(database, "backup"):
        lock_path(database).write_bytes(b"\xff garbage")
        with (
            pytest.raises(MaintenanceBusyError, match="holder unknown"),
            maintenance_lock(database, "vacuum"),
        ):
            pass
