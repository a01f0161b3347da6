"""Ways through settings that take SQLite's protections away, and through what changes outside.

Sections 7 and 8.2 of https://www.sqlite.org/howtocorrupt.html.
"""

from collections.abc import Callable

from harness.outcome import Inconclusive
from harness.ways.by_files import spill
from harness.ways.session import Session, session
from harness.ways.stage import INSERT, Stage
from harness.ways.way import Way

_FEW = tuple(f"few-{number}" for number in range(5))
_WITH_FORMAT = '{"format":"jpeg"}'


def _turn_schema_version_back(stage: Stage) -> str:
    """Make an index, and have a worker not see that there is one."""
    with session(stage.path) as worker, session(stage.path) as other:
        worker.sql("SELECT count(*) FROM task_queue")
        ((version,),) = other.sql("PRAGMA schema_version")
        other.sql("CREATE INDEX by_worker ON task_queue (locked_by)")
        other.sql(f"PRAGMA schema_version = {version}")
        stage.put(worker, _FEW)
        for each in (other, worker):
            each.tell("close")
    return f"schema_version turned back to {version} after an index was made"


def _killed_without_journal(mode: str) -> Callable[[Stage], str]:
    def happens(stage: Stage) -> str:
        before = stage.path.read_bytes()
        writer = Session(stage.path)
        ((said,),) = writer.sql(f"PRAGMA journal_mode = {mode}")
        if said != mode:
            raise Inconclusive(f"the journal mode is {said}")
        spill(writer)
        writer.kill()
        if stage.path.read_bytes() == before:
            raise Inconclusive("nothing had been written when the writer was killed")
        return f"killed in a transaction with journal_mode {said}"

    return happens


def _write_schema_by_hand(stage: Stage) -> str:
    """Point the table at another tree, as a mistake in a repair by hand does."""
    root = "(SELECT rootpage FROM sqlite_schema WHERE name = 'ix_task_format')"
    with session(stage.path) as hand:
        hand.sql("PRAGMA writable_schema = ON")
        hand.sql(f"UPDATE sqlite_schema SET rootpage = {root} WHERE name = 'task_queue'")
    return "the table's root page changed in sqlite_schema"


def change_expression(stage: Stage) -> str:
    """Have the expression of an indexed column give other values than when it was indexed.

    So a function whose answer another version of SQLite changes leaves the index.
    """
    with session(stage.path) as worker:
        for key in _FEW:
            worker.sql(INSERT, _WITH_FORMAT, key)
        stage.told(_FEW, _WITH_FORMAT)
        worker.sql("PRAGMA writable_schema = ON")
        worker.sql(
            "UPDATE sqlite_schema SET sql = replace(sql, '$.format', '$.form') "
            "WHERE name = 'task_queue'"
        )
    return "the expression of an indexed generated column gives other values"


WAYS = (
    Way(
        id="7-schema-version",
        asked="schema_version is turned back while a worker has the queue open",
        happens=_turn_schema_version_back,
    ),
    Way(
        id="7-journal-off",
        asked="a writer without a journal is killed in its transaction",
        happens=_killed_without_journal("off"),
        journal="delete",
    ),
    Way(
        id="7-journal-in-memory",
        asked="a writer with its journal in memory is killed in its transaction",
        happens=_killed_without_journal("memory"),
        journal="delete",
    ),
    Way(
        id="7-writable-schema",
        asked="the schema is changed by hand, as rows of a table",
        happens=_write_schema_by_hand,
    ),
)
STALE_INDEX = Way(
    id="8.2-stale-expression-index",
    asked="an expression gives other values than those in its index",
    happens=change_expression,
)
