"""The figures of a whole run: what its checks limited and measured, put together by name."""

from dataclasses import dataclass

from reports.model import Check, Limit, MatrixCell, Measure, Outcome, Run

RPO = "rpo_s"
RTO = "rto_s"
LABELS = {
    RPO: "Data at risk (RPO): what a restore loses, at most",
    RTO: "Time to be back (RTO): from the disaster to the verified queue",
}


def run_measures(run: Run) -> tuple[Measure, ...]:
    """Return RPO and RTO, where a check measured them: the worst of all checks."""
    return tuple(
        measure for name in (RPO, RTO) if (measure := worst_measure(run, name)) is not None
    )


def worst_measure(run: Run, name: str) -> Measure | None:
    """Return the greatest measure of that name in any check, or None where none was taken."""
    taken = [each for check in run.checks for each in check.measures if each.name == name]
    known = [measure for measure in taken if measure.value is not None]
    return max(known, key=lambda measure: measure.value or 0.0, default=None)


@dataclass(frozen=True, kw_only=True)
class LimitRow:
    """A limit, the check that came closest to it or passed it, and how many checks had it."""

    limit: Limit
    check: Check
    count: int

    @property
    def is_judged(self) -> bool:
        """Whether it was passed in a check that did not pass."""
        return not self.limit.ok and self.check.outcome is not Outcome.PASSED

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """Sorts the worst first: judged, then not kept, then by what is left up to the limit."""
        room = (self.limit.margin or 0.0) / (abs(self.limit.limit) or 1.0)
        return not self.is_judged, self.limit.ok, room


@dataclass(frozen=True, kw_only=True)
class MeasureRow:
    """A measure: its least and its greatest value, and the check that had the greatest."""

    name: str
    unit: str
    least: float | None
    most: float | None
    check: Check
    count: int


def limit_rows(run: Run) -> list[LimitRow]:
    """Return the limits of the run, the worst first.

    One that was not kept stands for itself; those of one name that were kept are one row.
    """
    rows: dict[object, list[LimitRow]] = {}
    for check in run.checks:
        for limit in check.limits:
            same = (limit.name, limit.limit, limit.unit, limit.kind)
            key = same if limit.ok else (check.id, *same)
            rows.setdefault(key, []).append(LimitRow(limit=limit, check=check, count=1))
    worst = [min(group, key=lambda row: row.rank) for group in rows.values()]
    merged = [
        LimitRow(limit=row.limit, check=row.check, count=len(group))
        for row, group in zip(worst, rows.values(), strict=True)
    ]
    return sorted(merged, key=lambda row: row.rank)


def measure_rows(run: Run) -> list[MeasureRow]:
    """Return the measures of the run, those of one name and unit as one row; RPO and RTO first."""
    taken: dict[tuple[str, str], list[tuple[float | None, Check]]] = {}
    for check in run.checks:
        for measure in check.measures:
            taken.setdefault((measure.name, measure.unit), []).append((measure.value, check))
    rows = [_measure_row(name, unit, values) for (name, unit), values in taken.items()]
    return sorted(rows, key=lambda row: row.name not in LABELS)


def _measure_row(name: str, unit: str, values: list[tuple[float | None, Check]]) -> MeasureRow:
    known = sorted(
        [(value, check) for value, check in values if value is not None], key=lambda pair: pair[0]
    )
    return MeasureRow(
        name=name,
        unit=unit,
        least=known[0][0] if known else None,
        most=known[-1][0] if known else None,
        check=known[-1][1] if known else values[0][1],
        count=len(values),
    )


def cell_rows(run: Run) -> list[tuple[MatrixCell, Check]]:
    """Return the cells of the corruption matrix, each with its check: blind ones first."""
    rows = [(cell, check) for check in run.checks for cell in check.cells]
    return sorted(rows, key=lambda row: row[0].outcome != "blind")
