"""The only module that renames, deletes, copies and syncs files."""

import errno
import hashlib
import os
import stat

import pytest

from core import files


def names(folder):
    """Return what lies in the folder."""
    return sorted(path.name for path in folder.iterdir())


def fail_with(number):
    """Return a function that fails as the system does."""

    def fail(*_arguments, **_options):
        raise OSError(number, os.strerror(number))

    return fail


def test_new_file_never_overwrites_what_is_there(tmp_path):
    """A taken name is refused, and the file under it keeps its content."""
    path = tmp_path / "kept"
    files.write_new(path, b"first")

    with pytest.raises(FileExistsError):
        files.write_new(path, b"second")
    with pytest.raises(FileExistsError):
        files.create_empty(path)

    assert path.read_bytes() == b"first"
    assert names(tmp_path) == ["kept"]


def test_publishing_never_overwrites_what_is_there(tmp_path):
    """A draft stays a draft where its final name is taken."""
    draft, final = tmp_path / "draft", tmp_path / "final"
    draft.write_bytes(b"new")
    final.write_bytes(b"old")

    with pytest.raises(FileExistsError):
        files.publish(draft, final)

    assert (draft.read_bytes(), final.read_bytes()) == (b"new", b"old")


@pytest.mark.parametrize("taken", [False, True])
def test_publishing_keeps_its_promise_without_hard_links(tmp_path, monkeypatch, taken):
    """On a file system without hard links a name still appears whole, and none is overwritten."""
    monkeypatch.setattr(os, "link", fail_with(errno.EPERM))
    draft, final = tmp_path / "draft", tmp_path / "final"
    draft.write_bytes(b"new")
    if taken:
        final.write_bytes(b"old")
        with pytest.raises(FileExistsError):
            files.publish(draft, final)
    else:
        files.publish(draft, final)

    assert final.read_bytes() == (b"old" if taken else b"new")
    assert draft.exists() is taken


def test_replacing_leaves_the_old_content_when_it_fails(tmp_path, monkeypatch):
    """A failed replacement leaves the old content and no draft."""
    path = tmp_path / "note"
    files.write_replacing(path, b"one")
    files.write_replacing(path, b"two")
    monkeypatch.setattr(os, "fsync", fail_with(errno.EIO))

    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        files.write_replacing(path, b"three")

    assert path.read_bytes() == b"two"
    assert names(tmp_path) == ["note"]


def test_failed_copy_leaves_nothing(tmp_path):
    """A copy that is stopped leaves neither the target nor a draft."""
    source = tmp_path / "source"
    source.write_bytes(b"x" * 10)

    def stop(_done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.copy(source, tmp_path / "target", progress=stop)

    assert names(tmp_path) == ["source"]


def test_copy_is_whole_tells_its_progress_and_refuses_a_taken_name(tmp_path):
    """A copy has the source's bytes, progress ends at its size, and nothing is overwritten."""
    source, target, told = tmp_path / "source", tmp_path / "target", []
    source.write_bytes(os.urandom(3_000_000))

    files.copy(source, target, progress=told.append)

    assert told[-1] == 3_000_000
    assert files.sha256(target) == hashlib.sha256(source.read_bytes()).hexdigest()
    with pytest.raises(FileExistsError):
        files.copy(source, target)


def test_move_refuses_a_taken_name(tmp_path):
    """Moving never overwrites."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"1")
    second.write_bytes(b"2")

    with pytest.raises(FileExistsError):
        files.move(first, second)
    files.move(first, tmp_path / "third")

    assert names(tmp_path) == ["second", "third"]


def test_removing_says_whether_there_was_anything(tmp_path):
    """Removing twice is harmless and told apart."""
    path = tmp_path / "gone"
    path.write_bytes(b"")

    assert files.remove(path) is True
    assert files.remove(path) is False


def test_removing_a_tree_follows_no_link(tmp_path):
    """Deleting a folder of ours never deletes what a link in it, or as it, leads to."""
    precious = tmp_path / "precious"
    (precious / "sub").mkdir(parents=True)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(precious, target_is_directory=True)
    linked = tmp_path / "linked"
    linked.symlink_to(precious, target_is_directory=True)

    files.remove_tree(folder)
    files.remove_tree(linked)
    files.remove_tree(tmp_path / "missing")

    assert not folder.exists()
    assert (precious / "sub").is_dir()


def test_folder_is_made_with_those_above_it_and_a_file_in_its_place_is_refused(tmp_path):
    """Missing folders appear, and a file is never taken for one."""
    files.make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").write_bytes(b"")

    assert (tmp_path / "a" / "b").is_dir()
    with pytest.raises(NotADirectoryError):
        files.make_folder(tmp_path / "file")


if os.name == "posix":  # Windows has no such bits

    def test_what_is_made_is_its_owner_s_alone(tmp_path):
        """New files and folders can be read by their owner and by nobody else."""
        files.write_new(tmp_path / "file", b"")
        files.make_folder(tmp_path / "folder")

        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o700


def test_temporary_name_is_free_hidden_and_gone_afterwards(tmp_path):
    """What is left under a temporary name disappears, also after an error."""

    def write_half():
        with files.temporary_beside(tmp_path / ("n" * 250)) as draft:
            assert draft.name.startswith(".")
            draft.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()

    assert names(tmp_path) == []


def test_only_a_regular_file_is_called_one(tmp_path):
    """Links and folders are no regular files."""
    path = tmp_path / "file"
    path.write_bytes(b"")
    (tmp_path / "link").symlink_to(path)

    assert files.is_regular(path)
    assert not files.is_regular(tmp_path / "link")
    assert not files.is_regular(tmp_path)
    assert not files.is_regular(tmp_path / "missing")


def test_free_space_is_told_for_a_folder_that_is_not_there_yet(tmp_path):
    """The nearest folder that exists answers for a missing one."""
    assert files.free_bytes(tmp_path / "a" / "b") > 0


def test_syncing_a_file_and_a_folder_changes_neither(tmp_path):
    """Syncing is harmless."""
    path = tmp_path / "file"
    path.write_bytes(b"content")

    files.sync_file(path)
    files.sync_folder(tmp_path)

    assert path.read_bytes() == b"content"
