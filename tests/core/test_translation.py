"""SQLite's errors, said in ours."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from core import errors
from core.translation import is_busy, primary_code, translate, translated

PATH = Path("/data/queue.db")


def error_with(code):
    """Return an SQLite error with this result code."""
    error = sqlite3.OperationalError("what SQLite said")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "leaf"),
    [
        (sqlite3.SQLITE_BUSY, errors.DatabaseBusyError),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, errors.DatabaseBusyError),
        (sqlite3.SQLITE_LOCKED, errors.DatabaseBusyError),
        (sqlite3.SQLITE_CORRUPT, errors.DatabaseCorruptError),
        (sqlite3.SQLITE_CORRUPT_INDEX, errors.DatabaseCorruptError),
        (sqlite3.SQLITE_NOTADB, errors.NotADatabaseError),
        (sqlite3.SQLITE_CANTOPEN, errors.UnreadableDatabaseError),
        (sqlite3.SQLITE_PERM, errors.UnreadableDatabaseError),
        (sqlite3.SQLITE_READONLY_DIRECTORY, errors.ReadOnlyDatabaseError),
        (sqlite3.SQLITE_FULL, errors.DiskFullError),
        (sqlite3.SQLITE_IOERR_WRITE, errors.DatabaseIOError),
    ],
)
def test_each_kind_of_error_gets_a_leaf_with_the_path_and_a_cure(code, leaf):
    """What SQLite says becomes an error that names the file and what to do."""
    with pytest.raises(leaf, match=r"queue\.db") as caught, translated(PATH, 2.5):
        raise error_with(code)

    assert caught.value.path == str(PATH)
    assert isinstance(caught.value.__cause__, sqlite3.Error)
    assert "{" not in str(caught.value)


def test_error_of_the_statement_itself_is_left_as_it_is():
    """A mistake of the program is not dressed up as one of the database."""
    assert translate(error_with(sqlite3.SQLITE_ERROR), PATH, 0.0) is None
    with pytest.raises(sqlite3.OperationalError), translated(PATH):
        raise error_with(sqlite3.SQLITE_ERROR)


def test_error_without_a_code_is_no_particular_one():
    """An error made by hand has no code, and nothing is made up."""
    assert primary_code(sqlite3.Error("bare")) == 0
    assert not is_busy(sqlite3.Error("bare"))


def test_real_lock_is_told_as_busy_with_the_time_waited(tmp_path):
    """A lock that is really held is told so, with the seconds."""
    path = tmp_path / "q.db"
    with (
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as first,
        contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=0.0)) as second,
    ):
        first.execute("BEGIN IMMEDIATE")
        with pytest.raises(errors.DatabaseBusyError, match=r"0\.0 s"), translated(path, 0.0):
            second.execute("BEGIN IMMEDIATE")


def test_text_that_is_none_is_told_with_its_column_and_not_with_what_is_in_it():
    """Python's own error has no code, and quotes all of a row that somebody else may have made."""
    sql = "SELECT CAST(x'787878ff' AS TEXT) AS max_attempts"
    with (
        contextlib.closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(errors.DatabaseCorruptError, match="column max_attempts") as caught,
        translated(PATH),
    ):
        connection.execute(sql).fetchall()

    assert "xxx" not in str(caught.value)
