"""What ``queuedrill restore`` would do, said before it is done."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core import QueueBackup
    from core.verification import Verification

from ..console import Console
from ..figures import age, counts, quoted, utc


def is_possible(
    console: Console, backups: "QueueBackup", backup: str | Path, *, live: bool, foreign: bool
) -> bool:
    """Say what restoring the backup means, and return whether it can be done.

    Nothing is written. Where it cannot be done, the console's exit code says so.

    Raises:
        BackupMissingError: there is no such backup.
        DatabaseIOError: the database could not be looked at.
    """
    from core.observer import look
    from core.schema import HELD

    proof = backups.check_backup(backup)
    holders = list(map(str, look(backups.path).holders)) if backups.path.exists() else []
    obstacles = _obstacles(backups, proof, holders, live=live, foreign=foreign)
    released = sum(proof.counts.get(status, 0) for status in HELD)
    console.facts.update(
        dry_run=True,
        backup=str(proof.path),
        database=str(backups.path),
        counts=proof.counts,
        leases_released=released,
        holders=holders,
        obstacles=obstacles,
    )
    console.say(f"Backup    {quoted(proof.path)}")
    console.say(f"          {_made(proof)}; {counts(proof.counts)}")
    console.say(f"goes over {quoted(backups.path)}")
    console.say(f"{released} tasks that were held in the backup become queued.")
    console.say("What was done since then leaves the queue; the old state is kept for --undo.")
    for obstacle in obstacles:
        console.say(f"It cannot be done: {obstacle}", "bad")
    if obstacles:
        console.not_good()
    return not obstacles


def _obstacles(
    backups: "QueueBackup", proof: "Verification", holders: list[str], *, live: bool, foreign: bool
) -> list[str]:
    from core.catalog import same_file

    found = [f"the backup is broken ({problem})" for problem in proof.problems]
    source = proof.manifest.source if proof.manifest else str(backups.path)
    if not foreign and not same_file(source, str(backups.path)):
        found.append(f"it is of another queue, {quoted(source)}; if that is meant, add --foreign")
    if holders and not live:
        found.append(f"the queue is open in {', '.join(holders)}; stop them, or add --live")
    return found


def _made(proof: "Verification") -> str:
    from core import SystemClock

    if proof.manifest is None:
        return "without a manifest, so only its structure is proved"
    created_ms = proof.manifest.created_ms
    old_s = (SystemClock().now_ms() - created_ms) / 1000
    return f"made {utc(created_ms)}, {age(old_s)} ago"
