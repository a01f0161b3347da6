"""Defects of a salvage: work that could be read is lost, or the new queue is not what it says."""

import contextlib
import os
from pathlib import Path
from typing import Any

from core.connection import Connection
from core.salvagemaking import Made
from core.salvagereading import SalvageReading
from core.tableshape import row_of
from harness.planted.defect import Catch, Change, Defect

Right = Any
"""The right part, which the wrong one may call."""

BACK = "test_salvage.py::test_salvage_brings_back_what_the_damage_does_not_cover"
TASKS = "task_queue"


class _StoppedError(Exception):
    """Something could not be read."""


def _stop_at_first_error(right: Right) -> Right:
    """Take what was read before the first page that makes no sense for all there is."""

    def read(self: SalvageReading) -> None:
        def stop(*_error: object) -> None:
            raise _StoppedError

        with contextlib.suppress(_StoppedError):
            vars(self._walk.errors)["add"] = stop
            right(self)

    return read


def _take_freed(_right: Right) -> Right:
    """Take the rows on free pages too: more is better."""

    def read_freed(self: SalvageReading) -> None:
        columns = self._tables.columns[TASKS]
        for found in self._walk.freed():
            values = self._row_values(found)
            row = row_of(TASKS, columns, found.cell.rowid, values, strict=True)
            if row is not None and row.id not in self._target.ids[TASKS]:
                self._add(row, found.page)

    return read_freed


def _accept_nothing(_right: Right) -> Right:
    def is_something(_made: Made) -> bool:
        return True

    return is_something


def _keep_leases(_right: Right) -> Right:
    def release_every_lease(_connection: Connection, **_settings: object) -> int:
        return 0

    return release_every_lease


def _look_at_nothing(_right: Right) -> Right:
    def require_free(_out: Path) -> None:
        """Whoever gives a name means it."""

    return require_free


def _replace(_right: Right) -> Right:
    def publish(self: Any, draft: Path) -> None:  # noqa: ANN401 - private
        os.replace(draft, self.out)  # noqa: PTH105 - as the core does it

    return publish


DEFECTS = (
    Defect(
        name="salvage-stops-at-an-error",
        group="salvage",
        wrong="A salvage ends at the first page that makes no sense: all tasks behind it are lost, "
        "though they could be read.",
        changes=(Change("core.salvagereading", "SalvageReading.read", _stop_at_first_error),),
        catches=(Catch(f"{BACK}[noise-5]", "tasks came back"),),
    ),
    Defect(
        name="salvage-revives",
        group="salvage",
        wrong="A salvage takes the rows on free pages for tasks: what was deleted or archived runs "
        "once more.",
        changes=(Change("core.salvagereading", "SalvageReading._read_freed", _take_freed),),
        catches=(Catch(BACK, "came back from the dead"),),
    ),
    Defect(
        name="salvage-of-nothing",
        group="salvage",
        wrong="Where nothing could be read a salvage makes an empty queue, which looks like one "
        "whose work is done.",
        changes=(Change("core.salvage", "is_something", _accept_nothing),),
        catches=(
            Catch("test_salvage.py::test_salvage_of_nothing_makes_no_queue", "was made of nothing"),
        ),
    ),
    Defect(
        name="salvage-keeps-leases",
        group="salvage",
        wrong="The salvaged queue has the leases of workers that are gone with the damaged file.",
        changes=(Change("core.salvagemaking", "release_every_lease", _keep_leases),),
        catches=(Catch(BACK, "are held by workers that are gone"),),
    ),
    Defect(
        name="salvage-overwrites",
        group="salvage",
        wrong="A salvage puts its result over whatever has the name: the damaged file itself, or "
        "what came back before.",
        changes=(
            Change("core.salvage", "_require_free", _look_at_nothing),
            Change("core.salvage", "_Job._publish", _replace),
        ),
        catches=(Catch("test_salvage.py::test_salvage_overwrites_nothing", "was overwritten"),),
    ),
)
