"""``queuedrill vacuum``."""

from typing import Annotated

import typer

from ..asking import agree
from ..figures import quoted, size
from ..options import AsJson, Db, Debug, Yes
from ..progress import elapsed
from ..speaking import speaking


def vacuum(
    *,
    yes: Yes = False,
    timeout_seconds: Annotated[
        float,
        typer.Option("--timeout-seconds", metavar="S", help="Give up after so many seconds."),
    ] = 600.0,
    db: Db = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Rebuild the file without its free space; asks first.

    Writers wait for all of it, and it needs free space of up to twice the file.
    """
    with speaking("vacuum", as_json=as_json, debug=debug) as console:
        from core import QueueDatabase
        from core.maintenance import QueueMaintenance

        with QueueDatabase(db) as database:
            before = size(database.path.stat().st_size)
            question = f"VACUUM {quoted(database.path)} ({before}); its writers wait meanwhile"
            agree(console, question, yes=yes)
            with elapsed(console, "VACUUM") as progress:
                result = QueueMaintenance(database).vacuum(
                    timeout_seconds=timeout_seconds, progress=progress
                )
        console.facts.update(vars(result))
        console.say(
            f"VACUUM is done: {size(result.size_before_bytes)} before, "
            f"{size(result.size_after_bytes)} now, {result.seconds:.1f} s",
            "good",
        )
        console.say(f"Writers were kept out for {result.writer_lock_seconds:.2f} s.")
        if not result.file_shrunk:
            console.say(
                "The file shrinks when its readers let go, at the next: "
                f"queuedrill checkpoint --db {quoted(database.path)} --mode TRUNCATE"
            )
