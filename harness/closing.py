"""The end of a scenario: the whole history judged, and what the queue promised compared."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from harness.checkers import Checker, Record, RecoveryBudget, Ruling, judge
from harness.checkers.record import CLOCK_ERROR_S
from harness.evidence import Evidence
from harness.history import FinalTask, History
from harness.judgement import require_all
from harness.latency import Phase, fault_windows, latencies, measure_latencies
from harness.outcome import Inconclusive
from harness.promises import PromiseLog, promises_kept
from harness.worker import Worker


@dataclass
class Window:
    """From when to when a fault was there, in seconds of the history."""

    began_s: float = 0.0
    ended_s: float = 0.0


@contextmanager
def fault_on(history: History, worker: str, *, lost: bool = False) -> Iterator[Window]:
    """Write into the history that the worker is struck for the body, and note when.

    Args:
        history: of the scenario.
        worker: its name; empty for a fault that strikes no single one.
        lost: whether it is gone for good.
    """
    ticket = history.begin(worker, "fault", lost=lost)
    window = Window(began_s=history.now_s())
    try:
        yield window
    finally:
        window.ended_s = history.now_s()
        ticket.ok()


@dataclass(frozen=True, kw_only=True)
class Books:
    """Where a scenario wrote down what happened.

    Attributes:
        history: every operation.
        promises: every acknowledgement that binds.
        evidence: the record of the check.
    """

    history: History
    promises: PromiseLog
    evidence: Evidence

    def require_sound(
        self,
        witness: Worker,
        *,
        checkers: Sequence[Checker] | None = None,
        clock_error_s: float = CLOCK_ERROR_S,
        budget: RecoveryBudget | None = None,
        archived: Sequence[FinalTask] = (),
    ) -> tuple[FinalTask, ...]:
        """Return the tasks at the end, once the history is sound and every promise is kept.

        Args:
            witness: whose driver says how the queue is at the end.
            checkers: only these; None for all.
            clock_error_s: how far the workers' clocks may differ, in seconds.
            budget: within what time the work of lost holders must be done.
            archived: tasks that have left the queue for its archive: they are kept there, and
                none may be in both.

        Raises:
            Inconclusive: none of the rulings is false, and one is unknown.
        """
        __tracebackhide__ = True
        final = (*witness.final(), *archived)
        record = Record(
            operations=self.history.operations(),
            final=final,
            capabilities=witness.driver.capabilities,
            clock_error_s=clock_error_s,
            budget=budget,
        )
        require_all(self.evidence, self.rulings(record, checkers))
        return final

    def tell_latencies(self, operations: Sequence[str] = ("enqueue", "claim", "complete")) -> None:
        """Report how long every operation took before, during and after the faults.

        Args:
            operations: of which there has to be a figure for each of the three.

        Raises:
            Inconclusive: one of them was not acknowledged at all in one of the three.
        """
        history = self.history.operations()
        windows = fault_windows(history)
        measure_latencies(self.evidence.measure, history, windows)
        figures = latencies(history, windows)
        missing = [
            f"{op} {phase}"
            for op in operations
            for phase in Phase
            if (op, phase) not in figures or not figures[op, phase].count
        ]
        if missing:
            raise Inconclusive(f"no latency is known of {', '.join(missing)} the fault")

    def rulings(
        self, record: Record, checkers: Sequence[Checker] | None = None
    ) -> tuple[Ruling, ...]:
        """Return every checker's ruling, and that on the promises."""
        kept = promises_kept(self.promises.path, record.final or ())
        return (*judge(record, checkers), kept)
