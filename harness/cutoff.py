"""A verb cut off at every one of its steps, and what whoever comes next finds there."""

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TypeVar

from harness.drivers.stepwise_verb import STATEMENTS
from harness.evidence import Evidence
from harness.leftovers import Leftover, lay_out, leftovers, read_folder
from harness.outcome import Inconclusive
from harness.stepwise import Step, Stepwise, stepwise

_T = TypeVar("_T")
Judge = Callable[[], str]
"""Looks at the folder as the next program does; returns a word, or a sentence of what is wrong."""


@dataclass(frozen=True)
class Sample:
    """Which of the moments are looked at, where not all of them are.

    Attributes:
        most: so many, the first and the last among them.
        chance: draws the others.
    """

    most: int
    chance: Random

    def of(self, moments: Sequence[_T]) -> list[_T]:
        """Return the moments that are looked at, in their order."""
        if len(moments) <= self.most:
            return list(moments)
        inner = self.chance.sample(range(1, len(moments) - 1), self.most - 2)
        return [moments[place] for place in (0, *sorted(inner), len(moments) - 1)]


@dataclass(frozen=True)
class CutOff:
    """One verb on one queue, to be cut off.

    Attributes:
        database: the queue; all that the verb changes lies in its folder or below, and nobody has
            it open.
        verb: of ``stepwise``.
        argument: its own.
        seen: what is a step, as ``stepwise`` has it.
        sample: of the moments; None for all of them.
        kills: how many processes are killed for real.
    """

    database: Path
    verb: str
    argument: object
    seen: str = STATEMENTS
    sample: Sample | None = None
    kills: int = 1

    def require_survived(
        self, evidence: Evidence, judge: Judge, allowed: Sequence[str], *, done: str
    ) -> None:
        """Fail where a kill at any step leaves what is not allowed.

        One process stands still at every step, where its files are copied as a kill would leave
        them; others are killed at some steps, and leave what the copies say.

        Args:
            evidence: the record of the check.
            judge: says what is there after a kill.
            allowed: what it may say.
            done: what it must say once the verb has ended.

        Raises:
            Inconclusive: what is allowed was not seen, or a kill left something else than a copy.
        """
        __tracebackhide__ = True
        folder = self.database.parent
        before = read_folder(folder, self.database)
        with self._under_way() as process:
            left = list(leftovers(process, folder, self.database))
        ended = process.ended
        evidence.require(ended == "done", f"{self.verb}, run without a kill, ended so: {ended}")
        after = judge()
        evidence.require(after == done, f"{self.verb} is done, and what is there is {after}")

        if not left:
            raise Inconclusive(f"{self.verb} has no step at which it could be cut off")
        chosen = left if self.sample is None else self.sample.of(left)
        found = {each: self._look(each, judge) for each in chosen}
        for each in _spread(chosen, self.kills):
            lay_out(before, folder)
            self._kill(evidence, each.steps[-1], judge, found[each])
        evidence.measure("moments", len(left), "moments")
        self._judge(evidence, found, allowed)

    def _under_way(self) -> contextlib.AbstractContextManager[Stepwise]:
        return stepwise(self.database, self.verb, self.argument, seen=self.seen)

    def _look(self, left: Leftover, judge: Judge) -> str:
        lay_out(left.contents, self.database.parent)
        return judge()

    def _kill(self, evidence: Evidence, step: Step, judge: Judge, expected: str) -> None:
        with self._under_way() as process:
            died = _killed_at(process, step.number)
        found = judge()
        evidence.fault(
            "killed-at-step",
            f"{self.verb} killed at {step}",
            died and found == expected,
            f"process {process.pid} {'died of the signal' if died else 'did not die'}; what it "
            f"left is {found}, what was copied at that step is {expected}",
        )

    def _judge(
        self, evidence: Evidence, found: dict[Leftover, str], allowed: Sequence[str]
    ) -> None:
        __tracebackhide__ = True
        steps = sum(len(left.steps) for left in found)
        bad = {left: word for left, word in found.items() if word not in allowed}
        lost = sum(len(left.steps) for left in bad)
        evidence.measure("struck_points", steps, "points")
        evidence.measure("survived_points", steps - lost, "points")
        evidence.limit("lost_points", lost, 0, "points")
        first = next((f"at {left}: {word}" for left, word in bad.items()), "")
        evidence.require(
            not bad,
            f"killed at {len(bad)} of {len(found)} different moments, {self.verb} leaves neither "
            f"{' nor '.join(allowed)}; {first}",
        )
        self._require_seen(Counter(found.values()), allowed)

    def _require_seen(self, seen: Counter[str], allowed: Sequence[str]) -> None:
        """Where a state that may be left was never seen, the sweep was none."""
        least = len(allowed) if self.sample is None else min(2, len(allowed))
        if len(seen) < least:
            raise Inconclusive(f"not all of {', '.join(allowed)} was seen: {dict(seen)}")


def _spread(moments: Sequence[_T], count: int) -> list[_T]:
    """Return so many of them, evenly spread; of one, that in the middle."""
    count = min(count, len(moments))
    return [moments[len(moments) * (2 * place + 1) // (2 * count)] for place in range(count)]


def _killed_at(process: Stepwise, number: int) -> bool:
    for step in process:
        if step.number == number:
            return process.kill()
    return False
