"""What the tests of the core share: real queues and real processes."""

import contextlib
import queue
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from core import QueueDatabase

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0


@pytest.fixture
def tmp_path(request, tmp_path):
    """Return a folder; one that another user is let into lies where no other session closes it.

    Each session of pytest takes the rights of others from the folder above all of its own.
    """
    if "open_the_way" not in request.fixturenames:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="queuedrill-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def open_the_way():
    """Return how other users are let into a folder of a test's."""

    def let_in(folder):
        folder.chmod(folder.stat().st_mode | 0o011)

    return let_in


class Child:
    """A Python process that says lines and waits for its input to end.

    Its source sees its arguments as ``argv`` and may call ``say`` and ``wait``.
    """

    PROLOGUE = (
        "import sys\n"
        "argv = sys.argv[1:]\n"
        "def say(*words): print(*words, flush=True)\n"
        "def wait(): sys.stdin.readline()\n"
    )

    def __init__(self, source, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-X", "utf8", "-c", self.PROLOGUE + source, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            encoding="utf-8",
        )
        self.pid = self.process.pid
        self._lines = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line.strip())
        self._lines.put(None)

    def hear(self):
        """Return the next line it says; None when it has ended."""
        return self._lines.get(timeout=DEADLINE_S)

    def release(self):
        """End its ``wait`` and, after that, its life."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def finish(self):
        """Return its exit status after it has ended by itself."""
        return self.process.wait(timeout=DEADLINE_S)

    def kill(self):
        """End it at once, whatever it does."""
        self.process.kill()
        self.process.wait(timeout=DEADLINE_S)

    def close(self):
        """Leave nothing of it behind."""
        self.kill()
        self._reader.join(timeout=DEADLINE_S)
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def spawn():
    """Start Python children that are gone at the end of the test."""
    children = []

    def start(source, *arguments):
        children.append(Child(source, *arguments))
        return children[-1]

    yield start
    for child in children:
        child.close()


@pytest.fixture
def queue_path(tmp_path):
    """Return the path of a new, empty queue that nobody has open."""
    path = tmp_path / "queue.db"
    QueueDatabase(path, create=True).close()
    return path


@pytest.fixture
def execute(queue_path):
    """Return a function that runs statements on the queue."""

    def run(*statements):
        with contextlib.closing(sqlite3.connect(queue_path, isolation_level=None)) as connection:
            for sql, *parameters in statements:
                connection.execute(sql, parameters).fetchall()

    return run
