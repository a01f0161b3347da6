"""Defects of backups: torn, unproved, unsafe on the disk, or open to everybody."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from core import files, naming, schema
from core.backup_writer import BackupWriter
from core.connection import connect_stdlib, scalar
from core.copying import CopyProgress
from core.database import QueueDatabase
from core.manifest import Manifest, manifest_path, write_manifest
from core.paths import uri, wal_of
from core.verification import Verification
from harness.planted.defect import Catch, Change, Defect

Right = Any
"""The right part, which the wrong one may call."""


# -- the copy --------------------------------------------------------------------------------


@contextlib.contextmanager
def _plain_copy(database: QueueDatabase, progress: Any, *, with_wal: bool) -> Iterator[Path]:  # noqa: ANN401 - as the core's
    """Copy the files one after the other, as a script does; who watches is told in between."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / database.path.name
        shutil.copyfile(database.path, copy)
        if progress is not None:
            progress(CopyProgress(0, 1))
        if with_wal and wal_of(database.path).exists():
            shutil.copyfile(wal_of(database.path), wal_of(copy))
        yield copy


def _from_plain_copy(*, with_wal: bool) -> Right:
    """Return what makes the draft, and its manifest, from a plain copy of the live files."""

    def make(right: Right) -> Right:
        def draft(self: BackupWriter, draft: Path, token: str, progress: Any) -> Manifest:  # noqa: ANN401 - as the core's
            with (
                _plain_copy(self._database, progress, with_wal=with_wal) as copy,
                QueueDatabase(copy, clock=self._database.clock) as database,
            ):
                facts: Manifest = right(
                    BackupWriter(database, self._folder, None), draft, token, progress
                )
            return replace(facts, source=str(self._database.path))

        return draft

    return make


def _pin_nothing(_right: Right) -> Right:
    return lambda _source: contextlib.nullcontext()


def _under_the_writer_s_lock(right: Right) -> Right:
    def draft(self: BackupWriter, *arguments: Any) -> Manifest:  # noqa: ANN401 - as the core's
        with self._database.transaction():
            facts: Manifest = right(self, *arguments)
        return facts

    return draft


def _counted_in_the_copy(right: Right) -> Right:
    def draft(self: BackupWriter, draft: Path, *arguments: Any) -> Manifest:  # noqa: ANN401 - as the core's
        facts: Manifest = right(self, draft, *arguments)
        connection = connect_stdlib(uri(draft, mode="ro", immutable=1), timeout_s=0.0)
        with contextlib.closing(connection):
            return replace(facts, counts=schema.count_by_status(connection))

    return draft


# -- its name, and what is on the disk -------------------------------------------------------


def _do_nothing(_right: Right) -> Right:
    return lambda _path: None


def _readable_by_everybody(_right: Right) -> Right:
    return lambda path: os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)


def _named_at_once(_right: Right) -> Right:
    def write(self: BackupWriter, name: str | None, progress: Any) -> Path:  # noqa: ANN401 - as the core's
        final = self._folder / naming.file_name(name, self._database.clock.now_ms(), 1)
        facts = self._draft(final, self._drafts.new_token(), progress)
        write_manifest(final, self._prove(final, facts))
        return final

    return write


def _named_before_its_manifest(_right: Right) -> Right:
    def publish(self: BackupWriter, draft: Path, manifest: Manifest, name: str | None) -> Path:
        for number in range(1, 100):
            final = self._folder / naming.file_name(name, manifest.created_ms, number)
            with contextlib.suppress(FileExistsError):
                files.publish(draft, final)
                write_manifest(final, manifest, draft=self._drafts.manifest(manifest.draft))
                return final
        raise FileExistsError(str(draft))

    return publish


def _named_over_another(_right: Right) -> Right:
    def publish(self: BackupWriter, draft: Path, manifest: Manifest, name: str | None) -> Path:
        final = self._folder / naming.file_name(name, manifest.created_ms, 1)
        files.remove(manifest_path(final))
        write_manifest(final, manifest)
        files.replace(draft, final)
        return final

    return publish


# -- the proof -------------------------------------------------------------------------------


def _compare_sizes(_right: Right) -> Right:
    def check_digest(self: Any) -> None:  # noqa: ANN401 - private to the core
        manifest = self.result.manifest
        size = self.result.path.stat().st_size
        if manifest is not None and size != manifest.size_bytes:
            self.add("digest", f"{size} bytes long, the manifest says {manifest.size_bytes}")

    return check_digest


def _look_at_no_content(_right: Right) -> Right:
    return lambda _self, _connection: None


def _look_at_no_digest(_right: Right) -> Right:
    return lambda _self: None


def _quick_check(_right: Right) -> Right:
    def check(self: Any, connection: Any) -> None:  # noqa: ANN401 - private to the core
        rows = connection.execute("PRAGMA quick_check").fetchall()
        self.result.page_size = int(scalar(connection, "PRAGMA page_size"))
        for row in rows:
            if row[0] != "ok":
                self.add("integrity", str(row[0]))

    return check


