"""Fills the draft of the new file: reads, judges what came back, and releases every lease."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from . import files
from .clock import Clock, Deadline
from .connection import Connect, Connection
from .copying import CopyProgress, ProgressCallback
from .doubts import Doubts
from .errors import OperationTimeoutError
from .evidence import Evidence
from .filetables import TASKS, read_tables
from .leases import release_every_lease
from .pagefile import PageFile
from .paths import uri
from .salvagefile import LOGS, SalvageFile
from .salvagereading import SalvageReading
from .salvagereport import NO_TASK, Expected, Ways
from .schema import EXPECTED_COLUMNS
from .stopping import watched
from .tableshape import ID_MOST
from .timestamps import to_text
from .treewalk import Errors, TreeWalk

RELEASED = "lease released by a salvage"
OPERATION = "the salvage"
_PAGES_BETWEEN_LOOKS = 16


@dataclass(frozen=True, kw_only=True)
class Made:
    """A draft, and what is known of it.

    Attributes:
        counts: rows in each table.
        found: how they were found.
        expected: how many tasks there were, by the witnesses in the file.
        lost: tasks that the indexes know and that are not in it: id, and status where known.
        doubts: what may not be as it was.
        set_aside: rows kept outside of the queue, by reason.
        deleted: tasks on free pages.
        leases_released: tasks that were held.
        errors: what could not be read.
    """

    counts: dict[str, int]
    found: dict[str, Ways]
    expected: tuple[Expected, ...]
    lost: list[tuple[int, str | None]]
    doubts: Doubts
    set_aside: dict[str, int]
    deleted: int
    leases_released: int
    errors: Errors


def make_draft(
    draft: Path,
    pages: PageFile,
    *,
    connect: Connect,
    clock: Clock,
    deadline: Deadline,
    on_progress: ProgressCallback | None,
) -> Made:
    """Make the draft of a queue from the pages; it is not synced.

    Args:
        draft: a name that is free.
        pages: of the damaged file.
        connect: the door to SQLite.
        clock: where the time comes from.
        deadline: when to give up.
        on_progress: told of the pages read.

    Raises:
        OperationTimeoutError: the deadline passed.
        sqlite3.Error: the draft cannot be written.
    """
    files.create_empty(draft)
    with contextlib.closing(connect(uri(draft, mode="rw"), timeout_s=0.0)) as connection:
        _set_up(connection, pages.header.page_size)
        with watched(connection, OPERATION, deadline, clock):
            maker = _Maker(connection, pages, _Looks(pages.count, deadline, on_progress))
            return maker.make(connect, clock.now_ms())


def _set_up(connection: Connection, page_size: int) -> None:
    # A draft that is cut off is thrown away; its journal only has to undo one row that is refused.
    for pragma in (f"page_size = {page_size}", "journal_mode = MEMORY", "temp_store = FILE"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.execute("PRAGMA synchronous = OFF").close()


class _Looks:
    """Counts the pages that are read, tells how far it is, and ends at the deadline."""

    def __init__(self, total: int, deadline: Deadline, told: ProgressCallback | None) -> None:
        self._total = total
        self._deadline = deadline
        self._told = told
        self._done = 0

    def __call__(self) -> None:
        """Take note of one page more."""
        self._done += 1
        if self._done % _PAGES_BETWEEN_LOOKS:
            return
        if self._deadline.passed():
            raise OperationTimeoutError(
                operation=OPERATION, timeout_s=self._deadline.timeout_s or 0.0
            )
        if self._told is not None:
            self._told(CopyProgress(min(self._done, self._total), self._total))


class _Maker:
    def __init__(self, connection: Connection, pages: PageFile, looks: _Looks) -> None:
        self._connection = connection
        self._pages = pages
        self._walk = TreeWalk(pages, looks)
        self._doubts = Doubts()

    def make(self, connect: Connect, now_ms: int) -> Made:
        encoding = self._pages.header.encoding
        tables = read_tables(self._walk, encoding, connect)
        target = SalvageFile(self._connection, tables.columns)
        evidence = Evidence(self._connection, encoding)
        reading = SalvageReading(
            self._pages, self._walk, tables, target=target, evidence=evidence, doubts=self._doubts
        )
        reading.read()
        self._set_logs_aside(target)
        lost = evidence.lost(_plausible(reading.sequences.get(TASKS)))
        expected = self._expected(target, evidence, reading, len(lost))
        self._judge(evidence, reading, now_ms)
        self._keep_sequences(target, evidence, reading)
        released = release_every_lease(
            self._connection, now=to_text(now_ms), message=RELEASED, logged=True
        )
        made = Made(
            counts={table: target.count(table) for table in EXPECTED_COLUMNS},
            found={table: _ways(reading, table) for table in EXPECTED_COLUMNS},
            expected=expected,
            lost=lost,
            doubts=self._doubts,
            set_aside=target.aside,
            deleted=len(reading.deleted),
            leases_released=released,
            errors=self._walk.errors,
        )
        self._connection.execute("COMMIT")
        return made

    def _set_logs_aside(self, target: SalvageFile) -> None:
        rows = self._connection.execute(
            f"SELECT log_id FROM {LOGS} WHERE task_id NOT IN (SELECT id FROM {TASKS})"
        ).fetchall()
        for (log_id,) in rows:
            target.take_out(LOGS, log_id, NO_TASK)

    def _judge(self, evidence: Evidence, reading: SalvageReading, now_ms: int) -> None:
        self._doubts.judge_table(self._connection, _plausible(reading.sequences.get(TASKS)), now_ms)
        self._doubts.add("index", evidence.contradicted())
        # Their indexes lag behind, or a page of dead rows has come into the table's tree.
        self._doubts.add("unproved", evidence.unknown())

    def _keep_sequences(
        self, target: SalvageFile, evidence: Evidence, reading: SalvageReading
    ) -> None:
        for table, known in ((TASKS, evidence.highest()), (LOGS, 0)):
            told = _plausible(reading.sequences.get(table)) or 0
            highest = max(told, _plausible(known) or 0)
            if highest:
                target.keep_sequence(table, highest)

    def _expected(
        self, target: SalvageFile, evidence: Evidence, reading: SalvageReading, lost: int
    ) -> tuple[Expected, ...]:
        ids = target.ids[TASKS]
        found = []
        source = evidence.whole_source()
        if source is not None:
            found.append(Expected("index", evidence.count(source), exact=True))
        if ids or lost:
            found.append(Expected("entries", len(ids) + lost, exact=False))
        told = _plausible(reading.sequences.get(TASKS))
        if told is not None:
            found.append(Expected("sequence", told, exact=False))
        if ids:
            found.append(Expected("highest id", max(*ids, evidence.highest()), exact=False))
        return tuple(found)


def _plausible(highest: int | None) -> int | None:
    return highest if highest is not None and 0 <= highest <= ID_MOST else None


def _ways(reading: SalvageReading, table: str) -> Ways:
    return Ways(*(reading.found[table, way] for way in ("tree", "loose", "revived")))
