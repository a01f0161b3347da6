"""Checkpoints: the write-ahead log's pages brought into the database, and what became of it."""

import contextlib
from collections.abc import Iterator
from typing import Literal, TypedDict, cast, get_args

from .clock import Deadline
from .connection import Connection, roll_back
from .database import QueueDatabase
from .defects import has_wal_reset_defect
from .errors import DatabaseBusyError, InvalidArgumentError
from .translation import translated

Mode = Literal["PASSIVE", "FULL", "RESTART", "TRUNCATE"]
TIMEOUT_SECONDS = 1.0
_RETRY_S = 0.01
_NOT_RUN = (1, -1, -1)


class CheckpointResult(TypedDict):
    """What a checkpoint did (https://www.sqlite.org/pragma.html#pragma_wal_checkpoint).

    busy: 1 where a lock was not had in time. log: frames in the -wal; -1 without WAL or where it
    was not run. checkpointed: frames of it that are in the database now. complete: whether nothing
    is left to do; PASSIVE says busy 0 when it is not. mode: as asked. seconds: how long it took.
    """

    busy: int
    log: int
    checkpointed: int
    complete: bool
    mode: Mode
    seconds: float


def check_mode(mode: str) -> Mode:
    """Return the mode in capitals.

    Raises:
        InvalidArgumentError: there is no such mode.
    """
    known = mode.upper() if isinstance(mode, str) else mode
    if known not in get_args(Mode):
        raise InvalidArgumentError(
            what="the checkpoint mode", value=mode, cure=f"Give one of {', '.join(get_args(Mode))}."
        )
    return cast(Mode, known)


def checkpoint(database: QueueDatabase, mode: Mode, timeout_seconds: float) -> CheckpointResult:
    """Run a checkpoint on a connection of its own; return what it did."""
    start_s = database.clock.monotonic_s()
    try:
        with translated(database.path, timeout_seconds):
            busy, log, done = _run_until(database, mode, timeout_seconds)
    except DatabaseBusyError:
        busy, log, done = _NOT_RUN
    return CheckpointResult(
        busy=busy,
        log=log,
        checkpointed=done,
        complete=busy == 0 and log == done,
        mode=mode,
        seconds=database.clock.monotonic_s() - start_s,
    )


def _run_until(database: QueueDatabase, mode: Mode, timeout_s: float) -> tuple[int, int, int]:
    """Run it again while another connection's checkpoint is under way, until the time is up.

    PASSIVE does not wait for the checkpoint lock: it says busy at once.
    """
    deadline = Deadline(timeout_s, database.clock)
    while True:
        result = _run(database, mode, timeout_s)
        if mode != "PASSIVE" or result[0] == 0 or deadline.passed():
            return result
        database.clock.wait_s(_RETRY_S)


def _run(database: QueueDatabase, mode: Mode, timeout_s: float) -> tuple[int, int, int]:
    with contextlib.closing(database.open_connection(mode="rw", timeout_s=timeout_s)) as connection:
        if not has_wal_reset_defect(connection):
            return _checkpoint(connection, mode)
        with _writer_lock(database, timeout_s):
            if mode == "PASSIVE":
                return _checkpoint(connection, mode)
        # The other modes take that lock themselves, and only fall back to a passive checkpoint
        # without it if they cannot have it; just now it was to be had.
        return _checkpoint(connection, mode)


def _checkpoint(connection: Connection, mode: Mode) -> tuple[int, int, int]:
    busy, log, done = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()[0]
    return int(busy), int(log), int(done)


@contextlib.contextmanager
def _writer_lock(database: QueueDatabase, timeout_s: float) -> Iterator[None]:
    """Keep writers out for the body: on a defective SQLite they may not commit meanwhile.

    A checkpoint, another one and a writer together can corrupt the database
    (https://www.sqlite.org/wal.html, section 11). This lowers the risk; the automatic checkpoints
    of workers remain.
    """
    with contextlib.closing(database.open_connection(mode="rw", timeout_s=timeout_s)) as guard:
        guard.execute("BEGIN IMMEDIATE").close()
        try:
            yield
        finally:
            roll_back(guard)
