"""A program that runs one verb of the core, and stands still at each of its steps until told.

A step is a statement given to SQLite (before and after it), a step of a copy, and whatever opens
or changes a file in the queue's folder or below, seen by Python's audit hook before it happens
(https://docs.python.org/3/library/audit_events.html).
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


from core.backup import QueueBackup
from core.connection import Connect, Connection
from core.database import QueueDatabase
from core.maintenance import QueueMaintenance
from harness.door import watched
from harness.inherited import planted_by_parent

_EVENTS = frozenset((
    *("open", "shutil.rmtree"),
    *(f"os.{name}" for name in ("rename", "remove", "link", "mkdir", "rmdir", "truncate")),
))  # fmt: skip


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


Verb = Callable[[Path, Connect, str], object]


def _restore(database: Path, connect: Connect, backup: str) -> object:
    return QueueBackup(database, connect=connect).restore_backup(backup)


def _restore_live(database: Path, connect: Connect, backup: str) -> object:
    return QueueBackup(database, connect=connect).restore_backup(backup, live=True)


def _archive(database: Path, connect: Connect, age_s: str) -> object:
    with QueueDatabase(database, connect=connect) as opened:
        return QueueMaintenance(opened).archive_finished(float(age_s))


VERBS: dict[str, Verb] = {
    "restore": _restore,
    "restore-live": _restore_live,
    "archive": _archive,
}


def main(database: Path, verb: str, argument: str) -> None:
    """Run the verb step by step, and say how it ended."""
    steps = Steps(database.parent)
    sys.addaudithook(steps.audit)
    with planted_by_parent():
        steps.armed = True
        try:
            VERBS[verb](database, watched(steps), argument)
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
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
