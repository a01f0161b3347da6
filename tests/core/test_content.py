"""Finished tasks against what was recorded of them: damage is told, and what programs do is not."""

import shutil

import pytest
from contents import (
    CHANGEABLE,
    FILLING,
    HOUR_S,
    NOW_MS,
    check,
    finish,
    flip,
    fold,
    is_sound,
    leaf_pages,
    put_page,
    run,
    told,
)
from doors import Door
from maintained import rows_of

from core import ManualClock, QueueBackup, QueueDatabase, QueueMaintenance, TaskQueue, content
from core.contentrecord import record_path
from core.errors import (
    ContentRecordError,
    DatabaseCorruptError,
    ForeignRecordError,
    InvalidArgumentError,
    OperationTimeoutError,
    QueueError,
)
from core.timestamps import to_text

TASKS_COUNT = 60


@pytest.fixture
def clock():
    """Return a clock that stands still."""
    return ManualClock(NOW_MS)


@pytest.fixture
def recorded(queue_path, clock):
    """Return the path of a queue with finished tasks that were recorded an hour ago."""
    finish(queue_path, TASKS_COUNT)
    fold(queue_path)
    assert check(queue_path, clock).tally.added == TASKS_COUNT
    clock.advance_s(HOUR_S)
    return queue_path


def set_at(path, task_id, changes, clock=None):
    """Change a task; with a clock say so in its ``updated_at_utc``, as programs do."""
    said = "" if clock is None else f", updated_at_utc = '{to_text(clock.now_ms())}'"
    run(path, f"UPDATE task_queue SET {changes}{said} WHERE id = ?", task_id)


# -- nothing is wrong ------------------------------------------------------------------------


def test_tasks_that_nobody_touched_are_as_recorded(recorded, clock):
    """Each run compares all that there were, adds what was finished since, and finds nothing."""
    finish(recorded, 5)

    first, second = check(recorded, clock), check(recorded, clock)

    assert (first.ok, first.tally.compared, first.tally.added) == (True, TASKS_COUNT, 5)
    assert (second.ok, second.tally.compared, second.tally.added) == (True, TASKS_COUNT + 5, 0)
    assert second.tally.tasks == TASKS_COUNT + 5
    assert first.compared_utc == to_text(NOW_MS)


def test_tasks_that_are_not_finished_are_not_recorded(queue_path, clock):
    """What is queued, held or failed may change as it likes."""
    for status in ("queued", "leased", "processing", "failed"):
        finish(queue_path, 3, status=status)
    finish(queue_path, 2, status="dead_letter")
    assert check(queue_path, clock).tally.tasks == 2

    run(queue_path, "UPDATE task_queue SET payload = '1' WHERE status != 'dead_letter'")

    assert check(queue_path, clock).ok


def test_vacuum_and_a_checkpoint_change_nothing(recorded, clock):
    """A task is what it holds, wherever it lies."""
    run(recorded, "VACUUM")
    fold(recorded)

    assert check(recorded, clock).ok


def test_key_that_is_enqueued_again_touches_a_finished_task(queue_path, clock):
    """An idempotency key of a finished task writes its time anew, which is no difference."""
    with QueueDatabase(queue_path, clock=clock) as database:
        tasks = TaskQueue(database)
        tasks.enqueue("t", {}, idempotency_key="k")
        tasks.complete(tasks.claim("w"))
        check(queue_path, clock)
        clock.advance_s(HOUR_S)
        tasks.enqueue("t", {}, idempotency_key="k")

    result = check(queue_path, clock)

    assert (result.ok, result.tally.touched) == (True, 1)
    assert check(queue_path, clock).tally.touched == 0, "it is recorded with its new time"


