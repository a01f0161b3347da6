"""What the tests of the command line share."""

import pytest
from cli_tools import Done

from core import QueueDatabase
from harness.cli import main


@pytest.fixture
def cli(capsys):
    """Run ``queuedrill`` in this process."""

    def run(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return run


@pytest.fixture
def queue_path(tmp_path):
    """Return the path of a new, empty queue that nobody has open."""
    path = tmp_path / "queue.db"
    QueueDatabase(path, create=True).close()
    return path
