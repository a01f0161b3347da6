"""``queuedrill checkpoint``."""

import enum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from core.checkpoint import CheckpointResult

from ..options import AsJson, Db, Debug
from ..speaking import speaking


class Mode(enum.StrEnum):
    """SQLite's checkpoint modes."""

    PASSIVE = "PASSIVE"
    FULL = "FULL"
    RESTART = "RESTART"
    TRUNCATE = "TRUNCATE"


def checkpoint(
    *,
    mode: Annotated[
        Mode,
        typer.Option("--mode", case_sensitive=False, help="All but PASSIVE hold up writers."),
    ] = Mode.PASSIVE,
    timeout_seconds: Annotated[
        float,
        typer.Option("--timeout-seconds", metavar="S", help="Wait at most so long for a lock."),
    ] = 1.0,
    db: Db = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Bring the -wal into the database. Exit code 1 if not all of it came.

    TRUNCATE also cuts the -wal file to nothing.
    """
    with speaking("checkpoint", as_json=as_json, debug=debug) as console:
        from core import QueueDatabase
        from core.maintenance import QueueMaintenance

        with QueueDatabase(db) as database:
            maintenance = QueueMaintenance(database)
            result = maintenance.checkpoint(mode.value, timeout_seconds=timeout_seconds)
        console.facts.update(result)
        if not result["complete"]:
            console.not_good()
        console.say(_sentence(result), "good" if result["complete"] else "warning")


def _sentence(result: "CheckpointResult") -> str:
    if result["log"] < 0:
        if result["busy"]:
            return f"{result['mode']} was not run: the writer lock was not had in time."
        return "There is no -wal to bring in: the file is not in WAL mode."
    if result["complete"] and result["log"] == 0:
        return f"{result['mode']} is complete: the -wal is empty."
    frames = f"{result['checkpointed']} of {result['log']} frames are in the database"
    if result["complete"]:
        return f"{result['mode']} is complete: {frames}."
    why = "a lock was not had in time" if result["busy"] else "a reader still needs the rest"
    return f"{result['mode']} is NOT complete: {frames}; {why}."