@pytest.mark.parametrize("status", ["queued", "leased", "completed", "dead_letter"])
def test_dead_letter_that_somebody_took_up_again_is_no_difference(queue_path, clock, status):
    """Requeueing dead letters is everyday work, whatever has become of them by now."""
    finish(queue_path, 3, status="dead_letter")
    check(queue_path, clock)
    clock.advance_s(HOUR_S)
    set_at(queue_path, 2, f"status = '{status}', attempts = attempts + 1", clock)

    result = check(queue_path, clock)

    assert (result.ok, result.tally.requeued) == (True, 1)
    assert check(queue_path, clock).tally.requeued == 0


@pytest.mark.parametrize("elsewhere", [False, True])
def test_archived_tasks_are_not_missing(recorded, clock, tmp_path, elsewhere):
    """What the archive took is found there, also in one that was put somewhere else."""
    archive = tmp_path / "elsewhere" / "a.db" if elsewhere else None
    with QueueDatabase(recorded, clock=clock) as database:
        maintenance = QueueMaintenance(database)
        assert maintenance.archive_finished(0, archive).moved == TASKS_COUNT
        finish(recorded, 1, at_ms=clock.now_ms() - 1000)
        maintenance.archive_finished(0)

    result = check(recorded, clock)

    assert (result.ok, result.tally.archived) == (True, TASKS_COUNT)
    assert check(recorded, clock).tally.compared == 0


def test_archive_in_a_third_place_is_noted_beside_the_second(recorded, clock, tmp_path):
    """A queue that was archived into several files knows of all of them."""
    with QueueDatabase(recorded, clock=clock) as database:
        maintenance = QueueMaintenance(database)
        for number, keep in enumerate((40, 20, 0)):
            run(recorded, "UPDATE task_queue SET status = 'queued' WHERE id <= ?", keep)
            maintenance.archive_finished(0, tmp_path / f"{number}.db")
            run(recorded, "UPDATE task_queue SET status = 'completed'")

    result = check(recorded, clock)

    assert (result.ok, result.tally.archived) == (True, TASKS_COUNT)


@pytest.mark.parametrize("later", [False, True])
def test_one_right_copy_in_the_archive_is_enough(recorded, clock, later):
    """An id that was given again after a restore has two copies there, one of another task."""
    with QueueDatabase(recorded, clock=clock) as database:
        archive = QueueMaintenance(database).archive_finished(0).archive
    if not later:
        run(archive, "UPDATE archived_tasks SET archive_id = archive_id + 1000")
    run(
        archive,
        "INSERT INTO archived_tasks (id, archive_digest, archive_pending, archived_at_utc, status) "
        "VALUES (9, 'of another task', 0, '', 'completed')",
    )

    result = check(recorded, clock)

    assert (result.ok, result.tally.archived) == (True, TASKS_COUNT)


# -- damage ----------------------------------------------------------------------------------


def test_turned_bit_in_a_payload_is_told_with_its_task(recorded, clock):
    """What SQLite's checks pass is told, with the id of the one task that has it."""
    flip(recorded, f'"17 {FILLING}'.encode())
    assert is_sound(recorded)

    result = check(recorded, clock)

    assert told(result) == {"changed": [(18, 18)]}
    assert (result.ok, result.damaged) == (False, True)
    assert str(result) == "1 changed (18)"


@pytest.mark.parametrize("column", CHANGEABLE)
def test_value_of_any_column_is_part_of_what_is_recorded(recorded, clock, column):
    """Whatever changed of a task, it is told."""
    set_at(recorded, 9, f"{column} = 7")

    assert told(check(recorded, clock)) == {"changed": [(9, 9)]}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("'text'", "CAST('text' AS BLOB)"),
        ("CAST('a' || char(0) || 'b' AS TEXT)", "CAST('a' || char(0) || 'c' AS TEXT)"),
        ("CAST(x'61ff' AS TEXT)", "CAST(x'61fe' AS TEXT)"),
        ("NULL", "''"),
        ("x'00'", "x'0000'"),
    ],
    ids=["type", "behind-a-nul", "no-utf-8", "null", "blob"],
)
def test_value_is_recorded_to_the_byte_with_its_type(recorded, clock, before, after):
    """Bytes that SQL functions leave out, and a type that turned, count as well."""
    set_at(recorded, 9, f"error_message = {before}", clock)
    check(recorded, clock, accept=True)
    assert check(recorded, clock).ok

    set_at(recorded, 9, f"error_message = {after}")

    assert told(check(recorded, clock)) == {"changed": [(9, 9)]}


