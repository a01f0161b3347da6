"""From rulings to the end of a check."""

import pytest

from harness.checkers import Ruling, Valid
from harness.evidence import Evidence
from harness.judgement import require_all
from harness.outcome import Inconclusive


@pytest.fixture
def properties():
    """What reaches the reports."""
    return []


@pytest.fixture
def evidence(properties, tmp_path):
    """Takes what a check saw."""
    return Evidence(properties, tmp_path)


def rulings(*answers):
    """Rulings with these answers, in this order."""
    violations = {Valid.FALSE: ("a loss",)}
    return [
        Ruling(name=f"r{number}", valid=valid, violations=violations.get(valid, ()))
        for number, valid in enumerate(answers)
    ]


def test_true_rulings_pass_and_are_recorded(evidence, properties):
    """Every ruling is a limit of the check."""
    require_all(evidence, rulings(Valid.TRUE, Valid.TRUE))
    assert len(properties) == 2


def test_one_false_ruling_fails_and_names_itself(evidence, properties):
    """False goes over unknown, and the figures come first."""
    with pytest.raises(pytest.fail.Exception, match=r"r2: false.*a loss"):
        require_all(evidence, rulings(Valid.TRUE, Valid.UNKNOWN, Valid.FALSE))
    assert len(properties) == 3


@pytest.mark.parametrize("answers", [(Valid.TRUE, Valid.UNKNOWN), ()])
def test_an_unknown_ruling_is_inconclusive(evidence, answers):
    """What could not be judged, or was not judged at all, is no pass."""
    with pytest.raises(Inconclusive):
        require_all(evidence, rulings(*answers))
