"""What a damaged file still holds comes back, and what cannot be believed is told."""

import shutil
import sqlite3

import pytest
import salvaged
from queue_files import names
from salvaged import (
    MOMENT,
    ask,
    content,
    die_after,
    fill,
    find,
    leaves_of,
    make,
    opened,
    overwrite,
    page_size,
    root_of,
    run,
    tasks,
    zero_page,
)

from core import ManualClock, QueueBackup, QueueDatabase, TaskQueue
from core import salvage as salvage_module
from core.connection import connect_stdlib
from core.errors import (
    DatabaseHeldError,
    DatabaseMissingError,
    DiskFullError,
    EmptyDatabaseError,
    InvalidArgumentError,
    NotEnoughSpaceError,
    OperationTimeoutError,
    SalvageFailedError,
    SalvageTargetError,
)
from core.journalpages import pages_before
from core.salvage import salvage
from core.schema import indexes_missing

COUNT = 200
START_MS = 1_770_000_000_000


@pytest.fixture
def queue(tmp_path):
    """Return the path of a full queue of 200 tasks."""
    return make(tmp_path / "queue.db", COUNT)


def out_of(path):
    """Return where a salvage of the path goes."""
    return path.with_name("out.db")


def whole(path, truth):
    """Return how many of the tasks are in the salvaged file as they were; nothing else may be."""
    found = tasks(out_of(path))
    assert found.keys() <= truth.keys()
    return sum(found[task] == truth[task] for task in found)


# -- how much comes back -------------------------------------------------------------------------


def test_a_sound_file_comes_back_whole(queue):
    """Every task and log row of a sound file is in the new one, and nothing else is left."""
    truth, logs = tasks(queue), ask(queue, "SELECT count(*) FROM task_logs")[0]

    report = run(queue)

    held = sum(salvaged.STATES[n % 5] == "leased" for n in range(1, COUNT + 1))
    assert tasks(out_of(queue)) == truth
    assert (report.tasks, report.logs, report.outcome) == (COUNT, logs, "all")
    assert report.leases_released == held
    assert ask(out_of(queue), "SELECT count(*) FROM task_logs")[0] == logs + held
    assert (report.error_count, report.doubts, report.set_aside, report.lost) == (0, {}, {}, {})
    assert names(queue.parent) == ["out.db", "queue.db"]


def test_the_new_file_is_a_queue_to_work_with(queue):
    """The new file has the schema, the indexes and the journal mode of a queue, and works."""
    run(queue)

    with QueueDatabase(out_of(queue)) as database:
        connection = database.connection()
        assert indexes_missing(connection) == []
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert TaskQueue(database).enqueue("t", {}) == COUNT + 1
        assert TaskQueue(database).claim("w") is not None


def test_no_lease_is_salvaged(queue):
    """Nobody holds a task of the new file, and each that was held has a log row that says so."""
    held = set(ask(queue, "SELECT id FROM task_queue WHERE status = 'leased'"))

    report = run(queue)

    assert ask(out_of(queue), "SELECT count(*) FROM task_queue WHERE locked_by IS NOT NULL") == [0]
    told = ask(
        out_of(queue),
        "SELECT task_id FROM task_logs WHERE message = 'lease released by a salvage'",
    )
    assert set(told) == held
    assert report.leases_released == len(held)


def lose_root(path):
    """Lose the page at which the table begins."""
    zero_page(path, root_of(path, "task_queue"))


def lose_first_page(path):
    """Lose the header and the schema."""
    zero_page(path, 1)


def lose_header(path):
    """Lose the first hundred bytes."""
    overwrite(path, 0, bytes(100))


def lose_every_index(path):
    """Lose the first page of every index."""
    roots = ask(path, "SELECT rootpage FROM sqlite_master WHERE type = 'index' AND sql NOT NULL")
    for root in roots:
        zero_page(path, root)


@pytest.mark.parametrize(
    ("damage", "outcome"),
    [
        (lose_root, "all"),
        (lose_first_page, "part"),
        (lose_header, "all"),
        (lose_every_index, "part"),
    ],
)
def test_what_leads_to_the_rows_is_lost_and_no_row_is(queue, damage, outcome):
    """Without root, schema, header or indexes all tasks are back as they were."""
    truth = tasks(queue)
    damage(queue)

    report = run(queue)

    assert whole(queue, truth) == COUNT
    assert report.outcome == outcome
    assert report.expected_tasks == COUNT


