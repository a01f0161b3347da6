"""How one backup comes to be: drafted, proved, and only then given its name.

The order survives a kill and a power cut at any point: the draft is synced, then proved, then the
manifest gets its final name, then the backup gets its own. So a listed backup always is whole and
always has its manifest; what else is left over is cleared by the next run.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from . import files, naming, schema
from .clock import Deadline
from .connection import scalar
from .copying import ProgressCallback, copy_into_new_file, pinned
from .database import QueueDatabase
from .defects import version_of
from .drafts import Drafts
from .errors import (
    BackupFailedError,
    BackupFolderError,
    BackupUnsureError,
    DatabaseIOError,
    NotEnoughSpaceError,
)
from .manifest import FORMAT, Manifest, manifest_path, write_manifest
from .paths import sides
from .timestamps import to_text
from .translation import translated
from .verification import verify

_MEGABYTE = 1024 * 1024
_NAMES_MOST = 1000


class BackupWriter:
    """Writes backups of one database into one folder; the caller holds the maintenance lock.

    Args:
        database: the source.
        folder: an existing folder.
        timeout_s: how long copying and proving may take, in seconds.
    """

    def __init__(self, database: QueueDatabase, folder: Path, timeout_s: float | None) -> None:
        self._database = database
        self._folder = folder
        self._deadline = Deadline(timeout_s, database.clock)
        self._drafts = Drafts(folder, database.path)

    def clear_leftovers(self) -> None:
        """Remove what earlier runs on this database left when they were cut off."""
        self._drafts.clear()

    def write(self, name: str | None, progress: ProgressCallback | None) -> Path:
        """Leave a whole, synced, verified backup; return its path."""
        self._check_space()
        token = self._drafts.new_token()
        draft = self._drafts.backup(token)
        try:
            manifest = self._prove(draft, self._draft(draft, token, progress))
            return self._publish(draft, manifest, name)
        finally:
            # The first error is the one to tell, and what cannot be removed the next run clears.
            with contextlib.suppress(OSError):
                self._drafts.discard(token)

    def _check_space(self) -> None:
        path = self._database.path
        needed = sum(f.stat().st_size for f in (path, sides(path)[0]) if f.exists()) + _MEGABYTE
        free = files.free_bytes(self._folder)
        if free < needed:
            raise NotEnoughSpaceError(
                operation="the backup",
                folder=str(self._folder),
                needed_mb=needed / _MEGABYTE,
                free_mb=free / _MEGABYTE,
            )

    def _draft(self, draft: Path, token: str, progress: ProgressCallback | None) -> Manifest:
        """Copy one snapshot into the draft; return the manifest without its digest."""
        database = self._database
        source = database.open_connection(mode="ro")
        with contextlib.closing(source), translated(database.path), pinned(source):
            created_ms = database.clock.now_ms()
            facts = Manifest(
                format=FORMAT,
                source=str(database.path),
                created_ms=created_ms,
                created_utc=to_text(created_ms),
                finished_utc="",
                sha256="",
                size_bytes=0,
                page_count=int(scalar(source, "PRAGMA page_count")),
                page_size=int(scalar(source, "PRAGMA page_size")),
                counts=schema.count_by_status(source),
                loose_references=0,
                sqlite_version=version_of(source),
                schema_version=schema.read_layout(source).version,
                draft=token,
            )
            with self._blaming_the_folder(draft):
                copy_into_new_file(
                    source,
                    draft,
                    connect=database.connect,
                    deadline=self._deadline,
                    progress=progress,
                )
        return facts

    @contextlib.contextmanager
    def _blaming_the_folder(self, draft: Path) -> Iterator[None]:
        try:
            yield
        except DatabaseIOError as error:
            if error.facts["path"] != str(draft):
                raise
            # The draft is no queue that anybody could look at.
            detail = str(error.__cause__)
            raise BackupFolderError(folder=str(self._folder), detail=detail) from error

    def _prove(self, draft: Path, facts: Manifest) -> Manifest:
        """Return the whole manifest of a draft that is what the source's snapshot was."""
        clock = self._database.clock
        measured = replace(
            facts, sha256=files.sha256(draft), size_bytes=facts.page_count * facts.page_size
        )
        remaining_s = None if self._deadline.timeout_s is None else self._deadline.remaining_s()
        proof = verify(
            draft,
            connect=self._database.connect,
            clock=clock,
            timeout_s=remaining_s,
            expected=measured,
            # Its triggers act on the queue itself, whose backups must not end for that.
            declared=None,
        )
        # The draft is the source's snapshot page by page, so these are loose in the source.
        problems = [problem for problem in proof.problems if problem.check != "foreign-keys"]
        if problems:
            found = "; ".join(map(str, problems))
            raise BackupFailedError(
                detail=f"the copy is not sound ({found}), so the queue itself may be damaged. Look "
                f'at it with: queuedrill health --db "{self._database.path}"'
            )
        return replace(
            measured,
            loose_references=proof.loose_references,
            finished_utc=to_text(clock.now_ms()),
        )

    def _publish(self, draft: Path, manifest: Manifest, name: str | None) -> Path:
        for number in range(1, _NAMES_MOST):
            final = self._folder / naming.file_name(name, manifest.created_ms, number)
            if final.exists() or final.is_symlink():
                continue
            try:
                write_manifest(final, manifest, draft=self._drafts.manifest(manifest.draft))
            except FileExistsError:
                continue
            try:
                files.publish(draft, final)
            except FileExistsError:
                # A program that knows no manifests took the name in between.
                files.remove(manifest_path(final))
                continue
            except OSError as error:
                if not final.exists():
                    raise
                # It has its name, and only the sync of the folder failed.
                raise BackupUnsureError(path=str(final), detail=str(error)) from error
            return final
        raise BackupFailedError(detail=f"no free name for {manifest.created_utc} UTC")
