"""The tables of a queue."""

import contextlib
import sqlite3

import pytest

from core import QueueDatabase, schema


@pytest.fixture
def connection(queue_path):
    """Yield a connection to a new queue."""
    with contextlib.closing(sqlite3.connect(queue_path, isolation_level=None)) as connection:
        yield connection


def test_new_queue_has_everything_that_is_expected(connection):
    """What the core creates is what it looks for."""
    layout = schema.read_layout(connection)

    assert layout.missing == ()
    assert layout.triggers == ()
    assert layout.version == schema.SCHEMA_VERSION
    assert layout.is_queue
    assert layout.has_waiting_index
    assert not layout.empty


def test_columns_are_those_of_the_field(connection):
    """The table has the field's columns in the field's order, the generated ones behind."""
    rows = connection.execute("SELECT name FROM pragma_table_xinfo('task_queue')").fetchall()

    assert tuple(row[0] for row in rows) == (*schema.TASK_COLUMNS, "region", "format")


def test_missing_column_and_table_are_named(connection):
    """Drift is told by name; a queue without a log table is still a queue."""
    connection.execute("DROP TABLE task_logs")
    connection.execute("ALTER TABLE workers RENAME COLUMN capabilities TO skills")

    layout = schema.read_layout(connection)

    assert layout.missing == ("workers.capabilities", "task_logs")
    assert layout.is_queue


def test_database_without_the_task_table_is_no_queue():
    """An empty database is told as empty, and as no queue."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        layout = schema.read_layout(connection)

    assert layout.empty
    assert not layout.is_queue


def test_foreign_user_version_is_not_taken_for_ours(connection):
    """Another program's version number says nothing about our schema."""
    connection.execute("PRAGMA application_id = 7")
    connection.execute("PRAGMA user_version = 99")

    assert schema.read_layout(connection).version == 0


def test_tasks_are_counted_by_status(connection):
    """Every status that is there is counted, known or not."""
    connection.executemany(
        "INSERT INTO task_queue (type, payload, status) VALUES ('t', '{}', ?)",
        [("queued",), ("queued",), ("odd",)],
    )

    assert schema.count_by_status(connection) == {"odd": 1, "queued": 2}


def test_claiming_query_finds_the_next_task_without_sorting(connection):
    """The partial index answers for the next waiting task, however long the backlog."""
    plan = connection.execute(
        f"EXPLAIN QUERY PLAN SELECT id FROM task_queue INDEXED BY {schema.WAITING_INDEX} "
        "WHERE status = 'queued' ORDER BY priority, id LIMIT 1"
    ).fetchall()

    assert "USING" in plan[0][3]
    assert not any("TEMP B-TREE" in row[3] for row in plan)


def test_own_values_are_kept_and_read_back(queue_path):
    """What is written in the queue's own table is read, and a missing key is None."""
    with QueueDatabase(queue_path) as database:
        with database.transaction() as connection:
            schema.write_meta(connection, "key", "one")
            schema.write_meta(connection, "key", "two")

        assert schema.read_meta(database.connection(), "key") == "two"
        assert schema.read_meta(database.connection(), "other") is None


def test_reading_a_value_from_a_field_file_makes_no_table():
    """A file without the queue's own table has no values, and gets no table by being asked."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        assert schema.read_meta(connection, "key") is None
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


NO_TEXT = "CAST(x'ff41' AS TEXT)"


@pytest.mark.parametrize(
    ("status", "shown"), [(NO_TEXT, "\N{REPLACEMENT CHARACTER}A"), ("7", "7"), ("x'41'", "A")]
)
def test_status_of_any_kind_is_counted(connection, status, shown):
    """What another program wrote into a status, text or not, keeps nothing from being counted."""
    insert = "INSERT INTO task_queue (type, payload, status) VALUES ('t', '{}', "
    for each in (status, status, "'queued'"):
        connection.execute(f"{insert}{each})")

    assert schema.count_by_status(connection) == {shown: 2, "queued": 1}


def test_statuses_that_read_the_same_are_counted_together(connection):
    """Two garbled statuses are one figure, and none of their tasks is left out of it."""
    for garbled in ("x'ff'", "x'fe'", "x'fe'"):
        connection.execute(
            "INSERT INTO task_queue (type, payload, status) "
            f"VALUES ('t', '{{}}', CAST({garbled} AS TEXT))"
        )

    assert schema.count_by_status(connection) == {"\N{REPLACEMENT CHARACTER}": 3}
