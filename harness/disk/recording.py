"""Takes down what this process does to a folder: SQLite's calls and the core's own, as one record.

SQLite's come through ``vfs.py``, the core's through ``core/primitives.py``. Paths that lie
elsewhere are left out, and so is the -shm, which SQLite makes anew from the -wal, and the file of
the maintenance lock, whose content nobody needs.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import apsw

from core import primitives
from harness.disk.record import Entry, RecordWriter, What
from harness.disk.vfs import Call, Kind

# unixOpen: "If creating a super- or main-file journal, this function will open a file-descriptor on
# the directory too. The first time unixSync() is called the directory file descriptor will be
# fsync()ed"; and the -wal is opened so too (https://sqlite.org/src/file/src/os_unix.c).
_JOURNALS = apsw.SQLITE_OPEN_SUPER_JOURNAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_WAL
_LEFT_OUT = ("-shm", "-maintenance.lock")


class Recording:
    """Watches one folder; a watcher of ``watched_files``.

    Args:
        folder: real path; what lies in it now is the base, and counts as synced.
        stream: takes the record.
    """

    def __init__(self, folder: Path, stream: BinaryIO) -> None:
        self._folder = folder
        self._writer = RecordWriter(stream)
        self._new: set[Path] = set()
        self._folder_unsynced: set[Path] = set()
        self._open: dict[int, Path] = {}
        for path in sorted(folder.rglob("*")):
            data = b"" if path.is_dir() else path.read_bytes()
            self._add(What.BASE, path, data=data, folder=path.is_dir())

    def mark(self, kind: str, label: str, **said: object) -> None:
        """Say in the record what is true now."""
        entry = Entry(What.MARK, said={"kind": kind, "label": label, **said})
        self._writer.add(entry)

    def _add(self, what: What, path: Path, **facts: Any) -> None:  # noqa: ANN401 - an entry's own
        if self._concerns(path):
            self._writer.add(Entry(what, self._below(path), **facts))

    def _concerns(self, path: Path) -> bool:
        return path.is_relative_to(self._folder) and not path.name.endswith(_LEFT_OUT)

    def _below(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()

    def _sync_folder(self, folder: Path) -> None:
        # Windows has no such call, and SQLite makes none there.
        if os.name != "nt":
            self._add(What.SYNC_FOLDER, folder)

    # -- what SQLite does ------------------------------------------------------------------

    def before(self, call: Call) -> None:
        """Look whether the file that is about to be opened is there."""
        if call.kind is Kind.OPEN and call.path is not None and not call.path.exists():
            self._new.add(call.path)

    def after(self, call: Call) -> None:
        """Take down a call that changed or synced something."""
        if call.path is not None:
            self._take_down(call, call.path)

    def _take_down(self, call: Call, path: Path) -> None:
        match call.kind:
            case Kind.OPEN:
                self._opened(path, call.flags)
            case Kind.WRITE:
                self._add(What.WRITE, path, offset=call.offset, data=call.data)
            case Kind.TRUNCATE:
                self._add(What.TRUNCATE, path, offset=call.offset)
            case Kind.SYNC:
                self._add(What.SYNC, path)
                if path in self._folder_unsynced:
                    self._folder_unsynced.discard(path)
                    self._sync_folder(path.parent)
            case Kind.DELETE:
                self._add(What.UNLINK, path)
                if call.synced_folder:
                    self._sync_folder(path.parent)
            case _:
                pass

    def _opened(self, path: Path, flags: int) -> None:
        if path in self._new:
            self._new.discard(path)
            self._add(What.CREATE, path)
        if flags & apsw.SQLITE_OPEN_CREATE and flags & _JOURNALS:
            self._folder_unsynced.add(path)

    # -- what the core does ----------------------------------------------------------------

    @contextlib.contextmanager
    def of_core(self) -> Iterator[None]:
        """Take down what the core does in the body."""
        notes: dict[str, Callable[..., None]] = {
            "create": self._created,
            "open_file": self._opened_by_core,
            "open_folder": self._opened_by_core,
            "write": self._wrote,
            "sync": self._synced,
            "close": self._closed,
            "make_folder": lambda _result, path: self._add(What.MAKE_FOLDER, path),
            "link": self._named(What.LINK),
            "rename": self._named(What.RENAME),
            "replace": self._named(What.RENAME),
            "unlink": lambda _result, path: self._add(What.UNLINK, path),
        }
        with contextlib.ExitStack() as undo:
            for name, note in notes.items():
                right = getattr(primitives, name)
                undo.callback(setattr, primitives, name, right)
                setattr(primitives, name, _noted(right, note))
            right = primitives.remove_tree
            undo.callback(setattr, primitives, "remove_tree", right)
            setattr(primitives, "remove_tree", self._tree_removed(right))  # noqa: B010 - as above
            yield

    def _created(self, descriptor: int, path: Path) -> None:
        self._open[descriptor] = path
        self._add(What.CREATE, path)

    def _opened_by_core(self, descriptor: int, path: Path) -> None:
        self._open[descriptor] = path

    def _closed(self, _result: None, descriptor: int) -> None:
        self._open.pop(descriptor, None)

    def _wrote(self, written: int, descriptor: int, content: bytes) -> None:
        offset = os.lseek(descriptor, 0, os.SEEK_CUR) - written
        self._add(What.WRITE, self._open[descriptor], offset=offset, data=content[:written])

    def _synced(self, _result: None, descriptor: int) -> None:
        path = self._open[descriptor]
        if path.is_dir():
            self._sync_folder(path)
        else:
            self._add(What.SYNC, path)

    def _named(self, what: What) -> Callable[..., None]:
        def note(_result: None, path: Path, name: Path) -> None:
            # Nothing of the core's goes into the folder from elsewhere, or out of it.
            if self._concerns(path):
                self._add(what, path, name=self._below(name))

        return note

    def _tree_removed(self, right: Callable[[Path], None]) -> Callable[[Path], None]:
        def remove_tree(folder: Path) -> None:
            # What lies deepest goes first.
            within = sorted(folder.rglob("*"), key=lambda path: len(path.parts), reverse=True)
            kinds = [(path, path.is_dir() and not path.is_symlink()) for path in within]
            right(folder)
            for path, is_folder in (*kinds, (folder, True)):
                self._add(What.REMOVE_FOLDER if is_folder else What.UNLINK, path)

        return remove_tree


def _noted(right: Callable[..., Any], note: Callable[..., None]) -> Callable[..., Any]:
    def noted(*arguments: Any) -> Any:  # noqa: ANN401 - as the right one
        result = right(*arguments)
        note(result, *arguments)
        return result

    return noted
