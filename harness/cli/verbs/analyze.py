"""``queuedrill analyze``."""

from typing import Annotated

import typer

from ..options import AsJson, Db, Debug
from ..speaking import speaking


def analyze(
    *,
    table: Annotated[
        str | None,
        typer.Option("--table", metavar="NAME", show_default=False, help="Only this table."),
    ] = None,
    db: Db = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Update the statistics that SQLite plans its queries by."""
    with speaking("analyze", as_json=as_json, debug=debug) as console:
        from core import QueueDatabase
        from core.maintenance import QueueMaintenance

        with QueueDatabase(db) as database:
            waited_s = QueueMaintenance(database).analyze(table)
        console.facts.update(table=table, writer_lock_seconds=waited_s)
        console.say(f"The statistics are up to date; writers waited {waited_s:.2f} s.", "good")
