"""What a salvage brought back is reckoned up rightly, and its peer reads what SQLite gives."""

import contextlib
import random
import sqlite3
from dataclasses import replace
from types import SimpleNamespace

import pytest

from core.doubts import Doubt
from harness.bisection import bisected
from harness.salvaging import ALL_COLUMNS, COLUMNS, Balance, as_released, balance, make_known

STATUS, PAYLOAD = COLUMNS.index("status"), COLUMNS.index("payload")
NOTHING = Balance(
    total=2, whole=0, altered_told=0, altered=0, revived_told=0, revived=0, lost=0, named=0
)


def task(number, **changed):
    """Return a task as the reckoning takes it."""
    values = {"type": "mail", "status": "completed", "payload": f"payload of {number}", **changed}
    return tuple(values.get(name) for name in COLUMNS)


def report(*, doubted=(), lost=()):
    """Return what a report says of doubts and losses."""
    return SimpleNamespace(doubtful=[Doubt(each, "time") for each in doubted], lost_ids=tuple(lost))


KNOWN = {5: task(5), 6: task(6)}


@pytest.mark.parametrize(
    ("found", "told", "expected"),
    [
        (KNOWN, report(), replace(NOTHING, whole=2)),
        ({5: task(5)}, report(lost=[6]), replace(NOTHING, whole=1, lost=1, named=1)),
        ({5: task(5)}, report(), replace(NOTHING, whole=1, lost=1)),
        ({**KNOWN, 6: task(6, type="mbil")}, report(), replace(NOTHING, whole=1, altered=1)),
        (
            {**KNOWN, 6: task(6, type="mbil")},
            report(doubted=[6]),
            replace(NOTHING, whole=1, altered_told=1),
        ),
        ({**KNOWN, 1: task(1)}, report(), replace(NOTHING, whole=2, revived=1)),
        ({**KNOWN, 1: task(1)}, report(doubted=[1]), replace(NOTHING, whole=2, revived_told=1)),
        ({5: task(5), 9: task(6)}, report(), replace(NOTHING, whole=1, altered=1, lost=1)),
    ],
)
def test_each_task_is_counted_for_what_it_is(found, told, expected):
    """Whole, altered, from the dead or lost, and whether anybody was told."""
    assert balance(KNOWN, found, told) == expected


def test_a_released_task_is_queued():
    """A task that was held counts as the one that is queued, and any other as itself."""
    assert as_released(task(1, status="leased"))[STATUS] == "queued"
    assert as_released(task(1, status="processing"))[STATUS] == "queued"
    assert as_released(task(1)) == task(1)


def test_a_known_queue_has_dead_rows_on_its_free_pages(tmp_path):
    """What was deleted is still in the file, so that a salvage can be tempted by it."""
    path = tmp_path / "queue.db"

    known = make_known(path, 100, 60, random.Random(1))

    assert sorted(known) == list(range(61, 161))
    assert path.read_bytes().count(b'{"number": 30,') == 1


def test_bisection_reads_around_a_page_that_is_lost(tmp_path):
    """All rows come back but those on the page, each as it was."""
    path = tmp_path / "queue.db"
    known = make_known(path, 200, 0, random.Random(1))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        sql = "SELECT pageno FROM dbstat WHERE name = 'task_queue' AND pagetype = 'leaf'"
        pages = [row[0] for row in connection.execute(sql)]
    content = bytearray(path.read_bytes())
    content[(pages[3] - 1) * 4096 : pages[3] * 4096] = bytes(4096)
    path.write_bytes(content)

    found = bisected(path, ALL_COLUMNS)

    assert len(known) - 40 < len(found) < len(known)
    assert all(as_released(row[: len(COLUMNS)]) == known[task] for task, row in found.items())


def test_bisection_of_what_is_no_database_is_nothing(tmp_path):
    """Nothing comes back of noise, and nothing is raised."""
    path = tmp_path / "queue.db"
    path.write_bytes(b"noise" * 2000)

    assert bisected(path, ALL_COLUMNS) == {}
