"""A program that runs the verbs of the core on a queue, and watches which files they open.

On POSIX closing any descriptor of a file drops all locks that the process has on it
(https://www.sqlite.org/howtocorrupt.html, section 2.2), so beside a connection of its own the core
may open the files of the queue by SQLite alone. It says a line for each verb, and at the end
whether the watch sees what it is there for.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.backup import QueueBackup
from core.database import QueueDatabase
from core.errors import QueueError
from core.health import check_health
from core.maintenance import QueueMaintenance
from core.paths import sides
from core.schedule import run_daily, run_hourly, run_weekly
from core.tasks import TaskQueue
from harness.inherited import planted_by_parent

Verb = Callable[[QueueDatabase], object]


def _work(database: QueueDatabase) -> None:
    tasks = TaskQueue(database)
    tasks.enqueue("t", {})
    for end in (tasks.complete, lambda task: tasks.fail(task, "for trial")):
        task = tasks.claim("worker", lease_seconds=60.0)
        assert task is not None
        tasks.heartbeat(task)
        end(task)


VERBS: dict[str, Verb] = {
    "open": lambda database: QueueDatabase(database.path).close(),
    "create": lambda database: QueueDatabase(database.path, create=True).close(),
    "work": _work,
    "backup": lambda database: QueueBackup(database).create_backup(),
    "list": lambda database: QueueBackup(database).list_backups(),
    "verify": lambda database: QueueBackup(database).check_backup(
        QueueBackup(database).list_backups()[0].path
    ),
    "verify-itself": lambda database: QueueBackup(database).check_backup(database.path),
    "prune": lambda database: QueueBackup(database).cleanup_old_backups(2),
    "restore": lambda database: QueueBackup(database).restore_newest(live=True),
    "undo": lambda database: QueueBackup(database).undo_restore(live=True),
    "health": check_health,
    "health-full": lambda database: check_health(database, full=True),
    "statistics": lambda database: QueueMaintenance(database).get_database_stats(),
    "checkpoint": lambda database: QueueMaintenance(database).checkpoint("TRUNCATE"),
    "hourly": run_hourly,
    "daily": run_daily,
    "weekly": run_weekly,
}


class Watch:
    """Hears of every file that Python opens, and keeps those of one queue.

    Args:
        database: the queue.
    """

    def __init__(self, database: Path) -> None:
        self._names = {str(each) for each in (database, *sides(database))}
        self.opened: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and str(arguments[0]) in self._names:
            self.opened.append(Path(str(arguments[0])).name)

    def during(self, verb: Verb, database: QueueDatabase) -> dict[str, object]:
        """Return what was opened while the verb ran, and how it failed, if it did."""
        self.opened.clear()
        error = ""
        try:
            verb(database)
        except (QueueError, TypeError) as raised:
            error = f"{type(raised).__name__}: {raised}"
        return {"error": error, "opened": sorted(set(self.opened))}


def main(path: Path) -> None:
    """Run every verb beside a connection that is open, and say what was opened."""
    watch = Watch(path)
    with QueueDatabase(path) as database:
        for name, verb in VERBS.items():
            _say({"verb": name, **watch.during(verb, database)})
        # The last thing that this process does with the queue.
        seen = watch.during(lambda opened: opened.path.open("rb").close(), database)
        _say({"control": seen["opened"] == [path.name]})


def _say(fact: object) -> None:
    sys.stdout.write(json.dumps(fact) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with planted_by_parent():
        main(Path(sys.argv[1]).resolve())
