"""What the indexes still know of the tasks: which there are, and what a few of their columns say.

An index entry lies on another page than its row. So a row that is lost may be known by its entries,
one that was changed by damage is told by them, and one that was found on a page which no tree leads
to is proved alive, or dead where an index that is whole does not know it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .connection import Connection, scalar
from .filetables import TASKS, Index
from .records import BadRecordError, Value, decode
from .salvagefile import KEY, Parameters, bound
from .schema import STATUSES, TASK_COLUMNS
from .tableshape import ID_MOST
from .treewalk import Found

_KEPT_COLUMNS = 3
_TABLE = """CREATE TEMP TABLE salvage_evidence (
    source INTEGER NOT NULL, id INTEGER NOT NULL, a, b, c, PRIMARY KEY (source, id)
) WITHOUT ROWID"""
_INSERT = "INSERT OR IGNORE INTO salvage_evidence (source, id, a, b, c) VALUES"
_BY_ID = "CREATE INDEX temp.salvage_evidence_id ON salvage_evidence (id)"
_BATCH_ENTRIES = 1000
STATUS_INDEX = "status, priority, run_after_utc, id"
_STATUS_COLUMNS = ("status", "priority", "run_after_utc", "id", None)
_KNOWN = "SELECT 1 FROM salvage_evidence WHERE id = ?"


@dataclass
class Source:
    """One index as a witness.

    Attributes:
        number: of the source.
        name: of the index.
        columns: which its kept values are of.
        full: whether it had an entry for every task.
        whole: whether all of it could be read.
    """

    number: int
    name: str
    columns: tuple[str, ...]
    full: bool
    whole: bool = False


class Evidence:
    """The entries of all indexes on tasks, kept in a temporary table.

    Args:
        connection: to the draft of the new file.
        encoding: of the damaged file's text.
    """

    def __init__(self, connection: Connection, encoding: str) -> None:
        self._connection = connection
        self._encoding = encoding
        self.sources: list[Source] = []
        self._waiting: dict[str, list[Parameters]] = {}
        self._waiting_count = 0
        connection.execute(_TABLE)

    def begin(self, index: Index) -> Source:
        """Return the index as a source that is not whole yet."""
        names = tuple(
            name for name in index.columns if name is not None and name in TASK_COLUMNS[1:]
        )
        source = Source(len(self.sources), index.name, names[:_KEPT_COLUMNS], index.full)
        self.sources.append(source)
        return source

    def take(self, source: Source, index: Index, found: Found) -> bool:
        """Take one entry; return whether it was one."""
        values = self._entry(found)
        if len(values) != len(index.columns) or not isinstance(values[-1], int):
            return False
        named = dict(zip(index.columns, values, strict=True))
        self._insert(source, values[-1], [named[name] for name in source.columns])
        return True

    def take_loose(self, found: Found) -> None:
        """Take an entry that no tree leads to, if it can only be one of the index on status.

        It may be old; it is nothing beside an index that is whole.
        """
        if self.whole_source() is not None:
            return
        values = self._entry(found)
        if len(values) != len(_STATUS_COLUMNS) or values[0] not in STATUSES:
            return
        status, priority, after, task, rowid = values
        if isinstance(priority, int) and isinstance(rowid, int) and task == rowid > 0:
            self._insert(self._loose_source(), rowid, [status, priority, after])

    def knows(self, task_id: int) -> bool:
        """Return whether any index has an entry of the task."""
        return scalar(self._connection, _KNOWN, (task_id,)) is not None

    def has_key(self, task_id: int, key: Value) -> bool:
        """Return whether an index has the key as this task's."""
        numbers = [str(each.number) for each in self.sources if each.columns[:1] == (KEY,)]
        where = f"source IN ({', '.join(numbers) or 'NULL'}) AND id = ? AND a = ?"
        found = scalar(
            self._connection, f"SELECT 1 FROM salvage_evidence WHERE {where}", (task_id, key)
        )
        return found is not None

    def settle(self) -> None:
        """Believe the indexes that are whole only if they all know the same tasks.

        A page of an index that came from another place reads as well as its own.
        """
        self.flush()
        self._connection.execute(_BY_ID)
        whole = [each for each in self.sources if each.full and each.whole]
        numbers = ", ".join(str(each.number) for each in whole) or "NULL"
        union = self._count(f"WHERE source IN ({numbers})")
        if any(self.count(each) != union for each in whole):
            for each in whole:
                each.whole = False

    def whole_source(self) -> Source | None:
        """Return an index that has an entry for every task and could be read whole, if any is."""
        return next((each for each in self.sources if each.full and each.whole), None)

    def count(self, source: Source) -> int:
        """Return how many tasks the source knows."""
        return self._count(f"WHERE source = {source.number}")

    def highest(self) -> int:
        """Return the highest id of any entry, 0 without one."""
        return int(scalar(self._connection, "SELECT max(id) FROM salvage_evidence") or 0)

    def lost(self, highest: int | None) -> list[tuple[int, str | None]]:
        """Return the tasks that are known and are not in the draft: id, and status where known.

        Args:
            highest: the highest id that was ever given: an entry above it was changed by damage.
        """
        by_status = [str(each.number) for each in self.sources if each.columns[:1] == ("status",)]
        rows = self._connection.execute(
            f"SELECT id, max(CASE WHEN source IN ({', '.join(by_status) or 'NULL'}) "
            "THEN CAST(a AS BLOB) END) FROM salvage_evidence "
            f"WHERE id NOT IN (SELECT id FROM {TASKS}) AND id BETWEEN 1 AND ? "
            "GROUP BY id ORDER BY id",
            (ID_MOST if highest is None else highest,),
        ).fetchall()
        return [
            (row[0], None if row[1] is None else row[1].decode(errors="replace")) for row in rows
        ]

    def unknown(self) -> list[int]:
        """Return the tasks in the draft that no index has, where one that is whole should."""
        if self.whole_source() is None:
            return []
        rows = self._connection.execute(
            f"SELECT id FROM {TASKS} WHERE id NOT IN (SELECT id FROM salvage_evidence)"
        ).fetchall()
        return sorted(row[0] for row in rows)

    def contradicted(self) -> list[int]:
        """Return the tasks in the draft of which an index says something else."""
        found: set[int] = set()
        for source in self.sources:
            if source.columns:
                found.update(row[0] for row in self._contradicted_by(source))
        return sorted(found)

    def _contradicted_by(self, source: Source) -> list[tuple[int]]:
        pairs = zip(source.columns, "abc", strict=False)
        differs = " OR ".join(f"task.{column} IS NOT entry.{kept}" for column, kept in pairs)
        return self._connection.execute(
            f"SELECT task.id FROM {TASKS} AS task JOIN salvage_evidence AS entry "
            f"ON entry.source = {source.number} AND entry.id = task.id WHERE {differs}"
        ).fetchall()

    def _count(self, where: str) -> int:
        sql = f"SELECT count(DISTINCT id) FROM salvage_evidence {where}"
        return int(scalar(self._connection, sql))

    def _entry(self, found: Found) -> list[Value]:
        if not found.cell.whole:
            return []
        try:
            return decode(found.cell.payload, self._encoding)
        except BadRecordError:
            return []

    def _insert(self, source: Source, rowid: int, values: Sequence[Value]) -> None:
        kept: list[Value] = [*values, *(None for _ in range(_KEPT_COLUMNS - len(values)))]
        holders, parameters = bound(kept)
        self._waiting.setdefault(holders, []).append([source.number, rowid, *parameters])
        self._waiting_count += 1
        if self._waiting_count == _BATCH_ENTRIES:
            self.flush()

    def flush(self) -> None:
        """Bring the entries that wait into the table; call it once no more come."""
        for holders, rows in self._waiting.items():
            self._connection.executemany(f"{_INSERT} (?, ?, {holders})", rows)
        self._waiting.clear()
        self._waiting_count = 0

    def _loose_source(self) -> Source:
        for source in self.sources:
            if source.columns == _STATUS_COLUMNS[:_KEPT_COLUMNS]:
                return source
        index = Index(STATUS_INDEX, 0, _STATUS_COLUMNS, full=True)
        return self.begin(index)
