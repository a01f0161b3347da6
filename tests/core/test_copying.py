"""A copy is one snapshot, whatever others write meanwhile, and can be stopped."""

import contextlib
import math
import os
import sqlite3

import pytest
from queue_files import START_MS, add_tasks, make_queue, opened, states

from core import ManualClock, SystemClock, connect_stdlib
from core.clock import Deadline
from core.copying import CopyProgress, copy_into_new_file, copy_pages, pinned
from core.errors import DatabaseMissingError, DiskFullError, OperationTimeoutError

TASKS = 3000
PAYLOAD = '{"filling": "' + "x" * 500 + '"}'


@pytest.fixture
def path(tmp_path):
    """Return a queue of more pages than one step copies."""
    return make_queue(tmp_path / "queue.db", TASKS, payload=PAYLOAD)


@pytest.fixture
def source(path):
    """Return an open connection to it."""
    with opened(path) as connection:
        yield connection


def _copy(source, target, *, timeout_s=None, progress=None):
    copy_into_new_file(
        source,
        target,
        connect=connect_stdlib,
        deadline=Deadline(timeout_s, SystemClock()),
        progress=progress,
    )


def test_commits_of_others_neither_restart_the_copy_nor_are_in_it(path, source, tmp_path):
    """A commit after every step changes nothing: each page is copied once, of one moment."""
    target = tmp_path / "copy.db"
    steps = []

    def commit_and_note(progress):
        steps.append(progress)
        add_tasks(path, 1)

    with pinned(source):
        _copy(source, target, progress=commit_and_note)

    assert len(steps) == math.ceil(steps[0].total_pages / 500) > 1
    assert [step.done_pages for step in steps] == sorted({step.done_pages for step in steps})
    assert steps[-1] == CopyProgress(steps[0].total_pages, steps[0].total_pages)
    assert len(states(target)) == TASKS
    assert len(states(path)) == TASKS + len(steps)


def test_writers_never_wait_for_a_copy(path, source, tmp_path):
    """A writer that does not wait for locks gets its turn at every step."""

    def write(_progress):
        with contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("UPDATE task_queue SET priority = priority + 1 WHERE id = 1")
            other.execute("COMMIT")

    with pinned(source):
        _copy(source, tmp_path / "copy.db", progress=write)

    assert len(states(tmp_path / "copy.db")) == TASKS


def test_pin_lets_go_whatever_happens(source):
    """No transaction is left open, by an error or by an error that ended it already."""
    with pytest.raises(ZeroDivisionError), pinned(source):
        raise ZeroDivisionError
    assert not source.in_transaction

    with pinned(source):
        source.execute("ROLLBACK")
    assert not source.in_transaction


@pytest.mark.parametrize("page_size", [512, 1024, 8192, 65536])
def test_every_page_size_is_copied(tmp_path, page_size):
    """The copy has the source's page size and rows."""
    with opened(tmp_path / "queue.db") as source:
        source.execute(f"PRAGMA page_size = {page_size}")
        source.execute("CREATE TABLE task_queue (id INTEGER PRIMARY KEY, status TEXT)")
        source.executemany("INSERT INTO task_queue (status) VALUES (?)", [("queued",)] * 100)
        with pinned(source):
            _copy(source, tmp_path / "copy.db")

    with opened(tmp_path / "copy.db") as copy:
        assert copy.execute("PRAGMA page_size").fetchone() == (page_size,)
    assert len(states(tmp_path / "copy.db")) == 100


def test_copy_ends_at_its_deadline(source, tmp_path):
    """Time that is up ends the copy with an error that says so."""
    with pytest.raises(OperationTimeoutError, match="did not finish"), pinned(source):
        _copy(source, tmp_path / "copy.db", timeout_s=0)


def test_time_that_is_up_only_after_the_last_page_stops_nothing(path, source, tmp_path):
    """What is committed is not called stopped."""
    target = make_queue(tmp_path / "target.db", 5)
    clock = ManualClock(START_MS)

    def last_page_takes_long(progress):
        if progress.done_pages == progress.total_pages:
            clock.advance_s(60)

    with opened(target) as written:
        copy_pages(source, written, deadline=Deadline(5, clock), progress=last_page_takes_long)

    assert states(target) == states(path)