def test_lost_pages_cost_their_rows_alone(queue):
    """Two lost leaves cost the tasks on them, which the indexes name with their status."""
    truth = tasks(queue)
    lost = leaves_of(queue, "task_queue")[3:5]
    status = dict(zip(truth, (salvaged.STATES[task % 5] for task in truth), strict=True))
    for page in lost:
        zero_page(queue, page)

    report = run(queue)

    missing = truth.keys() - tasks(out_of(queue)).keys()
    assert 0 < len(missing) < 40
    assert whole(queue, truth) == COUNT - len(missing)
    assert set(report.lost_ids) == missing
    assert report.lost == {
        name: sum(status[task] == name for task in missing)
        for name in {status[task] for task in missing}
    }
    assert {error.page for error in report.page_errors} == set(lost)
    assert report.outcome == "part"
    assert report.expected[0].witness == "index"
    assert report.expected_tasks == COUNT


def test_the_end_of_the_file_is_lost(queue):
    """Of a file that was cut in the middle of a page all is back that is in the rest."""
    truth = tasks(queue)
    kept = queue.stat().st_size * 2 // 3 + 100
    with queue.open("r+b") as file:
        file.truncate(kept)

    report = run(queue)

    assert 0 < whole(queue, truth) < COUNT
    assert report.pages_missing > 0
    assert report.outcome == "part"


def test_pages_that_changed_places_are_known_by_what_is_in_them(queue):
    """A leaf of tasks, one of logs and one of an index that changed places cost nothing."""
    truth, logs = tasks(queue), ask(queue, "SELECT count(*) FROM task_logs")
    size = page_size(queue)
    pages = [leaves_of(queue, name)[0] for name in ("task_queue", "task_logs", "ix_logs_task")]
    old = [queue.read_bytes()[(page - 1) * size : page * size] for page in pages]
    for page, other in zip(pages, [*old[1:], old[0]], strict=True):
        overwrite(queue, (page - 1) * size, other)

    report = run(queue)

    assert whole(queue, truth) == COUNT
    assert report.logs == logs[0]
    assert report.found["task_queue"].loose > 0


@pytest.mark.parametrize("size", [512, 1024, 8192, 65536])
def test_a_page_size_is_found_without_the_header(tmp_path, size):
    """Pages of any size are told by what is in them; the report says that it was guessed."""
    path = make(tmp_path / "queue.db", 300, page_size=size)
    truth = tasks(path)
    overwrite(path, 0, bytes(100))

    report = run(path)

    assert whole(path, truth) == 300
    assert f"a page size of {size} bytes" in report.guessed


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
def test_text_of_other_encodings_is_read(tmp_path, encoding):
    """A queue in UTF-16 comes back in UTF-8, text for text."""
    path = make(tmp_path / "queue.db", 50, encoding=encoding)
    truth = tasks(path)

    run(path)

    assert tasks(out_of(path)) == truth


def test_a_wrong_page_size_in_the_header_is_not_believed(queue):
    """A header whose page size was changed is not followed where the pages say otherwise."""
    truth = tasks(queue)
    overwrite(queue, 16, (1024).to_bytes(2, "big"))

    report = run(queue)

    assert whole(queue, truth) == COUNT
    assert report.guessed


def test_a_header_that_makes_no_sense_is_not_believed(queue):
    """A header in which a field has another value than the only one it may have is guessed anew."""
    truth = tasks(queue)
    overwrite(queue, 21, b"\x41")

    report = run(queue)

    assert whole(queue, truth) == COUNT
    assert report.guessed


def test_what_other_programs_put_into_a_column_comes_back(queue):
    """Text in a column of numbers is kept: SQLite lets a program of the field store it."""
    with opened(queue) as connection:
        connection.execute("UPDATE task_queue SET priority = 'high' WHERE id = 7")

    report = run(queue)

    assert tasks(out_of(queue))[7]["priority"] == "high"
    assert report.found["task_queue"].tree == COUNT


def test_columns_of_the_field_come_back(queue):
    """Further columns, in whatever order and under whatever name, are kept with their values."""
    with opened(queue) as connection:
        connection.execute("ALTER TABLE task_queue ADD COLUMN tenant TEXT")
        connection.execute('ALTER TABLE task_queue ADD COLUMN "odd ""name" INTEGER DEFAULT 7')
        connection.execute("ALTER TABLE task_queue ADD COLUMN Region2 BLOB")
        connection.execute("UPDATE task_queue SET tenant = 'me', Region2 = x'00ff' WHERE id = 3")
    truth = tasks(queue)

    report = run(queue)

    assert tasks(out_of(queue)) == truth
    assert ask(out_of(queue), "SELECT tenant FROM task_queue WHERE id = 3") == ["me"]
    assert ask(out_of(queue), "SELECT Region2 FROM task_queue WHERE id = 3") == [b"\0\xff"]
    assert ask(out_of(queue), 'SELECT "odd ""name" FROM task_queue WHERE id = 3') == [7]
    assert report.outcome == "all"


