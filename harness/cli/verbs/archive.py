"""``queuedrill archive``."""

from typing import Annotated

import typer

from ..asking import agree
from ..figures import quoted
from ..options import AsJson, Db, Debug, Yes
from ..speaking import speaking

_DAY_S = 86_400


def archive(
    *,
    older_than_days: Annotated[
        float,
        typer.Option("--older-than-days", metavar="N", help="Finished longer ago than N days."),
    ],
    archive_path: Annotated[
        str | None,
        typer.Option(
            "--archive",
            metavar="PATH",
            show_default=False,
            help="The archive; else 'archive' beside the database.",
        ),
    ] = None,
    yes: Yes = False,
    db: Db = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Move old finished tasks to a file of their own; asks first.

    Each task is moved with its log, whole or not at all.
    """
    with speaking("archive", as_json=as_json, debug=debug) as console:
        from core import QueueDatabase
        from core.maintenance import QueueMaintenance

        with QueueDatabase(db) as database:
            question = (
                f"Move tasks of {quoted(database.path)} that finished more than "
                f"{older_than_days:g} days ago into an archive"
            )
            agree(console, question, yes=yes)
            result = QueueMaintenance(database).archive_finished(
                older_than_days * _DAY_S, archive_path
            )
        console.facts.update(vars(result))
        console.say(f"{result.moved} tasks moved to {quoted(result.archive)}", "good")
        console.say(
            f"{result.logs_moved} log rows with them; {result.seconds:.1f} s, writers waited "
            f"{result.longest_lock_seconds:.2f} s at most."
        )
        stayed = result.left_unreadable + result.left_changed
        if stayed:
            console.say(
                f"{stayed} stay: {result.left_unreadable} whose end or text cannot be read, "
                f"{result.left_changed} that changed meanwhile.",
                "warning",
            )
