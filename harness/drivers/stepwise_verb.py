"""A program that runs one verb of the core, and stands still at each of its steps until told.

A step is a statement given to SQLite (before and after it), a step of a copy, each call by which
SQLite is about to change a file (seen by the file system below it), and whatever opens or changes a
file in the queue's folder or below: writes of the core itself, and all else that Python's audit
hook sees before it happens (https://docs.python.org/3/library/audit_events.html). What only reads
is no step: a death there leaves what one at the next step leaves.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


from core import primitives
from core.backup import QueueBackup
from core.connection import Connect, Connection, connect_stdlib
from core.database import QueueDatabase
from core.maintenance import QueueMaintenance
from harness.disk.binding import apsw_door
from harness.disk.vfs import Call, Kind, watched_files
from harness.door import watched
from harness.inherited import planted_by_parent

_EVENTS = frozenset((
    *("open", "shutil.rmtree"),
    *(f"os.{name}" for name in ("rename", "remove", "link", "mkdir", "rmdir", "truncate")),
))  # fmt: skip
_CHANGING = frozenset((Kind.OPEN, Kind.WRITE, Kind.SYNC, Kind.TRUNCATE, Kind.DELETE))
STATEMENTS, CALLS = "statements", "calls"


class Steps:
    """Says each step on the output, and waits for a line of the input before it is taken.

    Args:
        folder: of the queue; what happens elsewhere is no step.

    Attributes:
        armed: whether steps are said.
    """

    def __init__(self, folder: Path) -> None:
        self.armed = False
        self._folder = str(folder)

    def before(self, _connection: Connection, sql: str) -> None:
        """Take a statement that has not run yet for a step."""
        self.stand_still(f"before {' '.join(sql.split())}")

    def after(self, _connection: Connection, sql: str) -> None:
        """Take a statement that has run for a step."""
        self.stand_still(f"after {' '.join(sql.split())}")

    def stand_still(self, what: str) -> None:
        """Return when told to go on; end the process where nobody will tell."""
        if not self.armed:
            return
        say(f"step {what}")
        if not sys.stdin.readline():
            os._exit(1)

    def audit(self, event: str, arguments: tuple[object, ...]) -> None:
        """Take what Python is about to do to a file for a step."""
        if self.armed and event in _EVENTS and self._folder in os.fsdecode(str(arguments[0])):
            self.stand_still(f"before {event} of {Path(str(arguments[0])).name}")


class FileSteps:
    """Takes each call by which SQLite is about to change a file for a step.

    Args:
        steps: says them.
    """

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def before(self, call: Call) -> None:
        """Stand still before it, unless it only reads."""
        if call.kind in _CHANGING and call.path is not None:
            self._steps.stand_still(f"before {call} at {call.offset}")

    def after(self, call: Call) -> None:
        """Let a call that was made pass: the next one is a step."""


@contextlib.contextmanager
def _door(steps: Steps, seen: str) -> Iterator[Connect]:
    """Yield the door through which the verb opens its connections.

    Args:
        steps: says what is seen.
        seen: ``CALLS`` for calls to the file system too, through another SQLite than Python's.
    """
    if seen != CALLS:
        yield watched(steps, connect_stdlib)
        return
    with watched_files(FileSteps(steps)) as files:
        yield watched(steps, apsw_door(files))


def _tell_writes(steps: Steps) -> None:
    """Take each write of the core itself for a step; Python's audit hook does not see it."""
    right = primitives.write

    def write(descriptor: int, content: bytes) -> int:
        steps.stand_still(f"before a write of {len(content)} bytes")
        return right(descriptor, content)

    primitives.write = write


Verb = Callable[[Path, Connect, str], object]


def _on_backups(act: Callable[[QueueBackup, str], object]) -> Verb:
    return lambda database, connect, argument: act(QueueBackup(database, connect=connect), argument)


def _on_queue(act: Callable[[QueueMaintenance, str], object]) -> Verb:
    def verb(database: Path, connect: Connect, argument: str) -> object:
        with QueueDatabase(database, connect=connect) as opened:
            return act(QueueMaintenance(opened), argument)

    return verb


VERBS: dict[str, Verb] = {
    "backup": _on_backups(lambda backups, description: backups.create_backup(description)),
    "verify": _on_backups(lambda backups, backup: backups.check_backup(backup)),
    "prune": _on_backups(lambda backups, keep: backups.cleanup_old_backups(int(keep))),
    "restore": _on_backups(lambda backups, backup: backups.restore_backup(backup)),
    "restore-live": _on_backups(lambda backups, backup: backups.restore_backup(backup, live=True)),
    "undo": _on_backups(lambda backups, _: backups.undo_restore()),
    "vacuum": _on_queue(lambda maintenance, _: maintenance.vacuum()),
    "checkpoint": _on_queue(lambda maintenance, mode: maintenance.checkpoint(mode)),
    "archive": _on_queue(lambda maintenance, age_s: maintenance.archive_finished(float(age_s))),
    "release": _on_queue(
        lambda maintenance, timeout_s: maintenance.release_stale_leases(float(timeout_s))
    ),
}


def main(database: Path, verb: str, argument: str, seen: str) -> None:
    """Run the verb step by step, and say how it ended."""
    steps = Steps(database.parent)
    sys.addaudithook(steps.audit)
    _tell_writes(steps)
    with planted_by_parent(), _door(steps, seen) as connect:
        steps.armed = True
        try:
            VERBS[verb](database, connect, argument)
        except Exception as error:  # noqa: BLE001 - said, and judged by who asked
            ended = f"failed {type(error).__name__}: {error}"
        else:
            ended = "done"
        steps.armed = False
    say(" ".join(ended.split()))


def say(line: str) -> None:
    """Say one line."""
    sys.stdout.buffer.write(f"{line}\n".encode())
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:5])
