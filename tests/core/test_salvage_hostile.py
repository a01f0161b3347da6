"""A damaged file may be hostile: nothing in it is run, and no page keeps a reader for ever."""

import random

import pytest
import salvaged
from queue_files import names
from salvaged import ask, leaves_of, make, opened, overwrite, page_size, root_of, run, tasks

from core import QueueBackup, QueueDatabase
from core.errors import QueueError

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
TIMEOUT_S = 60.0


@pytest.fixture
def queue(tmp_path):
    """Return the path of a full queue."""
    return make(tmp_path / "queue.db", 60)


def out_of(path):
    """Return where a salvage of the path goes."""
    return path.with_name("out.db")


def claim(path, name, sql):
    """Have the file say something else of one of its tables."""
    with opened(path) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (sql, name))


def test_a_trigger_is_neither_run_nor_brought_along(queue):
    """A trigger that finishes every new task is not in the new file."""
    with opened(queue) as connection:
        connection.execute(
            "CREATE TRIGGER evil AFTER INSERT ON task_queue BEGIN "
            "UPDATE task_queue SET status = 'completed'; END"
        )
        connection.execute(f"CREATE VIEW endless AS {ENDLESS}")
    truth = tasks(queue)

    run(queue)

    assert tasks(out_of(queue)) == truth
    kinds = ask(out_of(queue), "SELECT DISTINCT type FROM sqlite_master ORDER BY 1")
    assert kinds == ["index", "table"]


def test_a_view_in_the_place_of_the_table_is_not_asked(tmp_path):
    """A view without an end that calls itself the queue gives nothing, at once."""
    path = tmp_path / "queue.db"
    with opened(path) as connection:
        connection.execute(f"CREATE VIEW task_queue AS {ENDLESS}")
        connection.execute("CREATE TABLE other (a)")

    report = run(path, timeout_seconds=TIMEOUT_S)

    assert report.outcome == "nothing"


@pytest.mark.parametrize(
    "sql",
    [
        f"CREATE TABLE task_queue AS {ENDLESS}",
        "CREATE VIRTUAL TABLE task_queue USING fts5(a)",
        "CREATE TABLE task_queue (id INTEGER PRIMARY KEY, " + "x TEXT, " * 1990 + "y TEXT)",
        "CREATE TABLE task_queue (a); ATTACH 'made.db' AS made",
        "ATTACH 'made.db' AS made",
        "CREATE TABLE task_queue (\0",
        "nonsense",
        "CREATE TABLE task_queue AS SELECT 1 AS id, 2 AS type, 3 AS payload, 4 AS status",
        "CREATE TABLE task_queue (a, b)",
    ],
)
def test_a_schema_that_lies_is_not_believed(queue, sql):
    """Whatever the file says of the table, its rows come back by the layout that they have."""
    truth = tasks(queue)
    claim(queue, "task_queue", sql)

    report = run(queue, timeout_seconds=TIMEOUT_S)

    assert tasks(out_of(queue)) == truth
    assert report.tasks == 60
    assert names(queue.parent) == ["out.db", "queue.db"]


def test_names_of_columns_are_names_and_nothing_else(queue):
    """A column's name that is SQL by itself comes back as a name."""
    with opened(queue) as connection:
        connection.execute(
            'ALTER TABLE task_queue ADD COLUMN "x""); DROP TABLE task_logs; --" evil'
        )
        connection.execute('ALTER TABLE task_queue ADD COLUMN "rowid" TEXT')

    report = run(queue)

    assert report.tasks == 60
    found = ask(out_of(queue), "SELECT name FROM pragma_table_info('task_queue')")
    assert 'x"); DROP TABLE task_logs; --' in found
    assert "salvaged_rowid" in found


def test_a_ring_of_pages_ends(queue):
    """A tree that leads back into itself is walked once."""
    root = root_of(queue, "task_queue")
    start = (root - 1) * page_size(queue)
    overwrite(queue, start + 8, root.to_bytes(4, "big"))

    report = run(queue, timeout_seconds=TIMEOUT_S)

    assert report.tasks == 60
    assert any("belongs to task_queue too" in error.what for error in report.page_errors)


