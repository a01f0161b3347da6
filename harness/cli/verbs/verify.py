"""``queuedrill verify``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from core import QueueBackup
    from core.verification import Verification

from ..console import Console
from ..figures import counts, quoted
from ..options import AsJson, BackupDir, Db, Debug, Declare
from ..speaking import speaking


def verify(
    *,
    backup: Annotated[
        str | None,
        typer.Argument(
            metavar="[BACKUP]", show_default=False, help="A path, or a name in the backup folder."
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All backups of this queue.")] = False,
    db: Db = None,
    backup_dir: BackupDir = None,
    declare: Declare = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Prove that a backup is whole; the newest unless told.

    Its digest, schema, integrity, foreign keys, tables and counts are checked.
    """
    with speaking("verify", as_json=as_json, debug=debug) as console:
        from core import QueueBackup

        if backup is not None and every:
            raise typer.BadParameter("Give one BACKUP or --all, not both.")
        backups = QueueBackup(db, backup_dir, declared=declare or ())
        proofs = [backups.check_backup(path) for path in _chosen(backups, backup, every=every)]
        console.facts["backups"] = [_facts(proof) for proof in proofs]
        for proof in proofs:
            _say(console, proof)


def _chosen(backups: "QueueBackup", backup: str | None, *, every: bool) -> list[str | Path]:
    from core.errors import NoBackupError

    if backup is not None:
        return [backup]
    paths = [info.path for info in backups.list_backups()]
    if not paths:
        raise NoBackupError(
            path=str(backups.path),
            folder=str(backups.folder),
            detail=f'Make one with: queuedrill backup --db "{backups.path}"',
        )
    return [*paths] if every else [paths[0]]


def _say(console: Console, proof: "Verification") -> None:
    if proof.ok:
        console.say(f"verified  {quoted(proof.path)}  {counts(proof.counts)}", "good")
        return
    console.not_good()
    console.say(f"BROKEN    {quoted(proof.path)}", "bad")
    for problem in proof.problems:
        console.say(f"          {problem}")


def _facts(proof: "Verification") -> dict[str, object]:
    return {
        "path": str(proof.path),
        "ok": proof.ok,
        "problems": [vars(problem) for problem in proof.problems],
        "counts": proof.counts,
        "has_manifest": proof.manifest is not None,
        "seconds": proof.seconds,
    }
