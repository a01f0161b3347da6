"""What a scenario saw, put into the record of its check."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reports.figures import figure, margin_of
from reports.model import Bound, Fault, Finding, Limit, MatrixCell, Measure
from reports.plain import to_line, to_plain

KEY_PREFIX = "queue."
Record = Callable[[str, object], None]


class Evidence:
    """Takes facts and judges none of them, but for ``require``.

    What it was told reaches the reports even where the check fails afterwards.
    """

    def __init__(self, properties: list[tuple[str, object]], report_dir: Path) -> None:
        self._properties = properties
        self._report_dir = report_dir

    def limit(
        self,
        name: str,
        observed: float | None,
        limit: float,
        unit: str,
        kind: str = "max",
    ) -> bool:
        """Record a figure beside its limit, and return whether it keeps it. Never fails.

        Args:
            name: what was observed, for a reader.
            observed: the figure, in ``unit``; None where it could not be observed.
            limit: the figure to keep, in ``unit``.
            unit: of both.
            kind: ``max`` or ``min``.
        """
        bound = Bound(kind)
        margin = margin_of(observed, limit, bound)
        ok = margin is not None and margin >= 0
        self._add(
            "limit",
            Limit(
                name=name,
                observed=observed,
                limit=limit,
                unit=unit,
                kind=bound,
                ok=ok,
                margin=margin,
            ),
        )
        return ok

    def measure(self, name: str, value: float | None, unit: str) -> None:
        """Record a figure. ``rpo_s`` and ``rto_s`` are also shown for the whole run."""
        self._add("measure", Measure(name=name, value=value, unit=unit))

    def fault(
        self, name: str, asked: str, confirmed: bool, evidence: str, effect: str = ""
    ) -> None:
        """Record a fault. One that was not confirmed makes a passing check INCONCLUSIVE.

        Args:
            name: of the fault, in kebab case.
            asked: what was to happen.
            confirmed: whether independent evidence shows that it did.
            evidence: that evidence, or what was looked for in vain.
            effect: what it did to the queue.
        """
        fault = Fault(name=name, asked=asked, confirmed=confirmed, evidence=evidence, effect=effect)
        self._add("fault", fault)

    def finding(  # noqa: PLR0917 - in the order of the model
        self,
        id: str,  # noqa: A002 - a finding's id is called so everywhere
        level: object,
        observed: object,
        threshold: object,
        message: str,
        command: str = "",
    ) -> None:
        """Record something that is wrong with the queue, and the command that mends it."""
        finding = Finding(
            id=id,
            level=_text(level),
            observed=_text(observed),
            threshold=_text(threshold),
            message=message,
            command=command,
        )
        self._add("finding", finding)

    def cell(
        self, *, region: str, damage: str, outcome: str, seen_by: str, effect: str, cure: str
    ) -> None:
        """Record what was seen of one cell of the corruption matrix.

        Args:
            region: that was struck.
            damage: that struck it.
            outcome: found, blind or harmless.
            seen_by: who saw it, empty for nobody.
            effect: what it does to whoever works on.
            cure: what was seen to recover it.
        """
        cell = MatrixCell(
            region=region,
            damage=damage,
            outcome=outcome,
            seen_by=seen_by,
            effect=effect,
            cure=cure,
        )
        self._add("cell", cell)

    def artefact(self, path: Path) -> None:
        """Name a file that was kept; the report links to it where it lies below the report."""
        absolute = path.absolute()
        below = absolute.is_relative_to(self._report_dir)
        shown = absolute.relative_to(self._report_dir).as_posix() if below else str(absolute)
        self._add("artefact", shown)

    def judged(self, sentence: str) -> None:
        """Say in one sentence what this check judged."""
        self._add("judged", sentence)

    def blind(self, sentence: str) -> None:
        """Fail the check, and the run with it: the harness does not see what it has to see.

        Args:
            sentence: what it did not see.
        """
        __tracebackhide__ = True
        self._add("blind", sentence)
        pytest.fail(sentence, pytrace=False)

    def require(self, condition: object, sentence: str) -> None:
        """Fail the check unless the condition holds.

        Args:
            condition: true or false.
            sentence: the first line of the failure; has the figures, for example
                ``3 of 200 acknowledged tasks are missing (limit 0)``.
        """
        __tracebackhide__ = True
        if not condition:
            pytest.fail(sentence, pytrace=False)

    def _add(self, kind: str, fact: object) -> None:
        self._properties.append((KEY_PREFIX + kind, to_line(fact)))


def unconfirmed_fault(properties: list[tuple[str, object]]) -> str:
    """Return what was not confirmed among the recorded faults, or nothing."""
    for name, value in properties:
        if name == KEY_PREFIX + "fault":
            fault = json.loads(str(value))
            if not fault["confirmed"]:
                return f"fault {fault['name']} was not confirmed: {fault['evidence']}"
    return ""


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return figure(value)
    return value if isinstance(value, str) else str(to_plain(value))
