"""Each fault of a worker or a lock happens, is seen by evidence of its own, and is undone."""

import os
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from core.database import QueueDatabase
from core.paths import wal_of
from core.tasks import TaskQueue
from harness.drivers.clock_file import ClockFile, WrongTime
from harness.faults import (
    Asked,
    BackwardsClock,
    ClockAhead,
    ClockBehind,
    DiedAnswering,
    ForeignZone,
    IdleHolder,
    JumpingClock,
    KilledInFlight,
    KilledWhileSuspended,
    PassingOpener,
    PausedUpToLease,
    RestartStorm,
    RivalProcess,
    RivalWriter,
    SnapshotProcess,
    StarvedWorker,
    processes,
)
from harness.faults.clocks import DrivenClock
from harness.history import Outcome

TRIAL = Path(__file__).parents[2] / "harness" / "drivers" / "trial_driver.py"
CLOCKS = (ClockAhead(), ClockBehind(), JumpingClock(), BackwardsClock())


@pytest.fixture
def worker(crew, path):
    """A worker that holds a task."""
    worker = crew.start(path, "w")
    worker.enqueue("a")
    worker.enqueue("b")
    worker.claim(lease_s=0.4)
    return worker


def can_write(path):
    """Whether the writer lock is to be had at once."""
    with QueueDatabase(path, busy_timeout_ms=5000) as database:
        TaskQueue(database).enqueue("t", {})
        return True


def test_a_worker_is_killed_while_it_stands_still(worker):
    """Both are seen: that it was stopped, and how it ended."""
    with KilledWhileSuspended().inject(worker.driver) as sighting:
        assert sighting.confirmed, sighting.evidence
        assert "stopped" in sighting.evidence
        assert "ended with status" in sighting.evidence
        assert not psutil.pid_exists(worker.driver.pid)


def test_a_worker_is_killed_with_a_request_in_flight(worker, path):
    """The request has no answer before the kill, and its outcome is unknown for ever."""
    with RivalWriter().inject(path):
        flight = worker.send_about("complete")
        with KilledInFlight().inject(Asked(worker.driver, flight)) as sighting:
            assert sighting.confirmed, sighting.evidence
    assert worker.history.operations()[-1].outcome is Outcome.UNKNOWN


def test_a_request_that_was_answered_was_not_in_flight(worker):
    """A kill after the answer is another fault, and does not pass for this one."""
    flight = worker.send_about("complete")
    flight.settle()
    with KilledInFlight().inject(Asked(worker.driver, flight)) as sighting:
        assert not sighting.confirmed


def test_a_worker_dies_when_it_has_answered(crew, path):
    """What it said is heard, and the system says that it died."""
    words = [sys.executable, str(TRIAL), "--db", str(path), "--die-in", "enqueue", "--die-at=-2"]
    worker = crew.start_program(words, "w")
    flight = worker.send_enqueue("a")
    with DiedAnswering().inject(Asked(worker.driver, flight)) as sighting:
        assert sighting.confirmed, sighting.evidence
    assert worker.history.operations()[-1].outcome is Outcome.OK


def test_a_worker_that_lives_on_has_not_died_answering(worker, monkeypatch):
    """An answer alone is no death."""
    monkeypatch.setattr(processes, "_TIMEOUT_S", 0.1)
    with DiedAnswering().inject(Asked(worker.driver, worker.send_enqueue("c"))) as sighting:
        assert not sighting.confirmed, sighting.evidence


def test_a_restart_storm_leaves_nobody_behind(crew, path):
    """Every process was another one, was killed, and is gone."""
    started = []

    def start(number):
        started.append(crew.start(path, f"storm{number}").driver)
        return started[-1]

    with RestartStorm(count=3).inject(start) as sighting:
        assert sighting.confirmed, sighting.evidence
    assert len({driver.pid for driver in started}) == 3
    assert all(driver.killed_by_signal() for driver in started)


def test_a_storm_of_nobody_is_not_confirmed():
    """No process, no fault."""
    with RestartStorm(count=0).inject(lambda _number: None) as sighting:
        assert not sighting.confirmed


def test_a_starved_worker_is_bound_and_let_go(worker):
    """It shares a processor with busy processes for the body, and has its own again after it."""
    process = psutil.Process(worker.driver.pid)
    before = process.cpu_affinity() if hasattr(process, "cpu_affinity") else None
    with StarvedWorker(neighbours=2).inject(worker.driver) as sighting:
        assert sighting.confirmed, sighting.evidence
        busy = psutil.Process().children(recursive=True)
        assert sum("busy_neighbour.py" in " ".join(each.cmdline()) for each in busy) == 2
    left = [each for each in busy if each.pid != worker.driver.pid and each.is_running()]
    assert left == []
    if before is not None:
        assert process.cpu_affinity() == before


def test_an_idle_holder_keeps_its_task_and_stops(worker, crew, path):
    """Its lease moves on while nothing is done, and runs out once the body has ended."""
    other = crew.start(path, "other")
    with IdleHolder(lease_s=0.5, every_s=0.05).inject(worker) as sighting:
        assert sighting.confirmed, sighting.evidence
        assert other.reclaim().facts["count"] == 0
    beats = sum(op.op == "heartbeat" for op in worker.history.operations())
    threading.Event().wait(0.2)
    assert sum(op.op == "heartbeat" for op in worker.history.operations()) == beats


def test_an_idle_holder_that_holds_nothing_is_not_confirmed(worker):
    """Heartbeats that are refused are not the fault that was asked for."""
    worker.complete()
    with IdleHolder(every_s=0.05).inject(worker) as sighting:
        assert not sighting.confirmed


