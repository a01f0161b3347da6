"""``queuedrill integrity``."""

from typing import Annotated

import typer

from ..figures import quoted
from ..looking import check_integrity
from ..options import AsJson, Db, Debug
from ..progress import elapsed
from ..speaking import speaking

_SOUND = ["ok"]


def integrity(
    *,
    timeout_seconds: Annotated[
        float | None,
        typer.Option("--timeout-seconds", metavar="S", help="Give up after so many seconds."),
    ] = None,
    db: Db = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Check every page of the file. Exit code 1 if it is damaged."""
    with speaking("integrity", as_json=as_json, debug=debug) as console:
        from core.paths import resolve

        path = resolve(db)
        with elapsed(console, "Checking") as progress:
            rows = check_integrity(path, timeout_seconds, progress)
        console.facts.update(path=str(path), rows=rows)
        if rows == _SOUND:
            console.say(f"{quoted(path)} is sound.", "good")
            return
        console.not_good()
        console.say(f"{quoted(path)} is DAMAGED:", "bad")
        for row in rows:
            console.say(f"  {row}")
        console.say(
            "Stop the workers and restore the newest verified backup with: "
            f"queuedrill restore --db {quoted(path)}"
        )
