"""A run to its verdict."""

import pytest
from runs import check, run

from reports.model import Finding, Outcome, State, Verdict
from reports.verdict import judge

PASSED, FAILED = check("test_good"), check("test_bad", Outcome.FAILED, message="9 > 5\nmore")
OPEN, SKIPPED = check("test_open", Outcome.INCONCLUSIVE), check("test_skip", Outcome.SKIPPED)


@pytest.mark.parametrize(
    ("judged", "verdict"),
    [
        (run(PASSED), Verdict.READY),
        (run(PASSED, FAILED), Verdict.NOT_READY),
        (run(FAILED, OPEN, SKIPPED), Verdict.NOT_READY),
        (run(PASSED, OPEN), Verdict.INCONCLUSIVE),
        (run(PASSED, SKIPPED), Verdict.INCONCLUSIVE),
        (run(SKIPPED), Verdict.INCONCLUSIVE),
        (run(), Verdict.INCONCLUSIVE),
        (run(PASSED, min_checks=2), Verdict.INCONCLUSIVE),
        (run(PASSED, min_checks=0), Verdict.READY),
        (run(min_checks=0), Verdict.INCONCLUSIVE),
        (run(PASSED, planned=2), Verdict.INCONCLUSIVE),
        (run(PASSED, FAILED, planned=3), Verdict.NOT_READY),
        (run(PASSED, state=State.RUNNING), Verdict.INCONCLUSIVE),
        (run(PASSED, state=State.INTERRUPTED), Verdict.INCONCLUSIVE),
        (run(PASSED, FAILED, state=State.INTERRUPTED), Verdict.INCONCLUSIVE),
        *[(run(PASSED, runner_status=status), Verdict.INCONCLUSIVE) for status in range(2, 7)],
        (run(PASSED, runner_status=1), Verdict.READY),
    ],
)
def test_false_goes_over_unknown_over_true(judged, verdict):
    """Each mixture of outcomes has one verdict, and only a whole good run is READY."""
    assert judge(judged).verdict is verdict


@pytest.mark.parametrize("status", [2, 3, 4, 5, 6, 99])
def test_a_stopped_runner_keeps_its_own_status(status):
    """The meaning of pytest's own statuses is not taken away."""
    assert judge(run(PASSED, runner_status=status)).exit_status(status) == status


@pytest.mark.parametrize(("verdict", "status"), list(zip(Verdict, (0, 1, 7), strict=True)))
def test_each_verdict_has_its_exit_status(verdict, status):
    """0, 1 and 7."""
    assert verdict.exit_status == status


def test_a_blind_harness_fails_the_run_whatever_else_passed():
    """Where a broken queue was called sound, that is the first thing that the verdict says."""
    blind = check("test_alarm", Outcome.FAILED, message="a double claim was green", blind=True)

    judgement = judge(run(FAILED, PASSED, blind))

    assert judgement.verdict is Verdict.NOT_READY
    assert judgement.reason.startswith("HARNESS BLIND: a double claim was green.")


@pytest.mark.parametrize(
    ("levels", "reason"),
    [
        (("OK",), "All 2 checks passed."),
        (("WARNING",), "All 2 checks passed, with 1 warning."),
        (("WARNING", "WARNING", "OK"), "All 2 checks passed, with 2 warnings."),
    ],
)
def test_ready_with_warnings_says_so(levels, reason):
    """A queue within its limits is READY, and what is to be mended is not hidden behind that."""
    findings = tuple(
        Finding(id=f"a.{number}", level=level, observed="", threshold="", message="m")
        for number, level in enumerate(levels)
    )

    judgement = judge(run(PASSED, check("test_warned", findings=findings)))

    assert (judgement.verdict, judgement.reason) == (Verdict.READY, reason)
    assert ("Findings" in judgement.advice) == ("warning" in reason)


def test_the_reason_has_the_figures_of_the_failure():
    """Who reads only the reason knows what was observed."""
    assert judge(run(PASSED, FAILED)).reason == ("1 check of 2 failed: Promise of test_bad: 9 > 5.")


def test_a_failure_before_the_interrupt_is_named():
    """An interrupted run is no verdict, and still tells what it had found."""
    stopped = run(PASSED, FAILED, state=State.INTERRUPTED, reason="It was interrupted", planned=9)

    assert judge(stopped).reason == "It was interrupted, after 2 of 9 checks, 1 of them failed."
