"""Opening a queue, one connection a thread, and transactions that wait fairly."""

import contextlib
import gc
import os
import shutil
import sqlite3
import subprocess
import threading

import pytest

from core import ManualClock, QueueDatabase, connect_stdlib, errors, schema
from core.connection import scalar
from core.files import sha256
from core.paths import sides, wal_of

INSERT = "INSERT INTO task_queue (type, payload) VALUES ('t', '{}')"
LARGE_PAYLOAD = '"' + "x" * 100_000 + '"'
COUNT = "SELECT count(*) FROM task_queue"

OPEN_WITHOUT_RIGHTS = """
import os
from core import QueueDatabase
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
try:
    QueueDatabase(argv[0], create=argv[1] == "True")
except Exception as error:
    say(type(error).__name__, error)
"""

HOLD_WRITER = """
import sqlite3
connection = sqlite3.connect(argv[0], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
say("writing")
wait()
connection.execute("COMMIT")
"""


def names(folder):
    """Return what lies in the folder."""
    return sorted(path.name for path in folder.iterdir())


# -- opening -------------------------------------------------------------------------------------


def test_mistyped_path_is_an_error_and_makes_nothing(tmp_path):
    """No file and no folder appears because a path was wrong."""
    with pytest.raises(errors.DatabaseMissingError, match="queuedrill init"):
        QueueDatabase(tmp_path / "typo" / "queue.db")

    assert names(tmp_path) == []


def test_creating_makes_a_wal_queue_with_its_folder_and_opens_an_old_one_as_it_is(tmp_path):
    """``create`` makes what is missing, and never touches what is there."""
    path = tmp_path / "new" / "queue.db"
    with QueueDatabase(path, create=True) as database:
        with database.transaction() as connection:
            connection.execute(INSERT)
        assert scalar(database.connection(), "PRAGMA journal_mode") == "wal"

    with QueueDatabase(path, create=True) as database:
        assert scalar(database.connection(), COUNT) == 1


def test_creating_beside_an_orphaned_log_is_refused(tmp_path):
    """A -wal without its database may hold committed tasks, so no new database destroys it."""
    path = tmp_path / "queue.db"
    wal_of(path).write_bytes(b"frames")

    with pytest.raises(errors.StrayJournalError, match=r"queue\.db-wal"):
        QueueDatabase(path, create=True)

    assert names(tmp_path) == ["queue.db-wal"]


def test_failed_creation_leaves_nothing(tmp_path):
    """A creation that breaks off leaves no half queue behind."""

    def broken(uri, *, timeout_s):
        connect_stdlib(uri, timeout_s=timeout_s).close()
        raise sqlite3.OperationalError("out of order")

    with pytest.raises(sqlite3.OperationalError):
        QueueDatabase(tmp_path / "queue.db", create=True, connect=broken)

    assert names(tmp_path) == []


CREATE_AT_ONE_TIME = """
import time
from core import QueueDatabase
say("ready")
wait()
QueueDatabase(argv[0], create=True).close()
say("open")
"""


def test_all_that_create_one_queue_at_one_time_get_it(spawn, tmp_path):
    """Workers that start together, each told to create, all find one whole queue."""
    path = tmp_path / "new" / "queue.db"
    for _round in range(3):
        children = [spawn(CREATE_AT_ONE_TIME, path) for _ in range(4)]
        assert [child.hear() for child in children] == ["ready"] * 4
        for child in children:
            child.release()
        assert [child.hear() for child in children] == ["open"] * 4
        assert [child.finish() for child in children] == [0] * 4
        # Of two that close in one moment neither is the last, and the log stays for the next one.
        QueueDatabase(path).close()
        assert names(path.parent) == ["queue.db"]
        path.unlink()


def test_no_half_queue_is_ever_there_under_its_name(tmp_path):
    """Whoever is killed while creating has left no file at the path that would be in the way."""
    path = tmp_path / "queue.db"
    seen = []

    class Watched(sqlite3.Connection):
        def execute(self, *arguments):
            seen.append(path.exists())
            return super().execute(*arguments)

    def connect(uri, *, timeout_s):
        return sqlite3.connect(
            uri, uri=True, timeout=timeout_s, isolation_level=None, factory=Watched
        )

    database = QueueDatabase(path, create=True, connect=connect)
    database.close()

    # From the first statement on the finished file on, it is there; never before it is whole.
    first_there = seen.index(True)
    assert first_there > len(schema.STATEMENTS)
    assert all(seen[first_there:])
    assert not any(seen[:first_there])


