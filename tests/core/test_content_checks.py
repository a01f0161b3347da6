"""What the file itself says: whether it is sound, and what it is made of."""

import contextlib
import os
import shutil
import sqlite3

import pytest
from health_queues import (
    WORK,
    checked,
    crash,
    task,
)

from core.findings import Level
from core.paths import wal_of


def test_flipped_bit_in_the_log_is_critical_with_the_commits_it_strands(spawn, queue_path):
    """A damaged frame that SQLite would pass over in silence is told with what it costs."""
    crash(spawn, queue_path, 5)
    with wal_of(queue_path).open("r+b") as file:
        file.seek(32 + 24 + 100)
        file.write(b"\x5a")

    report = checked(queue_path)

    assert report.finding("wal.frames").level is Level.CRITICAL
    assert "5 committed transactions" in report.finding("wal.frames").message
    assert report.finding("database.integrity").level is Level.OK


@pytest.mark.parametrize(
    ("offset", "damage", "level"),
    [(4, "header", Level.CRITICAL), (-100, "tail", Level.WARNING)],
)
def test_damaged_header_and_tail_of_the_log_are_told_apart(
    spawn, queue_path, offset, damage, level
):
    """A lost log is critical; a torn last write is a warning."""
    crash(spawn, queue_path, 2)
    with wal_of(queue_path).open("r+b") as file:
        file.seek(offset, os.SEEK_SET if offset > 0 else os.SEEK_END)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0xFF]))

    found = checked(queue_path).finding("wal.frames")

    assert (found.observed, found.level) == (damage, level)


def test_log_is_walked_also_where_its_database_does_not_open(spawn, queue_path):
    """What the log says is told also where there is nothing left to open."""
    crash(spawn, queue_path, 2)
    queue_path.write_bytes(b"garbage " * 1000)

    report = checked(queue_path)

    assert report.finding("file.opens").level is Level.CRITICAL
    assert report.finding("wal.frames").level is Level.OK
    assert report.metrics["wal_frames"] > 0


def test_log_of_another_database_is_critical(spawn, queue_path):
    """A log that was left beside a file copied over its own is told before it is replayed."""
    copy = queue_path.with_name("copy.db")
    with contextlib.closing(sqlite3.connect(queue_path, isolation_level=None)) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    crash(spawn, queue_path, 2)
    shutil.copyfile(copy, queue_path)

    found = checked(queue_path).finding("wal.owner")

    assert (found.level, found.observed) == (Level.CRITICAL, "foreign")


def test_file_without_wal_mode_is_a_warning(queue_path, execute):
    """A queue in a rollback journal mode is told, read as it is or beside a worker."""
    assert checked(queue_path).finding("database.journal_mode").level is Level.OK

    execute(("PRAGMA journal_mode = DELETE",))

    found = checked(queue_path).finding("database.journal_mode")
    assert (found.level, found.command) == (
        Level.WARNING,
        f'queuedrill enable-wal --db "{queue_path}"',
    )


def test_write_version_that_nobody_knows_is_critical(queue_path):
    """A queue that can be read and not written is told, with the restore as its cure."""
    with queue_path.open("r+b") as file:
        file.seek(18)
        file.write(b"\x06")

    found = checked(queue_path).finding("database.journal_mode")

    assert (found.level, found.observed) == (Level.CRITICAL, "unknown")
    assert found.command == f'queuedrill restore --db "{queue_path}"'


def test_schema_format_that_nobody_knows_is_critical(queue_path):
    """What SQLite says without a code of its own is told as the destroyed header that it is."""
    with queue_path.open("r+b") as file:
        file.seek(44)
        file.write(b"\x09" * 4)

    found = checked(queue_path).finding("file.opens")

    assert (found.level, found.observed) == (Level.CRITICAL, "NotADatabaseError")
    assert found.command == f'queuedrill restore --db "{queue_path}"'


@pytest.mark.parametrize("full", [False, True])
def test_payload_that_is_no_json_any_more_is_critical_and_named(queue_path, execute, full):
    """A check of SQLite's that stumbles over a payload has found damage, and not found nothing."""
    execute(task(), task(payload='{"said": "hello"}'), task())
    content = queue_path.read_bytes()
    queue_path.write_bytes(content.replace(b'{"said": "hello"}', b'{"said"\x1a "hello"}'))

    found = checked(queue_path, full=full).finding("database.integrity")

    assert found.level is Level.CRITICAL
    assert "malformed JSON in task 2" in found.message


def test_long_read_that_would_delay_writers_is_not_made(spawn, queue_path, execute):
    """Beside a worker without WAL the integrity is not checked, and not called sound."""
    execute(("PRAGMA journal_mode = DELETE",))
    assert spawn(WORK, queue_path).hear() == "there"

    report = checked(queue_path)

    assert report.finding("database.integrity").level is Level.UNKNOWN
    assert report.finding("leases.stale").level is Level.OK


