"""Files and names that somebody put into a folder of ours: never followed, nor believed."""

import hashlib
import json
import os
import subprocess
import sys

import pytest
from queue_files import START_MS, make_legacy, make_queue, opened

from core import ManualClock, QueueBackup, QueueDatabase, QueueMaintenance, TaskQueue
from core.archive import ARCHIVES_KEY
from core.contentrecord import record_path
from core.errors import (
    BackupInvalidError,
    InterruptedRestoreError,
    NothingToUndoError,
    OperationTimeoutError,
    RestoreFailedError,
)
from core.files import open_regular, read_note
from core.findings import Level
from core.health import check_health
from core.intent import intent_path
from core.manifest import manifest_path, seal_of
from core.observer import look
from core.paths import wal_of
from core.schema import TASK_COLUMNS
from core.untrusted import deadline_of
from core.wal import walk

LEGACY = "queue_backup_20250101_000000.db"
SECRET = b"SQLite format 3\0, and a secret"
needs_links = pytest.mark.skipif(os.name == "nt", reason="needs rights to make links")
needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")


@pytest.fixture
def backup(tmp_path):
    """Return the backups of a small queue, in a folder of its own."""
    folder = tmp_path / "queue"
    folder.mkdir()
    return QueueBackup(make_queue(folder / "queue.db", 6), clock=ManualClock(START_MS))


@pytest.fixture
def made(backup):
    """Return a backup with a manifest."""
    return backup.create_backup()


@pytest.fixture
def outside(tmp_path):
    """Return a file that is none of ours."""
    path = tmp_path / "outside"
    path.write_bytes(SECRET)
    return path


# -- links ---------------------------------------------------------------------------------------


@needs_links
def test_backup_that_is_a_link_is_neither_listed_nor_verified_nor_restored(backup, made, tmp_path):
    """A name in the folder is a backup only if the file lies there."""
    elsewhere = make_legacy(made, tmp_path / "elsewhere.db")
    link = backup.folder / LEGACY
    link.symlink_to(elsewhere)

    assert link not in [info.path for info in backup.list_backups()]
    assert not backup.verify_backup(link)
    with pytest.raises(BackupInvalidError, match="a link"):
        backup.restore_backup(link)


@needs_links
def test_manifest_that_is_a_link_is_not_read(backup, made, outside):
    """Nothing of the file that it leads to is told."""
    outside.write_text('{"format": "a secret"}', encoding="utf-8")
    manifest_path(made).unlink()
    manifest_path(made).symlink_to(outside)

    (info,) = backup.list_backups()

    assert "link" in info.manifest_problem
    assert "secret" not in str(backup.check_backup(made))


@needs_links
@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_log_of_a_backup_that_is_a_link_makes_it_unproved(suffix, backup, made, outside):
    """Even one that leads nowhere: SQLite would be asked to follow it."""
    made.with_name(made.name + suffix).symlink_to(outside.with_name("nowhere"))

    assert {problem.check for problem in backup.check_backup(made).problems} == {"file"}


@needs_links
def test_log_of_the_queue_that_is_a_link_is_not_followed(backup, outside):
    """The file that a -wal leads to is neither walked, copied nor written to."""
    backup.path.with_name("queue.db-wal").symlink_to(outside)

    report = check_health(backup.path)
    with pytest.raises(OSError, match=r"(?i)symbolic link"):
        walk(backup.path.with_name("queue.db-wal"))

    assert report.level is not Level.OK
    assert outside.read_bytes() == SECRET


@needs_links
@pytest.mark.parametrize("name", ["queue.db-restore.json", "queue.db-maintenance.lock"])
def test_note_or_lock_that_is_a_link_is_not_followed(name, backup, made, outside):
    """Neither is what it leads to believed, nor is it written to."""
    backup.path.with_name(name).unlink(missing_ok=True)
    backup.path.with_name(name).symlink_to(outside)

    with pytest.raises(Exception, match=r"link|cannot be opened|cut off"):
        backup.restore_backup(made)

    assert outside.read_bytes() == SECRET


