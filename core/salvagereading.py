"""Reads every row that a damaged file still holds, the surest ways first.

First the trees of tables and indexes, page by page; then the leaves that nothing leads to any more,
since what did is lost; then the pages that the file counts as free, of which only those rows live
that an index still knows.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

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
        self._give_keys()

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
        self._evidence.settle()
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
        self._evidence.flush()

    def _judge_loose(self) -> None:
        """Take out the tasks that nothing leads to and that an index which is whole denies."""
        source = self._evidence.whole_source()
        for task_id in sorted(self._loose & self._target.ids[TASKS]):
            if self._evidence.knows(task_id):
                continue
            if source is None:
                self._doubts.add("unproved", [task_id])
            else:
                self._target.take_out(TASKS, task_id, DELETED)
                self.found[TASKS, "loose"] -= 1

    def _read_freed(self) -> None:
        for found in self._walk.freed():
            row = self._row_in(found, [TASKS])
            if row is None or row.id in self._target.ids[TASKS]:
                continue
            if not self._evidence.knows(row.id):
                self.deleted.add(row.id)
            elif self._add(row, found.page):
                self.found[TASKS, "revived"] += 1

    def _give_keys(self) -> None:
        """Of two tasks with one key, let that one have it whose an index says it is."""
        for task_id, key in list(self._target.bereft.items()):
            if self._evidence.has_key(task_id, key):
                self._target.give_key(task_id)
        self._doubts.add("key", sorted(self._target.bereft))

    # -- rows ------------------------------------------------------------------------------

    def _take(self, found: Found, tree: str) -> None:
        """Put a row into its table, or set it aside where the table is known and it is none."""
        if not found.cell.whole:
            self._walk.errors.add(found.page, tree, "it has a row whose end is lost")
            self._set_front_aside(found, tree, CUT)
            return
        values = self._row_values(found)
        row = self._row_of_tree(found, tree, values)
        if row is not None and found.placed:
            self.found[tree, "tree"] += self._add(row, found.page)
            return
        row = row or self._row_of(values, found.cell.rowid, EXPECTED_COLUMNS)
        if row is not None:
            self._take_loose(row, found.page)
        elif tree in EXPECTED_COLUMNS and not self._take_ragged(found, tree):
            self._walk.errors.add(found.page, tree, "it has a row that is none of its table")
            self._set_front_aside(found, tree, UNREADABLE)

    def _row_of_tree(self, found: Found, tree: str, values: Sequence[Value]) -> Row | None:
        if tree not in EXPECTED_COLUMNS:
            return None
        columns = self._tables.columns[tree]
        return row_of(tree, columns, found.cell.rowid, values, strict=False)

    def _take_loose(self, row: Row, page: int) -> None:
        known = row.id in self._target.ids[row.table]
        if self._add(row, page) and not known:
            self.found[row.table, "loose"] += 1
            if row.table == TASKS:
                self._loose.add(row.id)

    def _take_ragged(self, found: Found, tree: str) -> bool:
        """Take a row behind whose last value something lies; return whether it was one.

        SQLite reads such a row as it is. Its length was changed, or that of one of its values.
        """
        try:
            values = decode(found.cell.payload, self._pages.header.encoding, ragged=True)
        except BadRecordError:
            return False
        row = self._row_of_tree(found, tree, values)
        if row is None or len(values) < sum(each.stored for each in self._tables.columns[tree]):
            return False
        self._walk.errors.add(found.page, tree, "it has a row with something behind its end")
        self.found[tree, "tree"] += self._add(row, found.page)
        if tree == TASKS and row.id in self._target.ids[TASKS]:
            self._doubts.add("length", [row.id])
        return True

    def _set_front_aside(self, found: Found, tree: str, reason: str) -> None:
        """Keep what can be read of a row, and all of its bytes."""
        if tree in EXPECTED_COLUMNS:
            front = decode_front(found.cell.payload, self._pages.header.encoding)
            self._set_aside(found, tree, reason, [*front, found.cell.payload])

    def _set_aside(self, found: Found, table: str, reason: str, values: Sequence[Value]) -> None:
        stored = [column.name for column in self._tables.columns[table] if column.stored]
        names = [*stored, *(f"value_{number}" for number in range(len(stored), len(values)))]
        named = dict(zip(names, values, strict=False))
        self._target.set_aside(table, found.cell.rowid, reason, found.page, named)

    def _add(self, row: Row, page: int) -> bool:
        if row.table == TASKS and any(isinstance(row.values.get(n), RawText) for n in _RUN_BY):
            self._target.set_aside(TASKS, row.id, GARBLED, page, row.values)
            return False
        if not self._target.add(self._readable(row), page):
            return False
        if row.table == TASKS:
            self._doubts.judge_row(row)
            if page in self._pages.doubtful:
                self._doubts.add("log-page", [row.id])
        return True

    def _readable(self, row: Row) -> Row:
        """Return the row with text that every program can read, its bad bytes replaced."""
        encoding = self._pages.header.encoding
        values = {
            name: value.content.decode(encoding, "replace") if isinstance(value, RawText) else value
            for name, value in row.values.items()
        }
        return replace(row, values=values)

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
