"""Records written by hand, for the tests of the disk model."""

from harness.disk.model import Disk
from harness.disk.record import Entry, What


def base(path, data=b""):
    """A file that was there before."""
    return Entry(What.BASE, path, data=data)


def base_folder(path):
    """A folder that was there before."""
    return Entry(What.BASE, path, folder=True)


def create(path):
    """A new empty file."""
    return Entry(What.CREATE, path)


def write(path, data, offset=0):
    """Bytes written."""
    return Entry(What.WRITE, path, offset=offset, data=data)


def truncate(path, size):
    """A file cut, or made longer."""
    return Entry(What.TRUNCATE, path, offset=size)


def sync(path):
    """A file synced."""
    return Entry(What.SYNC, path)


def sync_folder(path="."):
    """A folder synced."""
    return Entry(What.SYNC_FOLDER, path)


def link(path, name):
    """A second name."""
    return Entry(What.LINK, path, name=name)


def rename(path, name):
    """Another name."""
    return Entry(What.RENAME, path, name=name)


def unlink(path):
    """A name taken away."""
    return Entry(What.UNLINK, path)


def mark(kind, label, **said):
    """Something said."""
    return Entry(What.MARK, said={"kind": kind, "label": label, **said})


def disk_after(*entries, **settings):
    """Return a disk that has followed the entries."""
    disk = Disk(**settings)
    for entry in entries:
        disk.follow(entry)
    return disk


def possible(disk):
    """Return all contents that a power cut may leave, of whole changes in their order."""
    found = []
    loose = disk.loose
    for number in range(2 ** len(loose)):
        there = [each for place, each in enumerate(loose) if number >> place & 1]
        contents = dict(disk.left(there).contents)
        if contents not in found:
            found.append(contents)
    return found
