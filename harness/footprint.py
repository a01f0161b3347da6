"""What lies on the disk of a queue: names, sizes, times and digests, to compare with later.

Run as a program it prints them as JSON. The harness always runs it so: reading the bytes of a
database in a process that has a connection to it drops that connection's locks
(https://www.sqlite.org/howtocorrupt.html, section 2.2).
"""

import hashlib
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

_TIMEOUT_S = 240.0
_DIGESTED = ("", "-wal", "-shm", "-journal")


@dataclass(frozen=True)
class Footprint:
    """What was seen at one moment.

    Attributes:
        digests: SHA-256 of the database and of what SQLite keeps beside it, by file name.
        names: what lies in the folder under a name that begins with the database's.
        backups: the files of the backup folder, with size and time of each; none if it is missing.
    """

    digests: dict[str, str]
    names: list[str]
    backups: dict[str, list[int]]


def take_footprint(database: Path, backups: Path) -> Footprint:
    """Return the footprint, read by a process that never connects to the database.

    Raises:
        OSError: the files cannot be read.
        TimeoutExpired: it took too long.
    """
    program = [sys.executable, "-I", "-X", "utf8", __file__]
    done = subprocess.run(
        [*program, str(database), str(backups)],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise OSError(f"the footprint of {database} cannot be taken: {(words or ['?'])[-1]}")
    return Footprint(**json.loads(done.stdout))


def changes(before: Footprint, after: Footprint, *, content: bool) -> list[str]:
    """Return what is different, one sentence each.

    Args:
        before: taken first.
        after: taken last.
        content: whether contents are compared too; while workers write they differ rightly.
    """
    found = [f"{name} is new" for name in after.names if name not in before.names]
    if content:
        found += [f"{name} is gone" for name in before.names if name not in after.names]
        found += [
            f"{name} has another content"
            for name, digest in after.digests.items()
            if before.digests.get(name, digest) != digest
        ]
    found += [
        f"{name} in the backup folder was touched"
        for name in {*before.backups, *after.backups}
        if before.backups.get(name) != after.backups.get(name)
    ]
    return sorted(found)


def _look(database: Path, backups: Path) -> Footprint:
    files = [database.with_name(database.name + suffix) for suffix in _DIGESTED]
    names = (each.name for each in database.parent.iterdir())
    return Footprint(
        digests={file.name: _sha256(file) for file in files if file.is_file()},
        names=sorted(name for name in names if name.startswith(database.name)),
        backups=listing(backups, leave_out=database.name),
    )


def listing(folder: Path, *, leave_out: str) -> dict[str, list[int]]:
    """Return size and time of the folder's files, none if it is missing.

    Args:
        folder: opened is none of its files.
        leave_out: files whose names begin so: a live queue that lies there changes rightly.
    """
    files = (each for each in folder.iterdir() if each.is_file()) if folder.is_dir() else ()
    facts = ((each.name, each.stat()) for each in files if not each.name.startswith(leave_out))
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in facts}


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


if __name__ == "__main__":
    json.dump(asdict(_look(Path(sys.argv[1]), Path(sys.argv[2]))), sys.stdout)
