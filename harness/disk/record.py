"""The record of what an operation did to its files: every change and every sync, in order.

It is streamed while it is made, binary content included: a line of JSON for each entry, and after
it as many bytes as the line says.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO


class What(StrEnum):
    """What happened, or was said."""

    BASE = "base"
    CREATE = "create"
    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "sync"
    LINK = "link"
    RENAME = "rename"
    UNLINK = "unlink"
    MAKE_FOLDER = "make-folder"
    REMOVE_FOLDER = "remove-folder"
    SYNC_FOLDER = "sync-folder"
    MARK = "mark"


@dataclass(frozen=True, eq=False)
class Entry:
    """One entry of the record.

    Attributes:
        what: happened; ``base`` is a file or a folder that was there before anything did.
        path: below the recorded folder, with slashes; "." is that folder itself.
        name: the name that a link or a rename gives, likewise.
        offset: of a write, in bytes; of a truncate, the size that it leaves.
        data: what a write writes, or what a file of the base holds.
        folder: whether an entry of the base is a folder.
        said: what a mark says, for example which operation is acknowledged.
    """

    what: What
    path: str = "."
    name: str = ""
    offset: int = 0
    data: bytes = b""
    folder: bool = False
    said: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.what is What.MARK:
            return f"{self.said.get('kind', 'mark')}: {self.said.get('label', '')}"
        if self.what is What.WRITE:
            end = self.offset + len(self.data)
            return f"the write of bytes {self.offset} to {end} of {self.path}"
        if self.what is What.TRUNCATE:
            return f"the cutting of {self.path} to {self.offset} bytes"
        if self.what in (What.LINK, What.RENAME):
            return f"the {self.what} of {self.path} to {self.name}"
        return f"the {self.what.replace('-', ' ')} of {self.path}"


class RecordWriter:
    """Writes entries to a stream, each whole before the next thing happens.

    Args:
        stream: unbuffered or flushed by whoever reads it.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def add(self, entry: Entry) -> None:
        """Leave the entry in the stream."""
        facts: dict[str, object] = {"what": entry.what, "path": entry.path}
        facts |= {"name": entry.name} if entry.name else {}
        facts |= {"offset": entry.offset} if entry.offset else {}
        facts |= {"folder": True} if entry.folder else {}
        facts |= {"said": dict(entry.said)} if entry.said else {}
        line = json.dumps({**facts, "bytes": len(entry.data)}).encode()
        self._stream.write(line + b"\n" + entry.data)
        self._stream.flush()


def read_record(path: Path) -> tuple[Entry, ...]:
    """Return the entries; one that was cut off at the end is none.

    Raises:
        ValueError: it is no record.
    """
    with path.open("rb") as stream:
        return tuple(_entries(stream))


def _entries(stream: BinaryIO) -> Iterator[Entry]:
    while (line := stream.readline()).endswith(b"\n"):
        facts = json.loads(line)
        size = facts.pop("bytes")
        data = stream.read(size)
        if len(data) < size:
            return
        facts["what"] = What(facts["what"])
        yield Entry(**facts, data=data)


def marks(entries: Iterable[Entry], kind: str) -> list[Mapping[str, Any]]:
    """Return what the marks of this kind say, in order."""
    return [
        entry.said
        for entry in entries
        if entry.what is What.MARK and entry.said.get("kind") == kind
    ]
