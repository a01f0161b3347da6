"""The queue database: opening it, one connection a thread, and transactions that wait fairly.

Nothing here creates a file unless told; a mistyped path is an error.
"""

import contextlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

from . import forks, recovery, schema
from .arguments import check_integer
from .clock import Clock, SystemClock
from .connection import Connect, Connection, connect_stdlib, roll_back
from .errors import (
    CommitUnknownError,
    DatabaseError,
    DatabaseMissingError,
    DatabaseMovedError,
    EmptyDatabaseError,
    NewerSchemaError,
    NotAFileError,
    NotAQueueError,
    ReadOnlyDatabaseError,
    StrayJournalError,
)
from .files import create_empty, make_folder, publish, remove, sync_file, temporary_beside
from .paths import resolve, sides, uri, wal_of
from .slot import Slot, file_at
from .translation import opening, primary_code, system_translated, translate, translated

Durability = Literal["full", "normal"]
OpenMode = Literal["ro", "rw"]

BUSY_TIMEOUT_MS = 5000
AUTOCHECKPOINT_PAGES = 1000
_BUSY_TIMEOUT_MOST_MS = 2**31 - 1
# EXTRA is FULL in WAL mode. In the others it also syncs the folder after the rollback journal is
# deleted: a journal that a power cut brings back would undo a commit that was acknowledged.
_SYNCHRONOUS = {"full": 3, "normal": 1}
# Without a -wal, NORMAL syncs the journal's header together with its pages: a power cut may leave
# the count of pages without the pages, and rolling back then damages the file. The checksum does
# not tell: it is that of one byte in 200 (https://www.sqlite.org/fileformat2.html, section 3).
_NORMAL_WITHOUT_WAL = 2
# Without the lock COMMIT writes nothing. A write that finds no room was to make the file longer:
# what it was to write is not there whole, and no recovery takes it for a commit. Any other error
# may come when all is written: a sync that failed says nothing of what is on the disk.
_UNDONE = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL)


