"""Whether finished tasks still hold what they held: what no check of SQLite's can tell.

A bit that turns inside a payload, or a page that was never written, passes ``integrity_check``
(https://www.sqlite.org/pragma.html#pragma_integrity_check). A finished task never changes, so a
digest of each is kept in a file outside of the database (``contentrecord.py``) and compared later.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from .archive import known_archives
from .archivedcopies import ArchivedCopies
from .clock import Clock, Deadline, SystemClock
from .connection import Connect, Connection, connect_stdlib, roll_back, scalar
from .contentcomparison import DAMAGE, Comparison, Tally
from .contentrecord import (
    Head,
    RecordReader,
    RecordWriter,
    UnreadableRecordError,
    is_record,
    record_path,
    writing,
)
from .database import QueueDatabase
from .errors import ContentRecordError, ForeignRecordError, InvalidArgumentError
from .files import clear_temporaries
from .intent import RESTORE_KEY
from .paths import sides
from .schema import read_meta
from .stopping import ProgressCallback, watched
from .taskrows import content_columns, probe, read_rows
from .timestamps import to_text
from .translation import system_translated, translated
from .wholetask import WholeTaskReader


@dataclass
class ContentResult:
    """What came of one comparison.

    Attributes:
        record: path of the record.
        compared_utc: when the record was taken that was compared with; None where none was.
        why_not: why nothing was compared, or "".
        went_back: the highest id that the queue has given, and the one of the record, where the
            queue's is lower: the file is older than its record, or another queue.
        tally: what was counted, and the ids of the tasks that are not as recorded.
        accepted: whether what differs was recorded as it is now.
        written: whether there is a new record.
        seconds: how long it took.
    """

    record: Path
    compared_utc: str | None = None
    why_not: str = ""
    went_back: tuple[int, int] | None = None
    tally: Tally = field(default_factory=Tally)
    accepted: bool = False
    written: bool = False
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every task is as recorded; also where there was nothing to compare with."""
        return not self.tally.differences and self.went_back is None

    @property
    def damaged(self) -> bool:
        """Whether something differs that no program has written."""
        return self.went_back is not None or any(kind in self.tally.differences for kind in DAMAGE)

    def __str__(self) -> str:
        """Return in one sentence what differs, or that nothing does."""
        if self.ok:
            return self.why_not or f"all {self.tally.compared} recorded tasks are as recorded"
        words = []
        if self.went_back is not None:
            words.append("the file is older than its record: it has given ids up to {}, and the "
                         "record knows of {}".format(*self.went_back))  # fmt: skip
        words += [f"{ids.count} {kind} ({ids})" for kind, ids in self.tally.differences.items()]
        return "; ".join(words)