def write_bytes(content):
    """Return a maker of a file with this content."""
    return lambda path: path.write_bytes(content)


def make_plain(path):
    """Make a database that is no queue."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE other (x)")


def make_newer(path):
    """Make a queue of a later schema."""
    QueueDatabase(path, create=True).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def make_half(path):
    """Make a queue whose task table lacks a column."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE task_queue (id INTEGER PRIMARY KEY, status TEXT)")


def make_broken_schema(path):
    """Make a database with a sound header and garbage for its first page."""
    QueueDatabase(path, create=True).close()
    with path.open("r+b") as file:
        file.seek(100)
        file.write(os.urandom(3900))


@pytest.mark.parametrize(
    ("make", "leaf", "says"),
    [
        (lambda path: path.mkdir(), errors.NotAFileError, "a folder"),
        (write_bytes(b""), errors.EmptyDatabaseError, "queuedrill restore"),
        (write_bytes(b"hello " * 1000), errors.NotADatabaseError, "not an SQLite database"),
        (write_bytes(b"SQLite format 3\0" + b"\0" * 5000), errors.NotADatabaseError, "restore"),
        (make_plain, errors.NotAQueueError, "lacks task_queue"),
        (make_half, errors.NotAQueueError, "task_queue.lease_until_utc"),
        (make_newer, errors.NewerSchemaError, "schema 99"),
        (make_broken_schema, errors.DatabaseCorruptError, "queuedrill restore"),
    ],
    ids=[
        "folder", "empty", "text", "zeros", "other-database", "half-a-queue", "newer", "corrupt",
    ],
)  # fmt: skip
def test_what_is_no_queue_is_said_with_the_cure_and_left_alone(tmp_path, make, leaf, says):
    """Each thing that is no usable queue gets an error of its own, and keeps every byte."""
    path = tmp_path / "queue.db"
    make(path)
    before = sha256(path) if path.is_file() else None

    with pytest.raises(leaf, match=says):
        QueueDatabase(path, create=True)

    assert (sha256(path) if path.is_file() else None) == before


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + "/queue.db", "file/queue.db", "loop"])
def test_path_that_cannot_be_gets_an_error_of_ours(tmp_path, name, create):
    """A path that the system itself refuses is told like every other that leads nowhere."""
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    with pytest.raises(errors.DatabaseError, match="Check"):
        QueueDatabase(tmp_path / name, create=create)

    assert names(tmp_path) == ["file", "loop"]


if os.name == "posix":

    @pytest.mark.parametrize("mode", [0o555, 0o000])
    @pytest.mark.parametrize("create", [False, True])
    def test_folder_that_may_not_be_used_gets_an_error_of_ours(
        spawn, open_the_way, tmp_path, mode, create
    ):
        """A folder without the right to write, or even to look, is told with what to check."""
        path = tmp_path / "closed" / "queue.db"
        path.parent.mkdir()
        if not create:
            QueueDatabase(path, create=True).close()
            path.chmod(0o666)
        open_the_way(tmp_path)
        path.parent.chmod(mode)

        said = spawn(OPEN_WITHOUT_RIGHTS, path, create).hear()

        path.parent.chmod(0o700)
        assert said.split()[0] in {"UnreadableDatabaseError", "ReadOnlyDatabaseError"}
        assert "heck that" in said


def test_dangling_link_is_a_missing_database(tmp_path):
    """A link to nowhere is told as missing."""
    (tmp_path / "link.db").symlink_to(tmp_path / "nowhere.db")

    with pytest.raises(errors.DatabaseMissingError):
        QueueDatabase(tmp_path / "link.db")


@pytest.mark.parametrize("timeout", [-1, 2**31, float("nan"), float("inf"), "1", None, True])
def test_timeout_that_makes_no_sense_is_refused(queue_path, timeout):
    """A timeout that makes no sense is an error before anything is opened."""
    with pytest.raises(errors.InvalidArgumentError, match="busy_timeout_ms"):
        QueueDatabase(queue_path, busy_timeout_ms=timeout)


