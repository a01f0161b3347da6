"""What a checker says, and what several say together."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from harness.history import Operation

_SHOWN = 3
_STORIES = 20

Measured = tuple[str, float, str]


class Valid(StrEnum):
    """What a ruling says."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not-applicable"


class Violation(NamedTuple):
    """One thing that is wrong.

    Attributes:
        sentence: what, for people.
        story: the operations that show it, as few as do.
    """

    sentence: str
    story: tuple[Operation, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """What one checker says.

    Attributes:
        name: of the checker.
        valid: its answer.
        seen: how many things it looked at.
        violations: what is wrong, one sentence each.
        reason: why it is unknown, or not applicable.
        stories: the operations behind each of the first violations.
        measures: figures that it took on the way: name, value, unit.
    """

    name: str
    valid: Valid
    seen: int = 0
    violations: tuple[str, ...] = ()
    reason: str = ""
    stories: tuple[tuple[Operation, ...], ...] = ()
    measures: tuple[Measured, ...] = ()

    def __str__(self) -> str:
        """Return one line with the figures."""
        words = f"{self.name}: {self.valid} ({self.seen} looked at)"
        if self.violations:
            shown = "; ".join(self.violations[:_SHOWN])
            more = len(self.violations) - _SHOWN
            words += f", {len(self.violations)} violations: {shown}"
            words += f"; and {more} more" if more > 0 else ""
        return f"{words}, {self.reason}" if self.reason else words


def compose(rulings: Iterable[Ruling]) -> Valid:
    """Return the answer of all together: false over unknown over true.

    What is not applicable is no answer; where there is none at all, that is unknown.
    """
    answers = {ruling.valid for ruling in rulings}
    for answer in (Valid.FALSE, Valid.UNKNOWN, Valid.TRUE):
        if answer in answers:
            return answer
    return Valid.UNKNOWN


def ruled(
    name: str,
    seen: int,
    violations: Iterable[Violation],
    measures: Iterable[Measured] = (),
) -> Ruling:
    """Return the ruling over what was looked at: false where anything is wrong, else true."""
    listed = tuple(violations)
    return Ruling(
        name=name,
        valid=Valid.FALSE if listed else Valid.TRUE,
        seen=seen,
        violations=tuple(violation.sentence for violation in listed),
        stories=tuple(violation.story for violation in listed[:_STORIES]),
        measures=tuple(measures),
    )


def unknown(name: str, reason: str) -> Ruling:
    """Return a ruling that nobody can give."""
    return Ruling(name=name, valid=Valid.UNKNOWN, reason=reason)


def not_applicable(name: str, reason: str) -> Ruling:
    """Return that the queue does not promise it, or that it was not put to the test."""
    return Ruling(name=name, valid=Valid.NOT_APPLICABLE, reason=reason)
