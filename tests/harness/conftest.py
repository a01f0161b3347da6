"""What most tests of the harness begin with: a queue, a record of operations, and workers."""

import pytest

from core.database import QueueDatabase
from harness.crew import Crew
from harness.history import History


@pytest.fixture
def history(tmp_path):
    """A record of operations."""
    with History(tmp_path / "history.jsonl") as history:
        yield history


@pytest.fixture
def crew(history, tmp_path):
    """Worker processes that are gone afterwards."""
    with Crew(history, tmp_path) as crew:
        yield crew


@pytest.fixture
def path(tmp_path):
    """A new queue."""
    path = tmp_path / "queue.db"
    with QueueDatabase(path, create=True):
        return path