def test_numbers_of_an_own_column_are_recorded_to_the_bit(recorded, clock):
    """Floating point numbers that print alike are told apart."""
    run(recorded, "ALTER TABLE task_queue ADD COLUMN cost REAL DEFAULT 0.1")
    check(recorded, clock)

    set_at(recorded, 9, "cost = 0.1 + 1e-17 * 2")

    assert told(check(recorded, clock)) == {"changed": [(9, 9)]}


def test_lost_write_is_told_as_tasks_that_were_reverted(queue_path, clock):
    """A leaf that is as it was before its tasks were finished is told with all of these."""
    finish(queue_path, TASKS_COUNT, status="leased", at_ms=NOW_MS - 120_000)
    run(queue_path, "DROP INDEX ix_task_status_prio_time")
    run(queue_path, "DROP INDEX ix_task_type_status")
    fold(queue_path)
    before = leaf_pages(queue_path)
    now = to_text(NOW_MS - 60_000)
    run(
        queue_path,
        "UPDATE task_queue SET status = 'completed', updated_at_utc = ?, finished_at_utc = ?",
        now,
        now,
    )
    fold(queue_path)
    check(queue_path, clock)
    clock.advance_s(HOUR_S)
    after = leaf_pages(queue_path)
    lost = next(n for n in sorted(after, reverse=True) if n in before and before[n] != after[n])
    put_page(queue_path, lost, before[lost])
    assert is_sound(queue_path)
    back = [
        row[0] for row in rows_of(queue_path, "SELECT id FROM task_queue WHERE status='leased'")
    ]

    result = check(queue_path, clock)

    assert 0 < len(back) < TASKS_COUNT
    assert told(result) == {"reverted": [(back[0], back[-1])]}
    assert result.damaged


def test_tasks_that_changed_places_are_told(recorded, clock):
    """Two tasks with each other's content are two that changed."""
    for task_id, old in ((9999, 9), (9, 20), (20, 9999)):
        run(recorded, "UPDATE task_queue SET id = ? WHERE id = ?", task_id, old)

    assert told(check(recorded, clock)) == {"changed": [(9, 9), (20, 20)]}


@pytest.mark.parametrize(
    "updated", ["2026-11-24 0X:00:00", "2026-11-01 00:00:00", "2036-11-24 05:00:00", 7]
)
def test_time_that_no_program_wrote_is_damage(recorded, clock, updated):
    """An ``updated_at_utc`` that changed alone is one of now, or it is told."""
    run(recorded, "UPDATE task_queue SET updated_at_utc = ? WHERE id = 9", updated)

    assert told(check(recorded, clock)) == {"changed": [(9, 9)]}


def test_task_that_changed_without_saying_so_is_damage_whatever_clock_it_was_finished_by(
    queue_path, clock
):
    """A time that lies behind the record is no excuse where it is the one that was recorded."""
    finish(queue_path, 3, at_ms=NOW_MS + 600_000)
    check(queue_path, clock)
    clock.advance_s(HOUR_S)

    set_at(queue_path, 2, "payload = '1'")

    assert told(check(queue_path, clock)) == {"changed": [(2, 2)]}


def test_copy_in_the_archive_that_is_not_as_recorded_is_told(recorded, clock):
    """Damage that moved to the archive, or happened there, is damage to the task."""
    with QueueDatabase(recorded, clock=clock) as database:
        archive = QueueMaintenance(database).archive_finished(0).archive
    run(archive, "UPDATE archived_tasks SET payload = '1' WHERE id = 9")
    run(archive, "DELETE FROM archived_logs")
    run(archive, "DELETE FROM archived_tasks WHERE id = 30")

    result = check(recorded, clock)

    assert told(result) == {"changed": [(9, 9)], "missing": [(30, 30)]}
    assert result.tally.archived == TASKS_COUNT - 2


