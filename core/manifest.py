"""What is written down beside a backup, so that it can be proved later.

A manifest carries a seal, the digest of its own facts: a bit that turns in it must neither reorder
the backups nor change what they are compared with.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from . import files

SUFFIX = ".manifest.json"
FORMAT = 1
_SEAL = "seal"
_MOST_BYTES = 1 << 20
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
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        if path.is_dir():
            raise UnreadableManifestError(str(error)) from error
        raise
    if len(content) > _MOST_BYTES:
        raise UnreadableManifestError("it is larger than any manifest")
    facts: object = None
    try:
        facts = json.loads(content)
        return _checked(facts)
    except (ValueError, TypeError, RecursionError) as error:
        raise UnreadableManifestError(f"{path.name}: {error}", _source_in(facts)) from error


def _source_in(facts: object) -> str | None:
    source = facts.get("source") if isinstance(facts, dict) else None
    return source if isinstance(source, str) else None


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
        value = getattr(manifest, name)
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise TypeError(f"{name} is no {wanted.__name__}")
    if not all(type(count) is int and count >= 0 for count in manifest.counts.values()):
        raise TypeError("counts are no numbers")
    if manifest.loose_references < 0:
        raise ValueError("loose_references is no number of rows")
    if not _TOKEN.fullmatch(manifest.draft):
        raise ValueError("draft is no token")
    if not 0 <= manifest.created_ms <= _MOMENT_MOST_MS:
        raise ValueError("created_ms is no moment")
    return manifest
