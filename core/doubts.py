"""Which of the tasks that came back may not be what was put in, as far as they tell themselves.

A changed bit in a payload that is JSON still, or in a name that is one still, shows nowhere here:
only a backup or a record outside of the file can tell it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from .connection import Connection
from .payloads import decode
from .records import RawText, Value
from .schema import STATUSES
from .tableshape import Row
from .timestamps import CANONICAL_GLOB, parse, to_text

TIMES = ("created_at_utc", "updated_at_utc", "run_after_utc", "finished_at_utc", "lease_until_utc")
_PAST = ("created_at_utc", "updated_at_utc", "finished_at_utc")
_LISTED_MOST = 10_000
_DAY_MS = 86_400_000
_FIRST_MS = 946_684_800_000
"""The year 2000, before any queue of this kind."""
_WORDS = ("type", "status", "locked_by", "idempotency_key")


@dataclass(frozen=True)
class Doubt:
    """A task in the new file that may not be as it was.

    Attributes:
        task_id: its id.
        reason: ``length``, ``text``, ``payload``, ``key``, ``status``, ``attempts``, ``time``,
            ``id``, ``index``, ``log-page``, ``unproved`` or ``backup``.
    """

    task_id: int
    reason: str


@dataclass
class Doubts:
    """All doubts of a salvage.

    Attributes:
        first: the first ones.
        count: tasks in doubt, by reason.
        tasks: ids of all of them.
    """

    first: list[Doubt] = field(default_factory=list)
    count: dict[str, int] = field(default_factory=dict)
    tasks: set[int] = field(default_factory=set)

    def add(self, reason: str, ids: Iterable[int]) -> None:
        """Doubt these tasks."""
        for task_id in ids:
            self.count[reason] = self.count.get(reason, 0) + 1
            self.tasks.add(task_id)
            if len(self.first) < _LISTED_MOST:
                self.first.append(Doubt(task_id, reason))

    def judge_row(self, row: Row) -> None:
        """Doubt a task whose text is none, or whose payload is no JSON."""
        if any(
            isinstance(value, RawText) or _garbled(row, name) for name, value in row.values.items()
        ):
            self.add("text", [row.id])
        elif not all(_is_json(row.values.get(name)) for name in ("payload", "compatibility")):
            self.add("payload", [row.id])

    def judge_table(self, connection: Connection, highest: int | None, now_ms: int) -> None:
        """Doubt the tasks of the new file whose columns make no sense.

        Args:
            connection: to it.
            highest: the highest id that was ever given, or None where that is not known.
            now_ms: the moment of the salvage.
        """
        known = ", ".join(f"'{status}'" for status in STATUSES)
        self.add("status", _ids(connection, f"status NOT IN ({known})"))
        self.add("attempts", _ids(connection, "attempts NOT BETWEEN 0 AND 1e6 OR max_attempts < 1"))
        self.add("time", self._wrong_times(connection, now_ms))
        above = f"id > {highest}" if highest is not None else "FALSE"
        self.add("id", _ids(connection, f"id < 1 OR {above}"))

    def _wrong_times(self, connection: Connection, now_ms: int) -> list[int]:
        columns = ", ".join(f"CAST({name} AS BLOB)" for name in TIMES)
        odd = " OR ".join(_odd_sql(name) for name in TIMES)
        rows = connection.execute(
            f"SELECT id, {columns} FROM task_queue WHERE {odd} "
            "OR julianday(updated_at_utc) < julianday(created_at_utc) - 1",
            {"first": to_text(_FIRST_MS), "last": to_text(now_ms + _DAY_MS)},
        )
        return [
            row[0]
            for row in rows
            if _makes_no_sense(dict(zip(TIMES, row[1:], strict=True)), now_ms)
        ]


def _odd_sql(column: str) -> str:
    """Return a condition that is true of every time but the plain ones between then and now."""
    return f"""({column} IS NOT NULL AND NOT (typeof({column}) = 'text'
        AND substr({column}, 1, 19) GLOB '{CANONICAL_GLOB}'
        AND datetime({column}, '+0 days') IS substr({column}, 1, 19)
        AND {column} BETWEEN :first AND :last))"""


def _makes_no_sense(times: dict[str, bytes | None], now_ms: int) -> bool:
    moments = {
        name: parse(stored.decode("utf-8", "replace"))
        for name, stored in times.items()
        if stored is not None
    }
    if any(moment is None or moment < _FIRST_MS for moment in moments.values()):
        return True
    if any((moments.get(name) or 0) > now_ms + _DAY_MS for name in _PAST):
        return True
    created, updated = moments.get("created_at_utc"), moments.get("updated_at_utc")
    return created is not None and updated is not None and updated < created - _DAY_MS


def _garbled(row: Row, name: str) -> bool:
    value = row.values[name]
    return name in _WORDS and isinstance(value, str) and not value.isprintable()


def _is_json(value: Value) -> bool:
    if value is None:
        return True
    content = value if isinstance(value, bytes) else str(value).encode(errors="replace")
    return decode(content)[1]


def _ids(connection: Connection, where: str) -> list[int]:
    rows = connection.execute(f"SELECT id FROM task_queue WHERE {where} ORDER BY id").fetchall()
    return [row[0] for row in rows]
