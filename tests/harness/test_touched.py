"""What strace says of a program: read, written, locked, and what is none of it."""

import sys

import pytest

from core import QueueDatabase
from harness.equipment import missing
from harness.touched import read_log, run_watched

READ = """\
7 openat(AT_FDCWD</home>, "/q/queue.db", O_RDONLY|O_CLOEXEC) = 3</q/queue.db>
7 openat(AT_FDCWD</home>, "/q/queue.db-wal", O_RDWR|O_CREAT|O_NOFOLLOW|O_CLOEXEC, 0600) = 4</q/a>
7 fcntl(3</q/queue.db>, F_SETLK, {l_type=F_RDLCK, l_whence=SEEK_SET, l_start=1, l_len=2}) = 0
7 fcntl(3</q/queue.db-shm>, F_GETLK, {l_type=F_WRLCK, l_whence=SEEK_SET, l_start=120}) = 0
7 mmap(NULL, 32768, PROT_READ, MAP_SHARED, 5</q/queue.db-shm>, 0) = 0x7f00
7 write(1<pipe:[1]>, "/q/queue.db is sound", 20) = 20
7 unlink("/q/queue.db-gone") = -1 ENOENT (No such file or directory)
7 pwrite64(4</q2/queue.db>, "x", 1, 0) = 1
7 +++ exited with 0 +++
"""
WRITES = (
    '8 pwrite64(4</q/queue.db-wal>, "x", 1, 0) = 1',
    "8 mmap(NULL, 32768, PROT_READ|PROT_WRITE, MAP_SHARED, 5</q/queue.db-shm>, 0) = 0x7f00",
    "8 ftruncate(5</q/queue.db-shm>, 3) = 0",
    '8 unlink("/q/queue.db-shm") = 0',
    '8 rename("/elsewhere/a", "/q/queue.db") = 0',
    '8 mkdirat(AT_FDCWD</home>, "/q/backups", 0700) = 0',
    '8 openat(AT_FDCWD</home>, "/q/queue.db", O_RDWR|O_TRUNC) = 3</q/queue.db>',
    '8 pwrite64(4</q/queue.db-wal>, "x", 1, 0 <unfinished ...>',
)
LOCKS = (
    "8 fcntl(3</q/queue.db-shm>, F_SETLK, {l_type=F_WRLCK, l_whence=SEEK_SET, l_start=120}) = 0",
    "8 flock(3</q/queue.db-maintenance.lock>, LOCK_EX|LOCK_NB) = 0",
)


def test_reading_is_neither_writing_nor_locking(tmp_path):
    """Openings count, and nothing else does: not what is said, asked, failed, or lies elsewhere."""
    log = tmp_path / "log"
    log.write_text(READ)

    assert read_log(log, "/q") == (2, (), ())


@pytest.mark.parametrize("line", WRITES)
def test_each_way_to_write_is_seen(tmp_path, line):
    """One such line among harmless ones is told."""
    log = tmp_path / "log"
    log.write_text(READ + line + "\n")

    assert read_log(log, "/q")[1] == (line,)


@pytest.mark.parametrize("line", LOCKS)
def test_each_lock_that_keeps_others_out_is_seen(tmp_path, line):
    """One such line among harmless ones is told."""
    log = tmp_path / "log"
    log.write_text(READ + line + "\n")

    assert read_log(log, "/q")[2] == (line,)


def test_program_that_writes_through_sqlite_is_seen_to_write_and_lock(tmp_path):
    """Children count too; the alarm itself works."""
    if missing(["strace"]):
        pytest.skip("strace is not here")
    queue = tmp_path / "live" / "queue.db"
    QueueDatabase(queue, create=True).close()
    command = [sys.executable, "-m", "harness.cli", "health", "--db", str(queue), "--fix", "--yes"]

    touched = run_watched(command, queue.parent, tmp_path / "log")

    assert touched.opened
    assert any("queue_backup_" in line for line in touched.written)
    assert any("maintenance.lock" in line for line in touched.locked)
    assert "Backup made" in touched.output
    assert touched.exit_status in (0, 1)