@pytest.mark.parametrize("after_ms", [-20, 0, 20])
def test_a_pause_ends_around_the_end_of_the_lease(worker, after_ms):
    """The worker goes on at the moment that was asked for or later, and answers again."""
    with PausedUpToLease(after_ms=after_ms).inject(worker) as sighting:
        assert sighting.confirmed, sighting.evidence
        assert time.time() * 1000 >= worker.task["lease_until_ms"] + after_ms
        assert worker.complete().ok


def test_a_rival_process_holds_the_lock_and_lets_go(path):
    """A third connection does not get the lock, and does once the time is over."""
    with RivalProcess(held_s=0.2).inject(path) as sighting:
        assert sighting.confirmed, sighting.evidence
        assert can_write(path)
    assert can_write(path)


def test_a_rival_process_ends_with_the_body(path):
    """However long it was to hold the lock, nobody waits for it after the body."""
    with RivalProcess(held_s=60.0).inject(path) as sighting:
        assert sighting.confirmed
    began_s = time.monotonic()
    assert can_write(path)
    assert time.monotonic() - began_s < 5.0


def test_a_rival_process_without_a_queue_is_not_confirmed(tmp_path, capfd):
    """A helper that cannot take the lock is no fault."""
    path = tmp_path / "queue.db"
    path.write_bytes(b"no database" * 100)
    with RivalProcess().inject(path) as sighting:
        assert not sighting.confirmed, sighting.evidence
    assert "not a database" in capfd.readouterr().err


def test_a_snapshot_process_makes_the_log_grow(path):
    """No checkpoint ends the -wal while the reader is there; one does afterwards."""
    with QueueDatabase(path) as database:
        tasks = TaskQueue(database, durability="normal")
        tasks.enqueue("t", {})
        with SnapshotProcess().inject(path) as sighting:
            assert sighting.confirmed, sighting.evidence
            before = wal_of(path).stat().st_size
            for _number in range(20):
                tasks.enqueue("t", {})
            database.connection().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            assert wal_of(path).stat().st_size > before
        rows = database.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert rows == [(0, 0, 0)]


def test_passing_openers_read_and_are_gone(path):
    """Each has read the tasks, and ended with status 0."""
    with PassingOpener(count=2).inject(path) as sighting:
        assert sighting.confirmed, sighting.evidence
        assert sighting.evidence.count("'0 tasks' status 0") == 2


def test_an_opener_that_cannot_read_is_not_confirmed(tmp_path, capfd):
    """Where there is no queue nobody has opened one."""
    with PassingOpener(count=1).inject(tmp_path / "none.db") as sighting:
        assert not sighting.confirmed
    assert "no such table" in capfd.readouterr().err


@pytest.fixture
def clock(crew, path, tmp_path):
    """The clock of a worker, moved by a file."""
    file = ClockFile(tmp_path / "clock.json")
    words = [sys.executable, str(TRIAL), "--db", str(path), "--clock-file", str(file.path)]
    return DrivenClock(crew.start_program(words, "w").driver, file)


@pytest.mark.parametrize("fault", CLOCKS, ids=lambda fault: fault.name)
def test_a_wrong_clock_is_seen_and_put_right(fault, clock):
    """The worker shows the wrong time for the body, and the right one after it."""
    with fault.inject(clock) as sighting:
        assert sighting.confirmed, sighting.evidence
        ahead_ms = clock.shown_ms() - time.time_ns() // 1_000_000
        assert abs(ahead_ms - fault.offset_ms) < 2000
    assert abs(clock.shown_ms() - time.time_ns() // 1_000_000) < 1000


def test_a_clock_that_does_not_follow_is_not_confirmed(crew, path, tmp_path):
    """A worker that shows the right time in spite of the file has no wrong clock."""
    file = ClockFile(tmp_path / "clock.json")
    words = [sys.executable, str(TRIAL), "--db", str(path)]
    driver = crew.start_program(words, "w").driver
    with ClockAhead().inject(DrivenClock(driver, file)) as sighting:
        assert not sighting.confirmed


@pytest.mark.parametrize("before", [None, "UTC0"])
def test_a_worker_is_in_another_time_zone(crew, path, monkeypatch, before):
    """The system shows its zone, and this process has its own again."""
    if before is None:
        monkeypatch.delenv("TZ", raising=False)
    else:
        monkeypatch.setenv("TZ", before)
    with ForeignZone("EAST-14").inject(lambda: crew.start(path, "w").driver) as sighting:
        assert sighting.confirmed, sighting.evidence
        assert "TZ=EAST-14" in sighting.evidence
    assert os.environ.get("TZ") == before


def test_a_worker_that_was_there_before_is_in_no_other_time_zone(worker):
    """A zone is that of a process that was started in it."""
    with ForeignZone("EAST-14").inject(lambda: worker.driver) as sighting:
        assert not sighting.confirmed, sighting.evidence


def test_a_backwards_clock_shows_earlier_times_later():
    """Its readings go down as time goes on."""
    wrong = WrongTime(offset_ms=0, rate=-1.0, since_ms=1_000)
    assert [wrong.shown_ms(now_ms) for now_ms in (1_000, 1_010, 1_500)] == [1_000, 990, 500]


def test_a_clock_without_a_file_is_right(tmp_path):
    """Nothing said, nothing wrong."""
    assert ClockFile(tmp_path / "none.json").read().shown_ms(12_345) == 12_345