@needs_pipes
def test_pipe_is_not_waited_for(backup, made):
    """Reading one would wait until somebody writes to it, which is never."""
    manifest_path(made).unlink()
    os.mkfifo(manifest_path(made))
    os.mkfifo(backup.folder / LEGACY)

    assert [info.manifest_problem is None for info in backup.list_backups()] == [False]
    assert not backup.verify_backup(LEGACY)
    with pytest.raises(OSError, match="no regular file"):
        open_regular(manifest_path(made))


# -- manifests -----------------------------------------------------------------------------------


def _resealed(**changes):
    def change(content):
        facts = {**json.loads(content), **changes}
        facts.pop("seal")
        return json.dumps({**facts, "seal": seal_of(facts)})

    return change


MANIFESTS = {
    "nested": lambda _content: '{"a":' * 100_000 + "1" + "}" * 100_000,
    "nested-lists": lambda _content: "[" * 500_000,
    "not-a-number": _resealed(created_ms=float("nan")),
    "infinite": _resealed(size_bytes=float("inf")),
    "many-digits": lambda content: content.replace('"page_count": ', '"page_count": ' + "9" * 5000),
    "number-too-large": _resealed(page_count=10**30),
    "count-too-large": _resealed(counts={"queued": 10**4000, "failed": 9 * 10**4000}),
    "number-below-zero": _resealed(size_bytes=-1),
    "moment-too-late": _resealed(created_ms=10**17),
    "text-too-long": _resealed(source="/" * 100_000),
    "draft-elsewhere": _resealed(draft="../../../etc/x"),
    "format-too-long": _resealed(format="x" * 100_000),
    "key-too-long": _resealed(**{"x" * 100_000: 1}),
    "no-text": lambda _content: "\ud800",
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifest_that_claims_too_much_is_unreadable(name, backup, made):
    """It is told in a short line, and neither lists, retention nor verification end for it."""
    path = manifest_path(made)
    content = MANIFESTS[name](path.read_text(encoding="utf-8"))
    path.write_bytes(content.encode("utf-8", "surrogatepass"))

    (info,) = backup.list_backups(include_foreign=True)

    assert info.manifest is None
    assert len(info.manifest_problem) < 500
    assert not backup.verify_backup(made)
    assert backup.cleanup_old_backups(1) == 0


def test_manifest_of_a_gigabyte_takes_no_memory(backup, made):
    """No more of it is read than the largest manifest has."""
    with manifest_path(made).open("r+b") as file:
        file.truncate(1 << 30)

    (info,) = backup.list_backups()

    assert "larger than any" in info.manifest_problem
    with pytest.raises(ValueError, match="larger"):
        read_note(manifest_path(made))


# -- notes and records ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    ["[" * 500_000, '{"old": [[1]], "new": [], "staging": "", "quarantine": ""}', "\0" * (2 << 20)],
    ids=["nested", "names-that-are-lists", "too-long"],
)
def test_note_that_no_restore_wrote_is_refused(content, backup):
    """It is told as what it is, and the queue is as it was."""
    intent_path(backup.path).write_text(content, encoding="utf-8")
    before = backup.path.read_bytes()

    with pytest.raises(InterruptedRestoreError):
        QueueDatabase(backup.path)

    assert backup.path.read_bytes() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"files": ["../../outside"]},
        {"files": ["/etc/passwd"]},
        {"files": [["queue.db"]]},
        {"number": "9"},
        {"number": None},
    ],
    ids=str,
)
def test_record_of_a_quarantine_that_names_another_file_is_not_believed(
    changes, backup, made, outside
):
    """An undo copies what the record names; that can only be the queue's own set."""
    folder = backup.restore_backup(made).quarantine
    (record,) = folder.glob("*.json")
    facts = {**json.loads(record.read_text(encoding="utf-8")), **changes}
    record.write_text(json.dumps(facts), encoding="utf-8")

    with pytest.raises(NothingToUndoError):
        backup.undo_restore()

    assert outside.read_bytes() == SECRET