# -- connections ---------------------------------------------------------------------------------


def test_each_thread_has_a_connection_of_its_own_which_ends_with_the_thread(queue_path):
    """Threads share no connection, and none outlives its thread."""
    found = []
    with QueueDatabase(queue_path) as database:
        mine = database.connection()
        thread = threading.Thread(target=lambda: found.append(database.connection()))
        thread.start()
        thread.join()
        gc.collect()

        assert found[0] is not mine
        assert database.connection() is mine
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            found[0].execute("SELECT 1")


def test_closed_database_may_be_used_again(queue_path):
    """Closing ends all connections; a later use opens a new one."""
    database = QueueDatabase(queue_path)
    first = database.connection()
    database.close()
    database.close()

    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        first.execute("SELECT 1")
    assert scalar(database.connection(), COUNT) == 0
    database.close()


def test_closing_waits_for_the_transaction_of_another_thread(queue_path):
    """A commit under way is not cut off, and what it acknowledges is there."""
    begun, closing = threading.Event(), threading.Event()
    acknowledged = []
    database = QueueDatabase(queue_path)

    def work():
        with database.transaction() as connection:
            begun.set()
            assert closing.wait(30.0)
            connection.execute(INSERT)
        acknowledged.append(True)

    class Wakened(threading.Thread):
        def run(self):
            closing.set()
            database.close()

    worker = threading.Thread(target=work)
    worker.start()
    assert begun.wait(30.0)
    closer = Wakened()
    closer.start()
    worker.join(30.0)
    closer.join(30.0)

    assert acknowledged == [True]
    assert scalar(database.connection(), COUNT) == 1
    database.close()
    assert names(queue_path.parent) == ["queue.db"]


def test_closing_gives_up_waiting_and_leaves_the_rest_to_the_transaction(queue_path):
    """A thread that never ends its transaction keeps nobody from closing; it closes behind it."""
    begun, end = threading.Event(), threading.Event()
    database = QueueDatabase(queue_path, busy_timeout_ms=10)

    def work():
        with database.transaction() as connection:
            connection.execute(INSERT)
            begun.set()
            assert end.wait(30.0)

    worker = threading.Thread(target=work)
    worker.start()
    assert begun.wait(30.0)
    database.close()
    end.set()
    worker.join(30.0)
    del worker
    gc.collect()

    assert names(queue_path.parent) == ["queue.db"]
    with QueueDatabase(queue_path) as again:
        assert scalar(again.connection(), COUNT) == 1


CLOSED_UNDER_WORK = """
import threading, time
from core import QueueDatabase, TaskQueue
database = QueueDatabase(argv[0])
end, acknowledged, wrong = time.monotonic() + 2.0, [], []
def work():
    tasks = TaskQueue(database, durability="normal")
    try:
        while time.monotonic() < end:
            acknowledged.append(tasks.enqueue("t", 1))
            task = tasks.claim("w")
            if task is not None:
                tasks.complete(task)
    except Exception as error:
        wrong.append(repr(error))
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads: thread.start()
while time.monotonic() < end: database.close()
for thread in threads: thread.join()
database.close()
say(len(acknowledged), wrong)
"""


def test_queue_that_is_closed_under_working_threads_crashes_none_of_them(spawn, queue_path):
    """Threads at work while another one closes go on with new connections, and lose nothing.

    Real time is the subject: what would crash the interpreter is a matter of moments.
    """
    child = spawn(CLOSED_UNDER_WORK, queue_path)
    said = child.hear()
    assert child.finish() == 0

    acknowledged, wrong = said.split(" ", 1)
    assert wrong == "[]"
    with QueueDatabase(queue_path) as database:
        assert scalar(database.connection(), COUNT) == int(acknowledged) > 0


def test_connection_has_the_settings_of_the_house(queue_path):
    """Foreign keys are kept, memory mapping is off, and the time to wait is the one said."""
    with QueueDatabase(queue_path, busy_timeout_ms=1234) as database:
        connection = database.connection()

        assert scalar(connection, "PRAGMA foreign_keys") == 1
        assert scalar(connection, "PRAGMA mmap_size") == 0
        assert scalar(connection, "PRAGMA wal_autocheckpoint") == 1000
        assert scalar(connection, "PRAGMA busy_timeout") == 1234


