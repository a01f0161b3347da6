"""What somebody who means harm writes into a queue with SQLite's own help: schemas and rows."""

import random
from typing import Any

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
_SCHEMA = "INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)"
_OURS = ("task_queue", "task_logs", "workers", "queuedrill_meta")
_ACTIONS = (
    "DELETE FROM task_queue",
    "UPDATE task_queue SET status = 'completed'",
    f"INSERT INTO workers {ENDLESS.replace('SELECT x FROM n', 'SELECT x, x, x FROM n')}",
    "SELECT RAISE(ABORT, 'no')",
    "SELECT load_extension('x')",
)
_EXPRESSIONS = (
    "hex(randomblob(900000000))",
    "zeroblob(2147483647)",
    "printf('%.*c', 3000000, 'x')",
    "replace(payload, 'x', payload)",
    "payload LIKE '%a%b%c%d%e%f%g%h%'",
    "payload GLOB '*a*b*c*d*e*'",
    "json_extract(payload, '$' || payload)",
    "load_extension('x')",
    "readfile('/etc/passwd')",
    "writefile('harm', 'x')",
    "edit(payload)",
    "fts3_tokenizer('simple', x'00')",
    "sqlite_compileoption_get(1)",
    "(((((((((((((((((((1)))))))))))))))))))",
    " + ".join(["1"] * 900),
)
_VALUES = (
    -1, 0, 2**63 - 1, -(2**63), 1e308, "", "\0", "x" * 5000, b"", b"\xff\xfe\x80", b"\0" * 200,
    "9999-12-31T23:59:59.999999+99:99", "2026-02-30 25:61:61", "[" * 3000, "\x1b[2J", "NaN", None,
)  # fmt: skip
_COLUMNS = (
    "id", "type", "priority", "payload", "compatibility", "status", "attempts", "max_attempts",
    "run_after_utc", "lease_until_utc", "reserved_at_utc", "locked_by", "created_at_utc",
    "updated_at_utc", "idempotency_key", "error_message", "finished_at_utc",
)  # fmt: skip

Statements = list[tuple[Any, ...]]


def add_trigger(chance: random.Random) -> Statements:
    """Have something happen when a table of the queue is written to."""
    table, action = chance.choice(_OURS), chance.choice(_ACTIONS)
    when = chance.choice(("BEFORE INSERT", "AFTER INSERT", "AFTER UPDATE", "BEFORE UPDATE"))
    sql = f"CREATE TRIGGER planted {when} ON {table} BEGIN {action}; END"
    return [(sql,), (_SCHEMA, chance.choice(("trigger", "view", "odd")), "p", table, 0, sql)]


def stand_in_place(chance: random.Random) -> Statements:
    """Put a view, or a table that is computed, in the place of one of the queue's."""
    table = chance.choice(
        (*_OURS, "pragma_table_info", "dbstat", "sqlite_stat1", "sqlite_sequence")
    )
    kind, sql = chance.choice((
        ("view", f"CREATE VIEW {table} AS {ENDLESS}"),
        ("view", f"CREATE VIEW {table} AS SELECT * FROM {table}"),
        ("table", f"CREATE VIRTUAL TABLE {table} USING fts5(a)"),
        ("table", f"CREATE VIRTUAL TABLE {table} USING rtree(a, b, c)"),
        ("table", f"CREATE TABLE {table} AS {ENDLESS}"),
        ("table", f"CREATE TABLE {table} (a, b, c, d)"),
    ))  # fmt: skip
    gone = ("DELETE FROM sqlite_master WHERE name = ?", table)
    return [gone, (_SCHEMA, kind, table, table, chance.choice((0, 1, 2, 3, 99)), sql)]