# -- bytes ---------------------------------------------------------------------------------------


def test_name_with_control_characters_is_one_line(backup, made):
    """No file name and no name in a schema can write to a terminal."""
    odd = backup.folder / "queue_backup_\x1b[2J\r\u202e_20250101_000000.db"
    try:
        made.rename(odd)
    except OSError:
        pytest.skip("this system has no such names")
    with opened(odd) as connection:
        connection.execute(
            'CREATE TRIGGER "\x1b[31m\n" AFTER INSERT ON workers BEGIN SELECT 1; END'
        )

    told = [str(backup.check_backup(odd))]
    with pytest.raises(BackupInvalidError) as refused:
        backup.restore_backup(odd)
    told.append(str(refused.value))
    make_legacy(odd, backup.path)
    told += [found.message for found in check_health(backup.path).findings]

    assert all(line.isprintable() for line in told), told
    assert any("\\x1b[31m" in line for line in told)


def test_log_that_is_no_file_is_told_as_an_error_of_the_disk(backup):
    """A folder in the place of a -wal is no reason for another kind of exception."""
    made = backup.create_backup()
    backup.path.with_name("queue.db-wal").mkdir()

    with pytest.raises(RestoreFailedError, match="no regular file"):
        backup.restore_backup(made)


def test_digest_that_takes_too_long_is_given_up(backup, made, monkeypatch):
    """A file that its manifest fits, and that is nearly all a hole, keeps nobody at work."""
    clock = ManualClock(START_MS)
    late = QueueBackup(backup.path, clock=clock)
    monkeypatch.setattr(clock, "monotonic_s", iter(range(0, 10**9, 10**5)).__next__)

    assert late.newest_verified() is None
    with pytest.raises(OperationTimeoutError):
        late.check_backup(made)


def test_time_for_a_file_grows_with_what_it_has_on_the_disk(made):
    """A hole is read fast."""
    clock = ManualClock(START_MS)
    small = deadline_of(made, None, clock).timeout_s
    with made.open("r+b") as file:
        file.truncate(1 << 32)
    hole = deadline_of(made, None, clock).timeout_s

    assert 600 < small < 601
    if hasattr(os.stat_result, "st_blocks"):
        assert small < hole < 650
    assert deadline_of(made.with_name("none"), None, clock).timeout_s == 600