def test_every_opening_goes_through_the_one_door(queue_path):
    """A caller's own way to connect sees every opening."""
    seen = []

    def connect(uri, *, timeout_s):
        seen.append((uri, timeout_s))
        return connect_stdlib(uri, timeout_s=timeout_s)

    with QueueDatabase(queue_path, connect=connect) as database:
        database.connection()
        database.open_connection(mode="ro", timeout_s=0.5).close()

    assert [uri.rsplit("?", 1)[1] for uri, _timeout in seen] == ["mode=rw", "mode=ro"]
    assert [timeout for _uri, timeout in seen] == [5.0, 0.5]


def test_read_only_database_is_never_written(queue_path):
    """Neither a transaction nor a plain statement gets through a read-only opening."""
    before = sha256(queue_path)
    with QueueDatabase(queue_path, read_only=True) as database:
        with pytest.raises(errors.ReadOnlyDatabaseError), database.transaction():
            pass
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            database.connection().execute(INSERT)

    assert sha256(queue_path) == before


if hasattr(os, "fork"):

    def test_child_of_a_fork_does_not_close_its_parent_s_connection(spawn, queue_path):
        """A forked child that ends drops no lock of its parent."""
        child = spawn(
            "import os, sqlite3\n"
            "from core import QueueDatabase\n"
            "database = QueueDatabase(argv[0])\n"
            "with database.transaction() as connection:\n"
            f"    connection.execute({INSERT!r})\n"
            "    pid = os.fork()\n"
            "    if pid == 0:\n"
            "        database.close()\n"
            "        open_still = connection.in_transaction\n"
            "        os._exit(0 if open_still else 1)\n"
            "    say('forked', os.waitpid(pid, 0)[1])\n"
            "    wait()\n"
            "database.close()\n",
            queue_path,
        )
        assert child.hear() == "forked 0"

        with (
            QueueDatabase(queue_path, busy_timeout_ms=0) as database,
            pytest.raises(errors.DatabaseBusyError),
            database.transaction(),
        ):
            pass


# -- transactions --------------------------------------------------------------------------------


def test_transaction_is_whole_or_not_at_all(queue_path):
    """A body that ends is committed, and one that raises leaves nothing."""
    with QueueDatabase(queue_path) as database:
        with database.transaction() as connection:
            connection.execute(INSERT)

        def fail():
            with database.transaction() as connection:
                connection.execute(INSERT)
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            fail()

        assert scalar(database.connection(), COUNT) == 1
        assert not database.connection().in_transaction


def test_transaction_waits_for_another_process_and_then_runs(spawn, queue_path):
    """A writer elsewhere is waited for, not run into."""
    child = spawn(HOLD_WRITER, queue_path)
    assert child.hear() == "writing"
    waiting = threading.Timer(0.2, child.release)
    waiting.start()

    with QueueDatabase(queue_path, busy_timeout_ms=30_000) as database:
        with database.transaction() as connection:
            connection.execute(INSERT)
        assert scalar(database.connection(), COUNT) == 1
    waiting.join()


def test_transaction_that_cannot_begin_says_that_nothing_was_done(spawn, queue_path):
    """After the busy timeout the error says how long was waited, and nothing has changed."""
    assert spawn(HOLD_WRITER, queue_path).hear() == "writing"

    with QueueDatabase(queue_path, busy_timeout_ms=100) as database:
        with (
            pytest.raises(errors.DatabaseBusyError, match=r"0\.1 s"),
            database.transaction() as connection,
        ):
            connection.execute(INSERT)
        assert scalar(database.connection(), COUNT) == 0


@pytest.mark.parametrize(
    ("mode", "durability", "level"),
    [("WAL", "full", 3), ("WAL", "normal", 1), ("DELETE", "full", 3), ("DELETE", "normal", 2)],
)
def test_durability_sets_how_a_commit_is_synced(queue_path, execute, mode, durability, level):
    """Each durability has its own setting, also when they take turns on one connection.

    Without a -wal, SQLite's NORMAL lets a power cut damage the file, and is never set.
    """
    execute((f"PRAGMA journal_mode = {mode}",))
    with QueueDatabase(queue_path) as database:
        for turn in ("full", "normal", durability):
            with database.transaction(durability=turn):
                pass
        assert scalar(database.connection(), "PRAGMA synchronous") == level