def test_damaged_archive_is_not_told_as_a_damaged_queue(recorded, clock):
    """What cannot be read of an archive is said of the archive."""
    with QueueDatabase(recorded, clock=clock) as database:
        archive = QueueMaintenance(database).archive_finished(0).archive
    size = archive.stat().st_size
    archive.write_bytes(archive.read_bytes()[:4096] + b"\xa5" * (size - 4096))

    with pytest.raises(DatabaseCorruptError) as raised:
        check(recorded, clock)

    assert raised.value.path == str(archive)


# -- what programs do ------------------------------------------------------------------------


def test_task_that_a_program_changed_is_said_and_is_no_damage(recorded, clock):
    """A program that writes to a finished task, and says so in its time, is told as that."""
    set_at(recorded, 9, "payload = '1'", clock)
    set_at(recorded, 20, "status = 'queued'", clock)

    result = check(recorded, clock)

    assert told(result) == {"rewritten": [(9, 9)], "reopened": [(20, 20)]}
    assert (result.ok, result.damaged) == (False, False)


def test_deleted_task_is_said_and_is_no_damage(recorded, clock):
    """Tasks that are in neither place are missing, told as narrowly as they can be."""
    run(recorded, "DELETE FROM task_queue WHERE id IN (5, 6, 7, 20, 60)")

    result = check(recorded, clock)

    assert told(result) == {"missing": [(5, 7), (20, 20), (60, 60)]}
    assert str(result) == "5 missing (5-7, 20, 60)"
    assert (result.ok, result.damaged) == (False, False)


# -- told until it is settled ----------------------------------------------------------------


def test_difference_is_told_until_it_is_accepted(recorded, clock):
    """What differs keeps its record; accepted, it is the record."""
    run(recorded, "DELETE FROM task_queue WHERE id = 30")
    set_at(recorded, 9, "payload = '1'")
    set_at(recorded, 20, "status = 'queued'", clock)
    differing = {"changed": [(9, 9)], "reopened": [(20, 20)], "missing": [(30, 30)]}
    seen = to_text(clock.now_ms())

    for _night in range(3):
        result = check(recorded, clock)
        assert (told(result), result.tally.first_seen_utc) == (differing, seen)
        assert result.tally.tasks == TASKS_COUNT - 2
        clock.advance_s(HOUR_S)
    accepted = check(recorded, clock, accept=True)

    assert (told(accepted), accepted.accepted) == (differing, True)
    after = check(recorded, clock)
    assert (after.ok, after.tally.compared) == (True, TASKS_COUNT - 2)
    assert not check(recorded, clock, accept=True).accepted, "there was nothing to accept"


def test_oldest_difference_says_since_when(recorded, clock):
    """However many are seen later, the time told is that of the first."""
    set_at(recorded, 30, "payload = '1'")
    seen = check(recorded, clock).tally.first_seen_utc
    clock.advance_s(HOUR_S)
    for task_id in (9, 40):
        set_at(recorded, task_id, "payload = '1'")

    result = check(recorded, clock)

    assert told(result) == {"changed": [(9, 9), (30, 30), (40, 40)]}
    assert result.tally.first_seen_utc == seen


def test_task_that_is_as_recorded_again_is_told_no_more(recorded, clock):
    """A page that was mended, or a row put back, heals the difference."""
    kept = rows_of(recorded, "SELECT payload FROM task_queue WHERE id = 9")[0][0]
    set_at(recorded, 9, "payload = '1'")
    assert not check(recorded, clock).ok
    run(recorded, "UPDATE task_queue SET payload = ? WHERE id = 9", kept)

    result = check(recorded, clock)

    assert (result.ok, result.tally.healed) == (True, 1)
    assert check(recorded, clock).tally.healed == 0