class QueueDatabase:
    """A queue file, opened and known to be one.

    Args:
        path: the file; None takes PRISMQ_QUEUE_DB_PATH, else the platform's default.
        create: make the file and its folder where there is none.
        read_only: never write to the database (SQLite still maps the -shm of a WAL file).
        connect: the door to SQLite (see ``connection.py``).
        busy_timeout_ms: how long a statement waits for a lock, in milliseconds.
        clock: where the time comes from.

    Raises:
        DatabaseMissingError: there is no such file, and ``create`` was not said.
        NotAFileError: the path is a folder or a device.
        EmptyDatabaseError: the file has no page.
        NotADatabaseError: the file is something else, or its header is destroyed.
        DatabaseCorruptError: its schema cannot be read.
        NotAQueueError: it is a database without the task table.
        NewerSchemaError: a later version of this program made it.
        UnreadableDatabaseError: the system or SQLite refuses to open it.
        InterruptedRestoreError: a restore was cut off and cannot be finished here.
        ForkedError: this process was forked off while it was open.
        InvalidArgumentError: the path or the timeout makes no sense.

    Attributes:
        path: absolute path of the real file.
        created: whether this opening made it.
        recovered: what opening found of a restore that was cut off, else None.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        create: bool = False,
        read_only: bool = False,
        connect: Connect = connect_stdlib,
        busy_timeout_ms: int = BUSY_TIMEOUT_MS,
        clock: Clock | None = None,
    ) -> None:
        check_integer("busy_timeout_ms", busy_timeout_ms, least=0, most=_BUSY_TIMEOUT_MOST_MS)
        self.path = resolve(path)
        self.read_only = read_only
        self.busy_timeout_ms = busy_timeout_ms
        self.clock: Clock = clock or SystemClock()
        self.connect = connect
        self._local = threading.local()
        self._slots: weakref.WeakSet[Slot] = weakref.WeakSet()
        self._slots_lock = threading.Lock()
        self.recovered = recovery.on_opening(self.path, read_only=read_only, connect=connect)
        with system_translated(self.path):
            self.created = create and not self.path.exists() and self._create()
        require_file(self.path)
        try:
            self.layout = self._check_layout()
        except BaseException:
            self.close()
            raise

    # -- connections -----------------------------------------------------------------------

    def connection(self) -> Connection:
        """Return this thread's connection, opened where there is none yet.

        Raises:
            DatabaseError: it cannot be opened any more.
        """
        return self._slot().connection

    def open_connection(
        self, *, mode: OpenMode | None = None, timeout_s: float | None = None
    ) -> Connection:
        """Return a new connection that the caller closes.

        Args:
            mode: "ro" or "rw"; by default as the database was opened.
            timeout_s: how long its statements wait for a lock; by default busy_timeout_ms.

        Raises:
            DatabaseError: it cannot be opened any more.
            InterruptedRestoreError: a restore is replacing the files.
            ForkedError: this process was forked off while it was open.
        """
        wait_s = self.busy_timeout_ms / 1000 if timeout_s is None else timeout_s
        mode = mode or ("ro" if self.read_only else "rw")
        recovery.refuse_swap(self.path)
        forks.refuse_inherited(self.path, file_at(self.path))
        with opening(self.path, wait_s):
            connection = self._open(self.path, mode, wait_s)
        try:
            recovery.refuse_swap(self.path)
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Close the connections of all threads; the database may be used again afterwards.

        Transactions of other threads are waited for, as long as the busy timeout; one that takes
        longer closes its connection when it ends. What ``connection()`` has given to another thread
        may not be in use there.
        """
        with self._slots_lock:
            slots = list(self._slots)
            # From here on every thread gets a new connection.
            self._slots, self._local = weakref.WeakSet(), threading.local()
        for slot in slots:
            slot.close(self.busy_timeout_ms / 1000)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # -- transactions ----------------------------------------------------------------------

    def require_writable(self) -> None:
        """Return if the database was opened for writing.

        Raises:
            ReadOnlyDatabaseError: it was not.
        """
        if self.read_only:
            raise ReadOnlyDatabaseError(path=str(self.path), detail="it was opened read-only")

    @contextlib.contextmanager
    def transaction(self, durability: Durability = "full") -> Iterator[Connection]:
        """Run the body inside BEGIN IMMEDIATE; commit at its end, roll back if it raises.

        BEGIN IMMEDIATE waits its turn, and nothing after it can be refused as busy
        (https://www.sqlite.org/lang_transaction.html); a read that turns into a write may be.

        Args:
            durability: "full" survives a power cut once the body's end is passed; "normal"
                survives a crash of the process, and a power cut may roll it back whole
                (https://www.sqlite.org/pragma.html#pragma_synchronous).

        Raises:
            DatabaseBusyError: the lock was not had within the busy timeout; nothing was done.
            DiskFullError: there is no room, for COMMIT neither; nothing was done.
            CommitUnknownError: COMMIT itself failed, and may have done it.
            DatabaseMovedError: the file was deleted or replaced meanwhile; nothing was done.
            ReadOnlyDatabaseError: the database was opened read-only.

        Locks: writer, from the body's start to its end.
        On a live queue: safe; keep the body short, since other writers wait for it.
        """
        self.require_writable()
        with self._in_use() as slot:
            connection = slot.connection
            with translated(self.path, self.busy_timeout_ms / 1000):
                self._begin(slot, durability)
                try:
                    yield connection
                    slot.refuse_moved(self.path)
                except BaseException as error:
                    roll_back(connection)
                    if isinstance(error, DatabaseMovedError):
                        # The next transaction opens what is there then.
                        slot.close(wait_s=0.0)
                    raise
            self._commit(connection)

    def _begin(self, slot: Slot, durability: Durability) -> None:
        assert not slot.connection.in_transaction, "transactions do not nest"
        wanted = _SYNCHRONOUS[durability]
        if durability == "normal" and not slot.has_wal:
            wanted = _NORMAL_WITHOUT_WAL
        if slot.synchronous != wanted:
            # Refused inside a transaction, so it is set before.
            slot.connection.execute(f"PRAGMA synchronous = {wanted}").close()
            slot.synchronous = wanted
        slot.connection.execute("BEGIN IMMEDIATE")

    def _commit(self, connection: Connection) -> None:
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            roll_back(connection)
            ours = self._surely_undone(connection, error)
            if ours is None:
                ours = CommitUnknownError(path=str(self.path), detail=str(error))
            raise ours from error

    def _surely_undone(self, connection: Connection, error: sqlite3.Error) -> DatabaseError | None:
        """Return the error of a COMMIT that surely did nothing, or None where that is not sure."""
        if primary_code(error) not in _UNDONE or connection.in_transaction:
            return None
        return translate(error, self.path, self.busy_timeout_ms / 1000)

    # -- inside ----------------------------------------------------------------------------

    def _slot(self) -> Slot:
        slot: Slot | None = getattr(self._local, "slot", None)
        if slot is None or not slot.open:
            # Looked at first: whoever replaces it in between is found out later, and not missed.
            file = file_at(self.path)
            connection = self.open_connection()
            slot = Slot(connection, file, file_at(wal_of(self.path)))
            with self._slots_lock:
                self._local.slot = slot
                self._slots.add(slot)
        return slot

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[Slot]:
        """Yield this thread's slot, which nobody closes during the body."""
        while True:
            slot = self._slot()
            with slot.in_use:
                # Another thread may have closed it in between.
                if slot.open:
                    yield slot
                    return

    def _open(self, path: Path, mode: OpenMode, timeout_s: float) -> Connection:
        connection = self.connect(uri(path, mode=mode), timeout_s=timeout_s)
        try:
            _set_up(connection, writing=mode == "rw")
        except BaseException:
            connection.close()
            raise
        return connection

    def _create(self) -> bool:
        """Make the queue, whole before it has its name; return whether nobody was faster."""
        for side in sides(self.path):
            if not side.name.endswith("-shm") and side.exists() and side.stat().st_size > 0:
                raise StrayJournalError(path=str(self.path), journal=side.name)
        make_folder(self.path.parent)
        with temporary_beside(self.path) as draft:
            try:
                self._make_draft(draft)
            finally:
                for side in sides(draft):
                    remove(side, sync=False)
            sync_file(draft)
            try:
                publish(draft, self.path)
            except FileExistsError:
                # Another one that was told to create was faster; its queue is opened.
                return False
        return True

    def _make_draft(self, draft: Path) -> None:
        create_empty(draft)
        with (
            translated(self.path),
            contextlib.closing(self._open(draft, "rw", timeout_s=0.0)) as connection,
        ):
            _make_queue(connection)

    def _check_layout(self) -> schema.Layout:
        with opening(self.path, self.busy_timeout_ms / 1000):
            return require_queue(self.path, self.connection())


