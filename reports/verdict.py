"""A run to its verdict: false over unknown over true."""

from dataclasses import dataclass

from reports.model import Check, Finding, Outcome, Run, State, Verdict
from reports.text import first_line

_OK, _TESTS_FAILED = 0, 1
_WARNING = "WARNING"
_AFTER_READY = "Nothing. Keep this report, and run the gate again after every change."
_AFTER_WARNINGS = (
    "Nothing at once. See to the warnings under Findings, before they become failures, and run the "
    "gate again after every change."
)


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A verdict, why it is that one, and what to do now."""

    verdict: Verdict
    reason: str
    advice: str

    def exit_status(self, runner_status: int | None) -> int:
        """Return what the process ends with: the runner's own status where it stopped early."""
        if runner_status in (None, _OK, _TESTS_FAILED):
            return self.verdict.exit_status
        assert runner_status is not None
        return runner_status


def judge(run: Run) -> Judgement:
    """Return the verdict of the run, the reason in one sentence, and the next step.

    A run that was stopped says nothing, even where a check had failed before: its exit status
    is the runner's own, and the two have to agree. The failed check is named all the same.
    """
    return _stopped(run) or _blind(run) or _failed(run) or _unknown(run) or _ready(run)


def of_outcome(run: Run, *outcomes: Outcome) -> list[Check]:
    """Return the checks of the run that ended so, in the order in which they ended."""
    return [check for check in run.checks if check.outcome in outcomes]


def warnings(run: Run) -> list[Finding]:
    """Return what the checks found to be mended, each once; the queue may be READY with it."""
    found = [finding for check in run.checks for finding in check.findings]
    return list(dict.fromkeys(each for each in found if each.level.upper() == _WARNING))


def counted(number: int, noun: str) -> str:
    """Return the number with its noun in the right form, as in ``3 checks``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _stopped(run: Run) -> Judgement | None:
    stopped = run.runner_status not in (None, _OK, _TESTS_FAILED)
    if run.state is State.FINISHED and not stopped:
        return None
    why = run.reason or ("It is still running" if run.state is State.RUNNING else "It was stopped")
    return _inconclusive(
        f"{why}, after {_progress(run)}{_already_failed(run)}.",
        "Run it again and let it end. A verdict needs a whole run.",
    )


def _blind(run: Run) -> Judgement | None:
    """A harness that calls a broken queue sound has nothing to say about any other one."""
    blind = [check for check in run.checks if check.blind]
    if not blind:
        return None
    return Judgement(
        verdict=Verdict.NOT_READY,
        reason=f"HARNESS BLIND: {first_line(blind[0].message) or blind[0].title}. Nothing that "
        "this run calls good is known to be so.",
        advice="Do not use this run. Report it with its folder: the harness has to be mended.",
    )


def _failed(run: Run) -> Judgement | None:
    failed = of_outcome(run, Outcome.FAILED)
    if not failed:
        return None
    worst = failed[0]
    return Judgement(
        verdict=Verdict.NOT_READY,
        reason=f"{counted(len(failed), 'check')} of {len(run.checks)} failed: "
        f"{worst.title.rstrip('.')}: {first_line(worst.message) or 'see its details'}.",
        advice=_mend(failed),
    )


def _mend(failed: list[Check]) -> str:
    commands = [finding.command for check in failed for finding in check.findings]
    if any(commands):
        return "Run the commands listed under Findings, from the top, then run the gate again."
    return (
        "Do not rely on this queue until the failed checks below pass. Each says what its "
        "failure means and has one command that runs it again."
    )


def _unknown(run: Run) -> Judgement | None:
    return _too_few(run) or _unfinished(run) or _open_checks(run)


def _too_few(run: Run) -> Judgement | None:
    executed = len(run.checks) - len(of_outcome(run, Outcome.SKIPPED))
    if executed >= max(run.min_checks, 1):
        return None
    none = f"Only {counted(executed, 'check')} ran" if executed else "No check was executed"
    return _inconclusive(
        f"{none}; the least for a verdict is {max(run.min_checks, 1)}.",
        "Select more checks (the whole of them: pytest scenarios/), then run the gate again.",
    )


def _unfinished(run: Run) -> Judgement | None:
    missing = (run.planned or 0) - len(run.checks)
    if missing <= 0:
        return None
    return _inconclusive(
        f"{counted(missing, 'check')} of {run.planned} left no result.",
        "Run it again and let it end. A verdict needs a whole run.",
    )


def _open_checks(run: Run) -> Judgement | None:
    unknown = of_outcome(run, Outcome.INCONCLUSIVE, Outcome.SKIPPED)
    if not unknown:
        return None
    worst = unknown[0]
    return _inconclusive(
        f"{counted(len(unknown), 'check')} of {len(run.checks)} could not be made: "
        f"{worst.title.rstrip('.')}: {first_line(worst.message) or 'see its details'}.",
        "Remove what stood in the way (each open check below names it), then run the gate again.",
    )


def _ready(run: Run) -> Judgement:
    count = len(run.checks)
    passed = "The one check passed" if count == 1 else f"All {count} checks passed"
    left_out = len(run.not_applicable)
    warned = len(warnings(run))
    told = f"{passed}, with {counted(warned, 'warning')}" if warned else passed
    return Judgement(
        verdict=Verdict.READY,
        reason=f"{told}; {left_out} are not applicable." if left_out else f"{told}.",
        advice=_AFTER_WARNINGS if warned else _AFTER_READY,
    )


def _inconclusive(reason: str, advice: str) -> Judgement:
    return Judgement(verdict=Verdict.INCONCLUSIVE, reason=reason, advice=advice)


def _progress(run: Run) -> str:
    planned = "" if run.planned is None else f" of {run.planned}"
    return f"{len(run.checks)}{planned} checks"


def _already_failed(run: Run) -> str:
    failed = len(of_outcome(run, Outcome.FAILED))
    return f", {failed} of them failed" if failed else ""
