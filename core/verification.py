"""Proves that a backup is what its manifest says, and a sound queue.

``integrity_check`` cannot see a changed payload (https://www.sqlite.org/pragma.html#pragma_integrity_check
tests the structure); the digest can. The file is opened as immutable, since nobody writes it, and
no file is left beside it.
"""

import contextlib
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from . import schema
from .clock import Clock, Deadline
from .connection import Connect, Connection, scalar
from .errors import OperationTimeoutError
from .fileformat import MAGIC
from .files import is_regular, open_regular, sha256
from .manifest import Manifest, UnreadableManifestError, read_manifest
from .paths import sides, uri
from .printable import visible
from .stopping import watched
from .translation import INSTEAD, words_of
from .untrusted import Untrusted, deadline_of, open_untrusted

_HEAD_BYTES = 20
_WRITE_VERSION_AT = 18
_WRITE_VERSIONS = (1, 2)
"""https://www.sqlite.org/fileformat2.html#file_format_version_numbers."""
_ROWS_MOST = 20
_DETAIL_MOST = 1000
UNDECLARED = "nobody declared it. If it belongs there, say so with declared={...} or --declare NAME"
"""What to do about a stranger in the schema."""


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with a backup.

    Attributes:
        check: which check found it: file, manifest, digest, opening, schema, integrity,
            foreign-keys, tables or counts.
        detail: what was found.
    """

    check: str
    detail: str

    def __str__(self) -> str:
        """Return both in one line."""
        return f"{self.check}: {self.detail}"


@dataclass
class Verification:
    """The result of verifying one backup.

    Attributes:
        path: the backup.
        manifest: its manifest, None for a backup of the old kind or an unreadable one.
        problems: what is wrong; empty means verified.
        counts: tasks per status, as far as they could be counted.
        loose_references: rows that refer to nothing, 0 if they could not be counted.
        page_size: bytes a page, 0 if unknown.
        seconds: how long each check took.
    """

    path: Path
    manifest: Manifest | None = None
    problems: list[Problem] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    loose_references: int = 0
    page_size: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def __str__(self) -> str:
        """Return all problems in one line."""
        return "; ".join(map(str, self.problems)) or "verified"


def verify(
    path: Path,
    *,
    connect: Connect,
    clock: Clock,
    timeout_s: float | None = None,
    expected: Manifest | None = None,
    live: Path | None = None,
    declared: Collection[str] | None = (),
) -> Verification:
    """Return what is wrong with the backup; nothing raises but the deadline.

    Whoever wrote the backup may be hostile: nothing in it runs (``untrusted.py``).

    Args:
        path: the backup.
        connect: the door to SQLite.
        clock: where the time comes from.
        timeout_s: how long it may take, in seconds; unless told, a time that grows with the file.
        expected: compared instead of the manifest beside the file (while that is not written).
        live: a database that may be in use; it is no backup, under whatever name, and not read.
        declared: names of triggers, tables and indexes that belong in the queue though no queue
            has them; None for a copy just made of a queue, whose own schema that is.

    Raises:
        OperationTimeoutError: it took longer.

    Locks: none: nobody writes a backup.
    """
    deadline = deadline_of(path, timeout_s, clock)
    verifier = _Verifier(Verification(path), connect, clock, deadline, live, declared)
    verifier.run(expected)
    return verifier.result


def verify_digest(path: Path, *, clock: Clock) -> Verification:
    """Return whether the file is byte for byte what was verified when it was made.

    That is enough for a backup with a manifest, which is only written after a full verification.

    Raises:
        OSError: the file cannot be read.
    """
    verifier = _Verifier(Verification(path), _no_connection, clock, deadline_of(path, None, clock))
    if verifier.look_at_file():
        verifier.read_manifest(None)
        try:
            verifier.timed("digest", verifier.check_digest)
        except OperationTimeoutError as error:
            verifier.add("digest", str(error))
        if verifier.result.manifest is None and verifier.result.ok:
            verifier.add("manifest", "there is none to compare with")
    return verifier.result


def _no_connection(uri: str, *, timeout_s: float) -> Connection:
    raise AssertionError(f"a digest needs no connection: {uri}, {timeout_s}")


@dataclass
class _Verifier:
    result: Verification
    connect: Connect
    clock: Clock
    deadline: Deadline
    live: Path | None = None
    declared: Collection[str] | None = ()

    def run(self, expected: Manifest | None) -> None:
        try:
            if not self.look_at_file():
                return
            self.read_manifest(expected)
            self.timed("digest", self.check_digest)
        except OperationTimeoutError:
            # It is an OSError too, by way of TimeoutError.
            raise
        except OSError as error:
            self.add("file", str(error))
            return
        try:
            opened = self._open()
            with contextlib.closing(opened.connection) as connection:
                if self._is_known(opened):
                    self._check_content(connection)
        except (sqlite3.Error, *INSTEAD) as error:
            self.add("opening", words_of(error))

    def add(self, check: str, detail: str) -> None:
        self.result.problems.append(Problem(check, visible(detail[:_DETAIL_MOST])))

    def timed(self, name: str, check: object) -> None:
        assert callable(check)
        start_s = self.clock.monotonic_s()
        check()
        self.result.seconds[name] = self.clock.monotonic_s() - start_s

    def look_at_file(self) -> bool:
        path = self.result.path
        if not is_regular(path):
            self.add("file", "it is missing, a link, or no regular file")
            return False
        if self.live is not None and _same_file(path, self.live):
            # Reading it here would drop the locks that this process holds on it
            # (https://www.sqlite.org/howtocorrupt.html, section 2.2).
            self.add("file", "it is the queue itself, not a backup of it")
            return False
        self.look_beside(path)
        with open_regular(path) as file:
            head = file.read(_HEAD_BYTES)
        if not head.startswith(MAGIC):
            self.add("file", "it is empty" if not head else "it is not an SQLite database")
            return False
        if head[_WRITE_VERSION_AT:] and head[_WRITE_VERSION_AT] not in _WRITE_VERSIONS:
            # It opens and can be read, and no restore can release its leases.
            self.add(
                "file", f"this SQLite cannot write version {head[_WRITE_VERSION_AT]} of a file"
            )
        return True

    def look_beside(self, path: Path) -> None:
        for side in sides(path):
            if not side.name.endswith("-shm") and _has_content(side):
                self.add("file", f"{side.name} lies beside it: somebody has written to the backup")

    def read_manifest(self, expected: Manifest | None) -> None:
        try:
            self.result.manifest = expected or read_manifest(self.result.path)
        except UnreadableManifestError as error:
            self.add("manifest", str(error))

    def check_digest(self) -> None:
        manifest = self.result.manifest
        if manifest is None:
            return
        size = self.result.path.stat().st_size
        if size != manifest.size_bytes:
            self.add("digest", f"{size} bytes long, the manifest says {manifest.size_bytes}")
        elif sha256(self.result.path, each=self._require_time) != manifest.sha256:
            self.add("digest", "the content is not what was written (SHA-256 differs)")

    def _require_time(self) -> None:
        if self.deadline.passed():
            raise OperationTimeoutError(
                operation=f"verifying {self.result.path.name}",
                timeout_s=self.deadline.timeout_s or 0.0,
            )

    def _open(self) -> Untrusted:
        path = self.result.path
        return open_untrusted(
            uri(path, mode="ro", immutable=1),
            path,
            connect=self.connect,
            deadline=self.deadline,
            declared=self.declared,
        )

    def _is_known(self, opened: Untrusted) -> bool:
        """Say what in the schema nobody declared: every check behind this one would compute it."""
        for stranger in opened.strangers[:_ROWS_MOST]:
            self.add("schema", f"{stranger}; {UNDECLARED}")
        return not opened.strangers

    def _check_content(self, connection: Connection) -> None:
        checks = (
            ("integrity", self._check_integrity),
            ("foreign-keys", self._check_foreign_keys),
            ("tables", self._check_tables),
            ("counts", self._check_counts),
        )
        operation = f"verifying {self.result.path.name}"
        for name, check in checks:
            try:
                with watched(connection, operation, self.deadline, self.clock):
                    self.timed(name, lambda check=check: check(connection))
            except (sqlite3.Error, *INSTEAD) as error:
                self.add(name, words_of(error))
            self._require_time()

    def _check_integrity(self, connection: Connection) -> None:
        self.result.page_size = int(scalar(connection, "PRAGMA page_size"))
        rows = connection.execute(f"PRAGMA integrity_check({_ROWS_MOST})").fetchall()
        for row in rows:
            if row[0] != "ok":
                self.add("integrity", str(row[0]))

    def _check_foreign_keys(self, connection: Connection) -> None:
        """Compare loose references with those that the source had: they are its own affair."""
        rows, number = [], 0
        for number, row in enumerate(connection.execute("PRAGMA foreign_key_check"), 1):
            if number <= _ROWS_MOST:
                rows.append(row)
        self.result.loose_references = number
        manifest = self.result.manifest
        if number == (manifest.loose_references if manifest else 0):
            return
        for table, rowid, parent, _number in rows:
            self.add("foreign-keys", f"row {rowid} of {table} refers to nothing in {parent}")
        if not rows:
            self.add("foreign-keys", "references that were loose are not")

    def _check_tables(self, connection: Connection) -> None:
        layout = schema.read_layout(connection)
        if layout.empty:
            self.add("tables", "there is nothing in it")
        elif layout.missing and (self.result.manifest is None or not layout.is_queue):
            # With a manifest the digest tells that the source had no more than this.
            self.add("tables", f"it lacks {', '.join(layout.missing)}")

    def _check_counts(self, connection: Connection) -> None:
        if any(problem.check == "tables" for problem in self.result.problems):
            # What is no table (a view without an end, say) is not counted.
            return
        self.result.counts = schema.count_by_status(connection)
        manifest = self.result.manifest
        if manifest is not None and manifest.counts != self.result.counts:
            self.add("counts", f"tasks are {self.result.counts}, the manifest {manifest.counts}")


def _has_content(side: Path) -> bool:
    return side.is_symlink() or (side.exists() and side.stat().st_size > 0)


def _same_file(first: Path, second: Path) -> bool:
    try:
        return first.samefile(second)
    except OSError:
        return False