class QueueContent:
    """The finished tasks of one queue, and the record of what they held.

    Args:
        path: real path of the queue.
        record: the record; ``<name>-content.jsonl`` beside the queue unless told otherwise.
        connect: the door to SQLite, for the archive.
        clock: where the time comes from.
        stop: asked now and then while the archive is read; a true answer interrupts.

    Raises:
        InvalidArgumentError: the record would be the queue itself.
    """

    def __init__(
        self,
        path: Path,
        record: Path | None = None,
        *,
        connect: Connect = connect_stdlib,
        clock: Clock | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        self.path = path
        self.record_path = record_path(path) if record is None else record
        if self.record_path in (path, *sides(path)):
            raise InvalidArgumentError(
                what="the record's path", value=str(record), cure="Give it a file of its own."
            )
        self.clock: Clock = clock or SystemClock()
        self._connect = connect
        self._stop = stop

    def compare(self, connection: Connection) -> ContentResult:
        """Return what differs; nothing is written.

        Args:
            connection: reads the queue, inside a transaction where one moment is wanted.

        Raises:
            ContentRecordError, ForeignRecordError: the record cannot be used.
            DatabaseError: the record cannot be read now.
        """
        return self._run(connection, accept=False, write=False)

    def record(self, connection: Connection, *, accept: bool = False) -> ContentResult:
        """Leave a record of the finished tasks as they are now; return what differed.

        The caller holds the maintenance lock: drafts that killed runs left are removed.

        What differs keeps the record it had, so that it is told again each time until it is as
        recorded or accepted.

        Args:
            connection: reads the queue, inside a transaction where one moment is wanted.
            accept: record all as it is now, also in the place of a record that cannot be used.

        Raises:
            ContentRecordError, ForeignRecordError: the record cannot be used; it is as it was.
            DatabaseError: the record cannot be read or written now; it is as it was.
        """
        return self._run(connection, accept=accept, write=True)

    def _run(self, connection: Connection, *, accept: bool, write: bool) -> ContentResult:
        start_s, now_ms = self.clock.monotonic_s(), self.clock.now_ms()
        head = self._head(connection, now_ms)
        result = ContentResult(self.record_path)
        with system_translated(self.record_path), contextlib.ExitStack() as stack:
            reader = self._reader(head, result, accept=accept)
            if reader is not None:
                stack.callback(reader.close)
                if not accept:
                    # Else it would be told once that the file is older than its record.
                    highest = max(head.sequence, reader.head.sequence)
                    head = replace(head, sequence=highest)
            with self._written(head, write=write) as writer:
                comparison = Comparison(
                    result.tally, writer, self._copies(connection), now_ms, accept=accept
                )
                self._compare(comparison, connection, head, reader)
                if reader is not None:
                    # Before the new record takes its name, which Windows refuses while it is open.
                    reader.close()
            result.accepted, result.written = accept and not result.ok, write
        result.seconds = self.clock.monotonic_s() - start_s
        return result

    @contextlib.contextmanager
    def _written(self, head: Head, *, write: bool) -> Iterator[RecordWriter | None]:
        if not write:
            yield None
            return
        clear_temporaries(self.record_path)
        with writing(self.record_path, head, like=self.path) as writer:
            yield writer

    def _copies(self, connection: Connection) -> ArchivedCopies:
        archives = known_archives(connection, self.path)
        return ArchivedCopies(archives, connect=self._connect, stop=self._stop)

    def _compare(
        self,
        comparison: Comparison,
        connection: Connection,
        head: Head,
        reader: RecordReader | None,
    ) -> None:
        with contextlib.closing(read_rows(connection, head.columns)) as rows:
            if reader is None:
                comparison.run(iter(()), rows, head, head)
                return
            with self._explained(), contextlib.closing(reader.entries()) as entries:
                comparison.run(entries, rows, head, reader.head)

    def _head(self, connection: Connection, now_ms: int) -> Head:
        reader = WholeTaskReader.of(connection)
        return Head(
            source=str(self.path),
            life=read_meta(connection, RESTORE_KEY) or "",
            recorded_ms=now_ms,
            recorded_utc=to_text(now_ms),
            sequence=_sequence(connection),
            columns=content_columns(reader.task_columns),
            probe=probe(),
        )

    def _reader(self, head: Head, result: ContentResult, *, accept: bool) -> RecordReader | None:
        """Return the record to compare with, or None where there is none that can be."""
        try:
            with self._explained():
                reader = RecordReader(self.record_path)
        except FileNotFoundError:
            result.why_not = "there was no record yet"
            return None
        except ContentRecordError:
            # A file that never was a record is somebody's, and no flag takes it from him.
            if not accept or not is_record(self.record_path):
                raise
            result.why_not = "the record could not be used"
            return None
        try:
            result.why_not = self._incomparable(head, reader.head, accept=accept)
        except BaseException:
            reader.close()
            raise
        if result.why_not:
            reader.close()
            return None
        result.compared_utc = reader.head.recorded_utc
        if head.sequence < reader.head.sequence:
            result.went_back = (head.sequence, reader.head.sequence)
        return reader

    def _incomparable(self, now: Head, recorded: Head, *, accept: bool) -> str:
        if os.path.normcase(now.source) != os.path.normcase(recorded.source):
            if not accept:
                raise ForeignRecordError(
                    path=str(self.path), record=str(self.record_path), source=recorded.source
                )
            return f'the record was that of another queue ("{recorded.source}")'
        if now.probe != recorded.probe:
            return "the record was made by a program whose digests are others"
        if now.life != recorded.life:
            return "the queue was restored since it was recorded"
        gone = [name for name in recorded.columns if name not in now.columns]
        return f"columns that were recorded are gone: {', '.join(gone)}" if gone else ""

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except UnreadableRecordError as error:
            raise ContentRecordError(
                path=str(self.path), record=str(self.record_path), detail=str(error)
            ) from error


def check_content(
    database: QueueDatabase,
    record: Path | None,
    timeout_seconds: float | None,
    progress: ProgressCallback | None,
    *,
    accept: bool,
    write: bool = True,
) -> ContentResult:
    """Compare the finished tasks with their record, of one moment; leave a new record.

    The caller holds the maintenance lock.
    """
    deadline = Deadline(timeout_seconds, database.clock)
    with (
        translated(database.path, database.busy_timeout_ms / 1000),
        contextlib.closing(database.open_connection(mode="ro")) as connection,
        watched(connection, "the content check", deadline, database.clock, progress) as watch,
        _one_moment(connection),
    ):
        content = QueueContent(
            database.path,
            record,
            connect=database.connect,
            clock=database.clock,
            stop=watch.look,
        )
        if not write:
            return content.compare(connection)
        return content.record(connection, accept=accept)


@contextlib.contextmanager
def _one_moment(connection: Connection) -> Iterator[None]:
    """Let the body see one state of the queue; without a -wal writers would wait for that.

    What is finished does not change from one moment to the next, so there several do as well.
    """
    if scalar(connection, "PRAGMA journal_mode") != "wal":
        yield
        return
    connection.execute("BEGIN").close()
    try:
        yield
    finally:
        roll_back(connection)


def _sequence(connection: Connection) -> int:
    """Return the highest id that was given, 0 where the table does not keep it."""
    known = scalar(connection, "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'")
    if known is None:
        return 0
    given = scalar(connection, "SELECT seq FROM sqlite_sequence WHERE name = 'task_queue'")
    return int(given or 0)
