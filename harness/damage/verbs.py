"""What the product's own verbs say of damaged files: it is all that a user has."""

import time
from collections.abc import Callable, Mapping

from core.backup import QueueBackup
from core.errors import QueueError
from core.findings import Level
from core.health import check_health
from harness.damage.detectors import Found, Scene
from harness.damage.specimens import StoppedClock

Levels = Mapping[str, Level]


def health(scene: Scene, *, full: bool) -> Levels:
    """Return the levels of all findings."""
    report = check_health(scene.database, full=full, clock=StoppedClock())
    return {finding.id: finding.level for finding in report.findings}


def _verify(scene: Scene) -> str:
    try:
        checked = QueueBackup(scene.database, clock=StoppedClock()).check_backup(scene.backup)
    except QueueError as error:
        return str(error)
    return "" if checked.ok else str(checked)


def _new(levels: Levels, sound: Levels) -> str:
    """Return the findings that are worse than those of sound files; not judged is no finding."""
    worse = [
        f"{name} {level}"
        for name, level in levels.items()
        if level > sound[name] and level is not Level.UNKNOWN
    ]
    return ", ".join(worse)


VERBS = ("health", "health --full", "verify")
"""Their names; ``verify`` looks at the newest backup."""


def told(scene: Scene, sound: Mapping[str, Levels]) -> Mapping[str, Found]:
    """Return what each verb says that it does not say of the sound files.

    Args:
        scene: where they lie.
        sound: the levels that ``health`` and ``health --full`` find there.
    """
    ask: dict[str, Callable[[], str]] = {
        "health": lambda: _new(health(scene, full=False), sound["health"]),
        "health --full": lambda: _new(health(scene, full=True), sound["health --full"]),
        "verify": lambda: _verify(scene),
    }
    return {name: _timed(each) for name, each in ask.items()}


def _timed(ask: Callable[[], str]) -> Found:
    start_s = time.perf_counter()
    says = ask()
    return Found(says, time.perf_counter() - start_s)
