"""What a restore cost: tasks that are gone, and finished tasks that will run again."""

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from .clock import Deadline
from .connection import Connect, scalar
from .paths import uri
from .schema import FINISHED
from .translation import INSTEAD
from .untrusted import open_untrusted

_FINISHED = ", ".join(f"'{status}'" for status in FINISHED)
# After a restore new tasks get ids that were used before; the id alone does not name a task.
_SAME_TASK = "new.id = old.id AND new.created_at_utc IS old.created_at_utc AND new.type = old.type"


@dataclass(frozen=True)
class RestoreCost:
    """What is different for the tasks of the old state.

    Attributes:
        tasks_lost: tasks that are not in the restored state; None where that is not known.
        tasks_to_run_again: tasks that were finished and are not any more; None likewise.
    """

    tasks_lost: int | None
    tasks_to_run_again: int | None


def compare(old: Path, restored: Path, *, connect: Connect, deadline: Deadline) -> RestoreCost:
    """Return what the step from the old to the restored state cost; both files are nobody's.

    Where one of them cannot be read (in time, or because what is there is no table), the cost is
    not known; the restore is done all the same.
    """
    try:
        return _compare(old, restored, connect, deadline)
    except (sqlite3.Error, *INSTEAD):
        return RestoreCost(None, None)


def _compare(old: Path, restored: Path, connect: Connect, deadline: Deadline) -> RestoreCost:
    opened = open_untrusted(
        uri(old, mode="ro", immutable=1),
        old,
        connect=connect,
        deadline=deadline,
        attaching=True,
        declared=None,
    )
    with contextlib.closing(opened.connection) as connection:
        connection.execute("ATTACH ? AS restored", (uri(restored, mode="ro", immutable=1),))
        lost = scalar(
            connection,
            f"SELECT count(*) FROM main.task_queue AS old WHERE NOT EXISTS "
            f"(SELECT 1 FROM restored.task_queue AS new WHERE {_SAME_TASK})",
        )
        again = scalar(
            connection,
            f"SELECT count(*) FROM main.task_queue AS old JOIN restored.task_queue AS new "
            f"ON {_SAME_TASK} WHERE old.status IN ({_FINISHED}) "
            f"AND new.status NOT IN ({_FINISHED})",
        )
    return RestoreCost(int(lost), int(again))
