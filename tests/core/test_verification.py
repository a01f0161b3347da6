"""A backup is what its manifest says and a sound queue, or it is said what is wrong."""

import dataclasses
import json
import os
import shutil
import sqlite3

import pytest
from queue_files import (
    START_MS,
    add_tasks,
    edit_manifest,
    everything,
    flip_bit,
    flip_payload_bit,
    make_legacy,
    make_queue,
    names,
    opened,
    truncate,
)

from core import ManualClock, QueueBackup, QueueDatabase
from core.errors import BackupMissingError, InvalidArgumentError, OperationTimeoutError
from core.manifest import manifest_path

LEGACY = "queue_backup_20250101_000000.db"
LOOSE_LINK = "INSERT INTO task_logs (task_id, level) VALUES (99999, 'INFO')"


@pytest.fixture
def backup(tmp_path):
    """Return the backups of a small queue."""
    path = make_queue(tmp_path / "queue.db", 200, payload='{"name": "a payload of some length"}')
    return QueueBackup(path, clock=ManualClock(START_MS))


@pytest.fixture
def made(backup):
    """Return a backup with a manifest."""
    return backup.create_backup()


@pytest.fixture
def legacy(backup):
    """Return a backup of the old kind."""
    return make_legacy(backup.path, backup.folder / LEGACY)


def _found_by(backup, path):
    return {problem.check for problem in backup.check_backup(path).problems}


def test_sound_backup_is_verified_with_its_counts_and_leaves_nothing_beside_it(backup, made):
    """A sound backup verifies, is counted, and is byte for byte as it was, alone in its folder."""
    before = everything(backup.folder)

    proof = backup.check_backup(made)

    assert proof.ok
    assert str(proof) == "verified"
    assert proof.counts == {"queued": 200}
    assert set(proof.seconds) == {"digest", "integrity", "foreign-keys", "tables", "counts"}
    assert everything(backup.folder) == before
    assert backup.verify_backup(made) is True


def test_backup_of_the_old_kind_is_verified_by_what_it_has(backup, legacy):
    """Without a manifest, structure and tables are what is proved."""
    proof = backup.check_backup(legacy)

    assert proof.ok
    assert proof.manifest is None
    assert names(backup.folder) == [LEGACY]


def test_closed_file_that_was_copied_is_verified_though_it_says_wal(backup):
    """A plain copy of a closed queue in WAL mode verifies, and no -wal or -shm appears."""
    backup.folder.mkdir()
    shutil.copy(backup.path, backup.folder / LEGACY)

    assert backup.verify_backup(LEGACY)
    assert names(backup.folder) == [LEGACY]


@pytest.mark.parametrize("kind", ["made", "legacy"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\0" * 8192, "not an SQLite database"),
        (b"SQLite format 3", "not an SQLite database"),
        (b"SQLite format 3\0", "file is not a database"),
        (b"hello" * 5000, "not an SQLite database"),
    ],
)
def test_what_is_no_database_never_verifies(backup, kind, content, said, request):
    """An empty file, which SQLite calls sound, and other content are no backups."""
    path = request.getfixturevalue(kind)
    path.write_bytes(content)

    proof = backup.check_backup(path)

    assert not proof.ok
    assert said in str(proof)


def test_empty_database_and_another_program_s_are_no_backups(backup):
    """A sound database without the queue's tables is not taken for a backup."""
    backup.folder.mkdir()
    path = backup.folder / LEGACY
    with opened(path) as connection:
        connection.execute("PRAGMA user_version = 1")
        connection.execute("VACUUM")
    assert "nothing in it" in str(backup.check_backup(path))

    with opened(path) as connection:
        connection.execute("CREATE TABLE task_queue (id INTEGER PRIMARY KEY, status TEXT)")
    assert _found_by(backup, path) == {"tables"}


@pytest.mark.parametrize("kind", ["made", "legacy"])
@pytest.mark.parametrize("part", [0.01, 0.3, 0.5, 0.9, 0.999])
def test_truncated_backup_never_verifies(backup, kind, part, request):
    """A backup that lost its end is found, with and without a manifest."""
    path = request.getfixturevalue(kind)
    truncate(path, part)

    assert not backup.verify_backup(path)


