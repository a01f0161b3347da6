"""A disk as a power cut finds it: what is on it for certain, and what may be there or not.

Files are contents without a name, and folders are names of them (inodes, ``man 7 inode``). A sync
of a file makes its content and its length certain, and no name; a sync of a folder makes its names
certain, and no content (``man 2 fsync``). All else is *loose* until then: each write, each
length and each name by itself may be on the disk or not.

One thing is taken for granted: a rename never loses its file. The old name goes only where the new
one is there, as the journals of file systems keep it. Where ``names_are_kept``, as on Windows,
names are certain when they are given.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from harness.disk.record import Entry, What

_TOP = 0
Contents = Mapping[str, bytes | None]
"""Paths below the folder, with slashes; None for a folder."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Loose:
    """One change that a power cut may undo.

    Attributes:
        inode: of the file that is changed, or of the folder.
        told: what it is, for people.
    """

    inode: int
    told: str


@dataclass(frozen=True, eq=False, kw_only=True)
class LooseWrite(Loose):
    """Bytes of a file."""

    offset: int
    data: bytes


@dataclass(frozen=True, eq=False, kw_only=True)
class LooseLength(Loose):
    """The length of a file; a longer one is filled with zeros.

    Attributes:
        size: in bytes.
        cuts: whether what lies behind it goes.
    """

    size: int
    cuts: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class LooseName(Loose):
    """A name in a folder.

    Attributes:
        name: in it.
        leads_to: an inode; None where the name is taken away.
        needs: the new name, without which the old one does not go.
    """

    name: str
    leads_to: int | None
    needs: "LooseName | None" = None


@dataclass(frozen=True)
class State:
    """What one power cut leaves.

    Attributes:
        contents: of the folder.
        second_names: paths of files that have another one before, with that.
        digests: of each path's content.
        digest: of all of it; two states of one digest are the same.
    """

    contents: Contents
    second_names: Mapping[str, str]
    digests: Mapping[str, bytes]
    digest: bytes


