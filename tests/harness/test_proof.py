"""A backup is worth the tasks that come back from it, and nothing else."""

import pytest

from core.backup import QueueBackup
from core.database import QueueDatabase
from core.errors import BackupInvalidError
from core.tasks import TaskQueue
from harness.proof import Prover, keys_in


@pytest.fixture
def backup(tmp_path):
    """A backup of a queue with two tasks, which has a third one since."""
    path = tmp_path / "queue.db"
    with QueueDatabase(path, create=True) as database:
        tasks = TaskQueue(database)
        for key in ("a", "b"):
            tasks.enqueue("t", {}, idempotency_key=key)
        backup = QueueBackup(database).create_backup()
        tasks.enqueue("t", {}, idempotency_key="c")
    assert keys_in(path) == {"a", "b", "c"}
    return backup


def test_what_comes_back_is_what_the_backup_had(backup, tmp_path):
    """The tasks are those of its moment; restored once, it is not restored again."""
    prover = Prover(tmp_path)

    assert [prover.keys(backup), prover.keys(backup)] == [{"a", "b"}] * 2
    assert prover.restored == 1


def test_a_backup_that_was_changed_is_restored_anew(backup, tmp_path):
    """What was proved of other bytes is no proof."""
    prover = Prover(tmp_path)
    prover.keys(backup)
    content = backup.read_bytes()
    backup.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    with pytest.raises(BackupInvalidError):
        prover.keys(backup)
