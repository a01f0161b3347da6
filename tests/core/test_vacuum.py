"""VACUUM: what it gains, what it needs, what it costs, and how it is stopped."""

import signal
import sys

import pytest
from doors import Door, writer_is_kept_out
from maintained import IMPATIENT_WRITER, LOCK_HOLDER, OLD_READER, fill, rival, rows_of

from core import ManualClock, QueueDatabase, QueueMaintenance
from core.connection import scalar
from core.errors import (
    DatabaseBusyError,
    InvalidArgumentError,
    NotEnoughSpaceError,
    OperationTimeoutError,
    VacuumNotPossibleError,
)
from core.vacuum import temporary_folder, vacuum

MEGABYTE = 1024 * 1024


@pytest.fixture
def database(queue_path):
    """Return a queue of some hundred pages, two thirds of them free."""
    fill(queue_path, 1500, bytes_each=1000)
    with rival(queue_path) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("DELETE FROM task_queue WHERE id % 3 > 0")
        connection.execute("DELETE FROM task_logs WHERE task_id % 3 > 0")
    with QueueDatabase(queue_path, busy_timeout_ms=30_000) as database:
        yield database


def content(path):
    """Return every row of the queue."""
    return rows_of(path, "SELECT * FROM task_queue"), rows_of(path, "SELECT * FROM task_logs")


def test_vacuum_gives_free_pages_back_and_keeps_every_row(database):
    """The file is smaller, nothing in it is different, and the result says by how much."""
    before, stats = content(database.path), QueueMaintenance(database).get_database_stats()
    result = QueueMaintenance(database).vacuum()
    assert content(database.path) == before
    assert result.size_before_bytes == stats["total_size_mb"] * MEGABYTE
    assert result.size_after_bytes < result.size_before_bytes / 2
    assert result.file_shrunk
    assert database.path.with_name("queue.db-wal").stat().st_size == 0
    assert database.path.stat().st_size == result.size_after_bytes
    assert result.freed_mb * MEGABYTE == result.size_before_bytes - result.size_after_bytes
    assert 0 < result.writer_lock_seconds <= result.seconds


def test_copy_is_kept_on_disk_and_not_in_memory(queue_path):
    """When VACUUM begins, its connection keeps temporary data in files."""
    kept = []

    def look(_uri, connection, sql):
        if sql == "VACUUM":
            kept.append(scalar(connection, "PRAGMA temp_store"))

    with QueueDatabase(queue_path, connect=Door(look)) as database:
        QueueMaintenance(database).vacuum()
    assert kept == [1]


@pytest.mark.parametrize("poor", ["database", "temporary", "none"])
def test_vacuum_without_space_is_refused_before_anything_is_done(database, poor):
    """Too little space on either disk is told with the figures, and nothing is changed."""
    folders = {"database": database.path.parent, "temporary": temporary_folder(), "none": None}
    size = scalar(database.connection(), "PRAGMA page_count") * 4096
    one_disk = database.path.parent.stat().st_dev == temporary_folder().stat().st_dev
    needed = 2 * size if one_disk else size

    def free_bytes(folder):
        return needed - (folder == folders[poor])

    if poor == "none":
        assert vacuum(database, 600, None, free_bytes=free_bytes).freed_mb > 0
        return
    before = database.path.read_bytes()
    with pytest.raises(NotEnoughSpaceError, match=f"{needed / MEGABYTE:.1f} MB free"):
        vacuum(database, 600, None, free_bytes=free_bytes)
    assert database.path.read_bytes() == before


@pytest.mark.parametrize(
    ("variable", "value", "chosen"),
    [("SQLITE_TMPDIR", "made", True), ("TMPDIR", "made", True), ("SQLITE_TMPDIR", "none", False)],
)
def test_folder_for_temporary_files_is_the_one_that_sqlite_takes(
    tmp_path, monkeypatch, variable, value, chosen
):
    """SQLite's variables come first where they name a folder; any other name is passed over."""
    for name in ("SQLITE_TMPDIR", "TMPDIR", "TMP", "TEMP"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "made").mkdir()
    monkeypatch.setenv(variable, str(tmp_path / value))
    assert temporary_folder().is_dir()
    if temporary_folder().drive == "":
        assert (temporary_folder() == tmp_path / "made") is chosen


class StoppedError(Exception):
    """What a progress callback of a test raises."""


def test_exception_from_progress_stops_it_and_changes_nothing(database):
    """The callback's own exception comes out, and the queue is as it was and usable."""
    before = content(database.path)

    def progress(seconds):
        raise StoppedError(seconds)

    with pytest.raises(StoppedError):
        QueueMaintenance(database).vacuum(progress=progress)
    assert content(database.path) == before
    assert scalar(database.connection(), "PRAGMA freelist_count") > 0
    assert not writer_is_kept_out(database.path)
    assert QueueMaintenance(database).vacuum().freed_mb > 0


