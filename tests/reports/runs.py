"""Runs and checks as tests of the reports need them."""

from reports.model import Check, Outcome, Run, State

HOSTILE = "</script><img src=x onerror=alert(1)> \x1b[31m \x00 \udc80 \u202e {{ 7*7 }} \ufffe"


def check(name="test_one", outcome=Outcome.PASSED, **told):
    """Return a check that ended so."""
    described = {"title": f"Promise of {name}", "seconds": 0.25, "group": "scenarios/test_a.py"}
    return Check(id=f"scenarios/test_a.py::{name}", outcome=outcome, **{**described, **told})


def run(*checks, state=State.FINISHED, runner_status=0, **told):
    """Return a run of these checks that came to its end."""
    described = {"started": "2026-03-01T12:00:00.000+00:00", "seed": 5, "profile": "gate"}
    return Run(checks=checks, state=state, runner_status=runner_status, **{**described, **told})
