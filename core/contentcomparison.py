"""A record and a queue walked side by side, both in the order of the tasks' ids."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, cast

from .archivedcopies import ArchivedCopies
from .contentrecord import Entry, Head, Kind, OpenEntry, RecordWriter, task_id
from .leases import shown
from .ranges import Ranges
from .taskrows import SETTLED, TaskRow, digest
from .timestamps import parse, to_text

DAMAGE: tuple[Kind, ...] = ("changed", "reverted")
"""What no program does: the content differs, and nothing says that anybody wrote to the task."""
Verdict = Kind | Literal["same", "touched", "requeued"]

_CLOCKS_APART_MS = 300_000
_ASIDE_TASKS = 50_000
_SETTLED = frozenset(status.encode() for status in SETTLED)
_DEAD = SETTLED[1].encode()


@dataclass
class Tally:
    """What a comparison has counted.

    Attributes:
        tasks: finished tasks that the queue has.
        compared: tasks that the record had.
        added: finished since.
        touched: of which ``updated_at_utc`` alone was written anew, as an idempotency key does it.
        requeued: that were in ``dead_letter`` and that somebody took up again.
        archived: that are in the archive, as they were recorded.
        healed: that differed, and are as recorded again.
        differences: ids of those that are not as recorded, by what is the matter: ``changed``, and
            ``reverted`` to a state before the end, without anybody having written to them;
            ``rewritten`` or ``reopened`` by a program; ``missing`` from queue and archive.
        first_seen_utc: when the oldest of these differences was first seen.
    """

    tasks: int = 0
    compared: int = 0
    added: int = 0
    touched: int = 0
    requeued: int = 0
    archived: int = 0
    healed: int = 0
    differences: dict[Kind, Ranges] = field(default_factory=dict)
    first_seen_utc: str | None = None


@dataclass(frozen=True)
class _Aside:
    """A task that is not as recorded, until it is known whether it lies in the archive."""

    open: OpenEntry
    missing: bool


class Comparison:
    """One comparison.

    Args:
        tally: where it counts.
        writer: takes the new record; None where none is written.
        copies: what lies in the archive.
        now_ms: this moment, UTC milliseconds.
        accept: record what differs as it is now; else it keeps the record that it had.
    """

    def __init__(
        self,
        tally: Tally,
        writer: RecordWriter | None,
        copies: ArchivedCopies,
        now_ms: int,
        *,
        accept: bool,
    ) -> None:
        self._tally = tally
        self._writer = writer
        self._copies = copies
        self._now_ms = now_ms
        self._accept = accept
        self._aside: list[_Aside] = []
        self._first_seen_ms = now_ms + 1

    def run(
        self,
        entries: Iterator[Entry | OpenEntry],
        rows: Iterator[TaskRow],
        now: Head,
        recorded: Head,
    ) -> None:
        """Leave all compared, counted, and given to the writer.

        Args:
            entries: of the record, in the order of the ids.
            rows: of the queue, in the order of the ids, with the columns of ``now``.
            now: head of the new record.
            recorded: head of the record that the entries are of; all its columns are in ``now``.
        """
        self._begin(now, recorded)
        entry = next(entries, None)
        for row in rows:
            while entry is not None and task_id(entry) < row.id:
                self._missing(entry)
                entry = next(entries, None)
            if entry is not None and task_id(entry) == row.id:
                self._both(entry, row)
                entry = next(entries, None)
            elif row.values[self._status] in _SETTLED:
                self._tally.added += 1
                self._keep(row, digest(row.values))
        while entry is not None:
            self._missing(entry)
            entry = next(entries, None)
        self._settle()

    def _begin(self, now: Head, recorded: Head) -> None:
        self._status = now.columns.index("status")
        self._recorded = recorded
        self._places: tuple[int, ...] | None = None
        if recorded.columns != now.columns:
            self._places = tuple(map(now.columns.index, recorded.columns))

    def _both(self, found: Entry | OpenEntry, row: TaskRow) -> None:
        settled = row.values[self._status] in _SETTLED
        content = self._recorded_digest(row) if settled else b""
        if isinstance(found, Entry) and _is_same(found, row, content):
            self._tally.compared += 1
            self._keep(row, content if self._places is None else digest(row.values))
            return
        open_ = self._opened(found)
        verdict = judge(open_, self._now_ms, row.updated, content, settled=settled)
        before = found.kind if isinstance(found, OpenEntry) else None
        kind = _matter(before, verdict)
        self._tally.compared += 1
        if kind is not None:
            self._put_aside(open_._replace(kind=kind), missing=False)
            if not self._accept:
                self._tally.tasks += settled
                return
        else:
            self._tally.healed += before is not None
            self._tally.touched += verdict == "touched"
            self._tally.requeued += verdict == "requeued"
        if settled:
            self._keep(row, content if self._places is None else digest(row.values))

    def _keep(self, row: TaskRow, content: bytes) -> None:
        self._tally.tasks += 1
        if self._writer is not None:
            dead = row.values[self._status] == _DEAD
            self._writer.add(Entry(row.id, content, checksum(row.updated), dead))

    def _missing(self, found: Entry | OpenEntry) -> None:
        self._tally.compared += 1
        open_ = self._opened(found)
        kind = open_.kind if open_.kind in DAMAGE and open_ is found else "missing"
        self._put_aside(open_._replace(kind=kind), missing=True)

    def _opened(self, found: Entry | OpenEntry) -> OpenEntry:
        if isinstance(found, OpenEntry):
            return found
        return OpenEntry(found, "missing", self._recorded.recorded_ms, self._now_ms)

    def _recorded_digest(self, row: TaskRow) -> bytes:
        if self._places is None:
            return digest(row.values)
        return digest(tuple(row.values[place] for place in self._places))

    # -- what differs ----------------------------------------------------------------------

    def _put_aside(self, open_: OpenEntry, *, missing: bool) -> None:
        self._aside.append(_Aside(open_, missing))
        if len(self._aside) == _ASIDE_TASKS:
            self._settle()

    def _settle(self) -> None:
        """Tell what differs, but for what is in the archive as it was recorded."""
        missing = {each.open.entry.id: each.open for each in self._aside if each.missing}
        verdicts = self._in_archive(missing) if missing else {}
        for each in self._aside:
            verdict = verdicts.get(each.open.entry.id) if each.missing else None
            kind = each.open.kind if verdict is None else _matter(each.open.kind, verdict)
            if kind is None:
                self._tally.archived += 1
            else:
                self._tell(each.open._replace(kind=kind))
        self._aside.clear()

    def _in_archive(self, missing: dict[int, OpenEntry]) -> dict[int, Verdict]:
        """Return what is to be said of those of the tasks that an archive has."""
        columns = self._recorded.columns
        status = columns.index("status")
        verdicts: dict[int, Verdict] = {}
        for row in self._copies.of(missing.keys(), columns):
            settled = row.values[status] in _SETTLED
            content = digest(row.values)
            verdict = judge(missing[row.id], self._now_ms, row.updated, content, settled=settled)
            # One that is right is enough: an id is given again after a restore.
            if _matter(None, verdicts.get(row.id, "missing")) is not None:
                verdicts[row.id] = verdict
        return verdicts

    def _tell(self, open_: OpenEntry) -> None:
        self._tally.differences.setdefault(open_.kind, Ranges()).add(open_.entry.id)
        if open_.seen_ms < self._first_seen_ms:
            self._first_seen_ms = open_.seen_ms
            self._tally.first_seen_utc = to_text(open_.seen_ms)
        if self._writer is not None and not self._accept:
            self._writer.add_open(open_)


def judge(
    known: OpenEntry, now_ms: int, updated: bytes | None, content: bytes, *, settled: bool
) -> Verdict:
    """Return what became of a task that was recorded and is still there.

    Args:
        known: what was recorded, and when it was last seen to be so.
        now_ms: this moment, UTC milliseconds.
        updated: bytes of its ``updated_at_utc`` now.
        content: digest of its content now.
        settled: whether it is finished now.
    """
    entry = known.entry
    if content == entry.digest:
        if checksum(updated) == entry.touched:
            return "same"
        later = _written_since(entry, known.since_ms - _CLOCKS_APART_MS, now_ms, updated)
        return "touched" if later else "changed"
    # No grace here: what a lost write brings back was true until a moment before.
    if not _written_since(entry, known.since_ms, now_ms, updated):
        return "changed" if settled else "reverted"
    if entry.dead:
        return "requeued"
    return "rewritten" if settled else "reopened"


def checksum(updated: bytes | None) -> int:
    """Return the checksum of a task's ``updated_at_utc``."""
    return zlib.crc32(updated or b"")


def _matter(before: Kind | None, verdict: Verdict) -> Kind | None:
    """Return what is the matter with a task, None where nothing is.

    What was damaged is not mended by being worked on.
    """
    if verdict in {"same", "touched"}:
        return None
    if before in DAMAGE:
        return before
    return None if verdict == "requeued" else cast(Kind, verdict)


def _written_since(entry: Entry, since_ms: int, now_ms: int, updated: bytes | None) -> bool:
    """Return whether the task itself says that it was written to after that moment."""
    if checksum(updated) == entry.touched:
        return False
    updated_ms = parse(shown(updated))
    return updated_ms is not None and since_ms < updated_ms <= now_ms + _CLOCKS_APART_MS


def _is_same(entry: Entry, row: TaskRow, content: bytes) -> bool:
    """Return whether nothing at all has changed, as with all tasks of most nights."""
    return content == entry.digest and checksum(row.updated) == entry.touched