def require_file(path: Path) -> None:
    """Return if there is a file at the path with something in it.

    Raises:
        DatabaseMissingError: there is none.
        NotAFileError: it is a folder or a device.
        EmptyDatabaseError: there is nothing in it.
        UnreadableDatabaseError: the system does not let this user look.
    """
    shown = str(path)
    with system_translated(path):
        if path.is_dir():
            raise NotAFileError(path=shown, what="a folder")
        if not path.exists():
            raise DatabaseMissingError(path=shown)
        if not path.is_file():
            raise NotAFileError(path=shown, what="a device or pipe")
        if path.stat().st_size == 0:
            raise EmptyDatabaseError(path=shown)


def require_queue(path: Path, connection: Connection) -> schema.Layout:
    """Return the layout of the queue that the connection leads to.

    Args:
        path: the file that errors name.
        connection: to the database.

    Raises:
        NotAQueueError: there is no task table in it, or one that lacks columns.
        NewerSchemaError: a later version of this program made it.
    """
    layout = schema.read_layout(connection)
    if not layout.is_queue:
        missing = ", ".join(item for item in layout.missing if item.startswith("task_queue"))
        raise NotAQueueError(path=str(path), missing=missing)
    if layout.version > schema.SCHEMA_VERSION:
        raise NewerSchemaError(path=str(path), found=layout.version, known=schema.SCHEMA_VERSION)
    return layout


def _set_up(connection: Connection, *, writing: bool) -> None:
    """Set what belongs to a connection and not to the file."""
    # trusted_schema stays on: SQLite before 3.42 counts json_extract as unsafe, and the generated
    # columns of every queue use it.
    pragmas = ["foreign_keys = ON", "mmap_size = 0", "cache_size = -20000"]
    if writing:
        pragmas += [f"wal_autocheckpoint = {AUTOCHECKPOINT_PAGES}", "fullfsync = ON"]
    else:
        pragmas.append("query_only = ON")
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}").close()
    # The first page is read now, so that a file that is no database says so here.
    connection.execute("PRAGMA schema_version").fetchall()


def _make_queue(connection: Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("PRAGMA synchronous = FULL").close()
    connection.execute("BEGIN IMMEDIATE")
    try:
        schema.create(connection)
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise
