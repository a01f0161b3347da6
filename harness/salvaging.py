"""A queue whose every task is known, and what of it a salvage brought back."""

import contextlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.connection import connect_stdlib
from core.database import QueueDatabase
from core.paths import uri
from core.salvagereport import SalvageReport
from core.schema import HELD, QUEUED, STATUSES, TASK_COLUMNS
from core.timestamps import to_text

COLUMNS = (
    *("type", "priority", "payload", "compatibility", "status", "attempts", "max_attempts"),
    *("run_after_utc", "finished_at_utc", "error_message", "idempotency_key", "created_at_utc"),
)
"""What a task is; a release of its lease changes none but the status."""
ALL_COLUMNS = (*COLUMNS, *(name for name in TASK_COLUMNS[1:] if name not in COLUMNS))
_STATUS = COLUMNS.index("status")
_PAYLOAD = COLUMNS.index("payload")
_START_MS = 1_770_000_000_000
_INSERT = (
    "INSERT INTO task_queue (type, priority, payload, status, locked_by, lease_until_utc, "
    "idempotency_key, run_after_utc, created_at_utc, updated_at_utc) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_LARGE_EVERY = 25
_LARGE = 6000
_FILLING_MOST = 500
Tasks = Mapping[int, tuple[object, ...]]


def make_known(path: Path, count: int, deleted: int, chance: random.Random) -> Tasks:
    """Put so many tasks of every status into a new queue, delete the first ones, return the rest.

    What was deleted stays on the free pages, as it does where SQLite is not told to clear it.
    """
    with (
        QueueDatabase(path, create=True) as database,
        contextlib.closing(database.open_connection()) as connection,
    ):
        connection.execute("PRAGMA secure_delete = OFF").fetchall()
        connection.execute("BEGIN IMMEDIATE")
        for number in range(1, count + deleted + 1):
            connection.execute(_INSERT, _row(number, chance))
        connection.execute("DELETE FROM task_queue WHERE id <= ?", (deleted,))
        connection.execute("COMMIT")
    return tasks_in(path)


def _row(number: int, chance: random.Random) -> tuple[object, ...]:
    status = chance.choice(STATUSES)
    now = to_text(_START_MS + number * 1000)
    length = _LARGE if number % _LARGE_EVERY == 0 else chance.randrange(_FILLING_MOST)
    payload = json.dumps({"number": number, "filling": "x" * length, "format": f"f{number % 3}"})
    lease = (f"w{number}", now) if status in HELD else (None, None)
    key = f"key-{number}" if number % 3 else None
    kind = chance.choice(("mail", "thumbnail", "report"))
    return (kind, chance.randrange(200), payload, status, *lease, key, now, now, now)


def tasks_in(path: Path) -> Tasks:
    """Return the tasks of a sound file that nobody writes, those held as if they were released."""
    connection = connect_stdlib(uri(path, mode="ro", immutable=1), timeout_s=0.0)
    with contextlib.closing(connection):
        rows = connection.execute(f"SELECT id, {', '.join(COLUMNS)} FROM task_queue").fetchall()
    return {row[0]: as_released(row[1:]) for row in rows}


def as_released(row: tuple[object, ...]) -> tuple[object, ...]:
    """Return the task as it is once its lease was released."""
    if row[_STATUS] not in HELD:
        return row
    return (*row[:_STATUS], QUEUED, *row[_STATUS + 1 :])


@dataclass(frozen=True)
class Balance:
    """What became of the tasks that there were.

    Attributes:
        total: how many there were.
        whole: how many are back as they were.
        altered_told: how many are back as something else, and in doubt.
        altered: how many are back as something else, and nobody was told.
        revived_told: how many are there that were deleted, and are in doubt; one that has another
            id now is altered.
        revived: how many are there that were deleted, and nobody was told.
        lost: how many are not there.
        named: how many of those the report names.
    """

    total: int
    whole: int
    altered_told: int
    altered: int
    revived_told: int
    revived: int
    lost: int
    named: int


def balance(known: Tasks, found: Tasks, report: SalvageReport) -> Balance:
    """Return what became of the known tasks, by what was found in the new file."""
    payloads = {row[_PAYLOAD] for row in known.values()}
    moved = {task for task in found.keys() - known.keys() if found[task][_PAYLOAD] in payloads}
    wrong = {task for task in found.keys() & known.keys() if found[task] != known[task]}
    dead = found.keys() - known.keys() - moved
    doubted = {doubt.task_id for doubt in report.doubtful}
    lost = known.keys() - found.keys()
    return Balance(
        total=len(known),
        whole=len(found.keys() & known.keys()) - len(wrong),
        altered_told=len((wrong | moved) & doubted),
        altered=len((wrong | moved) - doubted),
        revived_told=len(dead & doubted),
        revived=len(dead - doubted),
        lost=len(lost),
        named=len(lost & set(report.lost_ids)),
    )
