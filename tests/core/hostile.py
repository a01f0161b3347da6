"""Queue files as somebody would write them who means harm."""

import contextlib
import sqlite3

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
TRIGGERS = {
    "trigger-on-tasks": "CREATE TRIGGER planted AFTER UPDATE ON task_queue "
    "BEGIN UPDATE task_queue SET status = 'completed', payload = 'stolen'; END",
    "trigger-on-logs": "CREATE TRIGGER planted BEFORE INSERT ON task_logs "
    "BEGIN DELETE FROM task_queue; END",
    "trigger-on-meta": "CREATE TRIGGER planted AFTER INSERT ON queuedrill_meta "
    "BEGIN DELETE FROM task_queue; END",
}
EXPRESSIONS = {
    "check": "CREATE TABLE planted (x TEXT CHECK (x LIKE '%a%b%c%d%'))",
    "default": "CREATE TABLE planted (x BLOB DEFAULT (randomblob(1000000000)))",
    "generated": "CREATE TABLE planted (x TEXT, y TEXT AS (replace(x, 'a', x)))",
    "index": "CREATE INDEX planted ON task_queue (trim(payload, type))",
    "partial-index": "CREATE INDEX planted ON task_queue (id) WHERE payload GLOB '*a*b*c*'",
    "virtual-table": "CREATE VIRTUAL TABLE planted USING fts5 (x)",
    "name-of-a-pragma": "CREATE TABLE pragma_table_info (planted TEXT)",
    "name-of-a-table-of-sqlite": "CREATE TABLE dbstat (planted TEXT)",
}
# What CREATE would refuse is written into the schema by hand; SQLite refuses some of it itself.
FORGED = {
    "trigger-that-says-it-is-a-view": (
        "view", "planted", 0, "CREATE TRIGGER planted AFTER UPDATE ON workers BEGIN SELECT 1; END"),
    "table-made-of-a-query": ("table", "planted", 3, f"CREATE TABLE planted AS {ENDLESS}"),
    "view-that-says-it-is-a-table": ("table", "planted", 3, f"CREATE VIEW planted AS {ENDLESS}"),
    "table-of-another-name": ("table", "planted", 3, "CREATE TABLE another (x)"),
    "statistics-that-compute": (
        "table", "sqlite_stat1", 3, "CREATE TABLE sqlite_stat1 (tbl, idx CHECK (idx LIKE '%'))"
    ),
    "two-statements": ("table", "planted", 3, "CREATE TABLE planted (x); DROP TABLE task_queue"),
}  # fmt: skip
IN_PLACE = {
    f"view-in-the-place-of-{table}": (table, f"CREATE VIEW {table} AS {ENDLESS}")
    for table in ("task_queue", "task_logs", "workers", "queuedrill_meta")
}
ALL = (*TRIGGERS, *EXPRESSIONS, *FORGED, *IN_PLACE)
"""Names of all of them."""


def plant(path, name):
    """Put the one of this name into a queue file that nobody has open."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if name in IN_PLACE:
            table, sql = IN_PLACE[name]
            connection.execute(f"DROP TABLE {table}")
            connection.execute(sql)
        elif name in FORGED:
            kind, planted, root, sql = FORGED[name]
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute(
                "INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)",
                (kind, planted, planted, root, sql),
            )
        else:
            connection.execute({**TRIGGERS, **EXPRESSIONS}[name])
        connection.execute("PRAGMA journal_mode = DELETE")


def name_of(name):
    """Return what the one of this name is called in the schema."""
    words = {**TRIGGERS, **EXPRESSIONS}.get(name, "planted").split()
    if name in FORGED:
        return FORGED[name][1]
    return IN_PLACE[name][0] if name in IN_PLACE else "planted" if "planted" in words else words[2]
