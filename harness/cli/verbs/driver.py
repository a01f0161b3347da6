"""``queuedrill driver check``."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from harness.drivers.check import Finding

from .. import exits
from ..console import Console, Tone
from ..options import AsJson, Debug
from ..speaking import speaking

_TONES: dict[str, Tone] = {"ok": "good", "WRONG": "bad", "not declared": "faint"}
_NAME_WIDTH = 14
_CODES = {"SIGTERM": exits.TERMINATED, "SIGHUP": exits.HUNG_UP}

driver = typer.Typer(
    name="driver", no_args_is_help=False, help="Programs that stand between the gate and a queue."
)


@driver.callback()
def group() -> None:
    """Programs that stand between the gate and a queue."""


@driver.command("check")
def check(
    command: Annotated[
        str,
        typer.Argument(
            metavar="CMD", help="How the driver is started, with {db} and {clock_offset_ms} in it."
        ),
    ],
    *,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Make this check alone; may be repeated."),
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Try a driver against docs/drivers.md, on queues of its own in a scratch folder."""
    with speaking("driver check", as_json=as_json, debug=debug) as console:
        from harness.drivers.check import State, check_driver
        from harness.drivers.command import CommandError, DriverCommand

        try:
            started = DriverCommand.parse(command)
        except CommandError as error:
            raise typer.BadParameter(f"{command!r}: {error}") from None
        names = _known(only or [])
        findings = []
        with _ending_by_signal(), contextlib.closing(check_driver(started, names)) as found:
            for finding in found:
                findings.append(finding)
                _say(console, finding)
        wrong = sum(finding.state is State.WRONG for finding in findings)
        console.facts.update(
            driver=command, wrong=wrong, checks=[_facts(each) for each in findings]
        )
        if wrong:
            console.not_good()
        _sum_up(console, findings)


@contextlib.contextmanager
def _ending_by_signal() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end the body as Ctrl-C does: its drivers go first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in _CODES if hasattr(signal, name)]
    before = {number: signal.signal(number, _end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _frame: object) -> None:
    raise SystemExit(_CODES[signal.Signals(number).name])


def _known(names: list[str]) -> list[str]:
    from harness.drivers.check import CHECKS

    known = [check.name for check in CHECKS]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise typer.BadParameter(f"no check {unknown[0]!r}. Give one of: {', '.join(known)}")
    return names


def _say(console: Console, finding: "Finding") -> None:
    state = finding.state.value
    line = f"{state:<12}  {finding.check.name:<{_NAME_WIDTH}}  {finding.check.promise}"
    detail = f" ({finding.detail})" if finding.detail and state != "WRONG" else ""
    console.say(line + detail, _TONES[state])
    if state == "WRONG":
        console.say(f"              {finding.detail}")


def _sum_up(console: Console, findings: "list[Finding]") -> None:
    counts = {state: sum(each.state == state for each in findings) for state in _TONES}
    shown = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    console.say(f"Checks: {shown}.", "bad" if counts["WRONG"] else "good")


def _facts(finding: "Finding") -> dict[str, str]:
    return {
        "name": finding.check.name,
        "promise": finding.check.promise,
        "state": finding.state.value,
        "detail": finding.detail,
    }
