"""Where the queue and what belongs to it lie."""

import contextlib
import os
import sqlite3
from pathlib import Path, PureWindowsPath

import pytest

from core import paths
from core.errors import InvalidArgumentError


def test_environment_variable_names_the_default_path(monkeypatch, tmp_path):
    """PRISMQ_QUEUE_DB_PATH is taken when no path is given."""
    monkeypatch.setenv(paths.ENVIRONMENT_VARIABLE, str(tmp_path / "there.db"))

    assert paths.resolve(None) == Path(os.path.realpath(tmp_path / "there.db"))


def test_without_the_variable_the_path_lies_in_the_platform_s_place(monkeypatch, tmp_path):
    """Without the variable the queue lies in the user's data folder, or the runbook's place."""
    monkeypatch.delenv(paths.ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    found = paths.default_path()

    assert found.name == "queue.db"
    assert found.is_absolute()
    if os.name == "posix" and "Library" not in found.parts:
        assert found == tmp_path / "queuedrill" / "queue.db"


@pytest.mark.parametrize("given", ["", "a\0b"])
def test_path_that_makes_no_sense_is_refused(given):
    """An empty path or one with a NUL is an error that says so."""
    with pytest.raises(InvalidArgumentError, match="database path"):
        paths.resolve(given)


def test_symbolic_link_leads_to_the_real_file(tmp_path):
    """A linked path resolves to the file that SQLite would lock."""
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "real" / "queue.db")

    assert paths.resolve(link) == Path(os.path.realpath(tmp_path)) / "real" / "queue.db"


ODD_NAMES = ["a b.db", "50%.db", "q#1.db", "é€.db", "a&mode=memory.db"]
if os.name == "posix":
    # No character of file names on Windows.
    ODD_NAMES.append("what?mode=memory.db")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_uri_names_the_file_whatever_its_name(tmp_path, name):
    """SQLite opens exactly the named file, and the name cannot smuggle in parameters."""
    path = tmp_path / name
    with contextlib.closing(sqlite3.connect(paths.uri(path, mode="rwc"), uri=True)) as connection:
        connection.execute("CREATE TABLE t (x)")

    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_windows_paths_become_uris_as_sqlite_documents_them():
    """Drive letters get a slash before them, and shares no authority."""
    assert paths.uri(PureWindowsPath(r"C:\Data\queue.db")) == "file:///C:/Data/queue.db"
    assert paths.uri(PureWindowsPath(r"\\host\share\q.db")) == "file:////host/share/q.db"


def test_side_files_are_named_as_sqlite_names_them(tmp_path):
    """The names beside the database are the ones that SQLite uses."""
    path = tmp_path / "q.db"

    assert [side.name for side in paths.sides(path)] == ["q.db-wal", "q.db-shm", "q.db-journal"]
    assert paths.wal_of(path) == paths.sides(path)[0]
    assert paths.backup_folder(path) == tmp_path / "backups"
