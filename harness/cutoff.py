"""A verb cut off at every one of its steps, and what whoever comes next finds there."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from harness.evidence import Evidence
from harness.leftovers import Contents, Leftover, lay_out, leftovers, read_folder, shape, unsynced
from harness.outcome import Inconclusive
from harness.step import Step
from harness.stepwise import dies_at_step, stepwise

Judge = Callable[[], str]
"""Looks at the folder as the next program does; returns a word, or a sentence of what is wrong."""
ALL = 1_000_000


@dataclass(frozen=True)
class Depth:
    """How much of a sweep is done.

    Attributes:
        looks: at how many different leftovers that are drawn, beside the first, the middle and
            the last.
        kills: how many processes are killed for real, to confirm the leftovers; where it is not
            less than the leftovers that are looked at, one for each of them.
        chance: draws both.
        turns: whether it is also looked before and after each moment at which a name came or went.
    """

    looks: int = ALL
    kills: int = 1
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    turns: bool = False

    def choose(self, left: Sequence[Leftover]) -> list[Leftover]:
        """Return those that are looked at, in order."""
        fixed = {0, len(left) // 2, len(left) - 1} | (_turns(left) if self.turns else set())
        others = [number for number in range(len(left)) if number not in fixed]
        drawn = self.chance.sample(others, min(len(others), self.looks))
        return [left[number] for number in sorted({*fixed, *drawn})]

    def choose_kills(self, looked_at: Sequence[Leftover]) -> list[tuple[Leftover, Step]]:
        """Return where processes are killed: at each that is looked at, or also in the middle."""
        if self.kills >= len(looked_at):
            return [(each, self.chance.choice(each.steps)) for each in looked_at]
        middle = looked_at[len(looked_at) // 2]
        drawn = [self.chance.choice(looked_at) for _number in range(self.kills - 1)]
        return [(each, self.chance.choice(each.steps)) for each in (middle, *drawn)]


def _turns(left: Sequence[Leftover]) -> set[int]:
    return {
        each
        for number, (one, next_one) in enumerate(pairwise(left))
        if one.contents.keys() != next_one.contents.keys()
        for each in (number, number + 1)
    }


@dataclass(frozen=True)
class CutOff:
    """One verb on one queue, to be cut off.

    Attributes:
        database: the queue; all that the verb changes lies in its folder or below, and nobody has
            it open.
        verb: of ``stepwise``.
        argument: its own.
    """

    database: Path
    verb: str
    argument: object = ""

    def require_survived(
        self,
        evidence: Evidence,
        judge: Judge,
        allowed: Sequence[str],
        *,
        done: str,
        depth: Depth | None = None,
    ) -> None:
        """Fail where a kill at any step leaves what is not allowed.

        One process stands still at every step, where its files are copied as a kill would leave
        them; others are killed, and leave what the copy of that step says.

        Args:
            evidence: the record of the check.
            judge: says what is there after a kill.
            allowed: what it may say; one that begins with another is that one.
            done: what it must say once the verb has ended.
            depth: how much is done; all leftovers and one kill if not told.

        Raises:
            Inconclusive: not all that is allowed was seen, or a kill left something else.
        """
        __tracebackhide__ = True
        depth = depth or Depth()
        folder = self.database.parent
        before = read_folder(folder, self.database)
        # So that all begin alike: the file of the lock, for one, is not there.
        lay_out(before, folder)
        with stepwise(self.database, self.verb, self.argument) as process:
            left = list(leftovers(process, folder, self.database))
        ended = process.ended
        evidence.require(ended == "done", f"{self.verb}, run without a kill, ended so: {ended}")
        after = judge()
        evidence.require(after == done, f"{self.verb} is done, and what is there is {after}")

        if not left:
            raise Inconclusive(f"{self.verb} has no step at which it could be cut off")
        evidence.measure("points", _points(left), "points")
        found = {each: self._look(each.contents, judge) for each in depth.choose(left)}
        for leftover, step in depth.choose_kills(list(found)):
            lay_out(before, folder)
            self._kill(evidence, step, leftover.contents, judge, found[leftover])
        self._judge(evidence, found, allowed, depth)
        evidence.judged(
            f"{_points(found)} of {_points(found)} points of {self.verb} survived, of "
            f"{_points(left)} that it has"
        )

    def _look(self, contents: Contents, judge: Judge) -> str:
        lay_out(contents, self.database.parent)
        with unsynced():
            return judge()

    def _kill(
        self, evidence: Evidence, step: Step, copied: Contents, judge: Judge, expected: str
    ) -> None:
        died = dies_at_step(self.database, self.verb, self.argument, step.number)
        there = read_folder(self.database.parent, self.database)
        other = sorted({*shape(there)} ^ {*shape(copied)})
        with unsynced():
            found = judge()
        evidence.fault(
            "killed-at-step",
            f"{self.verb} killed at {step}",
            died and not other and found == expected,
            f"the process {'died of the signal' if died else 'did not die'}; what it left is "
            f"{found}, what was copied at that step is {expected}"
            + (f"; other files: {other[:4]}" if other else ""),
        )

    def _judge(
        self,
        evidence: Evidence,
        found: dict[Leftover, str],
        allowed: Sequence[str],
        depth: Depth,
    ) -> None:
        __tracebackhide__ = True
        points = _points(found)
        bad = {left: word for left, word in found.items() if word not in allowed}
        lost = _points(bad)
        evidence.measure("judged_points", points, "points")
        evidence.measure("survived_points", points - lost, "points")
        evidence.measure("different_leftovers", len(found), "states")
        evidence.limit("lost_points", lost, 0, "points")
        first = next((f"at {left}: {word}" for left, word in bad.items()), "")
        evidence.require(
            not bad,
            f"killed at {len(bad)} of {len(found)} different moments, {self.verb} leaves neither "
            f"{' nor '.join(allowed)}; {first}",
        )
        _require_seen(Counter(found.values()), allowed, depth)


def _points(left: Iterable[Leftover]) -> int:
    return sum(len(each.steps) for each in left)


def _require_seen(seen: Counter[str], allowed: Sequence[str], depth: Depth) -> None:
    """Where a state that may be left was never seen, the sweep was none."""
    least = len(allowed) if depth.looks >= ALL else min(2, len(allowed))
    if len(seen) < least:
        raise Inconclusive(f"not all of {', '.join(allowed)} was seen: {dict(seen)}")