CLAIMS = {
    "pages": ((28, b"\x80\0\0\0"), (92, b"\0\0\0\x01"), (24, b"\0\0\0\x01")),
    "free-pages": ((32, b"\0\0\0\x02"), (36, b"\xff\xff\xff\xff")),
    "cache": ((48, b"\x7f\xff\xff\xff"),),
    "length-of-a-payload": tuple(
        (place, b"\x8f\xff\xff\xff\x7f") for place in range(4096 - 200, 4096 - 5, 5)
    ),
    "hole": (((1 << 36) - 1, b"\0"),),
    "hole-that-counts": (((1 << 36) - 1, b"\0"), (28, b"\x01\0\0\0"), (92, b"\0\0\0\x01"),
                         (24, b"\0\0\0\x01")),
}  # fmt: skip
LOOK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))
from core import QueueBackup, check_health
from core.errors import QueueError
backup = QueueBackup(sys.argv[1])
backup.list_backups()
print(backup.verify_backup(sys.argv[2]))
for verb in (lambda: backup.restore_backup(sys.argv[2]), lambda: check_health(sys.argv[3])):
    try:
        verb()
    except QueueError as error:
        print(type(error).__name__)
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are measured differently elsewhere")
@pytest.mark.parametrize("claim", CLAIMS)
def test_claim_of_a_file_takes_no_memory(claim, backup, tmp_path):
    """What a header, a cell or a length says is not believed before it is seen."""
    path = make_legacy(backup.path, backup.folder / LEGACY)
    with path.open("r+b") as file:
        for place, value in CLAIMS[claim]:
            file.seek(place)
            file.write(value)
    itself = tmp_path / "itself.db"
    itself.hardlink_to(path)

    done = subprocess.run(
        [sys.executable, "-c", LOOK, backup.path, path, itself],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    *said, peak = done.stdout.split()
    assert said[0] == "False" or claim in {"cache", "free-pages", "hole"}, said
    assert int(peak) < 200


def test_log_of_a_million_frames_is_given_up_in_time(backup):
    """A -wal that is nearly all a hole is walked for no longer than the look may take."""
    with QueueDatabase(backup.path) as database:
        TaskQueue(database).enqueue("t", {})
        log = wal_of(backup.path).read_bytes()
    wal_of(backup.path).write_bytes(log)
    with wal_of(backup.path).open("r+b") as file:
        file.truncate(1 << 36)

    with pytest.raises(OperationTimeoutError):
        look(backup.path, timeout_s=1.0)


# -- what a queue is compared with ---------------------------------------------------------------


def _recorded(backup):
    """Leave a record of a finished task, and return the finding's level of a full health check."""
    with QueueDatabase(backup.path) as database:
        tasks = TaskQueue(database)
        tasks.complete(tasks.claim("w"))
        QueueMaintenance(database).check_content()

    def judged():
        report = check_health(backup.path, full=True, timeout_seconds=20)
        return report.finding("content.finished").level

    assert judged() is Level.OK
    return record_path(backup.path), judged


def _sealed_record(path, name, value):
    """Change a fact in the first line that has it, and have the digest fit again."""
    lines = path.read_bytes().splitlines()[:-1]
    for number, line in enumerate(lines):
        facts = json.loads(line)
        if name in facts:
            facts[name] = value
            lines[number] = json.dumps(facts).encode()
            break
    content = b"".join(line + b"\n" for line in lines)
    digest = json.dumps({"sha256": hashlib.sha256(content).hexdigest()}, separators=(",", ":"))
    path.write_bytes(content + digest.encode() + b"\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("recorded_ms", "soon"),
        ("recorded_ms", 10**30),
        ("sequence", None),
        ("columns", [1]),
        ("source", ["queue"]),
        ("ids", [["a", "b"]]),
        ("ids", [[0, 10**18]]),
        ("digests", 7),
    ],
    ids=str,
)
def test_record_that_claims_what_no_record_does_is_not_believed(name, value, backup):
    """Whoever wrote it can have its digest fit."""
    path, judged = _recorded(backup)
    _sealed_record(path, name, value)

    assert judged() is not Level.OK


@needs_links
def test_record_that_is_a_link_is_not_followed(backup, outside):
    """Nothing of what it leads to is told."""
    path, judged = _recorded(backup)
    path.unlink()
    path.symlink_to(outside)

    assert judged() is Level.UNKNOWN


def test_archive_that_a_queue_names_does_not_run(backup, tmp_path):
    """A queue can name any file as its archive; a view without an end in it is not read."""
    _path, judged = _recorded(backup)
    archive = tmp_path / "archive.db"
    columns = ", ".join(f"x AS {name}" for name in (*TASK_COLUMNS, "archive_id"))
    with opened(archive) as connection:
        connection.execute(
            f"CREATE VIEW archived_tasks AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL "
            f"SELECT x + 1 FROM n) SELECT {columns} FROM n"
        )
    with opened(backup.path) as connection:
        connection.execute("DELETE FROM task_queue WHERE status = 'completed'")
        connection.execute(
            "INSERT OR REPLACE INTO queuedrill_meta VALUES (?, ?)",
            (ARCHIVES_KEY, json.dumps([str(archive)])),
        )

    assert judged() is Level.UNKNOWN