STRACE_S = 60.0
COMMIT_ONE = """
import sqlite3
from core import QueueDatabase, TaskQueue
with QueueDatabase(argv[0]) as database:
    tasks = TaskQueue(database)
    tasks.enqueue("warm", 1)
    say("now")
    wait()
    tasks.enqueue("t", 1)
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace shows what is synced")
@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_acknowledged_task_needs_no_further_sync(spawn, queue_path, execute, tmp_path, mode):
    """After the last write of a commit, an unlinked journal's included, comes a sync of it."""
    execute((f"PRAGMA journal_mode = {mode}",))
    child = spawn(COMMIT_ONE, queue_path)
    assert child.hear() == "now"
    log = tmp_path / "strace"
    calls = "trace=pwrite64,write,unlink,unlinkat,fsync,fdatasync,ftruncate"
    command = ["strace", "-f", "-y", "-o", str(log), "-e", calls, "-p", str(child.pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        if "attached" not in strace.stderr.readline():
            pytest.skip("this system does not let a process be traced")
        child.release()
        assert child.finish() == 0
        strace.wait(timeout=STRACE_S)

    # Up to the closing of the database, which checkpoints in WAL mode.
    seen = [line.split(" ", 1)[1].strip() for line in log.read_text().splitlines()]
    about_queue = [call for call in seen if queue_path.name in call or f"{tmp_path}>" in call]
    if mode == "DELETE":
        last = max(number for number, call in enumerate(about_queue) if "unlink" in call)
        assert any("sync" in call and f"{tmp_path}>" in call for call in about_queue[last:])
    else:
        writes = [call.startswith("pwrite64") and "-wal>" in call for call in about_queue]
        last = max(number for number, wrote in enumerate(writes) if wrote)
        assert "sync" in about_queue[last + 1]
        assert "-wal>" in about_queue[last + 1]


def test_failed_commit_is_told_as_unknown(queue_path):
    """An error out of COMMIT itself leaves open whether the row is there, and says so."""

    class FailingCommit:
        def __init__(self, connection):
            self._connection = connection

        def __getattr__(self, name):
            return getattr(self._connection, name)

        def execute(self, sql, parameters=()):
            if sql == "COMMIT":
                raise sqlite3.OperationalError("disk I/O error")
            return self._connection.execute(sql, parameters)

    def connect(uri, *, timeout_s):
        return FailingCommit(connect_stdlib(uri, timeout_s=timeout_s))

    with QueueDatabase(queue_path, connect=connect) as database:
        with (
            pytest.raises(errors.CommitUnknownError, match="may or may not"),
            database.transaction() as connection,
        ):
            connection.execute(INSERT)
        assert not database.connection().in_transaction


def test_full_disk_is_told_and_what_was_there_stays(queue_path):
    """A write that finds no room is rolled back whole, and the error says what is full."""
    with QueueDatabase(queue_path) as database:
        with database.transaction() as connection:
            connection.execute(INSERT)
        pages = scalar(database.connection(), "PRAGMA page_count")
        database.connection().execute(f"PRAGMA max_page_count = {pages}").fetchall()
        with (
            pytest.raises(errors.DiskFullError, match="Free some space"),
            database.transaction() as connection,
        ):
            connection.execute(
                "INSERT INTO task_queue (type, payload) VALUES ('t', ?)",
                (LARGE_PAYLOAD,),
            )
        assert scalar(database.connection(), COUNT) == 1
        assert scalar(database.connection(), "PRAGMA integrity_check") == "ok"


def test_field_file_is_used_as_it_is(tmp_path):
    """A queue that another program made opens without being changed in any byte."""
    path = tmp_path / "field.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for statement in schema.STATEMENTS[:-1]:
            connection.execute(statement)
    before = sha256(path)

    with QueueDatabase(path, clock=ManualClock(0)) as database:
        assert database.layout.version == 0
        assert not database.layout.has_waiting_index
        assert database.clock.now_ms() == 0
        assert database.recovered is None

    assert sha256(path) == before
    assert not any(side.exists() for side in sides(path))
