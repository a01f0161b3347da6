"""What kind of file system a queue lies on."""

from pathlib import Path

import pytest
from health_queues import checked

from core import filesystem
from core.findings import Level

MOUNTS = r"""22 27 0:21 / / rw,relatime - ext4 /dev/sda1 rw
23 22 0:22 / /mnt/share rw,relatime shared:5 - nfs4 host:/export rw,vers=4.2
24 23 0:23 / /mnt/share/local rw - xfs /dev/sdb1 rw
25 22 0:24 / /mnt/with\040space rw - fuse.sshfs me@host: rw
26 22 0:25 / /mnt/sealed rw - fuse.lxcfs lxcfs rw
27 22 0:26 / /mnt/over rw - nfs host:/a rw
28 22 0:27 / /mnt/over rw - ext4 /dev/sdc1 rw
"""
ON_LINUX = pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="no mountinfo here")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/data/queue.db", "ext4"),
        ("/mnt/share/queue.db", "nfs4"),
        ("/mnt/shared/queue.db", "ext4"),
        ("/mnt/share/local/deep/queue.db", "xfs"),
        ("/mnt/with space/queue.db", "fuse.sshfs"),
        ("/mnt/over/queue.db", "ext4"),
    ],
)
def test_path_lies_on_what_is_mounted_deepest_and_last(path, expected):
    """The nearest mount point above the path counts, and of two at one place the later."""
    assert filesystem.type_of(Path(path), MOUNTS) == expected


def test_path_below_no_mount_point_has_no_type():
    """Nothing is guessed."""
    assert filesystem.type_of(Path("/queue.db"), "") == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [("nfs4", True), ("cifs", True), ("9p", True), ("fuse.sshfs", True)]
    + [(name, False) for name in ("ext4", "xfs", "tmpfs", "overlay", "fuse.fuse-overlayfs", "")],
)
def test_file_systems_on_a_network_are_known(name, expected, tmp_path, monkeypatch):
    """A network's are told by name, those of programs are not trusted, local ones are."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 0:1 / / rw - {name} source rw\n", encoding="utf-8")
    monkeypatch.setattr(filesystem, "_MOUNTS", mounts)

    assert filesystem.shared_file_system(Path("/data/queue.db")) == (name if expected else "")


def test_system_that_does_not_tell_is_taken_for_local(tmp_path, monkeypatch):
    """Where there is no list of mounts, nothing is said."""
    monkeypatch.setattr(filesystem, "_MOUNTS", tmp_path / "missing")

    assert filesystem.shared_file_system(tmp_path / "queue.db") == ""


def test_share_of_windows_is_a_network_path():
    """A path that begins with a server is told without asking the system."""
    assert filesystem.windows_share(r"\\server\share\queue.db") == "a network share"
    assert filesystem.windows_share(r"C:\data\queue.db") == ""


@ON_LINUX
def test_disk_of_this_machine_is_local_to_the_health_check(queue_path):
    """A queue in the temporary folder raises nothing."""
    finding = checked(queue_path).finding("file.system")

    assert (finding.level, finding.observed) == (Level.OK, "local")


@ON_LINUX
def test_queue_on_a_network_is_a_warning(queue_path, tmp_path, monkeypatch):
    """The finding names the file system, and what to do."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text("1 0 0:1 / / rw - nfs4 host:/export rw\n", encoding="utf-8")
    monkeypatch.setattr(filesystem, "_MOUNTS", mounts)

    finding = checked(queue_path).finding("file.system")

    assert (finding.level, finding.observed) == (Level.WARNING, "nfs4")
    assert "local disk" in finding.message