def test_a_column_that_we_compute_keeps_what_was_stored(tmp_path):
    """A stored column named like a computed one of ours comes back under another name."""
    path = tmp_path / "queue.db"
    with opened(path) as connection:
        connection.execute(
            "CREATE TABLE task_queue (priority INTEGER, id INTEGER PRIMARY KEY, status TEXT, "
            "payload TEXT, type TEXT, region TEXT)"
        )
        connection.execute("INSERT INTO task_queue VALUES (3, 9, 'queued', '{}', 'mail', 'north')")

    report = run(path)

    assert ask(out_of(path), "SELECT salvaged_region FROM task_queue WHERE id = 9") == ["north"]
    assert ask(out_of(path), "SELECT priority FROM task_queue") == [3]
    assert report.tasks == 1


# -- what is dead stays dead ---------------------------------------------------------------------


def delete_first(path, count):
    """Delete the first tasks, their content left where it is."""
    with opened(path) as connection:
        connection.execute("DELETE FROM task_logs WHERE task_id <= ?", (count,))
        connection.execute("DELETE FROM task_queue WHERE id <= ?", (count,))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return path


@pytest.mark.parametrize("damage", [lambda _path: None, lose_root, lose_first_page, lose_header])
def test_deleted_tasks_do_not_come_back(queue, damage):
    """Tasks on free pages were deleted, and stay so whatever else is lost."""
    delete_first(queue, 120)
    truth = tasks(queue)
    damage(queue)

    report = run(queue)

    assert tasks(out_of(queue)).keys() == truth.keys()
    assert whole(queue, truth) == COUNT - 120
    assert report.deleted > 60


def test_tasks_that_a_whole_index_denies_are_set_aside(queue):
    """Where the list of free pages is lost, the index says which rows are dead."""
    delete_first(queue, 120)
    truth = tasks(queue)
    overwrite(queue, 32, bytes(4))

    report = run(queue)

    assert tasks(out_of(queue)).keys() == truth.keys()
    assert report.set_aside["deleted"] > 60
    aside = ask(out_of(queue), "SELECT row_id FROM salvage_set_aside WHERE reason = 'deleted'")
    assert max(aside) <= 120


def test_an_index_that_others_contradict_denies_no_task(queue):
    """An index page in the place of another reads well; it proves nothing, and no task is lost."""
    truth = tasks(queue)
    size = page_size(queue)
    first, second = leaves_of(queue, "ix_task_status_prio_time")[:2]
    lose_root(queue)
    other = queue.read_bytes()[(first - 1) * size : first * size]
    overwrite(queue, (second - 1) * size, other)

    report = run(queue)

    assert whole(queue, truth) == COUNT
    assert report.expected[0].witness == "entries"
    assert "deleted" not in report.set_aside


def test_an_entry_above_all_ids_is_no_lost_task(queue):
    """An id that was never given is one that damage changed: no task is lost by it."""
    zero_page(queue, leaves_of(queue, "task_queue")[-1])
    with opened(queue) as connection:
        connection.execute("UPDATE sqlite_sequence SET seq = 150 WHERE name = 'task_queue'")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    report = run(queue)

    assert report.tasks < COUNT
    assert report.lost == {}


def test_tasks_on_free_pages_live_where_an_index_has_them(queue):
    """A list of free pages that names living ones costs no task."""
    truth = tasks(queue)
    living = leaves_of(queue, "task_queue")[:3]
    trunk = len(queue.read_bytes()) // page_size(queue) + 1
    lose_root(queue)
    entry = b"".join(number.to_bytes(4, "big") for number in (0, len(living), *living))
    with queue.open("ab") as file:
        file.write(entry.ljust(page_size(queue), b"\0"))
    overwrite(queue, 28, trunk.to_bytes(4, "big"))
    overwrite(queue, 32, trunk.to_bytes(4, "big"))

    report = run(queue)

    assert whole(queue, truth) == COUNT
    assert report.found["task_queue"].revived > 0
    assert report.deleted == 0


NEWER = "UPDATE task_queue SET priority = 99, updated_at_utc = '2026-02-02 00:00:00' WHERE id = 1"
OLDER = f"UPDATE task_queue SET priority = 1, updated_at_utc = '{MOMENT}' WHERE id = 1"


def test_dead_rows_in_the_place_of_living_ones_are_doubted(queue):
    """A page of deleted tasks that came into the tree is told, wherever in the tree that is."""
    size = page_size(queue)
    dead = leaves_of(queue, "task_queue")[2]
    delete_first(queue, 120)
    assert queue.read_bytes()[(dead - 1) * size] == 13
    seen = []
    for living in leaves_of(queue, "task_queue")[:2]:
        content_ = queue.read_bytes()
        overwrite(queue, (living - 1) * size, content_[(dead - 1) * size : dead * size])

        report = run(queue)

        back = {task for task in tasks(out_of(queue)) if task <= 120}
        assert back == doubted(report, "unproved")
        seen.append(bool(back))
        assert report.outcome == "part"
        out_of(queue).unlink()
        queue.write_bytes(content_)
    # In the first place their ids fit; in the second they do not, and the index denies them.
    assert seen == [True, False]


