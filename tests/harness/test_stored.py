"""Tasks of a backup and of an archive are those of the queue, to the checkers' eyes."""

import pytest

from core.backup import QueueBackup
from core.database import QueueDatabase
from core.maintenance import QueueMaintenance
from core.tasks import TaskQueue
from harness.checkers import nothing_unexpected
from harness.closing import Books
from harness.crew import Crew
from harness.evidence import Evidence
from harness.history import History
from harness.promises import PromiseLog
from harness.stored import tasks_in_archive, tasks_in_backup

DONE_COUNT = 3


@pytest.fixture
def books(tmp_path):
    """Where operations are written down and judged."""
    with (
        PromiseLog(tmp_path / "promises.jsonl") as promises,
        History(tmp_path / "history.jsonl", promises) as history,
    ):
        yield Books(history=history, promises=promises, evidence=Evidence([], tmp_path))


@pytest.fixture
def worker(books, path, tmp_path):
    """A worker that has done all tasks but the last, which it holds."""
    with Crew(books.history, tmp_path) as crew:
        worker = crew.start(path, "w")
        for number in range(DONE_COUNT + 1):
            worker.enqueue(f"k{number}")
        for _number in range(DONE_COUNT):
            worker.claim()
            worker.complete()
        worker.claim()
        yield worker


@pytest.fixture
def database(path):
    """The queue, opened by this process too."""
    with QueueDatabase(path) as database:
        yield database


def test_tasks_of_a_backup_are_those_of_its_moment(worker, database):
    """All that the queue had, as the queue shows it; nothing is left beside the backup."""
    before = worker.final()
    backup = QueueBackup(database).create_backup()
    worker.complete()
    assert tasks_in_backup(backup) == before
    assert not list(backup.parent.glob("*-shm"))


def test_archived_tasks_count_as_kept_and_only_where_they_are_given(worker, database, books):
    """Each is in one of the two, and all checkers are content with both together."""
    before = {task.key: task for task in worker.final()}
    result = QueueMaintenance(database).archive_finished(0.0)
    archived = tasks_in_archive(result.archive)
    worker.complete()

    assert {task.key for task in archived} == {"k0", "k1", "k2"}
    assert all(task == before[task.key] for task in archived)
    books.require_sound(worker, archived=archived)
    with pytest.raises(pytest.fail.Exception, match="nothing-lost"):
        books.require_sound(worker)


def test_a_task_in_queue_and_archive_both_is_there_twice(worker, database, books):
    """A copy that was not taken out of the queue is no archived task."""
    worker.complete()
    result = QueueMaintenance(database).archive_finished(0.0)
    archived = tasks_in_archive(result.archive)
    again = TaskQueue(database).enqueue("t", {"key": "k0", "filling": ""}, idempotency_key="k0")
    assert again > DONE_COUNT
    with pytest.raises(pytest.fail.Exception, match="k0 is there 2 times"):
        books.require_sound(worker, archived=archived, checkers=[nothing_unexpected])
