"""The ledger of faults: each asked for, confirmed by independent evidence, its effect written down.

A fault that was not confirmed never makes a pass.
"""

import contextlib
from collections.abc import Iterator
from typing import Protocol, TypeVar

from harness.faults.fault import Fault, Sighting
from harness.outcome import Inconclusive

T = TypeVar("T")


class FaultSink(Protocol):
    """Takes the entries of a ledger; the ``evidence`` fixture is one."""

    def fault(
        self, name: str, asked: str, confirmed: bool, evidence: str, effect: str = ""
    ) -> None:
        """Write one entry down."""


class Ledger:
    """Injects faults and keeps the entries.

    Args:
        sink: where the entries go.
    """

    def __init__(self, sink: FaultSink) -> None:
        self._sink = sink

    @contextlib.contextmanager
    def injected(self, fault: Fault[T], target: T) -> Iterator[Sighting]:
        """Hold the fault for the body; its entry is written at the end, however that comes.

        Raises:
            Inconclusive: the fault was not seen to happen; the body was not run.
        """
        with contextlib.ExitStack() as stack:
            sighting = self._brought_about(stack, fault, target)
            try:
                if not sighting.confirmed:
                    raise Inconclusive(
                        f"fault {fault.name} was not seen to happen: {sighting.evidence}"
                    )
                yield sighting
            finally:
                self._sink.fault(
                    fault.name, fault.asked, sighting.confirmed, sighting.evidence, sighting.effect
                )

    def _brought_about(self, stack: contextlib.ExitStack, fault: Fault[T], target: T) -> Sighting:
        """Return what was seen; an error on the way to the fault is a fault that was not seen."""
        try:
            return stack.enter_context(fault.inject(target))
        except AssertionError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the fault did not happen
            return Sighting(False, f"it could not be brought about: {error!r}")
