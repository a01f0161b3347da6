"""``queuedrill list``."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from core import QueueBackup
    from core.catalog import BackupInfo

from ..figures import quoted, utc
from ..options import AsJson, BackupDir, Db, Debug, Declare
from ..speaking import speaking

_TITLES = ("BACKUP", "SIZE MB", "LOCAL TIME", "UTC", "TASKS", "STATE")


def list_backups(
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Also those of other queues in the same folder.")
    ] = False,
    prove: Annotated[bool, typer.Option("--verify", help="Prove each of them now.")] = False,
    db: Db = None,
    backup_dir: BackupDir = None,
    declare: Declare = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List this queue's backups, newest first."""
    with speaking("list", as_json=as_json, debug=debug) as console:
        from core import QueueBackup
        from core.choosing import refuse_unknown

        backups = QueueBackup(db, backup_dir, declared=declare or ())
        found = backups.list_backups(include_foreign=True)
        refuse_unknown(backups.path, found)
        shown = [(info, _state(backups, info, prove=prove)) for info in found if every or info.ours]
        console.facts.update(
            folder=str(backups.folder), backups=[_facts(info, state) for info, state in shown]
        )
        if shown:
            console.say(f"Backups in {quoted(backups.folder)}")
            console.table(_TITLES, [_row(info, state) for info, state in shown])
        else:
            console.say(f"No backup of {quoted(backups.path)} in {quoted(backups.folder)}.")
            console.say(f"Make one with: queuedrill backup --db {quoted(backups.path)}")
        hidden = len(found) - len(shown)
        if hidden:
            console.say(f"Of other queues: {hidden} more (--all shows them)", "faint")
        if any(state.startswith("BROKEN") for _info, state in shown):
            console.not_good()


def _state(backups: "QueueBackup", info: "BackupInfo", *, prove: bool) -> str:
    if prove:
        proof = backups.check_backup(info.path)
        return "verified" if proof.ok else f"BROKEN: {proof}"
    if info.manifest_problem is not None:
        return f"manifest unreadable: {info.manifest_problem}"
    return "no manifest" if info.manifest is None else "proved when made"


def _row(info: "BackupInfo", state: str) -> list[str]:
    manifest = info.manifest
    whose = "" if info.ours or manifest is None else f" (of another queue: {manifest.source})"
    return [
        info.path.name,
        f"{info.size_mb:.2f}",
        str(info.created_at),
        utc(info.created_ms).removesuffix(" UTC"),
        "?" if manifest is None else str(sum(manifest.counts.values())),
        state + whose,
    ]


def _facts(info: "BackupInfo", state: str) -> dict[str, object]:
    return {
        "path": str(info.path),
        "name": info.name,
        "size_bytes": info.size_bytes,
        "created_local": str(info.created_at),
        "created_utc": info.created_at_utc.isoformat(),
        "state": state,
        "ours": info.ours,
        "manifest": None if info.manifest is None else vars(info.manifest),
    }