def test_of_two_versions_the_newer_is_kept(queue):
    """A task that is there twice is kept as it was changed last; the other is set aside."""
    size = page_size(queue)
    page = leaves_of(queue, "task_queue")[0]
    old = queue.read_bytes()[(page - 1) * size : page * size]
    with opened(queue) as connection:
        connection.execute(NEWER)
        connection.execute("UPDATE task_queue SET priority = 98 WHERE id = 2")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    truth = tasks(queue)
    with queue.open("ab") as file:
        file.write(old)
    # The old page is found first in no case: what the table leads to is read before.
    report = run(queue)

    found = tasks(out_of(queue))
    assert (found[1]["priority"], found[2]["priority"]) == (99, 98)
    assert whole(queue, truth) == COUNT
    assert report.set_aside == {"another-version": 2}


def test_a_newer_version_found_later_replaces_the_older(queue):
    """The order in which two versions are found does not matter."""
    size = page_size(queue)
    page = leaves_of(queue, "task_queue")[0]
    with opened(queue) as connection:
        connection.execute(NEWER)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    new = queue.read_bytes()[(page - 1) * size : page * size]
    with opened(queue) as connection:
        connection.execute(OLDER)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    with queue.open("ab") as file:
        file.write(new)

    report = run(queue)

    assert tasks(out_of(queue))[1]["priority"] == 99
    assert report.set_aside == {"another-version": 1}


def test_ids_are_not_given_twice(queue):
    """The next task gets an id above all that were ever given, those of lost tasks too."""
    delete_first(queue, 120)
    with opened(queue) as connection:
        connection.execute("DELETE FROM task_logs WHERE task_id > 150")
        connection.execute("DELETE FROM task_queue WHERE id > 150")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    run(queue)

    with QueueDatabase(out_of(queue)) as database:
        assert TaskQueue(database).enqueue("t", {}) == COUNT + 1


# -- what may not be as it was -------------------------------------------------------------------


def doubted(report, reason):
    """Return the tasks that the report doubts for the reason."""
    return {doubt.task_id for doubt in report.doubtful if doubt.reason == reason}


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("UPDATE task_queue SET status = 'quexed' WHERE id = 7", "status"),
        ("UPDATE task_queue SET created_at_utc = '2026-01-0: 03:04:05' WHERE id = 7", "time"),
        ("UPDATE task_queue SET created_at_utc = '2926-01-02 03:04:05' WHERE id = 7", "time"),
        ("UPDATE task_queue SET created_at_utc = '1926-01-02 03:04:05' WHERE id = 7", "time"),
        ("UPDATE task_queue SET updated_at_utc = '2025-01-02 03:04:05' WHERE id = 7", "time"),
        ("UPDATE task_queue SET run_after_utc = 'x' WHERE id = 7", "time"),
        ("UPDATE task_queue SET attempts = -1 WHERE id = 7", "attempts"),
        ("UPDATE task_queue SET max_attempts = 0 WHERE id = 7", "attempts"),
        ("UPDATE task_queue SET type = 'ma' || char(9) || 'l' WHERE id = 7", "text"),
        ("UPDATE task_queue SET locked_by = CAST(x'ff' AS TEXT) WHERE id = 7", "text"),
        ("UPDATE sqlite_sequence SET seq = 199 WHERE name = 'task_queue'", "id"),
    ],
)
def test_a_task_that_makes_no_sense_is_told(queue, sql, reason):
    """A task comes back as it is found, and the report doubts it for what is odd in it."""
    with opened(queue) as connection:
        connection.execute(sql)
    truth_count = COUNT

    report = run(queue)

    assert report.tasks == truth_count
    assert doubted(report, reason) == {200 if reason == "id" else 7}
    assert (report.doubts, report.in_doubt, report.outcome) == ({reason: 1}, 1, "part")
    # Every program can read it: no text in it is none.
    assert len(ask(out_of(queue), "SELECT locked_by FROM task_queue")) == COUNT


FAR_AHEAD = "UPDATE task_queue SET run_after_utc = '2999-01-01 00:00:00' WHERE id = 9"


def test_times_of_the_field_are_not_doubted(queue):
    """Times in any format of the field, and those far ahead that may be so, make sense."""
    with opened(queue) as connection:
        for number, text in enumerate(
            ("2026-01-02T03:04:05Z", "2026-01-02 03:04:05+02:00", "1767323045")
        ):
            connection.execute(
                "UPDATE task_queue SET created_at_utc = ?, updated_at_utc = ? WHERE id = ?",
                (text, text, number + 1),
            )
        connection.execute(FAR_AHEAD)

    assert run(queue).doubts == {}


