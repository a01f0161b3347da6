"""Queues that have every region: what the matrix strikes, and what is true of it.

Made by the core, by the seed of nothing: the clock stands still, so that one place lies where it
lay in every run. Nobody has them open; their files are bytes in memory, laid out for each strike.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from core.backup import QueueBackup
from core.clock import ManualClock, SystemClock
from core.content import QueueContent
from core.contentrecord import SUFFIX as RECORD_SUFFIX
from core.database import QueueDatabase
from core.paths import BACKUP_FOLDER
from core.schema import count_by_status
from core.tasks import TaskQueue
from harness.damage import abandoned
from harness.damage.pages import Image
from harness.damage.reading import Content, read
from harness.damage.spans import Files
from harness.damage.stage import Stage
from harness.faults.helper import helper
from harness.outcome import Inconclusive

DATABASE = "queue.db"
WAL, SHM, JOURNAL = (f"{DATABASE}-{suffix}" for suffix in ("wal", "shm", "journal"))
RECORD = f"{DATABASE}{RECORD_SUFFIX}"
BACKUPS = BACKUP_FOLDER
NOW_MS = 1_790_000_000_000
"""The moment that all specimens are made and judged at."""
_TASKS_COUNT, _LATER_COUNT = 420, 60
_TYPES_COUNT, _BIG_EVERY, _KEY_EVERY = 7, 30, 4
_BIG_BYTES, _SMALL_BYTES = 13_000, 120
_DONE_COUNT, _LATER_DONE_COUNT = 120, 30
_CHANGED_COUNT, _LIFE_COUNT, _NEXT_LIFE_COUNT = 260, 12, 5


class StoppedClock(SystemClock):
    """A clock whose wall time stands at the specimens' moment; monotonic time goes on."""

    def now_ms(self) -> int:
        """Return the moment."""
        return NOW_MS


@dataclass(frozen=True, eq=False)
class Specimen:
    """A queue, what is true of it, and other states that get mixed into it.

    Attributes:
        name: of the specimen.
        files: all that there is.
        truth: what the queue says while nothing is damaged.
        counts: tasks per status that were acknowledged.
        restored: what it says once its newest backup is restored.
        restored_older: likewise of the backup before that.
        newest: name of the newest backup; its manifest lies beside it.
        older: name of the backup before that.
        others: sets of files that do not belong there: of an older state, of another queue.
    """

    name: str
    files: Files
    truth: Content
    counts: Mapping[str, int]
    restored: Content
    restored_older: Content
    newest: str
    older: str
    others: Mapping[str, Files] = field(default_factory=dict)

    @cached_property
    def image(self) -> Image:
        """Return the pages of the database."""
        return Image(self.files[DATABASE])

    @cached_property
    def older_image(self) -> Image:
        """Return the pages of the same database as it was before its last work."""
        return Image(self.others["older"][DATABASE])


# -- making them ------------------------------------------------------------------------------


def settled(stage: Stage, *, shrinking: bool = False) -> Specimen:
    """Return a queue at rest: no -wal, two backups, free pages, tasks that need several pages.

    Args:
        stage: where it is made, and laid out later: a backup belongs to the path of its queue.
        shrinking: whether it has a pointer map (auto_vacuum).
    """
    stage.clear()
    clock = ManualClock(NOW_MS - 3_600_000)
    path = stage.folder / DATABASE
    QueueDatabase(path, create=True, clock=clock).close()
    if shrinking:
        _run(path, "PRAGMA auto_vacuum = INCREMENTAL", "VACUUM")
    with QueueDatabase(path, clock=clock) as database:
        _work(database, clock, _TASKS_COUNT, _DONE_COUNT)
        older = _backed_up(database, stage, clock)
    state = {"older": stage.read(DATABASE)}
    kept = stage.read_all()
    state["other-queue"] = _other(stage, lambda _path: None, DATABASE)
    stage.lay(kept)
    with QueueDatabase(path, clock=clock) as database:
        _work(database, clock, _LATER_COUNT, _LATER_DONE_COUNT)
        newest = _backed_up(database, stage, clock)
    return _specimen(stage, "shrinking" if shrinking else "settled", newest, older, state)


def logged(stage: Stage, base: Specimen) -> Specimen:
    """Return the queue with the -wal and -shm of a killed writer; an older life lies behind it."""
    stage.lay(base.files)
    _abandon(stage, abandoned.LOG, _LIFE_COUNT)
    others = {"older": stage.read(DATABASE, WAL, SHM), "other-queue": _other_log(stage)}
    stage.lay({**base.files, **others["older"]})
    _abandon(stage, abandoned.RESTARTED, _NEXT_LIFE_COUNT)
    return _specimen(stage, "logged", base.newest, base.older, others)