class Disk:
    """Follows a record.

    Args:
        names_are_kept: whether names are certain when they are given.
        lies: whether the disk says that it synced, and does not.

    Attributes:
        loose: what may be there or not, in the order in which it was done.
    """

    def __init__(self, *, names_are_kept: bool = False, lies: bool = False) -> None:
        self.loose: list[Loose] = []
        self._names_are_kept = names_are_kept
        self._lies = lies
        self._files: dict[int, bytes] = {}
        self._digests: dict[int, bytes] = {}
        self._folders: dict[int, dict[str, int]] = {_TOP: {}}
        self._seen: dict[int, dict[str, int]] = {_TOP: {}}
        self._lengths: dict[int, int] = {}
        self._filled: dict[tuple[object, ...], tuple[bytes, bytes]] = {}
        self._paths_synced: Sequence[tuple[str, int]] | None = None
        self._last = _TOP

    def is_synced_by(self, entry: Entry) -> bool:
        """Return whether something may become certain by this entry."""
        if self._lies:
            return False
        naming = (What.CREATE, What.LINK, What.RENAME, What.UNLINK, What.MAKE_FOLDER)
        kept = self._names_are_kept and entry.what in (*naming, What.REMOVE_FOLDER)
        return kept or entry.what in (What.SYNC, What.SYNC_FOLDER)

    def follow(self, entry: Entry) -> None:
        """Take in the next entry of the record."""
        self._filled.clear()
        self._paths_synced = None
        match entry.what:
            case What.BASE:
                self._base(entry)
            case What.CREATE | What.MAKE_FOLDER:
                self._name(entry.path, self._new(folder=entry.what is What.MAKE_FOLDER), entry)
            case What.WRITE:
                self._write(entry)
            case What.TRUNCATE:
                self._truncate(entry)
            case What.SYNC | What.SYNC_FOLDER:
                self._sync(entry)
            case What.LINK:
                self._name(entry.name, self._find(entry.path), entry)
            case What.RENAME:
                new = self._name(entry.name, self._find(entry.path), entry)
                self._name(entry.path, None, entry, needs=new)
            case What.UNLINK | What.REMOVE_FOLDER:
                self._name(entry.path, None, entry)
            case What.MARK:
                pass

    # -- what is seen ----------------------------------------------------------------------

    def _new(self, *, folder: bool) -> int:
        self._last += 1
        if folder:
            self._folders[self._last], self._seen[self._last] = {}, {}
        else:
            self._keep(self._last, b"")
            self._lengths[self._last] = 0
        return self._last

    def _keep(self, inode: int, content: bytes) -> None:
        self._files[inode] = content
        self._digests[inode] = sha256(content).digest()

    def _base(self, entry: Entry) -> None:
        inode = self._new(folder=entry.folder)
        if not entry.folder:
            self._keep(inode, entry.data)
            self._lengths[inode] = len(entry.data)
        folder, name = self._place(entry.path)
        self._folders[folder][name] = self._seen[folder][name] = inode

    def _place(self, path: str) -> tuple[int, str]:
        above, _slash, name = path.rpartition("/")
        return self._find(above), name

    def _find(self, path: str) -> int:
        inode = _TOP
        for name in path.split("/") if path not in ("", ".") else ():
            inode = self._seen[inode][name]
        return inode

    def _name(
        self, path: str, leads_to: int | None, entry: Entry, needs: LooseName | None = None
    ) -> LooseName | None:
        folder, name = self._place(path)
        if leads_to is None and name not in self._seen[folder]:
            # A file that the record leaves out, such as the -shm.
            return None
        told = f"{entry}, of which only the new name is there" if needs else str(entry)
        loose = LooseName(inode=folder, told=told, name=name, leads_to=leads_to, needs=needs)
        _give(self._seen[folder], loose)
        if self._names_are_kept and not self._lies:
            _give(self._folders[folder], loose)
        else:
            self.loose.append(loose)
        return loose

    def _write(self, entry: Entry) -> None:
        inode, end = self._find(entry.path), entry.offset + len(entry.data)
        if end > self._lengths[inode]:
            self._lengths[inode] = end
            told = f"the growth of {entry.path} to {end} bytes"
            self.loose.append(LooseLength(inode=inode, told=told, size=end, cuts=False))
        self.loose.append(
            LooseWrite(inode=inode, told=str(entry), offset=entry.offset, data=entry.data)
        )

    def _truncate(self, entry: Entry) -> None:
        inode = self._find(entry.path)
        self._lengths[inode] = entry.offset
        self.loose.append(LooseLength(inode=inode, told=str(entry), size=entry.offset, cuts=True))

    def _sync(self, entry: Entry) -> None:
        if self._lies:
            return
        inode = self._find(entry.path)
        settled = {each for each in self.loose if each.inode == inode}
        # A journal writes the whole of a rename at once, and what became of a name in order.
        needed = {each.needs for each in settled if isinstance(each, LooseName) and each.needs}
        settled |= {each for each in self.loose if any(_is_before(each, new) for new in needed)}
        if inode in self._files:
            self._keep(inode, _filled(self._files[inode], [e for e in self.loose if e in settled]))
        for each in self.loose:
            if each in settled and isinstance(each, LooseName):
                _give(self._folders[each.inode], each)
        self.loose = [each for each in self.loose if each not in settled]

    # -- what is left ----------------------------------------------------------------------

    def left(self, there: Sequence[Loose]) -> State:
        """Return what is on the disk where these of the loose changes are, in this order.

        An old name whose new one is not among them stays.
        """
        changes = defaultdict[int, list[Loose]](list)
        names = []
        for each in there:
            if isinstance(each, LooseName):
                names.append(each)
            else:
                changes[each.inode].append(each)
        contents: dict[str, bytes | None] = {}
        digests: dict[str, bytes] = {}
        first: dict[int, str] = {}
        seconds: dict[str, str] = {}
        for path, inode in self._paths(names):
            contents[path], digests[path] = self._content(inode, changes.get(inode, ()))
            if first.setdefault(inode, path) != path:
                seconds[path] = first[inode]
        digest = sha256(repr((digests, seconds)).encode()).digest()
        return State(contents, seconds, digests, digest)

    def _paths(self, names: Sequence[LooseName]) -> Sequence[tuple[str, int]]:
        """Return all paths with what they lead to, where these of the loose names are there."""
        if not names:
            if self._paths_synced is None:
                self._paths_synced = tuple(_walk(self._folders, _TOP, ""))
            return self._paths_synced
        missing = set(self.loose).difference(names)
        folders = {inode: dict(given) for inode, given in self._folders.items()}
        for each in names:
            if each.needs not in missing:
                _give(folders[each.inode], each)
        return tuple(_walk(folders, _TOP, ""))

    def _content(self, inode: int, changes: Sequence[Loose]) -> tuple[bytes | None, bytes]:
        if inode not in self._files:
            return None, b"folder"
        if not changes:
            return self._files[inode], self._digests[inode]
        key = (inode, *changes)
        if key not in self._filled:
            content = _filled(self._files[inode], changes)
            self._filled[key] = content, sha256(content).digest()
        return self._filled[key]


def _is_before(each: Loose, name: LooseName) -> bool:
    """Return whether it is this name, or the same one in the same folder."""
    return isinstance(each, LooseName) and (each.inode, each.name) == (name.inode, name.name)


def _give(names: dict[str, int], loose: LooseName) -> None:
    if loose.leads_to is None:
        names.pop(loose.name, None)
    else:
        names[loose.name] = loose.leads_to


def _filled(content: bytes, changes: Iterable[Loose]) -> bytes:
    filled = bytearray(content)
    for each in changes:
        if isinstance(each, LooseLength):
            if each.cuts:
                del filled[each.size :]
            filled.extend(bytes(max(0, each.size - len(filled))))
        elif isinstance(each, LooseWrite):
            filled.extend(bytes(max(0, each.offset - len(filled))))
            filled[each.offset : each.offset + len(each.data)] = each.data
    return bytes(filled)


def _walk(
    folders: Mapping[int, Mapping[str, int]], inode: int, below: str
) -> Iterable[tuple[str, int]]:
    for name, leads_to in sorted(folders[inode].items()):
        path = f"{below}{name}"
        yield path, leads_to
        if leads_to in folders:
            yield from _walk(folders, leads_to, f"{path}/")