def test_any_turned_bit_is_found_by_the_digest(backup, made):
    """One bit anywhere in the file is enough, also where no structure check can see it."""
    size = made.stat().st_size
    for offset in range(20, size, size // 40):
        flip_bit(made, offset)
        assert "digest" in _found_by(backup, made)
        flip_bit(made, offset)
    assert backup.verify_backup(made)


def test_bit_inside_a_payload_is_found_by_the_digest_alone(backup, made):
    """What integrity_check cannot see is seen by the digest."""
    flip_payload_bit(made, "a payload of some length")

    assert _found_by(backup, made) == {"digest"}


def test_added_bytes_are_found(backup, made):
    """A file that is longer than it was is not what was written."""
    with made.open("ab") as file:
        file.write(b"\0")

    assert "digest" in _found_by(backup, made)


def test_changed_rows_are_found(backup, made):
    """A backup that somebody wrote to is no longer the backup."""
    add_tasks(made, 1)

    assert {"digest", "counts"} <= _found_by(backup, made)


def test_damaged_and_foreign_manifests_are_found(backup, made):
    """A manifest that is damaged, changed or another backup's proves nothing."""
    add_tasks(backup.path, 1)
    other = backup.create_backup()
    shutil.copy(manifest_path(other), manifest_path(made))
    assert "digest" in _found_by(backup, made)

    edit_manifest(other, '"queued": 201', '"queued": 202')
    assert _found_by(backup, other) == {"manifest"}

    manifest_path(other).write_bytes(b"")
    assert _found_by(backup, other) == {"manifest"}


def test_log_beside_a_backup_makes_it_unproved(backup, made):
    """A -wal or -journal with content belongs to the state, and the digest knows nothing of it."""
    for suffix in ("-wal", "-journal"):
        side = made.with_name(made.name + suffix)
        side.write_bytes(b"content")
        assert "file" in _found_by(backup, made)
        side.unlink()
    assert backup.verify_backup(made)


def test_broken_reference_and_broken_index_are_found(backup, legacy):
    """References are followed and indexes compared, also without a manifest."""
    with opened(legacy) as connection:
        connection.execute(LOOSE_LINK)
    assert _found_by(backup, legacy) == {"foreign-keys"}

    with opened(legacy) as connection:
        connection.execute("DELETE FROM task_logs")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'priority, run', 'attempts, run') "
            "WHERE name = 'ix_task_status_prio_time'"
        )
    assert "integrity" in _found_by(backup, legacy)


def test_link_to_a_backup_is_not_followed(backup, made):
    """A symbolic link is no backup, whatever it leads to."""
    link = backup.folder / LEGACY
    link.symlink_to(made)

    assert _found_by(backup, link) == {"file"}


def test_folder_and_dangling_link_are_no_backups(backup, made):
    """What is no regular file is said to be none."""
    del made
    (backup.folder / "dangling.db").symlink_to(backup.folder / "nowhere")

    assert _found_by(backup, backup.folder) == {"file"}
    assert _found_by(backup, backup.folder / "dangling.db") == {"file"}


@pytest.mark.parametrize(
    "name", ["", "missing.db", "../missing.db", "nul\0.db", "a" * 300, "a/b/c.db", "queue.db/x"]
)
def test_missing_backup_is_an_error_and_not_a_verdict(backup, made, name):
    """That there is no such file is told apart from a bad one."""
    del made
    with pytest.raises(BackupMissingError, match="There is no backup at"):
        backup.verify_backup(name)


def test_name_means_one_in_the_folder(backup, made):
    """A bare name is looked for in the backup folder, a path where it leads."""
    assert backup.verify_backup(made.name)
    assert backup.verify_backup(str(made))