def test_damage_is_not_mended_by_being_worked_on(recorded, clock):
    """A task that a lost write brought back, and that ran again, is told as what it was."""
    set_at(recorded, 9, "status = 'leased'")
    assert told(check(recorded, clock)) == {"reverted": [(9, 9)]}
    clock.advance_s(HOUR_S)
    set_at(recorded, 9, "status = 'completed', attempts = 3", clock)
    assert told(check(recorded, clock)) == {"reverted": [(9, 9)]}
    run(recorded, "DELETE FROM task_queue WHERE id = 9")

    assert told(check(recorded, clock)) == {"reverted": [(9, 9)]}


def test_damaged_dead_letter_is_not_mended_by_being_requeued(queue_path, clock):
    """What was told as damage is not forgotten when somebody takes the task up again."""
    finish(queue_path, 3, status="dead_letter")
    check(queue_path, clock)
    set_at(queue_path, 2, "payload = '1'")
    check(queue_path, clock)
    clock.advance_s(HOUR_S)
    set_at(queue_path, 2, "status = 'queued'", clock)

    assert told(check(queue_path, clock)) == {"changed": [(2, 2)]}


def test_many_differences_are_settled_piece_by_piece(recorded, clock, monkeypatch):
    """However many differ, each is told, and those in the archive are found."""
    monkeypatch.setattr("core.contentcomparison._ASIDE_TASKS", 7)
    with QueueDatabase(recorded, clock=clock) as database:
        run(recorded, "UPDATE task_queue SET status = 'queued' WHERE id % 2 = 0")
        QueueMaintenance(database).archive_finished(0)
        run(recorded, "UPDATE task_queue SET status = 'completed'")
    run(recorded, "DELETE FROM task_queue WHERE id BETWEEN 11 AND 20")

    for _night in range(2):
        result = check(recorded, clock)
        assert told(result) == {"missing": [(number, number) for number in range(12, 21, 2)]}
    assert result.tally.archived == 0


# -- not comparable --------------------------------------------------------------------------


def test_after_a_restore_all_is_recorded_anew_and_that_is_said(recorded, clock):
    """A restore and its undoing make another content of the queue; neither is an alarm."""
    backup = QueueBackup(recorded, clock=clock)
    made = backup.create_backup()
    finish(recorded, 5)
    check(recorded, clock)
    for change in (lambda: backup.restore_backup(made), backup.undo_restore):
        change()

        result = check(recorded, clock)

        assert (result.ok, result.tally.compared) == (True, 0)
        assert "restored" in result.why_not
        assert check(recorded, clock).tally.compared == result.tally.tasks


def test_older_file_in_the_queues_place_is_told_until_it_is_accepted(recorded, clock, tmp_path):
    """A copy from before, put back by hand, is no restore of ours: its ids tell."""
    shutil.copy(recorded, tmp_path / "kept")
    finish(recorded, 5)
    check(recorded, clock)
    fold(recorded)
    shutil.copy(tmp_path / "kept", recorded)

    for _night in range(2):
        result = check(recorded, clock)
        assert result.went_back == (TASKS_COUNT, TASKS_COUNT + 5)
        assert result.damaged
    assert "older than its record" in str(result)
    check(recorded, clock, accept=True)
    assert check(recorded, clock).ok


def test_new_column_is_recorded_and_those_before_are_compared(recorded, clock):
    """A schema that grew is compared by what there was, and recorded with what there is."""
    run(recorded, "ALTER TABLE task_queue ADD COLUMN cost INTEGER DEFAULT 1")
    set_at(recorded, 9, "payload = '1'")

    assert told(check(recorded, clock)) == {"changed": [(9, 9)]}
    set_at(recorded, 20, "cost = 2")

    assert told(check(recorded, clock)) == {"changed": [(9, 9), (20, 20)]}


def test_column_that_is_gone_leaves_nothing_to_compare_and_is_named(recorded, clock):
    """A schema that shrank is said, and all is recorded anew."""
    run(recorded, "ALTER TABLE task_queue ADD COLUMN cost INTEGER DEFAULT 1")
    check(recorded, clock)
    run(recorded, "ALTER TABLE task_queue DROP COLUMN cost")

    result = check(recorded, clock)

    assert (result.ok, result.why_not) == (True, "columns that were recorded are gone: cost")
    assert check(recorded, clock).tally.compared == TASKS_COUNT


