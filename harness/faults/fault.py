"""What a fault is: a state of the world that can be brought about, seen, and undone."""

import contextlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar

Target_contra = TypeVar("Target_contra", contravariant=True)


@dataclass
class Sighting:
    """What was seen of a fault.

    Attributes:
        confirmed: whether evidence other than the injection itself shows that it happened.
        evidence: that evidence, or what was looked for in vain.
        effect: what it did to the queue; filled in by the scenario.
    """

    confirmed: bool
    evidence: str
    effect: str = ""


class Fault(Protocol[Target_contra]):
    """A state of the world.

    Attributes:
        name: kebab-case, stable.
        asked: what is to happen, for the report.
        permitted: errors of the queue that it may cause.
    """

    name: ClassVar[str]
    asked: ClassVar[str]
    permitted: ClassVar[tuple[type[Exception], ...]]

    def inject(self, target: Target_contra) -> AbstractContextManager[Sighting]:
        """Bring the fault about for the body; what can be undone is undone at its end."""


@dataclass(frozen=True)
class NoFault:
    """Nothing happens: the control, in which nothing may be reported.

    Simulated by doing nothing. Survivable because nothing is wrong.
    """

    name: ClassVar[str] = "no-fault"
    asked: ClassVar[str] = "nothing"
    permitted: ClassVar[tuple[type[Exception], ...]] = ()

    def inject(self, _target: object) -> AbstractContextManager[Sighting]:
        """Do nothing; confirmed by there being nothing to confirm."""
        return contextlib.nullcontext(Sighting(True, "nothing was done"))