def test_damaged_page_is_found_by_the_quick_check(queue_path, execute):
    """A zeroed page in the middle is critical, with the restore as its cure."""
    execute(*[task(payload='"' + "x" * 3000 + '"') for _number in range(20)])
    size = queue_path.stat().st_size
    with queue_path.open("r+b") as file:
        file.seek(size - 4096)
        file.write(b"\0" * 4096)

    found = checked(queue_path).finding("database.integrity")

    assert (found.level, found.command) == (
        Level.CRITICAL,
        f'queuedrill restore --db "{queue_path}"',
    )


def test_row_that_its_table_forbids_is_found_by_the_quick_check(queue_path, execute):
    """Damage that SQLite reports in a row, and not by an error, is as critical."""
    forbid = "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE name = 'task_logs'"
    execute(
        task(),
        ("INSERT INTO task_logs (task_id, level) VALUES (1, 'info')",),
        ("PRAGMA writable_schema = ON",),
        (forbid, "message TEXT", "message TEXT NOT NULL"),
    )

    found = checked(queue_path).finding("database.integrity")

    assert found.level is Level.CRITICAL
    assert "NULL value in task_logs.message" in found.message


def test_broken_reference_is_found_by_the_full_check_alone(queue_path, execute):
    """A log row of no task passes the quick check, and not the full one."""
    execute(
        ("PRAGMA foreign_keys = OFF",),
        ("INSERT INTO task_logs (task_id, level) VALUES (99, 'info')",),
    )

    assert checked(queue_path).finding("database.integrity").level is Level.OK
    found = checked(queue_path, full=True).finding("database.integrity")
    assert found.level is Level.CRITICAL
    assert "refers to nothing in task_queue" in found.message


def test_half_empty_pages_are_measured_when_looking_fully(queue_path, execute):
    """What the freelist does not show is a metric of its own."""
    execute(task())

    slack = checked(queue_path, full=True).metrics["page_slack_pct"]

    assert slack is None or 0 < slack < 100


def test_missing_table_column_and_index_are_a_warning(queue_path, execute):
    """Drift of the schema is told by name."""
    execute(
        ("DROP TABLE task_logs",),
        ("DROP INDEX uq_task_idempotency",),
        ("ALTER TABLE workers RENAME COLUMN capabilities TO skills",),
        ("ALTER TABLE task_queue ADD COLUMN extra TEXT",),
    )

    found = checked(queue_path).finding("schema.complete")

    assert found.level is Level.WARNING
    for name in ("task_logs", "workers.capabilities", "task_queue (idempotency_key)"):
        assert name in found.message
    assert "extra" not in found.message


def test_index_under_another_name_is_as_good(queue_path, execute):
    """Indexes are known by what they index, as names differ from file to file."""
    execute(
        ("DROP INDEX ix_task_type_status",),
        ("CREATE INDEX other ON task_queue (type, status, id)",),
    )

    assert checked(queue_path).finding("schema.complete").level is Level.OK


def test_trigger_that_nobody_declared_is_critical(queue_path, execute):
    """A planted trigger is told by name; one that was declared is in order."""
    execute(
        ("CREATE TRIGGER planted AFTER INSERT ON task_queue BEGIN DELETE FROM task_queue; END",)
    )

    found = checked(queue_path).finding("schema.triggers")
    declared = checked(queue_path, declared_triggers={"planted"}).finding("schema.triggers")

    assert found.level is Level.CRITICAL
    assert "planted" in found.message
    assert declared.level is Level.OK


def test_figures_are_those_that_sqlite_itself_gives(queue_path, execute):
    """Sizes and shares are in MB of 1024 * 1024 bytes and in percent of all pages."""
    execute(("CREATE TABLE filler AS SELECT zeroblob(100000)",), ("DROP TABLE filler",))

    metrics = checked(queue_path).metrics

    assert metrics["database_size_mb"] == queue_path.stat().st_size / 1024 / 1024
    assert metrics["page_count"] * metrics["page_size"] == queue_path.stat().st_size
    assert metrics["freelist_count"] >= 100_000 // 4096
    assert metrics["fragmentation_pct"] == pytest.approx(
        100 * metrics["freelist_count"] / metrics["page_count"]
    )


def test_empty_database_without_pages_divides_by_nothing(tmp_path):
    """An empty file is told as empty, not as an error of arithmetic."""
    path = tmp_path / "queue.db"
    path.write_bytes(b"")

    assert checked(path).finding("database.fragmentation").level is Level.UNKNOWN
