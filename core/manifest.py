"""What is written down beside a backup, so that it can be proved later.

A manifest carries a seal, the digest of its own facts: a bit that turns in it must neither reorder
the backups nor change what they are compared with.
"""

import hashlib
import json
import re
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from . import files
from .printable import visible

SUFFIX = ".manifest.json"
FORMAT = 1
_SEAL = "seal"
_SHOWN_MOST = 300
# No path and no version is longer, and no number of rows or bytes larger.
_TEXT_MOST = 5000
_NUMBER_MOST = 2**63
_TOKEN = re.compile(r"[0-9a-f]{16}", re.ASCII)
_MOMENT_MOST_MS = 200_000_000_000_000


@dataclass(frozen=True)
class Manifest:
    """The facts of one backup.

    Attributes:
        format: version of this layout.
        source: real path of the database that was backed up; tells queues apart.
        created_ms: the snapshot's moment, UTC milliseconds since 1970.
        created_utc: the same for people.
        finished_utc: when the copy was whole, synced and verified.
        sha256: digest of the backup file.
        size_bytes: its length.
        page_count: its pages.
        page_size: bytes a page.
        counts: tasks per status in the source's snapshot.
        loose_references: rows in it that refer to nothing (a program that does not set
            ``foreign_keys`` leaves them behind).
        sqlite_version: the library that wrote it.
        schema_version: the queue schema's version; 0 for a field file.
        draft: random token of the draft that became this backup.
    """

    format: int
    source: str
    created_ms: int
    created_utc: str
    finished_utc: str
    sha256: str
    size_bytes: int
    page_count: int
    page_size: int
    counts: dict[str, int]
    loose_references: int
    sqlite_version: str
    schema_version: int
    draft: str


class UnreadableManifestError(ValueError):
    """The manifest is there and cannot be used, which is not the same as none.

    Attributes:
        source: the database that it names, as far as it still can be read, else None.
    """

    def __init__(self, message: str, source: str | None = None) -> None:
        self.source = source
        super().__init__(message)


def manifest_path(backup: Path) -> Path:
    """Return the path of the backup's manifest."""
    return backup.with_name(backup.name + SUFFIX)


def seal_of(facts: Mapping[str, object]) -> str:
    """Return the SHA-256 of the facts, whatever their order and layout."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def write_manifest(backup: Path, manifest: Manifest, *, draft: Path | None = None) -> None:
    """Write the manifest, synced, under a name that was free.

    Args:
        backup: path of the backup.
        manifest: its facts.
        draft: where to write it before it gets its name; beside it unless told otherwise.

    Raises:
        FileExistsError: there is one already; it is as it was.
    """
    facts = asdict(manifest)
    content = json.dumps({**facts, _SEAL: seal_of(facts)}, indent=1, sort_keys=True) + "\n"
    files.write_new(manifest_path(backup), content.encode(), draft=draft)


def read_manifest(backup: Path) -> Manifest | None:
    """Return the backup's manifest, or None where there is none (a backup of the old kind).

    Raises:
        UnreadableManifestError: there is one, and it is damaged or of a newer format.
        OSError: the system does not read it now. That says nothing of the backup: who takes it for
            damaged may throw away a sound one.
    """
    path = manifest_path(backup)
    facts: object = None
    try:
        facts = json.loads(_content(path))
        return _checked(facts)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, RecursionError) as error:
        words = visible(f"{path.name}: {str(error)[:_SHOWN_MOST]}")
        raise UnreadableManifestError(words, _source_in(facts)) from error


def _content(path: Path) -> bytes:
    # What the system does not read now may be sound; a link is none of ours at any time.
    if not stat.S_ISREG(path.lstat().st_mode):
        raise ValueError("it is a link, or no regular file")
    return files.read_note(path)


def _source_in(facts: object) -> str | None:
    source = facts.get("source") if isinstance(facts, dict) else None
    return source if isinstance(source, str) and len(source) <= _TEXT_MOST else None


def _checked(facts: object) -> Manifest:
    if not isinstance(facts, dict):
        raise TypeError("it holds no object")
    if facts.get("format") != FORMAT:
        raise ValueError(f"its format is {facts.get('format')!r}, known is {FORMAT}")
    facts = dict(facts)
    seal = facts.pop(_SEAL, None)
    if seal != seal_of(facts):
        raise ValueError("it was changed since it was written (its seal does not fit)")
    manifest = Manifest(**facts)
    for name, kind in Manifest.__annotations__.items():
        wanted = dict if kind == dict[str, int] else kind
        _check_value(name, getattr(manifest, name), wanted)
    for count in manifest.counts.values():
        _check_value("a count", count, int)
    if not _TOKEN.fullmatch(manifest.draft):
        raise ValueError("draft is no token")
    if manifest.created_ms > _MOMENT_MOST_MS:
        raise ValueError("created_ms is no moment")
    return manifest


def _check_value(name: str, value: object, wanted: type) -> None:
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise TypeError(f"{name} is no {wanted.__name__}")
    if isinstance(value, str) and len(value) > _TEXT_MOST:
        raise ValueError(f"{name} is too long")
    if isinstance(value, int) and not 0 <= value < _NUMBER_MOST:
        raise ValueError(f"{name} is no number of its kind")
