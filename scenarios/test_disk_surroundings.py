"""What surrounds the files: names that change, a second disk, and a disk that takes its time.

Claim: a task is never acknowledged into a file that nobody finds; backups may lie on another disk;
a slow sync costs the others their wait and nothing else.
Faults: moved-database: the file deleted, or replaced, under a live worker; a second name for it;
other-device: a backup folder on another disk, to which nothing can be linked; missing-folder: a
backup folder that is lost; slow-sync: a sync that stands still.
Method: a worker process has the queue open while its file goes, and is asked for more; backups are
made, proved, thinned out and restored across disks; one worker's sync is held until another worker
beside it has its answer.
A failure means: tasks go into a file without a name, or one slow disk stops everybody for good.
"""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.backup import QueueBackup
from core.database import QueueDatabase
from core.errors import QueueError
from core.findings import Level
from core.health import check_health
from core.paths import sides
from core.tasks import TaskQueue
from harness.crew import Crew
from harness.equipment import SECOND_DISK
from harness.evidence import Evidence
from harness.faults.helper import helper
from harness.outcome import Inconclusive

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

SLOW_SYNC = Path(__file__).parents[1] / "harness" / "drivers" / "slow_sync.py"
WAIT_MOST_S = 5.0
TASKS_COUNT = 5


def test_slow_sync_costs_others_their_wait_and_nothing_else(
    queue_path: Path, evidence: Evidence
) -> None:
    """While a sync stands still readers read, and a writer is told in time that it must wait."""
    with helper(SLOW_SYNC, queue_path) as process:
        line = process.line()
    said = {each["who"]: each for each in json.loads(line or "[]")}

    stands = bool(said.get("sync", {}).get("stands"))
    evidence.fault(
        "slow-sync",
        "a sync that stands still while others work",
        stands,
        "the sync was entered and left when told" if stands else f"the process said {line!r}",
        f"the writer beside it was told {said.get('beside', {}).get('told')}",
    )
    if not stands:
        raise Inconclusive("no sync stood still")
    evidence.limit("wait_beside_slow_sync", said["beside"]["seconds"], WAIT_MOST_S, "s")
    evidence.require(
        said["beside"]["seconds"] <= WAIT_MOST_S,
        f"a writer waits {said['beside']['seconds']:.1f} s for the sync of another, and is to be "
        f"told within {WAIT_MOST_S:g} s",
    )
    evidence.require(
        said["reader"]["told"] == 0, "a reader sees a task whose commit is not synced yet"
    )
    evidence.require(
        said["beside"]["told"] == "DatabaseBusyError",
        f"a writer that waits for the sync of another is told {said['beside']['told']}",
    )
    evidence.require(
        said["slow"]["told"] == said["afterwards"]["told"] == "done",
        f"once the sync has ended, the workers are told {said['slow']} and {said['afterwards']}",
    )
    keys = _keys(queue_path)
    evidence.require(keys == ["slow", "afterwards"], f"the tasks in the queue are {keys}")


def test_backup_folder_that_is_gone_is_told_and_made_anew(
    queue_path: Path, evidence: Evidence
) -> None:
    """A lost backup folder is no reason to call a queue safe, nor to have no next backup."""
    backups = QueueBackup(queue_path)
    lost = backups.create_backup()
    shutil.rmtree(backups.folder)
    gone = not backups.folder.exists()
    evidence.fault("missing-folder", "the folder of the backups is lost", gone, str(backups.folder))

    age = check_health(queue_path).finding("backups.age")
    refused = {
        "restore_newest": _refusal(backups.restore_newest),
        "restore_backup": _refusal(lambda: backups.restore_backup(lost)),
        "check_backup": _refusal(lambda: backups.check_backup(lost)),
    }
    listed = backups.list_backups()
    made = backups.create_backup()
    proved = backups.verify_backup(made)

    evidence.require(age.level is Level.CRITICAL, f"without a backup health says {age.level}")
    evidence.require(not listed, f"{len(listed)} backups are listed in a folder that is gone")
    silent = [verb for verb, error in refused.items() if not error]
    evidence.require(not silent, f"without a backup {', '.join(silent)} says nothing")
    evidence.require(proved, "after the loss of the folder the next backup is not sound")