def test_interrupt_from_the_keyboard_stops_it_and_changes_nothing(database):
    """Ctrl-C in the middle comes out as KeyboardInterrupt and leaves the queue as it was."""
    before = content(database.path)
    with pytest.raises(KeyboardInterrupt):
        QueueMaintenance(database).vacuum(progress=lambda _s: signal.raise_signal(signal.SIGINT))
    assert content(database.path) == before
    assert not writer_is_kept_out(database.path)


def test_deadline_stops_it_and_changes_nothing(database):
    """Past its deadline VACUUM is stopped, says so, and the queue is as it was."""
    before = content(database.path)
    clock = ManualClock(0)
    with (
        QueueDatabase(database.path, clock=clock) as timed,
        pytest.raises(OperationTimeoutError, match="VACUUM did not finish within 5 s"),
    ):
        QueueMaintenance(timed).vacuum(timeout_seconds=5, progress=lambda _s: clock.advance_s(6))
    assert content(database.path) == before
    assert scalar(database.connection(), "PRAGMA freelist_count") > 0


def test_progress_is_told_the_seconds(database):
    """The callback hears how long it has taken so far."""
    told = []
    result = QueueMaintenance(database).vacuum(progress=told.append)
    assert told
    assert all(0 <= seconds <= result.seconds for seconds in told)


def test_writer_waits_during_vacuum_and_loses_nothing(database, spawn):
    """In the middle of VACUUM a rival is refused; afterwards it writes, and its row is there."""
    writer = spawn(IMPATIENT_WRITER, database.path)
    assert writer.hear() == "ready"
    heard = []

    def progress(_seconds):
        if not heard:
            writer.release()
            heard.append(writer.hear())

    QueueMaintenance(database).vacuum(progress=progress)
    assert heard == ["database is locked"]
    writer.release()
    assert writer.hear() == "wrote"
    assert rows_of(database.path, "SELECT count(*) FROM task_queue WHERE type = 'rival'") == [(1,)]


def test_vacuum_behind_a_writer_gives_up_in_time(queue_path, spawn):
    """A lock that is not had within the busy timeout is told, and nothing was done."""
    holder = spawn(LOCK_HOLDER, queue_path)
    assert holder.hear() == "held"
    with (
        QueueDatabase(queue_path, busy_timeout_ms=100) as database,
        pytest.raises(DatabaseBusyError) as caught,
    ):
        QueueMaintenance(database).vacuum()
    assert sys.platform == "win32" or f"process {holder.pid} " in str(caught.value)


def test_file_that_cannot_shrink_yet_is_told(database, spawn):
    """Behind a reader of an old snapshot VACUUM works, and says that the file is still long."""
    reader = spawn(OLD_READER, database.path)
    assert reader.hear() == "reading"
    result = QueueMaintenance(database).vacuum()
    assert (result.file_shrunk, result.freed_mb > 0) == (False, True)
    assert database.path.stat().st_size > result.size_after_bytes
    reader.release()
    assert reader.hear() == "done"
    assert QueueMaintenance(database).checkpoint("TRUNCATE")["complete"]
    assert database.path.stat().st_size == result.size_after_bytes


@pytest.mark.parametrize("timeout_seconds", [-1, float("nan"), None])
def test_vacuum_with_a_bad_timeout_is_refused(database, timeout_seconds):
    """A wrong timeout gets our error."""
    with pytest.raises(InvalidArgumentError):
        QueueMaintenance(database).vacuum(timeout_seconds=timeout_seconds)


# -- incremental -----------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "freed"), [(None, "all"), (7, 7), (10**6, "all")])
def test_incremental_vacuum_frees_what_was_asked(database, asked, freed):
    """All free pages, or as many as were asked, leave the file, however many they are."""
    fill(database.path, 300, bytes_each=8000)
    with rival(database.path) as connection:
        connection.execute("PRAGMA auto_vacuum = 2")
        connection.execute("VACUUM")
        connection.execute("DELETE FROM task_logs")
        connection.execute("DELETE FROM task_queue WHERE id > 1500 OR id % 2 = 0")
    maintenance = QueueMaintenance(database)
    before = maintenance.get_database_stats()
    assert before["freelist_count"] > 600
    wanted = before["freelist_count"] if freed == "all" else freed
    assert maintenance.incremental_vacuum(asked) == wanted
    after = maintenance.get_database_stats()
    assert after["freelist_count"] == before["freelist_count"] - wanted
    assert after["page_count"] < before["page_count"]
    assert maintenance.integrity_check() == ["ok"]


def test_incremental_vacuum_needs_the_map_that_the_file_has_not(database):
    """Without auto_vacuum the verb says what the file lacks, and does nothing."""
    with pytest.raises(VacuumNotPossibleError, match="auto_vacuum = INCREMENTAL"):
        QueueMaintenance(database).incremental_vacuum()


@pytest.mark.parametrize("pages", [0, -1, 1.5, True])
def test_incremental_vacuum_of_a_bad_number_is_refused(database, pages):
    """A wrong number of pages gets our error."""
    with pytest.raises(InvalidArgumentError):
        QueueMaintenance(database).incremental_vacuum(pages)