@pytest.mark.parametrize("name", ["queue.db", "link.db", "hard.db"])
def test_live_database_is_never_read_as_a_backup(spawn, backup, name):
    """The queue's own file is refused unread under every name, and its locks hold."""
    (backup.path.with_name("link.db")).symlink_to(backup.path)
    os.link(backup.path, backup.path.with_name("hard.db"))
    with QueueDatabase(backup.path) as database, database.transaction():
        proof = backup.check_backup(backup.path.with_name(name))

        assert not proof.ok
        child = spawn(
            "import sqlite3\n"
            "try:\n"
            "    c = sqlite3.connect(argv[0], timeout=0, isolation_level=None)\n"
            "    c.execute('BEGIN IMMEDIATE')\n"
            "    say('entered')\n"
            "except sqlite3.OperationalError as error:\n"
            "    say(error)\n"
            "c.close()\n",
            backup.path,
        )
        assert child.hear() == "database is locked"


def test_live_database_among_the_backups_is_not_the_newest_one(backup, made):
    """A hard link to the queue in its backup folder is passed over, unread."""
    os.link(backup.path, backup.folder / "queue_backup_20990101_000000.db")

    assert backup.newest_verified().path == made


def test_endless_view_in_the_task_table_s_place_is_no_backup(backup, legacy):
    """A hostile file cannot make verification run for ever."""
    with opened(legacy) as connection:
        connection.execute("DROP TABLE task_queue")
        connection.execute(
            "CREATE VIEW task_queue AS WITH RECURSIVE n(status) AS "
            "(SELECT 1 UNION ALL SELECT status + 1 FROM n) SELECT * FROM n"
        )

    assert _found_by(backup, legacy) == {"schema"}


def test_verification_ends_at_its_deadline(backup, legacy):
    """Time that is up ends a check in its middle, with an error that says so."""
    with pytest.raises(OperationTimeoutError, match="verifying") as caught:
        backup.check_backup(legacy, timeout_seconds=0)

    assert isinstance(caught.value.__cause__, sqlite3.OperationalError), "SQLite was interrupted"


@pytest.mark.parametrize("timeout", [-1, -0.001, float("nan")])
def test_timeout_that_makes_no_sense_is_refused(backup, made, timeout):
    """A negative timeout, or none at all in numbers, is the caller's mistake and said to be."""
    with pytest.raises(InvalidArgumentError, match="timeout_seconds"):
        backup.check_backup(made, timeout_seconds=timeout)


def test_backup_of_a_queue_that_lacks_a_side_table_is_verified(backup):
    """A field queue that lives without the workers table has sound backups with a manifest."""
    with opened(backup.path) as connection:
        connection.execute("DROP TABLE workers")

    assert backup.verify_backup(backup.create_backup())


def test_queue_with_loose_references_has_sound_backups(backup, legacy):
    """Rows that refer to nothing are the queue's own affair; a change in their number is found."""
    with opened(backup.path) as connection:
        connection.execute(LOOSE_LINK)
    made = backup.create_backup()

    assert backup.verify_backup(made)
    assert backup.check_backup(made).manifest.loose_references == 1
    with opened(made) as connection:
        connection.execute(LOOSE_LINK)
    assert "foreign-keys" in _found_by(backup, made)
    with opened(made) as connection:
        connection.execute("DELETE FROM task_logs")
    assert "foreign-keys" in _found_by(backup, made)
    assert backup.verify_backup(legacy)


def test_facts_of_the_manifest_are_the_file_s(backup, made):
    """Size, pages, counts, source and moments in the manifest are true."""
    facts = json.loads(manifest_path(made).read_text(encoding="utf-8"))
    manifest = backup.check_backup(made).manifest

    assert {**dataclasses.asdict(manifest), "seal": facts["seal"]} == facts
    assert manifest.size_bytes == made.stat().st_size
    assert manifest.page_count * manifest.page_size == made.stat().st_size
    assert manifest.source == str(backup.path)
    assert manifest.counts == {"queued": 200}
    assert manifest.created_ms == START_MS
    assert manifest.created_utc == "2026-02-02 02:40:00.000"
    assert manifest.sqlite_version == sqlite3.sqlite_version


@pytest.mark.parametrize("version", [0, 3, 255])
def test_backup_that_no_restore_could_write_to_is_not_verified(backup, legacy, version):
    """SQLite reads a file of a later write version, and lets nobody release the leases in it."""
    with legacy.open("r+b") as file:
        file.seek(18)
        file.write(bytes([version]))

    assert _found_by(backup, legacy) == {"file"}