# On Windows no file goes that somebody has open.
@pytest.mark.machine("posix")
@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_database_moved_under_a_worker_takes_no_task_along(
    how: str, queue_path: Path, crew: Crew, evidence: Evidence
) -> None:
    """What a worker was told is in the queue is in the file that has the queue's name."""
    worker = crew.start(queue_path, "worker")
    worker.enqueue("before")
    backup = QueueBackup(queue_path).create_backup()
    inode = queue_path.stat().st_ino
    for file in (queue_path, *sides(queue_path)):
        file.unlink(missing_ok=True)
    if how == "replaced":
        queue_path.write_bytes(backup.read_bytes())
    moved = not queue_path.exists() or queue_path.stat().st_ino != inode
    evidence.fault("moved-database", f"the queue's file {how}", moved, f"inode {inode} is gone")

    told = [worker.enqueue(f"after-{number}").ok for number in range(2)]
    there = _keys(queue_path) if queue_path.exists() else []
    lost = [number for number, ok in enumerate(told) if ok and f"after-{number}" not in there]
    evidence.limit("lost_tasks", len(lost), 0, "tasks")
    evidence.require(
        not lost, f"{len(lost)} of 2 tasks were acknowledged into a file without a name"
    )
    evidence.require(
        how == "deleted" or told[1], "the worker does not go on with the file that is there now"
    )


@pytest.mark.machine("posix")
def test_database_with_a_second_name_is_found(queue_path: Path, evidence: Evidence) -> None:
    """A hard link makes a second log possible, in which tasks are lost: health says so."""
    other = queue_path.with_name("other.db")
    os.link(queue_path, other)
    with QueueDatabase(queue_path) as database:
        TaskQueue(database).enqueue("t", {})
        report = check_health(database)
    levels = [each.level for each in report.findings if each.observed == 2]
    links = queue_path.stat().st_nlink
    evidence.fault("second-name", "a hard link to the queue", links == 2, f"{links} names")
    evidence.require(Level.WARNING in levels, "a queue with two names is said to be sound")


@pytest.mark.machine("second disk")
def test_backups_on_another_disk_are_backups_like_any_other(
    queue_path: Path, evidence: Evidence
) -> None:
    """Nothing can be linked or renamed from one disk to the other, and nothing has to be."""
    with QueueDatabase(queue_path) as database:
        for number in range(TASKS_COUNT):
            TaskQueue(database).enqueue("t", {}, idempotency_key=f"{number}")
    with _on_another_disk(queue_path) as folder:
        evidence.fault("other-device", "a backup folder on another disk", True, str(folder))
        backups = QueueBackup(queue_path, folder)
        made = [backups.create_backup() for _number in range(3)]
        sound = [backups.verify_backup(each) for each in made]
        removed = backups.cleanup_old_backups(2)
        result = backups.restore_newest()
        left = sorted(path.name for path in folder.iterdir())

    evidence.require(all(sound), f"of 3 backups on another disk {sound.count(False)} are bad")
    evidence.require(removed == 1, f"{removed} of 3 backups were removed where 2 are kept")
    evidence.require(
        result.tasks_restored == TASKS_COUNT,
        f"{result.tasks_restored} of {TASKS_COUNT} tasks came back from another disk",
    )
    evidence.require(len(left) == 4, f"2 backups and their manifests leave {left}")


@contextlib.contextmanager
def _on_another_disk(queue_path: Path) -> Iterator[Path]:
    """Yield a folder to which the system refuses to link the queue.

    Raises:
        Inconclusive: it is the same disk.
    """
    with tempfile.TemporaryDirectory(dir=SECOND_DISK) as name:
        folder = Path(name)
        try:
            os.link(queue_path, folder / "linked")
        except OSError:
            yield folder
        else:
            raise Inconclusive(f"{folder} is on the same disk as the queue")


def _refusal(verb: Callable[[], object]) -> str:
    """Do it; return why it was refused, or nothing."""
    try:
        verb()
    except QueueError as error:
        return str(error)
    return ""


def _keys(path: Path) -> list[str]:
    with QueueDatabase(path) as database:
        sql = "SELECT idempotency_key FROM task_queue ORDER BY id"
        return [str(row[0]) for row in database.connection().execute(sql).fetchall()]