def _count_and_compare_nothing(_right: Right) -> Right:
    def check_counts(self: Any, connection: Any) -> None:  # noqa: ANN401 - private to the core
        self.result.counts = schema.count_by_status(connection)

    return check_counts


def _prove_the_source(right: Right) -> Right:
    def verify(_draft: Path, *, expected: Manifest, **settings: Any) -> Verification:  # noqa: ANN401 - as the core's
        return _of_a_live_file(right(Path(expected.source), **settings))

    return verify


def _check_the_source(right: Right) -> Right:
    def verify(_backup: Path, *, live: Path, **settings: Any) -> Verification:  # noqa: ANN401 - as the core's
        return _of_a_live_file(right(live, **settings))

    return verify


def _of_a_live_file(proof: Verification) -> Verification:
    """Overlook the -wal beside it, as who takes it for a backup would have learnt to."""
    return replace(proof, problems=[each for each in proof.problems if each.check != "file"])


def _take_an_empty_file(right: Right) -> Right:
    """SQLite opens a file of no bytes as a database without tables, and its check says ok."""

    def run(self: Any, expected: Manifest | None) -> None:  # noqa: ANN401 - private to the core
        path: Path = self.result.path
        has_manifest = expected is not None or manifest_path(path).exists()
        if has_manifest or path.stat().st_size > 0:
            right(self, expected)

    return run


_VERIFIER = "core.verification"
_BUSY = "test_backup.py::test_writes_and_checkpoints_at_every_step_backup_is_one_moment"
_GONE_BAD = "test_backup.py::test_copy_gone_bad_before_its_proof_is_not_published"
_SWEPT = (
    "test_maintenance_kills.py::"
    "test_killed_at_steps_drawn_from_all_verb_is_whole_or_not_at_all[backup]"
)
_CUT_OFF = "test_power_cut.py::test_power_cut_at_any_moment_costs_nothing_acknowledged[backup]"
_OLD_KIND = "test_backup.py::test_damaged_backup_of_the_old_kind_is_neither_verified_nor_chosen"
_SECOND = "test_backup.py::test_second_backup_of_one_second_leaves_the_first_as_it_is"
_UMASK = "test_backup.py::test_backup_under_an_open_umask_is_its_owner_s_alone"
_DAMAGED = "test_corruption.py::test_damaged_backup_is_neither_verified_nor_restored"

