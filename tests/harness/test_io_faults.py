"""The instrument of I/O faults: it strikes where it is told, and sees each way to get it wrong."""

import contextlib
import errno
import os
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from core.backup import QueueBackup
from core.errors import DiskFullError, QueueError
from core.paths import uri
from harness.disk.faulted import VERBS
from harness.disk.means import struck_calls
from harness.disk.striker import CORE_FAULTS, INTERRUPT, KINDS, SQLITE_FAULTS, Mode, Striker
from harness.disk.syscalls import SystemCall, SystemCalls
from harness.disk.trial import Stage, Told, Trial
from harness.disk.vfs import Call, Kind
from harness.iofaults import faulted_verbs
from harness.outcome import Inconclusive

WRITE = Call(kind=Kind.WRITE, path=Path("queue.db"))
FULL, ONCE = "disk full", "once"


def _struck(striker, calls):
    """Return the numbers of the calls that failed."""
    failed = []
    for number in range(1, calls + 1):
        try:
            striker.before(WRITE)
        except apsw.FullError:
            failed.append(number)
    return failed


@pytest.mark.parametrize(("mode", "failed"), [(Mode.ONCE, [3]), (Mode.FROM_THEN_ON, [3, 4, 5])])
def test_fault_strikes_at_its_call_once_or_from_then_on(mode, failed):
    """The third write fails, or all from the third on; nothing does once it is disarmed."""
    striker = Striker(lambda: None)
    striker.arm(FULL, mode, 3)
    assert _struck(striker, 5) == failed
    assert striker.struck == "disk full at call 3, write queue.db"
    striker.disarm()
    assert _struck(striker, 5) == []


def test_other_calls_are_counted_and_not_struck():
    """A read does not use up the number of a write, and is told nothing."""
    striker = Striker(lambda: None)
    striker.arm(FULL, Mode.ONCE, 1)
    striker.before(Call(kind=Kind.READ, path=None))
    assert not striker.struck
    assert striker.counts["error on read"] == 1
    assert _struck(striker, 1) == [1]


def test_interrupt_is_sent_and_no_call_fails():
    """Whoever interrupts does so from outside, at some call."""
    sent = []
    striker = Striker(lambda: sent.append(1))
    striker.arm(INTERRUPT, Mode.ONCE, 2)
    assert _struck(striker, 3) == []
    assert sent == [1]


def test_each_kind_strikes_some_call():
    """There is no row that no call can meet."""
    assert len(set(KINDS)) == len(SQLITE_FAULTS) + len(CORE_FAULTS) + 1
    assert {fault.of for fault in SQLITE_FAULTS.values()} == set(Kind) - {Kind.CLOSE}


def test_calls_to_the_system_are_told_before_they_are_made(tmp_path):
    """Those below the folder, and no others; what is raised is raised by the call."""
    told = []
    folder = tmp_path / "seen"
    calls = SystemCalls(str(folder), told.append)
    with calls.listening():
        folder.mkdir()
        file = folder / "file"
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT)
        os.write(descriptor, b"x")
        os.fsync(descriptor)
        os.close(descriptor)
        file.rename(folder / "other")
        (folder / "other").unlink()
        (tmp_path / "elsewhere").mkdir()
        list(folder.iterdir())
        folder.rmdir()
    (tmp_path / "later").mkdir()
    kinds = [call.kind for call in told]
    assert kinds == ["mkdir", "create", "write", "sync", "rename", "unlink", "list", "rmdir"]


def test_call_to_the_system_that_is_struck_is_not_made(tmp_path):
    """The folder is not there afterwards."""

    def strike(call: SystemCall):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), call.path)

    calls = SystemCalls(str(tmp_path), strike)
    with calls.listening(), pytest.raises(OSError, match="No space left"):
        (tmp_path / "folder").mkdir()
    assert not (tmp_path / "folder").exists()


# -- judging -------------------------------------------------------------------------------------


ENQUEUE = VERBS["enqueue"]
KEPT = []


