"""``queuedrill backup``."""

import time
from typing import Annotated

import typer

from ..figures import counts, quoted, size
from ..options import AsJson, BackupDir, Db, Debug
from ..progress import progress_bar
from ..speaking import speaking


def backup(
    *,
    db: Db = None,
    backup_dir: BackupDir = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Part of the file's name, such as 'daily'."),
    ] = None,
    timeout_seconds: Annotated[
        float | None,
        typer.Option("--timeout-seconds", metavar="S", help="Give up after so many seconds."),
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Make a verified backup. Delays no worker.

    It is whole, synced and proved before it gets its name.
    """
    with speaking("backup", as_json=as_json, debug=debug) as console:
        from core import QueueBackup, QueueDatabase
        from core.manifest import read_manifest

        start_s = time.monotonic()
        with QueueDatabase(db) as database, progress_bar(console, "Copying") as progress:
            path = QueueBackup(database, backup_dir).create_backup(
                name, progress=progress, timeout_seconds=timeout_seconds
            )
        seconds = time.monotonic() - start_s
        manifest = read_manifest(path)
        assert manifest is not None, "a new backup has its manifest"
        console.facts.update(path=str(path), seconds=seconds, manifest=vars(manifest))
        console.say(f"Backup made and verified: {quoted(path)}", "good")
        console.say(f"{size(manifest.size_bytes)}, {counts(manifest.counts)}, {seconds:.1f} s")
