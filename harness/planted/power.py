"""Defects that a power cut alone shows: a sync that is left out, or comes in the wrong order."""

from pathlib import Path
from typing import Any

from core import files, primitives
from harness.planted.defect import Catch, Change, Defect

Right = Any
"""The right part, which the wrong one may call."""


def _write(path: Path, content: bytes) -> None:
    # By the core's own calls, or whoever records them would not see it.
    descriptor = primitives.create(path)
    primitives.write(descriptor, content)
    primitives.close(descriptor)


def _sync_nothing(_right: Right) -> Right:
    return _write


def _name_first(_right: Right) -> Right:
    def write(path: Path, content: bytes, *, draft: Path | None = None) -> None:
        with files.temporary_beside(path, draft) as written:
            _write(written, content)
            files.publish(written, path)
            files.sync_file(path)

    return write


def _rename_alone(_right: Right) -> Right:
    # Looked up when it is called, as all primitives are.
    return lambda source, target: primitives.replace(source, target)  # noqa: PLW0108


_SURVIVED = "test_power_cut.py::test_power_cut_at_any_moment_costs_nothing_acknowledged"

DEFECTS = (
    Defect(
        name="note-not-synced",
        group="restore",
        wrong="The note of a restore, and a backup's manifest, get their names before their "
        "content is on the disk: after a power cut they are there and empty.",
        changes=(Change("core.files", "_write_synced", _sync_nothing),),
        catches=(
            Catch(f"{_SURVIVED}[restore]", "the queue is neither"),
            Catch(f"{_SURVIVED}[backup]", "is listed and is not"),
        ),
    ),
    Defect(
        name="note-named-before-synced",
        group="restore",
        wrong="A note is given its name and synced afterwards: a power cut in between leaves an "
        "empty one, and no opening knows what to do with the queue.",
        changes=(Change("core.files", "write_new", _name_first),),
        catches=(Catch(f"{_SURVIVED}[restore]", "the queue is neither"),),
    ),
    Defect(
        name="swap-folders-not-synced",
        group="restore",
        wrong="A swap of files syncs no folder: after a power cut the names of one set may be "
        "there with those of the other.",
        changes=(Change("core.files", "replace", _rename_alone),),
        catches=(Catch(f"{_SURVIVED}[restore-swap]", "the queue is"),),
    ),
)
