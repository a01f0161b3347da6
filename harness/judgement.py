"""From rulings to the end of a check: failed, inconclusive, or passed."""

from collections.abc import Sequence

from harness.checkers import Ruling, Valid, compose
from harness.evidence import Evidence
from harness.outcome import Inconclusive


def require_all(evidence: Evidence, rulings: Sequence[Ruling]) -> None:
    """Record every ruling, then fail on the first false one, else stop at the first unknown one.

    What is not applicable is recorded with nothing observed and no limit: it is no pass.

    Raises:
        Inconclusive: none is false, and one is unknown.
    """
    __tracebackhide__ = True
    for ruling in rulings:
        for name, value, unit in ruling.measures:
            evidence.measure(f"{ruling.name}: {name}", value, unit)
        if ruling.valid is Valid.NOT_APPLICABLE:
            evidence.measure(f"{ruling.name}: not applicable, {ruling.reason}", None, "")
            continue
        known = ruling.valid is not Valid.UNKNOWN
        observed = len(ruling.violations) if known else None
        evidence.limit(f"{ruling.name}: violations", observed, 0, "", "max")
    answer = compose(rulings)
    decisive = next((str(ruling) for ruling in rulings if ruling.valid is answer), "no checker")
    if answer is Valid.UNKNOWN:
        raise Inconclusive(decisive)
    evidence.require(answer is Valid.TRUE, decisive)