def test_digests_of_another_kind_are_not_compared(recorded, clock, monkeypatch):
    """Where known values have another digest, nothing is said of the tasks."""
    monkeypatch.setattr(content, "probe", lambda: "other")

    result = check(recorded, clock)

    assert (result.ok, result.tally.compared) == (True, 0)
    assert "digests are others" in result.why_not


def test_field_queue_with_columns_of_its_own_is_recorded(tmp_path, clock):
    """A file of another program, with more columns and no table of ours, is left as it is."""
    path = tmp_path / "field.db"
    QueueDatabase(path, create=True).close()
    for sql in (
        "DROP TABLE queuedrill_meta",
        "DROP INDEX queuedrill_waiting",
        "PRAGMA user_version = 0",
        'ALTER TABLE task_queue ADD COLUMN "no ""te" BLOB',
    ):
        run(path, sql)
    finish(path, 5)
    run(path, 'UPDATE task_queue SET "no ""te" = zeroblob(20)')
    check(path, clock)
    run(path, 'UPDATE task_queue SET "no ""te" = zeroblob(21) WHERE id = 3')

    assert told(check(path, clock)) == {"changed": [(3, 3)]}
    tables = {row[0] for row in rows_of(path, "SELECT name FROM sqlite_master")}
    assert "queuedrill_meta" not in tables


# -- whose record ----------------------------------------------------------------------------


def test_record_of_another_queue_is_refused_and_left_as_it_is(recorded, clock, tmp_path):
    """A record is only compared with the queue that it is of, unless the queue has moved."""
    other = tmp_path / "other.db"
    QueueDatabase(other, create=True).close()
    record = record_path(recorded)
    before = record.read_bytes()

    with pytest.raises(ForeignRecordError, match=r"queue\.db"):
        check(other, clock, record=record)
    assert record.read_bytes() == before

    assert "another queue" in check(other, clock, record=record, accept=True).why_not
    assert check(other, clock, record=record).ok


@pytest.mark.parametrize("beside", ["", "-wal"])
def test_queue_is_never_taken_for_its_record(recorded, clock, beside):
    """A record in the place of the database or its log is refused before anything is read."""
    with pytest.raises(InvalidArgumentError, match="file of its own"):
        check(recorded, clock, record=recorded.with_name(recorded.name + beside), accept=True)


# -- how it reads ----------------------------------------------------------------------------


def test_all_is_read_of_one_moment_and_no_writer_waits(queue_path, clock):
    """In WAL mode what is finished during the comparison is not in it, and was not kept back."""
    finish(queue_path, 1200)
    slices = []

    def between(_uri, _connection, sql):
        if "NOT INDEXED" in sql:
            slices.append(sql)
            finish(queue_path, 1)

    result = check(queue_path, clock, connect=Door(between))

    assert len(slices) == 3
    assert result.tally.tasks == 1200
    assert check(queue_path, clock).tally.added == 3


def test_without_a_log_no_lock_outlasts_a_slice(queue_path, clock):
    """In a rollback journal mode writers get in between any two slices."""
    run(queue_path, "PRAGMA journal_mode = DELETE")
    finish(queue_path, 1200)
    slices = []

    def between(_uri, _connection, sql):
        if "NOT INDEXED" in sql:
            slices.append(sql)
            finish(queue_path, 1)

    result = check(queue_path, clock, connect=Door(between))

    assert len(slices) == 3
    assert (result.ok, result.tally.tasks) == (True, 1203)


def test_too_little_time_leaves_the_record_as_it_was(recorded, clock):
    """A comparison that ran out of time writes nothing, and leaves no draft."""
    finish(recorded, 2000)
    before = record_path(recorded).read_bytes()

    with pytest.raises(OperationTimeoutError):
        check(recorded, clock, timeout_seconds=0)

    assert record_path(recorded).read_bytes() == before
    assert not list(recorded.parent.glob(".*"))


