"""Queues to maintain, and other processes at work on them."""

import contextlib
import sqlite3

# Says the id of each task that it has put in and that was acknowledged, until its input ends.
BUSY_WRITER = """
import threading
from core import QueueDatabase, TaskQueue
stop = threading.Event()
threading.Thread(target=lambda: (wait(), stop.set()), daemon=True).start()
with QueueDatabase(argv[0], busy_timeout_ms=30_000) as database:
    tasks = TaskQueue(database, durability='normal')
    while not stop.is_set():
        say(tasks.enqueue('t', 'x' * 200))
"""

# Holds the writer lock until its input ends.
LOCK_HOLDER = """
import sqlite3
c = sqlite3.connect(argv[0], isolation_level=None)
c.execute('BEGIN IMMEDIATE'); say('held'); wait(); c.execute('ROLLBACK'); c.close()
"""

# Keeps an old snapshot until its input ends.
OLD_READER = """
import sqlite3
c = sqlite3.connect(argv[0], isolation_level=None)
c.execute('BEGIN'); c.execute('SELECT count(*) FROM task_queue').fetchall()
say('reading'); wait(); c.execute('ROLLBACK'); c.close(); say('done')
"""

# Tries to write once for each line it gets, without waiting; says what came of it.
IMPATIENT_WRITER = """
import sqlite3
c = sqlite3.connect(argv[0], timeout=0, isolation_level=None)
say('ready')
while sys.stdin.readline():
    try: c.execute("INSERT INTO task_queue (type, payload) VALUES ('rival', '{}')"); say('wrote')
    except sqlite3.OperationalError as error: say(error)
c.close()
"""


@contextlib.contextmanager
def rival(path):
    """Yield a connection of another program."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def fill(path, tasks, *, status="queued", finished_at=None, bytes_each=100):
    """Put in tasks with a log row each, as another program does."""
    with rival(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for _ in range(tasks):
            task_id = connection.execute(
                "INSERT INTO task_queue (type, payload, status, finished_at_utc) "
                "VALUES ('t', ?, ?, ?)",
                (f'"{"x" * bytes_each}"', status, finished_at),
            ).lastrowid
            connection.execute(
                "INSERT INTO task_logs (task_id, level, message) VALUES (?, 'INFO', 'claimed')",
                (task_id,),
            )
        connection.execute("COMMIT")


def rows_of(path, sql, *values):
    """Return what another program reads."""
    with rival(path) as connection:
        return connection.execute(sql, values).fetchall()


def damage_page(path, number, page_size=4096):
    """Overwrite a page of a database that nobody has open."""
    with path.open("r+b") as file:
        file.seek((number - 1) * page_size)
        file.write(b"\xa5" * page_size)
