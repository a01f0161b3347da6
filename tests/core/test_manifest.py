"""What is written down beside a backup."""

import json
import os

import pytest

from core.manifest import (
    FORMAT,
    Manifest,
    UnreadableManifestError,
    manifest_path,
    read_manifest,
    seal_of,
    write_manifest,
)

SAMPLE = Manifest(
    format=FORMAT,
    source="/data/queue ü%?#.db",
    created_ms=1_770_000_000_000,
    created_utc="2026-02-02 02:40:00.000",
    finished_utc="2026-02-02 02:40:01.000",
    sha256="0" * 64,
    size_bytes=8192,
    page_count=2,
    page_size=4096,
    counts={"queued": 3, "completed": 4},
    loose_references=0,
    sqlite_version="3.40.1",
    schema_version=1,
    draft="0123456789abcdef",
)


@pytest.fixture
def backup(tmp_path):
    """Return the path of a backup with a manifest."""
    path = tmp_path / "queue_backup_20260202_024000.db"
    write_manifest(path, SAMPLE)
    return path


def test_manifest_reads_back(backup):
    """What was written is what is read, character by character."""
    assert read_manifest(backup) == SAMPLE


def test_missing_manifest_is_none(tmp_path):
    """No manifest is told apart from a bad one."""
    assert read_manifest(tmp_path / "queue_backup_20260202_024000.db") is None


def test_manifest_is_never_overwritten(backup):
    """A second manifest for the same name is refused, and the first is as it was."""
    with pytest.raises(FileExistsError):
        write_manifest(backup, Manifest(**{**vars(SAMPLE), "draft": "other"}))

    assert read_manifest(backup) == SAMPLE
    assert [path.name for path in backup.parent.iterdir()] == [manifest_path(backup).name]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"0" * (1 << 21),
        b"[" * 100_000,
        b'{"format": 1}',
        b'{"format": 2}',
        b'{"format": NaN}',
    ],
)
def test_damaged_manifest_is_not_the_same_as_none(backup, content):
    """Content that is no manifest raises, and is never taken for a missing one."""
    manifest_path(backup).write_bytes(content)

    with pytest.raises(UnreadableManifestError):
        read_manifest(backup)


@pytest.mark.parametrize(
    "changed",
    [
        {"created_ms": "1770000000000"},
        {"created_ms": -1},
        {"created_ms": 10**30},
        {"created_ms": True},
        {"source": 7},
        {"counts": {"queued": -1}},
        {"counts": {"queued": "3"}},
        {"counts": {"queued": True}},
        {"counts": []},
        {"loose_references": -1},
        {"draft": "../../elsewhere"},
        {"page_count": None},
        {"unknown": 1},
        {"format": 2},
        {"format": True},
    ],
)
def test_manifest_with_an_impossible_fact_is_refused(backup, changed):
    """A fact that cannot be makes the whole manifest unusable, sealed or not."""
    facts = {**vars(SAMPLE), **changed}
    write_manifest_as(backup, facts)

    with pytest.raises(UnreadableManifestError):
        read_manifest(backup)


def write_manifest_as(backup, facts):
    """Write facts of any kind as if they were a manifest."""
    sealed = {**facts, "seal": seal_of(facts)}
    manifest_path(backup).write_text(json.dumps(sealed), encoding="utf-8")


def test_changed_bit_anywhere_in_a_manifest_is_seen(backup):
    """A bit that turns anywhere in the manifest never gives other facts."""
    path = manifest_path(backup)
    content = path.read_bytes()
    for position in range(0, len(content) * 8, 11):
        turned = bytearray(content)
        turned[position // 8] ^= 1 << position % 8
        path.write_bytes(turned)
        try:
            assert read_manifest(backup) == SAMPLE, f"bit {position}"
        except UnreadableManifestError:
            continue


def test_folder_in_the_manifest_s_place_is_no_missing_one(backup):
    """What cannot be read at all is not taken for a backup of the old kind."""
    manifest_path(backup).unlink()
    manifest_path(backup).mkdir()

    with pytest.raises(UnreadableManifestError):
        read_manifest(backup)


if os.name == "posix":

    def test_manifest_is_its_owner_s_alone(backup):
        """Nobody else can read what the queue holds, not even in numbers."""
        assert manifest_path(backup).stat().st_mode & 0o777 == 0o600