def test_too_little_time_in_the_archive_is_told_as_that(recorded, clock):
    """The deadline holds for what is read of the archive too."""
    with QueueDatabase(recorded, clock=clock) as database:
        archive = QueueMaintenance(database).archive_finished(0).archive
    run(archive, "INSERT INTO archived_tasks (archive_digest, archive_pending, archived_at_utc) "
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) "
        "SELECT i, 0, '' FROM n")  # fmt: skip

    def pass_time(uri, _connection, sql):
        if "archive" in uri and sql != "OPEN":
            clock.advance_s(60)

    with pytest.raises(OperationTimeoutError):
        check(recorded, clock, timeout_seconds=30, connect=Door(pass_time))


def test_progress_is_told_and_may_stop_it(recorded, clock):
    """Whoever watches is told the seconds, and an exception of his leaves the record as it was."""
    finish(recorded, 2000)
    before = record_path(recorded).read_bytes()

    def stop(_seconds):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(recorded, clock, progress=stop)

    assert record_path(recorded).read_bytes() == before


def test_comparison_alone_writes_nothing(recorded, clock):
    """Only looking leaves the record to the byte, and still tells all."""
    before = record_path(recorded).read_bytes()
    set_at(recorded, 9, "payload = '1'")

    result = check(recorded, clock, only_compare=True)

    assert told(result) == {"changed": [(9, 9)]}
    assert not result.written
    assert record_path(recorded).read_bytes() == before


def test_queue_itself_is_not_written_to(recorded, clock):
    """Comparing, recording and accepting leave the database as it was, to the byte."""
    set_at(recorded, 9, "payload = '1'")
    fold(recorded)
    before = recorded.read_bytes()

    check(recorded, clock)
    check(recorded, clock, accept=True)

    assert recorded.read_bytes() == before


def test_record_gets_the_owner_and_mode_of_the_queue(recorded, clock):
    """Whoever may read the queue may compare it."""
    recorded.chmod(0o640)

    check(recorded, clock)

    assert record_path(recorded).stat().st_mode & 0o777 == 0o640


def test_drafts_of_killed_runs_are_cleared(recorded, clock):
    """A run that was killed leaves a hidden draft, which the next one removes."""
    draft = recorded.with_name(f".{record_path(recorded).name}.0123456789ab.draft")
    draft.write_bytes(b"half")

    check(recorded, clock)

    assert not draft.exists()


def test_folder_that_takes_no_file_is_told_with_the_records_name(recorded, clock, tmp_path):
    """A record that cannot be written is an error that names it, and says nothing of the queue."""
    nowhere = tmp_path / "missing" / "record"

    with pytest.raises(QueueError) as raised:
        check(recorded, clock, record=nowhere)

    assert raised.value.path == str(nowhere)


def test_archive_meta_that_is_no_list_is_passed_over(recorded, clock):
    """What another program wrote into our table does not stop the comparison."""
    for value in ("{", "7", '"x"'):
        run(recorded, "INSERT OR REPLACE INTO queuedrill_meta VALUES ('archives', ?)", value)
        assert check(recorded, clock).ok


def test_rows_are_read_in_the_table_and_not_in_an_index(recorded, clock):
    """What an index holds a second time says nothing of the row, and nothing is sorted."""
    plans = []

    def explain(_uri, connection, sql):
        if "FROM task_queue" in sql and "ORDER BY" in sql:
            plans.append(str(connection.execute(f"EXPLAIN QUERY PLAN {sql}", (0,)).fetchall()))

    check(recorded, clock, connect=Door(explain))

    assert plans
    assert all("USING INTEGER PRIMARY KEY" in plan and "TEMP B-TREE" not in plan for plan in plans)


def test_damaged_record_error_is_of_one_kind():
    """Whoever catches what is wrong with a record catches another queue's too."""
    assert issubclass(ForeignRecordError, ContentRecordError)
