"""Reads every row that a damaged file still holds, the surest ways first.

First the trees of tables and indexes, page by page; then the leaves that nothing leads to any more,
since what did is lost; then the pages that the file counts as free, of which only those rows live
that an index still knows.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from .doubts import Doubts
from .evidence import Evidence
from .filetables import SEQUENCE, TASKS, FileTables
from .nodes import LEAF_TABLE
from .pagefile import PageFile
from .records import BadRecordError, RawText, Value, decode, decode_front
from .salvagefile import SalvageFile
from .schema import EXPECTED_COLUMNS
from .tableshape import Row, row_of
from .treewalk import LOOSE, Found, TreeWalk

CUT = "cut"
UNREADABLE = "unreadable"
DELETED = "deleted"
GARBLED = "garbled"
# A task is run by these; one in which they are surely not what they were must not be.
_RUN_BY = ("type", "payload", "compatibility", "status", "idempotency_key")
_NO_TABLE = "it has a row that fits no table"
_SEQUENCE_COLUMNS = 2


class SalvageReading:
    """One reading of one file.

    Args:
        pages: the file.
        walk: through it.
        tables: what its schema says.
        target: takes the rows.
        evidence: takes the entries of indexes.
        doubts: takes what is doubtful of a row by itself.

    Attributes:
        found: how many rows of each table were found, by way.
        sequences: the highest id that was ever given, by table, as the file has it.
        deleted: ids of tasks on free pages that are no more.
    """

    def __init__(
        self,
        pages: PageFile,
        walk: TreeWalk,
        tables: FileTables,
        *,
        target: SalvageFile,
        evidence: Evidence,
        doubts: Doubts,
    ) -> None:
        self._pages = pages
        self._walk = walk
        self._tables = tables
        self._target = target
        self._evidence = evidence
        self._doubts = doubts
        self._loose: set[int] = set()
        self.found: Counter[tuple[str, str]] = Counter()
        self.sequences: dict[str, int] = {}
        self.deleted: set[int] = set()

    def read(self) -> None:
        """Read all of it.

        Raises:
            OperationTimeoutError: the deadline passed.
        """
        self._read_tables()
        self._read_indexes()
        self._read_free_list()
        self._read_loose()
        self._judge_loose()
        self._read_freed()

    # -- the ways --------------------------------------------------------------------------

    def _read_tables(self) -> None:
        # The queue's own first: a page that two trees lead to is theirs.
        for name in sorted(self._tables.roots, key=lambda each: each not in EXPECTED_COLUMNS):
            for found in self._walk.table(self._tables.roots[name], name):
                if name in EXPECTED_COLUMNS:
                    self._take(found, name)
                elif name == SEQUENCE:
                    self._take_sequence(found)

    def _read_indexes(self) -> None:
        errors = self._walk.errors.by_tree
        for index in self._tables.indexes:
            source = self._evidence.begin(index)
            entries = [
                self._evidence.take(source, index, found)
                for found in self._walk.index(index.root, index.name)
            ]
            source.whole = all(entries) and not errors.get(index.name)
        for name, root in self._tables.other_indexes.items():
            for _entry in self._walk.index(root, name):
                pass

    def _read_free_list(self) -> None:
        self._walk.free_list(self._pages.header.freelist)
        if self._pages.header.guessed:
            self._walk.hidden_free_lists()

    def _read_loose(self) -> None:
        for found in self._walk.loose():
            if found.kind == LEAF_TABLE:
                self._take(found, LOOSE)
            else:
                self._evidence.take_loose(found)

    def _judge_loose(self) -> None:
        """Take out the tasks that nothing leads to and that an index which is whole denies."""
        source = self._evidence.whole_source()
        for task_id in sorted(self._loose & self._target.ids[TASKS]):
            if source is not None and not self._evidence.knows(task_id, source):
                self._target.take_out(TASKS, task_id, DELETED)
                self.found[TASKS, "loose"] -= 1
            elif not self._evidence.knows(task_id):
                self._doubts.add("unproved", [task_id])

    def _read_freed(self) -> None:
        for found in self._walk.freed():
            row = self._row_in(found, [TASKS])
            if row is None or row.id in self._target.ids[TASKS]:
                continue
            if not self._evidence.knows(row.id):
                self.deleted.add(row.id)
            elif self._add(row, found.page):
                self.found[TASKS, "revived"] += 1

    # -- rows ------------------------------------------------------------------------------

    def _take(self, found: Found, tree: str) -> None:
        """Put a row into its table, or set it aside where the table is known and it is none."""
        values = self._values(found, tree)
        if values is None:
            return
        if tree in EXPECTED_COLUMNS:
            row = row_of(tree, self._tables.columns[tree], found.cell.rowid, values, strict=False)
            if row is not None:
                self.found[tree, "tree"] += self._add(row, found.page)
                return
        row = self._row_of(values, found.cell.rowid, EXPECTED_COLUMNS)
        if row is None:
            if tree in EXPECTED_COLUMNS:
                self._walk.errors.add(found.page, tree, _NO_TABLE)
                self._set_aside(found, tree, UNREADABLE, values)
            return
        known = row.id in self._target.ids[row.table]
        if self._add(row, found.page) and not known:
            self.found[row.table, "loose"] += 1
            if row.table == TASKS:
                self._loose.add(row.id)

    def _values(self, found: Found, tree: str) -> list[Value] | None:
        """Return the values of a whole record, else set aside what can be read of it."""
        encoding = self._pages.header.encoding
        reason = CUT
        if found.cell.whole:
            try:
                return decode(found.cell.payload, encoding)
            except BadRecordError as error:
                self._walk.errors.add(
                    found.page, tree, f"it has a row whose record is none: {error}"
                )
                reason = UNREADABLE
        else:
            self._walk.errors.add(found.page, tree, "it has a row whose end is lost")
        if tree in EXPECTED_COLUMNS:
            front = decode_front(found.cell.payload, encoding)
            self._set_aside(found, tree, reason, [*front, found.cell.payload])
        return None

    def _set_aside(self, found: Found, table: str, reason: str, values: Sequence[Value]) -> None:
        stored = [column.name for column in self._tables.columns[table] if column.stored]
        names = [*stored, *(f"value_{number}" for number in range(len(stored), len(values)))]
        named = dict(zip(names, values, strict=False))
        self._target.set_aside(table, found.cell.rowid, reason, found.page, named)

    def _add(self, row: Row, page: int) -> bool:
        if row.table == TASKS and any(isinstance(row.values.get(n), RawText) for n in _RUN_BY):
            self._target.set_aside(TASKS, row.id, GARBLED, page, row.values)
            return False
        if not self._target.add(row, page):
            return False
        if row.table == TASKS:
            self._doubts.judge_row(row)
            if page in self._pages.doubtful:
                self._doubts.add("log-page", [row.id])
        return True

    def _row_in(self, found: Found, tables: Iterable[str]) -> Row | None:
        values = self._row_values(found) if found.cell.whole else []
        return self._row_of(values, found.cell.rowid, tables)

    def _row_of(self, values: list[Value], rowid: int, tables: Iterable[str]) -> Row | None:
        rows = (
            row_of(table, self._tables.columns[table], rowid, values, strict=True)
            for table in tables
        )
        return next((row for row in rows if row is not None), None)

    def _take_sequence(self, found: Found) -> None:
        values = self._row_values(found)
        if len(values) == _SEQUENCE_COLUMNS:
            name, highest = values
            if isinstance(name, str) and isinstance(highest, int):
                self.sequences[name] = highest

    def _row_values(self, found: Found) -> list[Value]:
        try:
            return decode(found.cell.payload, self._pages.header.encoding)
        except BadRecordError:
            return []
