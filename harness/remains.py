"""What a kill and a power cut would leave of a folder, at every call of a verb that names or syncs.

A kill leaves all that was written. A power cut leaves of a file what it held when it was last
synced, and nothing if it never was; and of the names in a folder those of its last sync, while each
name that changed since then may have changed on the disk or not, in any order (``man 2 fsync``).
Windows has no call that syncs a folder, and its file system keeps a journal of names: there a name
counts as synced when it is given.

The calls are those of this process. They are recorded as they are made, and go their usual way.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KILL = "kill"
POWER_CUT = "power-cut"
_NAMING = ("link", "rename", "replace", "unlink", "remove")
_Identity = tuple[int, int]


@dataclass(frozen=True)
class Remains:
    """What would be left of the folder.

    Attributes:
        fault: ``kill`` or ``power-cut``.
        moment: when it would have struck, for people.
        files: content by name.
        returned: whether the verb had returned by then.
    """

    fault: str
    moment: str
    files: Mapping[str, bytes]
    returned: bool

    def lay_out(self, folder: Path) -> None:
        """Write the files into a new folder."""
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)

    def __str__(self) -> str:
        return f"{self.fault} {self.moment}"


@dataclass(eq=False)
class _File:
    """A file under whatever names it has.

    Attributes:
        synced: what it held when it was last synced; None before.
    """

    synced: bytes | None = None


@dataclass
class Recorder:
    """Records what happens to the files of one folder; what lies there at first counts as synced.

    Attributes:
        folder: whose files are followed; it may be made later.
        calls: the calls that were recorded, in order.
        appeared: the names that were given by one of them.
        remains: all that could be left, each different state once.
    """

    folder: Path
    calls: list[str] = field(default_factory=list)
    appeared: set[str] = field(default_factory=set)
    remains: list[Remains] = field(default_factory=list)
    _known: dict[_Identity, _File] = field(default_factory=dict)
    _on_disk: dict[str, _File] = field(default_factory=dict)

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Follow the calls of the body, which is one verb; look once more when it has returned."""
        self._on_disk = self._files()
        for name, file in self._on_disk.items():
            file.synced = (self.folder / name).read_bytes()
        with contextlib.ExitStack() as undo:
            for call in ("fsync", *_NAMING):
                right = getattr(os, call)
                undo.callback(setattr, os, call, right)
                setattr(os, call, self._followed(call, right))
            yield
        self.look("after the verb had returned", returned=True)

    def look(self, moment: str, *, returned: bool = False) -> None:
        """Keep what a kill or a power cut would leave now."""
        files = self._files()
        written = {name: (self.folder / name).read_bytes() for name in files}
        self._keep(Remains(KILL, moment, written, returned))
        for names in self._possible(files):
            synced = {name: file.synced or b"" for name, file in names.items()}
            self._keep(Remains(POWER_CUT, moment, synced, returned))

    def _possible(self, files: dict[str, _File]) -> Iterator[dict[str, _File]]:
        """Yield the names that the disk may have: none of the changes, all, or one alone."""
        yield self._on_disk
        yield files
        changed = [
            name
            for name in {**self._on_disk, **files}
            if self._on_disk.get(name) is not files.get(name)
        ]
        for name in changed:
            alone = {each: file for each, file in self._on_disk.items() if each != name}
            yield alone | ({name: files[name]} if name in files else {})

    def _keep(self, remains: Remains) -> None:
        alike = (
            remains.fault == each.fault
            and remains.returned == each.returned
            and remains.files == each.files
            for each in self.remains
        )
        if not any(alike):
            self.remains.append(remains)

    # -- following -------------------------------------------------------------------------

    def _followed(self, call: str, right: Callable[..., Any]) -> Callable[..., Any]:
        def followed(*arguments: Any, **settings: Any) -> Any:  # noqa: ANN401 - as the right one
            before = self._files()
            identity = _identity_of(arguments[0]) if call == "fsync" else None
            if not self._concerns(identity, arguments):
                return right(*arguments, **settings)
            self.calls.append(call)
            self.look(f"before call {len(self.calls)}, {call}")
            result = right(*arguments, **settings)
            if identity is None:
                self._named(before)
            else:
                self._synced(identity)
            return result

        return followed

    def _concerns(self, identity: _Identity | None, arguments: tuple[Any, ...]) -> bool:
        if identity is not None:
            return identity in self._known or identity == self._own_identity()
        return any(Path(os.fsdecode(each)).parent == self.folder for each in arguments)

    def _synced(self, identity: _Identity) -> None:
        if identity == self._own_identity():
            self._on_disk = self._files()
            return
        for name, file in self._files().items():
            if file is self._known[identity]:
                file.synced = (self.folder / name).read_bytes()

    def _named(self, before: dict[str, _File]) -> None:
        files = self._files()
        self.appeared |= {name for name, file in files.items() if file is not before.get(name)}
        if os.name == "nt":
            self._on_disk = files

    def _own_identity(self) -> _Identity | None:
        return _identity(self.folder.stat()) if self.folder.exists() else None

    def _files(self) -> dict[str, _File]:
        """Return the files that lie there, by name; those that are gone are forgotten."""
        paths = list(self.folder.iterdir()) if self.folder.exists() else []
        found = {path.name: _identity(path.stat()) for path in paths if path.is_file()}
        # The number of a file that is gone may be given to the next one.
        self._known = {each: self._known.get(each) or _File() for each in found.values()}
        return {name: self._known[identity] for name, identity in found.items()}


def _identity(facts: os.stat_result) -> _Identity:
    return facts.st_dev, facts.st_ino


def _identity_of(file: Any) -> _Identity:  # noqa: ANN401 - as fsync takes it
    return _identity(os.fstat(file if isinstance(file, int) else file.fileno()))
