"""The maintenance lock."""

import os

import pytest

from core import ManualClock
from core.errors import DatabaseError, MaintenanceBusyError, UnreadableDatabaseError
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


if os.name == "posix":

    def test_link_in_the_lock_s_place_leads_to_no_other_file(tmp_path):
        """Whoever may write to the queue's folder cannot have another file written to."""
        database, victim = tmp_path / "q.db", tmp_path / "victim"
        victim.write_text("precious")
        lock_path(database).symlink_to(victim)

        with pytest.raises(DatabaseError, match="lock"), maintenance_lock(database, "backup"):
            pass

        assert victim.read_text() == "precious"

    @pytest.mark.parametrize("mode", [0o600, 0o660, 0o444])
    def test_lock_is_as_open_as_the_database(tmp_path, mode):
        """All who may write to the queue may maintain it, whoever of them did so first."""
        database = tmp_path / "q.db"
        database.write_bytes(b"")
        database.chmod(mode)

        with maintenance_lock(database, "backup"):
            pass

        assert lock_path(database).stat().st_mode & 0o777 == mode | 0o600


if os.name == "posix" and os.geteuid() == 0:
    LOCK_WITHOUT_RIGHTS = """
import os
from pathlib import Path
from core.errors import QueueError
from core.locks import maintenance_lock
os.setgid(65534); os.setuid(65534)
try:
    with maintenance_lock(Path(argv[0]), "backup"):
        say("held")
except QueueError as error:
    say(type(error).__name__, error)
"""

    def test_run_by_root_keeps_the_queue_s_own_user_out_of_nothing(spawn, open_the_way, tmp_path):
        """After a maintenance run by root the queue's user can still do his."""
        database = tmp_path / "q.db"
        database.write_bytes(b"")
        os.chown(database, 65534, 65534)
        open_the_way(tmp_path)
        with maintenance_lock(database, "backup"):
            pass

        assert spawn(LOCK_WITHOUT_RIGHTS, database).hear() == "held"

    def test_lock_that_may_not_be_opened_is_told_as_that(spawn, open_the_way, tmp_path):
        """A right that is missing is no failing disk."""
        database = tmp_path / "q.db"
        open_the_way(tmp_path)

        said = spawn(LOCK_WITHOUT_RIGHTS, database).hear()

        assert said.startswith(UnreadableDatabaseError.__name__)
        assert str(lock_path(database)) in said