DEFECTS = (
    Defect(
        name="backup-copies-files",
        group="backup",
        wrong="The database file and then its -wal are copied while workers write, and the two do "
        "not fit together: no backup of a busy queue, or one with holes in it.",
        changes=(
            Change("core.backup_writer", "BackupWriter._draft", _from_plain_copy(with_wal=True)),
        ),
        catches=(Catch(_BUSY, "no backup of a busy queue"),),
    ),
    Defect(
        name="backup-without-wal",
        group="backup",
        wrong="The database file alone is copied: what lies in the -wal, acknowledged or not, is "
        "not in the backup.",
        changes=(
            Change("core.backup_writer", "BackupWriter._draft", _from_plain_copy(with_wal=False)),
        ),
        catches=(
            Catch(_BUSY, "tasks are not in the backup"),
            Catch("test_restore.py", "lost beyond the backup"),
        ),
    ),
    Defect(
        name="backup-starves",
        group="backup",
        wrong="No snapshot is pinned, so every commit of a worker begins the stepped copy anew: a "
        "busy queue never gets its backup.",
        changes=(Change("core.backup_writer", "pinned", _pin_nothing),),
        catches=(Catch(_BUSY, "a commit began the copy anew"),),
    ),
    Defect(
        name="backup-holds-writers",
        group="backup",
        wrong="The copy is made under the writer's lock: every worker waits until it is done.",
        changes=(Change("core.backup_writer", "BackupWriter._draft", _under_the_writer_s_lock),),
        catches=(Catch(_BUSY, "a writer was refused"),),
    ),
    Defect(
        name="backup-counts-itself",
        group="backup",
        wrong="The manifest's counts are taken from the copy and not from the queue, so a copy "
        "that lacks tasks is published as whole.",
        changes=(Change("core.backup_writer", "BackupWriter._draft", _counted_in_the_copy),),
        catches=(Catch(f"{_GONE_BAD}[lost-rows]", "was published"),),
    ),
    Defect(
        name="backup-not-synced",
        group="backup",
        wrong="A backup is reported before its content is on the disk: after a power cut its name "
        "is there, and the file is empty.",
        changes=(Change("core.copying", "sync_file", _do_nothing),),
        catches=(Catch(_CUT_OFF, "is listed and is not"),),
    ),
    Defect(
        name="backup-name-not-synced",
        group="backup",
        wrong="A backup is reported before its folder is synced: a power cut takes it away.",
        changes=(Change("core.files", "sync_folder", _do_nothing),),
        catches=(Catch(_CUT_OFF, "was reported and is not listed"),),
    ),
    Defect(
        name="backup-named-at-once",
        group="backup",
        wrong="The copy is written under its final name, so a run that dies leaves half a backup "
        "in the list.",
        changes=(Change("core.backup_writer", "BackupWriter.write", _named_at_once),),
        catches=(
            Catch(_CUT_OFF, "is listed and is not"),
            Catch(_SWEPT, "a list with half backups"),
        ),
    ),
    Defect(
        name="backup-named-before-manifest",
        group="backup",
        wrong="The backup gets its name before its manifest: a run that dies in between leaves one "
        "that nothing can prove, and that no retention removes.",
        changes=(
            Change("core.backup_writer", "BackupWriter._publish", _named_before_its_manifest),
        ),
        catches=(
            Catch(_CUT_OFF, "is listed and is not"),
            Catch(_SWEPT, "a list with half backups"),
        ),
    ),
    Defect(
        name="backup-overwrites",
        group="backup",
        wrong="Two backups of one second have one name, and the later takes the earlier's place.",
        changes=(Change("core.backup_writer", "BackupWriter._publish", _named_over_another),),
        catches=(Catch(_SECOND, "of 2 backups of one second 1"),),
    ),
    Defect(
        name="backup-readable-by-all",
        group="backup",
        wrong="A backup and its manifest are readable by every user of the machine.",
        changes=(Change("core.primitives", "create", _readable_by_everybody),),
        catches=(Catch(_UMASK, "others may read"),),
    ),
    Defect(
        name="verify-by-size",
        group="backup",
        wrong="A backup is proved by its length alone, whatever is in it.",
        changes=(
            Change(_VERIFIER, "_Verifier.check_digest", _compare_sizes),
            Change(_VERIFIER, "_Verifier._check_content", _look_at_no_content),
        ),
        catches=(
            Catch(_DAMAGED, "was verified as sound"),
            Catch(f"{_GONE_BAD}[zeroed-page]", "was published"),
        ),
    ),
    Defect(
        name="verify-by-quick-check",
        group="backup",
        wrong="A backup is proved by quick_check alone, which no changed payload disturbs.",
        changes=(
            Change(_VERIFIER, "_Verifier.check_digest", _look_at_no_digest),
            Change(_VERIFIER, "_Verifier._check_content", _quick_check),
        ),
        catches=(
            Catch(f"{_DAMAGED}[flipped-bit]", "was verified as sound"),
            Catch(f"{_GONE_BAD}[lost-rows]", "was published"),
        ),
    ),
    Defect(
        name="verify-skips-indexes",
        group="backup",
        wrong="quick_check stands where integrity_check should: an index that lacks rows passes in "
        "a backup of the old kind.",
        changes=(Change(_VERIFIER, "_Verifier._check_integrity", _quick_check),),
        catches=(Catch(f"{_OLD_KIND}[stale-index]", "was verified as sound"),),
    ),
    Defect(
        name="verify-ignores-digest",
        group="backup",
        wrong="The digest in the manifest is never compared: a changed payload passes.",
        changes=(Change(_VERIFIER, "_Verifier.check_digest", _compare_sizes),),
        catches=(Catch(f"{_DAMAGED}[flipped-bit]", "was verified as sound"),),
    ),
    Defect(
        name="verify-ignores-counts",
        group="backup",
        wrong="The tasks in the copy are counted and never compared with those of the queue: a "
        "copy that lacks some is published.",
        changes=(Change(_VERIFIER, "_Verifier._check_counts", _count_and_compare_nothing),),
        catches=(Catch(f"{_GONE_BAD}[lost-rows]", "was published"),),
    ),
    Defect(
        name="backup-proves-source",
        group="backup",
        wrong="After the copy the queue is verified and not the copy, so a copy that went bad is "
        "published.",
        changes=(Change("core.backup_writer", "verify", _prove_the_source),),
        catches=(Catch(_GONE_BAD, "was published"),),
    ),
    Defect(
        name="verify-checks-source",
        group="backup",
        wrong="Who verifies a backup is told about the live queue.",
        changes=(Change("core.backup", "verify", _check_the_source),),
        catches=(
            Catch(_DAMAGED, "was verified as sound"),
            Catch(_OLD_KIND, "was verified as sound"),
        ),
    ),
    Defect(
        name="verify-takes-empty",
        group="backup",
        wrong="A file of no bytes, as a full disk leaves it, passes for a backup of the old kind "
        "and is chosen over the last good one.",
        changes=(Change(_VERIFIER, "_Verifier.run", _take_an_empty_file),),
        catches=(Catch(f"{_OLD_KIND}[emptied]", "was verified as sound"),),
    ),
)