def journaled(stage: Stage, base: Specimen) -> Specimen:
    """Return the queue with a hot rollback journal: its last transaction was cut off."""
    stage.lay(base.files)
    _run(stage.folder / DATABASE, "PRAGMA journal_mode = DELETE")
    before = stage.read(DATABASE)
    _abandon(stage, abandoned.JOURNAL, _CHANGED_COUNT // 2)
    others = {"older": stage.read(DATABASE, JOURNAL), "other-queue": _other_journal(stage)}
    stage.lay({**base.files, **before})
    _run(
        stage.folder / DATABASE,
        "UPDATE task_queue SET attempts = 1 WHERE id % 10 = 0",
        "DELETE FROM task_queue WHERE id % 90 = 7",
    )
    others["sound"] = stage.read(DATABASE)
    _abandon(stage, abandoned.JOURNAL, _CHANGED_COUNT)
    return _specimen(stage, "journaled", base.newest, base.older, others)


def _specimen(
    stage: Stage, name: str, newest: str, older: str, others: Mapping[str, Files]
) -> Specimen:
    files = _with_record(stage, stage.read_all())
    truth, counts = _said(stage, files, DATABASE)
    restored, _ = _said(stage, files, f"{BACKUPS}/{newest}")
    restored_older, _ = _said(stage, files, f"{BACKUPS}/{older}")
    return Specimen(
        name, files, truth, counts, restored, restored_older, newest, older, dict(others)
    )


def _with_record(stage: Stage, files: Files) -> Files:
    """Return the files with a record of what finished tasks hold, taken on a copy of them."""
    kept = {name: content for name, content in files.items() if name != RECORD}
    stage.lay(kept)
    with QueueDatabase(stage.folder / DATABASE, clock=ManualClock(NOW_MS)) as database:
        content = QueueContent(database.path, clock=ManualClock(NOW_MS))
        with contextlib.closing(database.open_connection(mode="ro")) as connection:
            content.record(connection)
    return {**kept, **stage.read(RECORD)}


def _said(stage: Stage, files: Files, name: str) -> tuple[Content, dict[str, int]]:
    """Return what a file of the set says, read from a copy that is opened as a worker opens it."""
    stage.lay(files)
    with (
        QueueDatabase(stage.folder / name) as database,
        contextlib.closing(database.open_connection()) as connection,
    ):
        return read(connection), count_by_status(connection)


def _work(database: QueueDatabase, clock: ManualClock, count: int, done: int) -> None:
    """Let tasks arrive, finish, fail and be removed, so that pages of every kind come and go."""
    tasks = TaskQueue(database, durability="normal")
    before = sum(count_by_status(database.connection()).values())
    for number in range(before, before + count):
        clock.advance_s(1)
        tasks.enqueue(
            f"type-{number % _TYPES_COUNT}",
            _payload(number),
            priority=100 + number % 3,
            idempotency_key=f"key-{number}" if number % _KEY_EVERY == 0 else None,
            compatibility={"region": "eu" if number % 2 else "us"},
        )
    for number in range(done):
        task = tasks.claim("worker-1")
        assert task is not None
        if number % 10 == 0:
            tasks.fail(task, "it did not work")
        else:
            tasks.complete(task)
    _remove_some(database)


def _payload(number: int) -> dict[str, object]:
    size = _BIG_BYTES if number % _BIG_EVERY == 0 else _SMALL_BYTES
    text = (f"task {number} has to do this. " * (size // 10))[:size]
    return {"number": number, "format": "pdf" if number % 2 else "png", "text": text}


def _remove_some(database: QueueDatabase) -> None:
    """Free pages, and have others say something else: big tasks go, and one is changed."""
    big = f"length(payload) > {_BIG_BYTES}"
    with database.transaction("normal") as connection:
        rows = connection.execute(f"SELECT id FROM task_queue WHERE {big} ORDER BY id").fetchall()
        for (task,) in rows[:5]:
            connection.execute("DELETE FROM task_logs WHERE task_id = ?", (task,)).close()
            connection.execute("DELETE FROM task_queue WHERE id = ?", (task,)).close()
        connection.execute(
            "UPDATE task_queue SET payload = replace(payload, ' has to do', ' had to do')"
            " WHERE id = ?",
            rows[-1],
        ).close()


def _backed_up(database: QueueDatabase, stage: Stage, clock: ManualClock) -> str:
    clock.advance_s(60)
    database.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return QueueBackup(database).create_backup().relative_to(stage.folder / BACKUPS).as_posix()


def _abandon(stage: Stage, what: str, count: int) -> None:
    _abandon_at(stage.folder / DATABASE, what, count)


def _abandon_at(path: Path, what: str, count: int) -> None:
    with helper(Path(abandoned.__file__), path, what, count, NOW_MS) as process:
        if process.line() != "done":
            raise Inconclusive(f"the program that leaves a {what} behind did not do it")


def _other_log(stage: Stage) -> Files:
    return _other(stage, lambda path: _abandon_at(path, abandoned.LOG, _LIFE_COUNT), DATABASE, WAL)


def _other_journal(stage: Stage) -> Files:
    def leave(path: Path) -> None:
        with QueueDatabase(path, clock=ManualClock(NOW_MS)) as database:
            _work(database, ManualClock(NOW_MS), _TASKS_COUNT // 2, 0)
        _run(path, "PRAGMA journal_mode = DELETE")
        _abandon_at(path, abandoned.JOURNAL, _CHANGED_COUNT)

    return _other(stage, leave, DATABASE, JOURNAL)


def _other(stage: Stage, leave: Callable[[Path], None], *names: str) -> Files:
    """Return files of another queue, which was never this one."""
    stage.clear()
    QueueDatabase(stage.folder / DATABASE, create=True, clock=ManualClock(NOW_MS)).close()
    leave(stage.folder / DATABASE)
    return stage.read(*names)


def _run(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for sql in statements:
            connection.execute(sql).fetchall()
