"""The file names of backups."""

import os
import time
from datetime import datetime
from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidBackupNameError, QueueBackupError
from core.naming import check_name, file_name, local_to_ms, read_file_name

BAD_NAMES = (
    "",
    ".",
    "..",
    "../up",
    "a/b",
    "a\\b",
    "/absolute",
    "C:drive",
    "nul\0",
    "new\nline",
    "sp ace",
    "ümlaut",
    "٣",
    "-option",
    ".hidden",
    "a" * 65,
    "a" * 300,
    "name\n",
    7,
    b"bytes",
)
good_names = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
SECONDS_LAST = 4_000_000_000


@pytest.mark.parametrize("name", BAD_NAMES)
def test_name_that_is_no_name_is_refused(name):
    """A name that is empty, too long, or could leave the folder is refused with the cure."""
    with pytest.raises(InvalidBackupNameError, match="Use 1 to 64 letters") as caught:
        check_name(name)

    assert isinstance(caught.value, QueueBackupError)
    assert caught.value.value == name


@pytest.mark.parametrize(
    ("name", "said"),
    [("", "empty"), ("a" * 300, "300 characters"), ("a/b", "leave the folder")],
)
def test_refusal_says_what_is_wrong_with_the_name(name, said):
    """The error names the fault that this name has."""
    with pytest.raises(InvalidBackupNameError, match=said):
        check_name(name)


@given(
    name=st.none() | good_names,
    seconds=st.integers(40_000_000, SECONDS_LAST),
    number=st.integers(1, 999),
)
def test_file_name_reads_back(name, seconds, number):
    """What a file name was made of is read back from it, however the name looks."""
    check_name(name)
    moment_ms = seconds * 1000

    text = file_name(name, moment_ms, number)
    read = read_file_name(PurePath(text))

    assert read is not None
    assert read.name == name
    local = datetime.fromtimestamp(seconds).astimezone().replace(tzinfo=None)
    assert read.local_time == local
    assert PurePath(text).name == text
    assert len(text.encode()) < 150


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("queue_backup_daily_20251105_143022.db", "daily"),
        ("queue_backup_20251105_143022.db", None),
        ("queue_backup_20240101_000000_20251105_143022.db", "20240101_000000"),
        ("queue_backup_before_move_20251105_143022-2.db", "before_move"),
    ],
)
def test_runbook_names_are_read(text, name):
    """The runbook's names, with and without a name of their own, are backups' names."""
    read = read_file_name(PurePath(text))

    assert read is not None
    assert (read.name, read.local_time) == (name, datetime(2025, 11, 5, 14, 30, 22))  # noqa: DTZ001 - local


@pytest.mark.parametrize(
    "text",
    [
        "queue_backup_20251305_143022.db",
        "queue_backup_20251105_250000.db",
        "queue_backup_00000101_000000.db",
        "queue_backup_.db",
        "queue_backup_20251105_143022.db-wal",
        "queue_backup_20251105_143022.db.manifest.json",
        ".queue_backup_20251105_143022.db",
        "xqueue_backup_20251105_143022.db",
        "queue_backup_\u0662\u0660251105_143022.db",
        "queue_backup_20251105_143022.db\n",
    ],
)
def test_other_file_names_are_no_backups(text):
    """A name with an impossible date, or with more or less than a backup's, is none."""
    assert read_file_name(PurePath(text)) is None


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize("year", ["0001", "1970", "1971", "9998", "9999"])
def test_name_of_a_backup_has_a_moment_in_every_zone(year, zone, monkeypatch):
    """A name is no backup's unless its time is a moment, whatever the zone of the reader."""
    if hasattr(time, "tzset"):
        monkeypatch.setitem(os.environ, "TZ", zone)
        time.tzset()
    for day in ("0101_000000", "1231_235959"):
        read = read_file_name(PurePath(f"queue_backup_{year}{day}.db"))

        assert (read is not None) == (year in {"1971", "9998"})
        assert read is None or local_to_ms(read.local_time) > 0


@pytest.fixture(autouse=True)
def _zone_as_before():
    yield
    if hasattr(time, "tzset"):
        time.tzset()
