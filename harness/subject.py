"""The queue file that a run was given: looked at once, for all test processes, without a trace.

The first test process that needs it looks and copies; what it found lies in the folder that the
processes of the run share, and goes with it.
"""

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core import observer
from core.clock import Deadline, SystemClock
from core.connection import connect_stdlib
from core.copying import copy_into_new_file, pinned
from core.errors import QueueError
from core.findings import Finding, HealthReport
from core.health import check_health
from core.paths import backup_folder
from core.thresholds import Thresholds
from core.viewpoint import viewpoint
from harness.footprint import changes, take_footprint
from harness.outcome import Inconclusive
from harness.waiting import WaitedTooLongError, wait_until

_LOOK_TIMEOUT_S = 200.0
_SHARED_TIMEOUT_S = 280.0
_FACTS_NAME = "subject.json"


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The limits of a finding's figure.

    Attributes:
        warning: passing it is a warning.
        critical: passing it is critical, or None where it never is.
        unit: of both.
        kind: whether they are the most or the least.
    """

    warning: float
    critical: float | None
    unit: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class SeenFinding:
    """A finding of the health check, as plain data.

    Attributes:
        id: of the finding.
        level: its name.
        observed: a figure or a word.
        message: for people.
        command: that mends it.
        bounds: of the figure, if it has some.
        threshold: the same for people.
    """

    id: str
    level: str
    observed: float | int | str | None
    message: str
    command: str
    bounds: Bounds | None
    threshold: str


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is known of the given file.

    Attributes:
        path: the file.
        backup_dir: where its backups were looked for.
        held: whether somebody has it open.
        judged: what was looked at, and how.
        findings: of the health check.
        copy: a copy that may be written to, or None.
        no_copy: why there is none.
        changes: what the look changed on the disk.
    """

    path: Path
    backup_dir: Path
    held: bool
    judged: str
    findings: tuple[SeenFinding, ...]
    copy: Path | None
    no_copy: str
    changes: tuple[str, ...]

    def finding(self, finding_id: str) -> SeenFinding:
        """Return the finding with this id."""
        return next(each for each in self.findings if each.id == finding_id)


def look_once(shared: Path, look: Callable[[Path], Subject]) -> Subject:
    """Return what the first process of the run saw; the others wait for it.

    Args:
        shared: a folder that all processes of the run share.
        look: looks, and puts what it keeps into the folder that it is given.

    Raises:
        Inconclusive: the look failed, here or in the process that did it.
    """
    folder = shared / "subject"
    facts = folder / _FACTS_NAME
    try:
        folder.mkdir()
    except FileExistsError:
        with contextlib.suppress(WaitedTooLongError):
            wait_until(facts.exists, "the look at the queue", timeout_s=_SHARED_TIMEOUT_S)
        return _read(facts)
    try:
        _publish(facts, {"subject": asdict(look(folder))})
    except Exception as error:
        _publish(facts, {"error": f"{type(error).__name__}: {error}"})
        raise
    return _read(facts)


def look_at(
    path: Path, backup_dir: Path | None, folder: Path, thresholds: Thresholds | None = None
) -> Subject:
    """Judge the file and make a copy of it; nothing on its disk is changed.

    Args:
        path: the queue.
        backup_dir: where its backups are; ``backups`` beside it unless told.
        folder: where the copy goes.
        thresholds: what it is held against; the runbook's unless told otherwise.
    """
    backups = backup_dir or backup_folder(path)
    before = take_footprint(path, backups)
    held_before = observer.look(path).held
    report = check_health(
        path,
        backup_dir=backup_dir,
        thresholds=thresholds,
        full=True,
        copying=True,
        scratch=folder,
        timeout_seconds=_LOOK_TIMEOUT_S,
    )
    copy, no_copy = _copied(path, folder)
    held = held_before or observer.look(path).held
    after = take_footprint(path, backups)
    return Subject(
        path=path,
        backup_dir=backups,
        held=held,
        judged=report.judged,
        findings=_plain(report),
        copy=copy,
        no_copy=no_copy,
        changes=tuple(changes(before, after, content=not held)),
    )


def _copied(path: Path, folder: Path) -> tuple[Path | None, str]:
    """Copy the file as it lies if nobody has it open, else through SQLite's backup interface."""
    try:
        copied = observer.copy_unheld(path, folder / "copy")
        return (copied.path, "") if copied else (_copied_beside(path, folder), "")
    except (QueueError, OSError) as error:
        return None, str(error)


def _copied_beside(path: Path, folder: Path) -> Path:
    target = folder / "copy" / path.name
    target.parent.mkdir(exist_ok=True)
    with viewpoint(path, connect=connect_stdlib, scratch=folder) as view:
        if view.delays_writers:
            raise QueueError(
                "it is in use and not in WAL mode, so its workers would wait for the copy"
            )
        with pinned(view.connection):
            copy_into_new_file(
                view.connection,
                target,
                connect=connect_stdlib,
                deadline=Deadline(_LOOK_TIMEOUT_S, SystemClock()),
            )
    return target


def _plain(report: HealthReport) -> tuple[SeenFinding, ...]:
    return tuple(
        SeenFinding(
            id=each.id,
            level=each.level.name,
            observed=each.observed,
            message=each.message,
            command=each.command,
            bounds=_bounds(each),
            threshold="" if each.threshold is None else str(each.threshold),
        )
        for each in report.findings
    )


def _bounds(finding: Finding) -> Bounds | None:
    limits = finding.threshold
    if limits is None or not isinstance(finding.observed, int | float):
        return None
    return Bounds(
        warning=limits.warning,
        critical=limits.critical,
        unit=limits.unit,
        kind="max" if type(limits).__name__ == "AtMost" else "min",
    )


def _publish(path: Path, facts: dict[str, Any]) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(facts, default=str), encoding="utf-8")
    draft.replace(path)


def _read(path: Path) -> Subject:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Inconclusive("the process that looked at the queue left no answer") from None
    if "error" in facts:
        raise Inconclusive(f"the queue could not be looked at: {facts['error']}")
    known = facts["subject"]
    for name in ("path", "backup_dir", "copy"):
        known[name] = None if known[name] is None else Path(known[name])
    known["changes"] = tuple(known["changes"])
    known["findings"] = tuple(_finding_from(each) for each in known["findings"])
    return Subject(**known)


def _finding_from(facts: dict[str, Any]) -> SeenFinding:
    bounds = facts.pop("bounds")
    return SeenFinding(**facts, bounds=None if bounds is None else Bounds(**bounds))