def test_waiting_for_a_locked_target_ends_at_the_deadline(path, source, tmp_path):
    """A lock that is never given up ends the copy in time, and nothing was changed."""
    target = make_queue(tmp_path / "target.db", 5)
    clock = SystemClock()
    started_s = clock.monotonic_s()
    with opened(target) as holder, opened(target) as other:
        other.execute("PRAGMA busy_timeout = 0")
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationTimeoutError):
            copy_pages(source, other, deadline=Deadline(0.2, clock))

    assert clock.monotonic_s() - started_s < 10
    assert len(states(target)) == 5
    assert len(states(path)) == TASKS


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, OSError])
def test_exception_from_progress_stops_the_copy_and_arrives(source, tmp_path, error):
    """Whoever watches may stop the copy with any exception, and gets that very one."""

    def stop(_progress):
        raise error("stopped")

    with pytest.raises(error, match="stopped"), pinned(source):
        _copy(source, tmp_path / "copy.db", progress=stop)

    assert not source.in_transaction


def test_stopped_copy_leaves_the_target_s_rows_as_they_were(path, source, tmp_path):
    """A copy over an existing database is one transaction: stopped, it never was."""
    target = make_queue(tmp_path / "target.db", 5)
    deadline = Deadline(None, SystemClock())

    def stop(_progress):
        raise KeyboardInterrupt

    with opened(target) as written, pytest.raises(KeyboardInterrupt):
        copy_pages(source, written, deadline=deadline, progress=stop)
    assert len(states(target)) == 5

    with opened(target) as written:
        copy_pages(source, written, deadline=deadline)
    assert states(target) == states(path)


def test_taken_name_is_refused_and_keeps_its_content(source, tmp_path):
    """A copy never overwrites, not even through a link."""
    taken, link = tmp_path / "taken.db", tmp_path / "link.db"
    taken.write_text("mine")
    link.symlink_to(tmp_path / "elsewhere.db")

    for target in (taken, link):
        with pytest.raises(FileExistsError), pinned(source):
            _copy(source, target)

    assert taken.read_text() == "mine"
    assert not (tmp_path / "elsewhere.db").exists()


class _UnreadableDisk(sqlite3.Connection):
    """A connection whose disk cannot be read any more."""

    def backup(self, *_arguments, **_settings):
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
        raise error


def test_unreadable_source_is_not_blamed_on_the_copy(path, tmp_path):
    """A source that cannot be read raises SQLite's own error, which names no copy."""
    source = sqlite3.connect(path, factory=_UnreadableDisk, isolation_level=None)
    with contextlib.closing(source), pytest.raises(sqlite3.OperationalError), pinned(source):
        _copy(source, tmp_path / "copy.db")


def test_full_disk_is_said_of_the_target(source, tmp_path):
    """A target that cannot grow raises an error that names it."""
    target = tmp_path / "copy.db"

    def connect(uri, *, timeout_s):
        connection = connect_stdlib(uri, timeout_s=timeout_s)
        connection.execute("PRAGMA max_page_count = 10")
        return connection

    with pytest.raises(DiskFullError, match=r"copy\.db"), pinned(source):
        copy_into_new_file(source, target, connect=connect, deadline=Deadline(None, SystemClock()))


def test_missing_folder_is_an_error(source, tmp_path):
    """A copy makes no folders."""
    with pytest.raises(FileNotFoundError) as caught, pinned(source):
        _copy(source, tmp_path / "nowhere" / "copy.db")

    assert not isinstance(caught.value, DatabaseMissingError)


if os.name == "posix":

    def test_copy_is_its_owner_s_alone(source, tmp_path):
        """Nobody else can read the copy, from its first byte on."""
        modes = set()

        def note(_progress):
            modes.add((tmp_path / "copy.db").stat().st_mode & 0o777)

        with pinned(source):
            _copy(source, tmp_path / "copy.db", progress=note)

        assert modes | {(tmp_path / "copy.db").stat().st_mode & 0o777} == {0o600}