def test_a_chain_that_leads_back_into_itself_ends(queue):
    """A large payload whose pages form a ring is set aside."""
    pages = ask(
        queue,
        "SELECT pageno FROM dbstat WHERE name = 'task_queue' AND pagetype = 'overflow' "
        "ORDER BY path LIMIT 2",
    )
    overwrite(queue, (pages[1] - 1) * page_size(queue), pages[0].to_bytes(4, "big"))

    report = run(queue, timeout_seconds=TIMEOUT_S)

    assert report.set_aside["cut"] == 1
    assert report.tasks == 59


def test_a_list_of_free_pages_that_leads_back_into_itself_ends(queue):
    """A free list that is a ring, or counts more pages than fit, is walked once."""
    size = page_size(queue)
    trunk = queue.stat().st_size // size + 1
    with queue.open("ab") as file:
        file.write((trunk.to_bytes(4, "big") + b"\xff" * 4).ljust(size, b"\0"))
    overwrite(queue, 28, trunk.to_bytes(4, "big"))
    overwrite(queue, 32, trunk.to_bytes(4, "big"))

    report = run(queue, timeout_seconds=TIMEOUT_S)

    assert report.tasks == 60
    assert any("more pages than fit" in error.what for error in report.page_errors)


def test_a_length_beyond_the_file_is_not_followed(queue):
    """A row that says it is longer than the file costs no memory, and itself alone."""
    page = leaves_of(queue, "task_queue")[0]
    start = (page - 1) * page_size(queue)
    cell = int.from_bytes(queue.read_bytes()[start + 8 : start + 10], "big")
    overwrite(queue, start + cell, b"\xff" * 5)

    report = run(queue)

    assert 58 <= report.tasks < 60
    assert any("longer than the file" in error.what for error in report.page_errors)


def test_an_id_that_leaves_no_next_one_is_not_taken(queue):
    """A task with the last id that there is would keep every later task out of the queue."""
    with opened(queue) as connection:
        connection.execute("UPDATE task_queue SET id = 9223372036854775807 WHERE id = 60")
        connection.execute("UPDATE sqlite_sequence SET seq = 9223372036854775807")

    report = run(queue)

    assert report.tasks == 59
    assert report.set_aside["unreadable"] == 1
    assert ask(out_of(queue), "SELECT seq FROM sqlite_sequence WHERE name = 'task_queue'") == [59]


@pytest.mark.parametrize("seed", range(8))
def test_noise_anywhere_ends_in_a_queue_or_in_nothing(tmp_path, seed):
    """Whatever bytes are changed, a salvage ends with a sound queue, or with none."""
    chosen = random.Random(seed)
    path = make(tmp_path / "queue.db", 40, page_size=512)
    content = bytearray(path.read_bytes())
    for _blow in range(chosen.choice((5, 50, 500))):
        at = chosen.randrange(len(content))
        length = chosen.choice((1, 1, 1, 4, 512))
        content[at : at + length] = chosen.randbytes(len(content[at : at + length]))
    path.write_bytes(content)

    try:
        report = run(path, timeout_seconds=TIMEOUT_S)
    except QueueError as error:
        pytest.fail(f"seed {seed}: {error!r}")

    if report.out is not None:
        assert len(salvaged.ask(out_of(path), "SELECT id FROM task_queue")) == report.tasks
        assert ask(out_of(path), "PRAGMA integrity_check") == ["ok"]


def test_a_backup_that_would_compute_is_not_asked(queue):
    """A backup whose table of tasks is a view without an end tells nothing, at once."""
    with QueueDatabase(queue) as database:
        backup = QueueBackup(database).create_backup()
    with opened(backup) as connection:
        connection.execute("DROP TABLE task_queue")
        connection.execute(f"CREATE VIEW task_queue AS {ENDLESS}")

    report = run(queue, timeout_seconds=TIMEOUT_S)

    assert "view" in report.compared.problem
    assert report.tasks == 60
