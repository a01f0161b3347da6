"""The journal mode of a database."""

import contextlib

from .connection import scalar
from .database import QueueDatabase
from .errors import WalNotPossibleError
from .translation import translated


def enable_wal(database: QueueDatabase) -> None:
    """Leave the database in WAL mode, which the file remembers.

    Raises:
        WalNotPossibleError: SQLite left it in another mode.
        DatabaseBusyError: somebody else has it open and at work.
    """
    with (
        translated(database.path, database.busy_timeout_ms / 1000),
        contextlib.closing(database.open_connection(mode="rw")) as connection,
    ):
        mode = str(scalar(connection, "PRAGMA journal_mode = WAL")).lower()
    if mode != "wal":
        raise WalNotPossibleError(
            path=str(database.path), mode=mode, detail="SQLite did not change it"
        )