def compute(chance: random.Random) -> Statements:
    """Have a column, a check, a default or an index compute something."""
    expression = chance.choice(_EXPRESSIONS)
    old, new = chance.choice((
        ("region TEXT GENERATED", f"planted AS ({expression}), region TEXT GENERATED"),
        ("payload TEXT NOT NULL", f"payload TEXT NOT NULL CHECK ({expression})"),
        ("message TEXT", f"message TEXT DEFAULT ({expression})"),
        ("'$.region'", f"'$.region' || ({expression})"),
    ))  # fmt: skip
    changed = ("UPDATE sqlite_master SET sql = replace(sql, ?, ?)", old, new)
    index = f"CREATE INDEX planted ON task_queue ({expression})"
    return [changed, (index,), (_SCHEMA, "index", "planted", "task_queue", 5, index)]


def confuse_schema(chance: random.Random) -> Statements:
    """Give rows of the schema roots, names, kinds and texts of others."""
    column = chance.choice(("type", "name", "tbl_name", "rootpage", "sql"))
    value = chance.choice((
        0, 1, 2, -1, 2**31, 2**62, "table", "index", "view", "trigger", "", None, b"\xff", "\0",
        "CREATE", "CREATE TABLE x", "CREATE TABLE x(a);DROP TABLE task_queue", "x" * 120_000,
        f"CREATE TABLE x({', '.join(f'c{n}' for n in range(1900))})",
        f"CREATE TABLE x(a CHECK ({'(' * 500}1{')' * 500}))",
        "CREATE TABLE x(a COLLATE nowhere)",
        "CREATE INDEX i ON task_queue(id) WHERE EXISTS(SELECT 1)",
    ))  # fmt: skip
    which = chance.choice(("1", "type = 'index'", "rowid = 1", "rowid = 5", "name LIKE 'task%'"))
    return [(f"UPDATE sqlite_master SET {column} = ? WHERE {which}", value)]


def crowd_schema(chance: random.Random) -> Statements:
    """Have more tables than anybody needs, all of them in one place."""
    count = chance.choice((10, 400, 1500))
    return [
        (
            _SCHEMA,
            "table",
            f"crowd{number}",
            f"crowd{number}",
            2,
            f"CREATE TABLE crowd{number}(a, b)",
        )
        for number in range(count)
    ]


def odd_rows(chance: random.Random) -> Statements:
    """Write values into tasks that no program of ours would write."""
    statements: Statements = [("DROP INDEX IF EXISTS uq_task_idempotency",)]
    for _ in range(chance.randint(1, 6)):
        column, value = chance.choice(_COLUMNS), chance.choice(_VALUES)
        some = chance.choice(("1", "id % 3 = 0", "id = 2", "status = 'leased'"))
        statements.append((f"UPDATE OR IGNORE task_queue SET {column} = ? WHERE {some}", value))
    return statements


def odd_statistics(chance: random.Random) -> Statements:
    """Have the planner believe what is not so."""
    words = chance.choice(("", "1 1 1", "-1", "9" * 40, "0 0 0 0", "x y z", "1 " * 500))
    table = chance.choice(_OURS)
    return [
        ("ANALYZE",),
        ("UPDATE sqlite_stat1 SET stat = ?", words),
        ("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", table, table, words),
    ]


def odd_pragmas(chance: random.Random) -> Statements:
    """Have the file say other things of itself."""
    name, values = chance.choice((
        ("user_version", (-1, 2, 2**31 - 1)),
        ("application_id", (0, -1, 0x51_44_52_4C)),
        ("auto_vacuum", (1, 2)),
        ("schema_version", (0, 2**31 - 1)),
        ("encoding", ("'UTF-16le'", "'UTF-16be'")),
    ))  # fmt: skip
    again: Statements = [("VACUUM",)] if name in {"auto_vacuum", "encoding"} else []
    return [(f"PRAGMA {name} = {chance.choice(values)}",), *again]


STATEMENTS = (
    add_trigger, stand_in_place, compute, compute, confuse_schema, confuse_schema, crowd_schema,
    odd_rows, odd_rows, odd_rows, odd_statistics, odd_pragmas,
)  # fmt: skip
"""All of them, the likelier ones more than once."""
