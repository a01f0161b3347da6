"""``queuedrill health``."""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from core.findings import Finding, HealthReport
    from harness.limits import Limits

from .. import exits
from ..console import Console, Tone
from ..options import AsJson, BackupDir, Db, Debug, Declare, Yes
from ..speaking import speaking

_NAMED_MOST = 6
_CODES = {
    "OK": exits.HEALTH_OK,
    "WARNING": exits.HEALTH_WARNING,
    "CRITICAL": exits.HEALTH_CRITICAL,
    "UNKNOWN": exits.HEALTH_UNKNOWN,
}
_TONES: dict[str, Tone] = {
    "OK": "good",
    "WARNING": "warning",
    "CRITICAL": "bad",
    "UNKNOWN": "warning",
}


_Full = Annotated[
    bool, typer.Option("--full", help="The whole integrity check, not the quick one.")
]
_Limits = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="NAME=WARN/FAIL",
        show_default=False,
        help="Hold it against this limit, as wal_mb=50/100; may be given again.",
    ),
]
_Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        show_default=False,
        help="Take limits from this file; else from queuedrill.toml here, if there is one.",
    ),
]
_Textfile = Annotated[
    str | None,
    typer.Option(
        "--prometheus",
        metavar="FILE",
        show_default=False,
        help="Also put it into this .prom file, for a textfile collector.",
    ),
]
_Fix = Annotated[
    bool, typer.Option("--fix", help="Say what would mend it, ask, and do what loses nothing.")
]


def health(
    *,
    full: _Full = False,
    limit: _Limits = None,
    config: _Config = None,
    prometheus: _Textfile = None,
    fix: _Fix = False,
    yes: Yes = False,
    db: Db = None,
    backup_dir: BackupDir = None,
    declare: Declare = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Judge the queue; without --fix nothing is written to it, and no worker waits.

    One line with the verdict, then what was found and the command that mends it. The exit code is
    the verdict: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
    """
    with speaking("health", as_json=as_json, debug=debug, trouble=exits.HEALTH_UNKNOWN) as console:
        from core.findings import fixes
        from core.health import check_health
        from core.paths import resolve

        from ..mending import mend_what_can_be

        limits = _limits(limit or (), config)
        textfile = _textfile(prometheus)
        path = resolve(db)

        def look() -> "HealthReport":
            return check_health(
                path,
                backup_dir=backup_dir,
                thresholds=limits.thresholds(),
                full=full,
                declared_triggers=declare or (),
            )

        report = look()
        _say(console, report)
        if fix and mend_what_can_be(console, fixes(report), yes=yes):
            report = look()
            console.say("Now:")
            _say(console, report)
        _tell_programs(console, report, limits)
        if textfile is not None:
            _write(textfile, path, report)


def _tell_programs(console: Console, report: "HealthReport", limits: "Limits") -> None:
    """Leave the verdict in the exit code, and all of it in the facts."""
    console.exit_code = _CODES[report.level.name]
    console.facts.update(
        level=report.level.name,
        judged=report.judged,
        seconds=report.seconds,
        findings=[_facts(found) for found in report.findings],
        metrics=dict(report.metrics),
        limits=[vars(bound) for bound in limits.bounds],
    )


def _limits(words: Sequence[str], config: str | None) -> "Limits":
    from harness import options
    from harness.limits import LimitError, limits_in_force

    file = config or os.environ.get(options.CONFIG.variable)
    try:
        return limits_in_force(
            None if file is None else Path(file),
            [Path.cwd()],
            [
                (options.split(os.environ.get(options.LIMIT.variable, "")), options.LIMIT.variable),
                (words, "--limit"),
            ],
        )
    except LimitError as error:
        raise typer.BadParameter(str(error)) from None


def _textfile(given: str | None) -> Path | None:
    """Return the file for a collector, before anything is done that takes long."""
    if given is None:
        return None
    from ..textfile import TextfileError, check_name

    try:
        check_name(Path(given))
    except TextfileError as error:
        raise typer.BadParameter(str(error)) from None
    return Path(given)


def _write(textfile: Path, queue: Path, report: "HealthReport") -> None:
    from core import SystemClock

    from ..textfile import write_textfile

    write_textfile(textfile, queue, report, SystemClock().now_ms() / 1000)


def _say(console: Console, report: "HealthReport") -> None:
    bad = [found for found in report.findings if found.level.name != "OK"]
    # What is wrong with the file itself explains the rest.
    bad.sort(key=lambda found: (-found.level.value, not found.id.startswith("file.")))
    level, total = report.level.name, len(report.findings)
    named = ", ".join(found.id for found in bad[:_NAMED_MOST])
    more = f" and {len(bad) - _NAMED_MOST} more" if len(bad) > _NAMED_MOST else ""
    first = f"{len(bad)} of {total} checks: {named}{more}" if bad else f"all {total} checks passed"
    console.say(f"{level}: {first}", _TONES[level])
    # One cause can keep many checks from judging; it is said once.
    for _same, group in itertools.groupby(bad, key=lambda found: (found.level, found.message)):
        _say_findings(console, list(group))
    if report.judged:
        console.say(f"Judged: {report.judged}", "faint")


def _say_findings(console: Console, found: list["Finding"]) -> None:
    first = found[0]
    what = first.id if len(found) == 1 else f"{len(found)} checks"
    console.say(f"  {first.level.name:<8}  {what}: {first.message}", _TONES[first.level.name])
    if first.command:
        console.say(f"            mend it with: {first.command}")


def _facts(found: "Finding") -> dict[str, object]:
    return {
        "id": found.id,
        "level": found.level.name,
        "observed": found.observed,
        "threshold": None if found.threshold is None else vars(found.threshold),
        "message": found.message,
        "command": found.command,
    }