def change_row(path, old, new):
    """Change a text in the table of tasks that is in an index too, and not in that."""
    size = page_size(path)
    leaves = set(leaves_of(path, "task_queue"))
    found = path.read_bytes()
    places = [at for at in range(len(found)) if found.startswith(old, at)]
    (row,) = [at for at in places if at // size + 1 in leaves]
    overwrite(path, row, new)


def test_an_index_that_says_otherwise_is_told(queue):
    """A bit that changed a type is seen, since the index still has the type as it was."""
    with opened(queue) as connection:
        connection.execute("UPDATE task_queue SET type = 'unique-type' WHERE id = 7")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    change_row(queue, b"unique-type", b"uniqve")

    report = run(queue)

    assert doubted(report, "index") == {7}
    assert tasks(out_of(queue))[7]["type"] == "uniqve-type"


def test_a_payload_that_is_none_any_more_is_not_run(queue):
    """A payload that is no JSON or no text is kept for a person, and not queued."""
    overwrite(queue, find(queue, '"number": 31,') + 1, b"\xff")
    overwrite(queue, find(queue, '"number": 33,'), b"]")

    report = run(queue)

    assert {31, 33} & tasks(out_of(queue)).keys() == set()
    assert report.set_aside == {"garbled": 1, "refused": 1, "no-task": 2}
    rows = ask(
        out_of(queue),
        "SELECT row_id || content FROM salvage_set_aside "
        "WHERE table_name = 'task_queue' ORDER BY 1",
    )
    assert [row[:2] for row in rows] == ["31", "33"]
    assert "text_hex" in rows[0]
    assert "malformed JSON" in rows[1]
    assert "filling" in rows[1]


def test_a_record_whose_lengths_do_not_add_up_is_not_run(queue):
    """A row whose header was changed is set aside with what could be read of it."""
    at = find(queue, '"number": 31,')
    # The header of the record lies just before "mail" and the payload.
    header = queue.read_bytes().rindex(b"mail", 0, at)
    overwrite(queue, header - 19, b"\x01")

    report = run(queue)

    assert 31 not in tasks(out_of(queue))
    assert report.set_aside.get("unreadable") == 1


def test_a_row_with_something_behind_its_end_is_doubted(queue):
    """SQLite reads a row whose last value was made shorter; it comes back, and is told."""
    at = find(queue, '"number": 31,')
    header = queue.read_bytes().rindex(b"mail", 0, at)
    # The last type in the header is that of a text of 23 bytes: now it is one of 22.
    assert queue.read_bytes()[header - 1] == 13 + 2 * 23
    overwrite(queue, header - 1, bytes([13 + 2 * 22]))

    report = run(queue)

    assert report.tasks == COUNT
    assert doubted(report, "length") == {31}


def test_what_sqlite_does_not_look_at_costs_nothing(queue):
    """The place of the id in a record is empty, since the rowid says it; a value there is none."""
    truth = tasks(queue)
    header = queue.read_bytes().rindex(b"mail", 0, find(queue, '"number": 31,'))
    overwrite(queue, header - 19, b"\x08")

    report = run(queue)

    assert whole(queue, truth) == COUNT
    assert report.outcome == "all"


def test_a_row_whose_end_is_lost_is_set_aside(queue):
    """A large payload of which a page is lost is kept as far as it goes, and not run."""
    truth = tasks(queue)
    (page,) = ask(
        queue,
        "SELECT pageno FROM dbstat WHERE name = 'task_queue' AND pagetype = 'overflow' "
        "ORDER BY pageno LIMIT 1",
    )
    zero_page(queue, page)

    report = run(queue)

    assert whole(queue, truth) == COUNT - 1
    assert report.set_aside == {"cut": 1, "no-task": 1}
    assert sum(report.lost.values()) == 1


@pytest.mark.parametrize(("changed", "into"), [(31, 33), (33, 31)])
def test_of_two_tasks_with_one_key_the_index_says_whose_it_is(queue, changed, into):
    """A key that damage made another's costs neither task; only the changed one loses it."""
    truth = tasks(queue)
    change_row(queue, f"key-{changed}".encode(), f"key-{into}".encode())

    report = run(queue)

    found = tasks(out_of(queue))
    assert found[into] == truth[into]
    assert found[changed] == {**truth[changed], "idempotency_key": None}
    assert doubted(report, "key") == {changed}
    assert report.tasks == COUNT


def test_logs_without_their_task_are_set_aside(queue):
    """A log row whose task is lost is kept, but not in the queue."""
    zero_page(queue, leaves_of(queue, "task_queue")[2])

    report = run(queue)

    assert report.set_aside == {"no-task": sum(report.lost.values())}
    assert report.logs == COUNT - report.set_aside["no-task"]


def test_what_differs_from_the_newest_backup_is_told(queue):
    """A changed digit in a payload is seen beside a backup, which says what is only there too."""
    with QueueDatabase(queue) as database:
        QueueBackup(database).create_backup()
        total = TaskQueue(database).enqueue("later", {})
    overwrite(queue, find(queue, '"number": 31,') + 10, b"4")
    zero_page(queue, leaves_of(queue, "task_queue")[0])

    report = run(queue)

    lost = sum(report.lost.values())
    assert doubted(report, "backup") == {31}
    assert report.compared.only_there == lost > 0
    assert report.compared.same == COUNT - lost - 1
    assert report.tasks == total - lost
    assert [(e.witness, e.tasks) for e in report.expected if e.witness == "backup"] == [
        ("backup", COUNT)
    ]


def test_a_backup_that_cannot_be_read_stops_nothing(queue):
    """A backup that is damaged itself says nothing, and the salvage is done."""
    with QueueDatabase(queue) as database:
        backup = QueueBackup(database).create_backup()
    backup.write_bytes(b"nothing" * 1000)

    report = run(queue)

    assert report.compared.problem != ""
    assert report.tasks == COUNT


# -- the logs beside the file --------------------------------------------------------------------


LATER = "INSERT INTO task_queue (type, payload) VALUES ('later', '{}')"
KEEP_WAL = "PRAGMA wal_autocheckpoint = 0"


@pytest.fixture
def crashed(queue):
    """Return the path of a queue of 200 tasks and 20 more in the -wal of a dead process."""
    die_after(queue, KEEP_WAL, *[LATER] * 20)
    return queue


def wal_of(path):
    """Return the path of the log."""
    return path.with_name(path.name + "-wal")


def test_committed_frames_of_the_wal_are_read(crashed):
    """Tasks that are in the -wal alone come back."""
    report = run(crashed)

    assert (report.tasks, report.outcome) == (COUNT + 20, "all")
    assert (report.log.kind, report.log.damage) == ("wal", "none")


def test_frames_that_were_not_committed_are_not_read(queue):
    """A transaction that was cut off does not come back, whatever of it is in the -wal."""
    die_after(
        queue,
        KEEP_WAL,
        LATER,
        "PRAGMA cache_size = 3",
        "BEGIN",
        "UPDATE task_queue SET type = 'never'",
    )

    run(queue)

    assert ask(out_of(queue), "SELECT count(*) FROM task_queue WHERE type = 'never'") == [0]
    assert ask(out_of(queue), "SELECT count(*) FROM task_queue") == [COUNT + 1]


def damage_frame(path, number):
    """Change a byte in the page of a frame."""
    overwrite(wal_of(path), 32 + (number - 1) * 4120 + 24 + 4000, b"\x5a\xa5")


def test_transactions_behind_a_damaged_frame_are_told_and_taken_when_asked_for(crashed):
    """SQLite would drop them; the report counts them, and ``stranded`` brings them back."""
    frames = wal_of(crashed).stat().st_size // 4120
    damage_frame(crashed, frames // 2)

    left = run(crashed)
    out_of(crashed).unlink()
    taken = run(crashed, stranded=True)

    assert left.tasks < COUNT + 20
    assert left.log.stranded_commits == COUNT + 20 - left.tasks
    assert (left.log.damage, left.outcome, left.expected[0].exact) == ("frame", "part", False)
    assert taken.tasks == COUNT + 20
    assert taken.log.stranded_taken
    # What stood in the damaged frame is known to nobody.
    assert taken.outcome == "part"


def test_a_task_out_of_a_damaged_frame_is_doubted(crashed):
    """What no checksum proves is told, where nothing later has replaced it."""
    frames = wal_of(crashed).stat().st_size // 4120
    # The last frames hold the newest page of tasks and of each index.
    for number in range(frames - 12, frames):
        damage_frame(crashed, number)

    report = run(crashed, stranded=True)

    assert report.doubts.get("log-page", 0) > 0


def test_frames_of_an_earlier_life_are_not_read(queue):
    """What lies in the -wal behind its end is of before, and is not taken for stranded."""
    die_after(queue, KEEP_WAL, *[LATER] * 20, "PRAGMA wal_checkpoint(RESTART)", LATER)

    report = run(queue, stranded=True)

    assert (report.tasks, report.outcome) == (COUNT + 21, "all")
    assert report.log.stranded_commits == 0


def test_a_wal_without_its_header_is_read_when_asked_for(crashed):
    """SQLite drops all of a log whose header is damaged; its frames still tell their own kind."""
    overwrite(wal_of(crashed), 0, bytes(32))

    left = run(crashed)
    out_of(crashed).unlink()
    taken = run(crashed, stranded=True)

    assert (left.tasks, left.log.stranded_commits) == (COUNT, 20)
    assert taken.tasks == COUNT + 20


def test_a_file_that_is_gone_but_for_its_wal_gives_what_is_in_there(crashed):
    """Pages of the -wal alone are read; it says that this is a part."""
    crashed.unlink()

    report = run(crashed)

    assert 20 <= report.tasks < COUNT
    assert report.outcome == "part"


def test_the_wal_of_another_database_is_left_out(crashed):
    """A file whose header knows no -wal is read alone, and the report says so."""
    overwrite(crashed, 18, b"\x01\x01")

    report = run(crashed)

    assert (report.tasks, report.log.kind, report.outcome) == (COUNT, "foreign-wal", "part")


def test_a_transaction_that_was_cut_off_is_rolled_back(queue):
    """What a rollback journal holds is how it was, and comes back so."""
    with opened(queue) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    truth = tasks(queue)
    die_after(
        queue,
        "PRAGMA cache_size = 3",
        "BEGIN",
        "UPDATE task_queue SET type = 'never', payload = '{}'",
        "DELETE FROM task_queue WHERE id > 100",
    )
    assert b"never" in content(queue)

    report = run(queue)

    assert whole(queue, truth) == COUNT
    assert (report.log.kind, report.outcome) == ("journal", "all")


def test_what_a_cut_off_transaction_added_does_not_come_back(queue):
    """Pages that a transaction put at the end of the file are no part of it once it is undone."""
    with opened(queue) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    truth = tasks(queue)
    added = "INSERT INTO task_queue (type, payload) SELECT 'never', payload FROM task_queue"
    die_after(queue, "PRAGMA cache_size = 3", "BEGIN", added)
    assert b"never" in content(queue)

    report = run(queue)

    assert tasks(out_of(queue)) == truth
    assert (report.log.kind, report.outcome, report.set_aside) == ("journal", "all", {})


def test_a_page_of_a_journal_that_is_not_proved_is_not_taken(queue):
    """Rolling back ends at the first page whose checksum is wrong, as SQLite's does."""
    with opened(queue) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    die_after(queue, "PRAGMA cache_size = 3", "BEGIN", "UPDATE task_queue SET type = 'never'")
    journal = queue.with_name("queue.db-journal")
    before = pages_before(journal).frames
    # The second record, at a place that its checksum counts: every 200th byte from the end.
    overwrite(journal, 512 + 8 + 4096 + 4 + 4096 - 200, b"\xa5")

    after = pages_before(journal).frames

    assert (before > 2, after) == (True, 1)


# -- what it never does --------------------------------------------------------------------------


def test_a_log_that_appears_meanwhile_is_not_given_to_the_new_file(queue):
    """A -wal that came beside the name would be replayed over the new file: there is none then."""
    log = out_of(queue).with_name("out.db-wal")

    with pytest.raises(SalvageTargetError):
        run(queue, on_progress=lambda _done: log.write_bytes(b"another's"))

    assert names(queue.parent) == ["out.db-wal", "queue.db"]


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
def test_nothing_that_is_there_is_overwritten(queue, suffix):
    """A file at OUT, or a log beside it, stays as it is, with an error that says the cure."""
    taken = queue.with_name("out.db" + suffix)
    taken.write_bytes(b"mine")

    with pytest.raises(SalvageTargetError, match="another name"):
        run(queue)

    assert taken.read_bytes() == b"mine"
    assert names(queue.parent) == sorted(["queue.db", taken.name])


def test_a_file_that_appears_meanwhile_is_not_overwritten(queue):
    """Whoever takes the name while the salvage is at work keeps it."""
    taken = out_of(queue)

    with pytest.raises(SalvageTargetError):
        run(queue, on_progress=lambda _done: taken.write_bytes(b"mine"))

    assert taken.read_bytes() == b"mine"
    assert names(queue.parent) == ["out.db", "queue.db"]


def test_a_file_that_somebody_has_open_is_refused(queue, spawn):
    """A queue that is in use is not salvaged, and the error names who has it open."""
    child = spawn(
        "import sqlite3\n"
        "c = sqlite3.connect(argv[0]); c.execute('SELECT count(*) FROM task_queue').fetchall()\n"
        "say('open'); wait()",
        queue,
    )
    assert child.hear() == "open"

    with pytest.raises(DatabaseHeldError, match="stop everything"):
        salvage(queue, out_of(queue))

    assert not out_of(queue).exists()


def test_nothing_makes_no_queue(tmp_path):
    """Where nothing came back there is no new file, and the report says so."""
    path = tmp_path / "queue.db"
    path.write_bytes(b"no database at all " * 5000)

    report = run(path)

    assert (report.outcome, report.out, report.tasks, report.expected) == ("nothing", None, 0, ())
    assert names(tmp_path) == ["queue.db"]


def test_tasks_that_are_all_lost_make_no_queue(queue):
    """An empty queue is not made of one whose tasks are known and lost."""
    for page in [root_of(queue, "task_queue"), *leaves_of(queue, "task_queue")]:
        zero_page(queue, page)

    report = run(queue)

    assert (report.outcome, report.tasks, sum(report.lost.values())) == ("nothing", 0, COUNT)
    assert names(queue.parent) == ["queue.db"]


def test_an_empty_queue_is_salvaged_as_one(tmp_path):
    """A queue that is proved to have had no task comes back as it was."""
    path = make(tmp_path / "queue.db", 0)

    report = run(path)

    assert (report.outcome, report.tasks, report.expected_tasks) == ("all", 0, 0)
    assert tasks(out_of(path)) == {}


def test_a_mistyped_path_is_an_error(tmp_path):
    """There is nothing to salvage where there is nothing."""
    with pytest.raises(DatabaseMissingError):
        salvage(tmp_path / "missing.db", tmp_path / "out.db")
    (tmp_path / "empty.db").touch()
    with pytest.raises(EmptyDatabaseError):
        salvage(tmp_path / "empty.db", tmp_path / "out.db")
    with pytest.raises(InvalidArgumentError, match="folder"):
        salvage(make(tmp_path / "queue.db", 1), tmp_path / "nowhere" / "out.db")


def at_progress(action):
    """Return a progress callback that acts once, when the first pages are told."""
    waiting = [action]

    def tell(_progress):
        if waiting:
            waiting.pop()()

    return tell


def test_a_deadline_ends_it_and_nothing_is_left(queue):
    """A salvage that takes too long leaves no file, and the damaged one as it was."""
    clock = ManualClock(START_MS)

    with pytest.raises(OperationTimeoutError):
        run(
            queue,
            clock=clock,
            timeout_seconds=50.0,
            on_progress=at_progress(lambda: clock.advance_s(60)),
        )

    assert names(queue.parent) == ["queue.db"]


def interrupt():
    """Press Ctrl-C."""
    raise KeyboardInterrupt


def test_ctrl_c_leaves_nothing_behind(queue):
    """An interruption while pages are read leaves no file."""
    with pytest.raises(KeyboardInterrupt):
        run(queue, on_progress=at_progress(interrupt))

    assert names(queue.parent) == ["queue.db"]


def test_progress_is_told(queue):
    """The pages that were read are told, of how many."""
    told = []

    run(queue, on_progress=told.append)

    pages = queue.stat().st_size // 4096
    assert [each.done_pages for each in told] == sorted({each.done_pages for each in told})
    assert len(told) >= pages // 16 - 1
    assert {each.total_pages for each in told} == {pages}


def test_a_full_disk_is_said_before_anything_is_done(queue, monkeypatch):
    """Where the copy and the new file have no room, nothing is begun."""
    monkeypatch.setattr("core.files.free_bytes", lambda _folder: queue.stat().st_size)

    with pytest.raises(NotEnoughSpaceError, match="the salvage"):
        run(queue)

    assert names(queue.parent) == ["queue.db"]


def test_a_disk_that_fills_up_is_said_and_nothing_is_left(queue):
    """Where the new file finds no room in the middle, the error says so, and no file is left."""

    def connect_to_full_disk(uri, *, timeout_s):
        connection = connect_stdlib(uri, timeout_s=timeout_s)
        connection.execute("PRAGMA max_page_count = 30").fetchall()
        return connection

    with pytest.raises(DiskFullError, match="is full"):
        run(queue, connect=connect_to_full_disk)

    assert names(queue.parent) == ["queue.db"]


def test_what_is_not_sound_gets_no_name(queue, monkeypatch):
    """A new file that lacks a row that was put into it is not published."""
    right = salvage_module.make_draft

    def lose_one(draft, *arguments, **how):
        made = right(draft, *arguments, **how)
        with sqlite3.connect(draft) as connection:
            connection.execute("DELETE FROM task_queue WHERE id = 5")
        return made

    monkeypatch.setattr(salvage_module, "make_draft", lose_one)

    with pytest.raises(SalvageFailedError, match="199 rows of 200"):
        run(queue)

    assert names(queue.parent) == ["queue.db"]


def test_salvage_of_a_salvage_is_the_same(queue, tmp_path):
    """A salvaged file is a queue like any other, whose salvage is all there is."""
    run(queue)
    again = tmp_path / "again"
    again.mkdir()
    shutil.copy(out_of(queue), again / "queue.db")

    report = run(again / "queue.db")

    assert report.outcome == "all"
    assert tasks(again / "out.db") == tasks(out_of(queue))


def test_more_tasks_than_before_are_told_by_no_witness(queue):
    """The witnesses agree on a sound file, the exact one first."""
    fill(queue, 10, first=COUNT + 1)

    report = run(queue)

    assert [(each.witness, each.tasks, each.exact) for each in report.expected] == [
        ("index", COUNT + 10, True),
        ("entries", COUNT + 10, False),
        ("sequence", COUNT + 10, False),
        ("highest id", COUNT + 10, False),
    ]