def _swallow(bench):
    with contextlib.suppress(QueueError):
        return ENQUEUE.run(bench)
    return 10


def _raw(bench):
    try:
        return ENQUEUE.run(bench)
    except QueueError as error:
        raise error.__cause__ from None


def _done_and_failed(bench):
    try:
        return ENQUEUE.run(bench)
    except QueueError:
        pass
    with bench.opened() as database:
        connection = database.connection()
        connection.execute("UPDATE task_queue SET priority = 7").close()
    raise DiskFullError(path="queue.db", detail="it is full")


def _keep_open(bench):
    try:
        return ENQUEUE.run(bench)
    except QueueError:
        KEPT.append(bench.connect(uri(bench.path, mode="rw"), timeout_s=0.0))
        raise


def _keep_lock(bench):
    try:
        return ENQUEUE.run(bench)
    except QueueError:
        bench.worker.connection().execute("BEGIN IMMEDIATE").close()
        raise


def _leave_file(bench):
    try:
        return ENQUEUE.run(bench)
    except QueueError:
        bench.path.with_name("left.draft").write_bytes(b"")
        raise


def _spoil_backup(bench):
    try:
        return ENQUEUE.run(bench)
    except QueueError:
        backup = QueueBackup(bench.path, connect=bench.connect).list_backups()[0].path
        backup.write_bytes(backup.read_bytes()[:-1])
        raise


def _never_again(bench):
    if KEPT:
        raise DiskFullError(path="queue.db", detail="still")
    try:
        return ENQUEUE.run(bench)
    except QueueError:
        KEPT.append(contextlib.ExitStack())
        raise


LIES = {
    "it says that it is done": _swallow,
    "OperationalError": _raw,
    "is neither old nor new": _done_and_failed,
    "it leaves a connection open": _keep_open,
    "database is locked": _keep_lock,
    "left.draft is left behind": _leave_file,
    "is listed, and not sound": _spoil_backup,
    "it cannot be done again": _never_again,
}


@pytest.fixture
def stage(tmp_path):
    """A stage of its own, with nothing kept from another one."""
    folder = tmp_path / "stage"
    folder.mkdir()
    with struck_calls(folder) as means:
        yield Stage(folder, means)
        for each in KEPT:
            each.close()
        KEPT.clear()


def test_verb_that_fails_as_it_should_survives(stage):
    """A full disk is told, nothing is there, and it is done again."""
    ruling = Trial(stage, ENQUEUE).strike(FULL, ONCE, 2)
    assert ruling.struck.startswith("disk full at call 2")
    assert (ruling.told, ruling.state, ruling.wrong) == (Told.FAILED, "old", [])


def test_verb_that_nothing_strikes_is_done(stage):
    """That is how a sweep ends."""
    trial = Trial(stage, ENQUEUE)
    ruling = trial.strike(FULL, ONCE, trial.counts[FULL] + 1)
    assert (ruling.struck, ruling.told, ruling.state, ruling.wrong) == ("", Told.DONE, "new", [])


@pytest.mark.parametrize("wrong", LIES)
def test_each_way_to_get_it_wrong_is_seen(stage, wrong):
    """An error swallowed or raw, a change, a connection, a lock or a file left behind."""
    verb = replace(
        ENQUEUE, run=LIES[wrong], again=None if wrong.startswith("it can") else ENQUEUE.run
    )
    ruling = Trial(stage, verb).strike(FULL, ONCE, 2)
    assert any(wrong in each for each in ruling.wrong), ruling


def test_sweep_without_an_end_says_nothing(tmp_path):
    """More calls than there can be is no result."""
    folder = tmp_path / "struck"
    folder.mkdir()
    with faulted_verbs(folder) as process:
        tally = process.exhaust("heartbeat", FULL, ONCE, most=9)
        assert tally.struck == tally.survived == process.counts("heartbeat")[FULL]
        with pytest.raises(Inconclusive, match="no end"):
            process.exhaust("heartbeat", FULL, ONCE, most=1)
