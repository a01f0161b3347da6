"""A verb cut off at every one of its steps, and what whoever comes next finds there."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.evidence import Evidence
from harness.leftovers import Leftover, lay_out, leftovers, read_folder
from harness.outcome import Inconclusive
from harness.stepwise import Step, Stepwise, stepwise

Judge = Callable[[], str]
"""Looks at the folder as the next program does; returns a word, or a sentence of what is wrong."""


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
    argument: object

    def require_survived(
        self, evidence: Evidence, judge: Judge, allowed: Sequence[str], *, done: str
    ) -> None:
        """Fail where a kill at any step leaves what is not allowed.

        One process stands still at every step, where its files are copied as a kill would leave
        them; another is killed in the middle, and leaves what the copy says.

        Args:
            evidence: the record of the check.
            judge: says what is there after a kill.
            allowed: what it may say; one that begins with another is that one.
            done: what it must say once the verb has ended.

        Raises:
            Inconclusive: not all that is allowed was seen, or the kill left something else.
        """
        __tracebackhide__ = True
        folder = self.database.parent
        before = read_folder(folder, self.database)
        with stepwise(self.database, self.verb, self.argument) as process:
            left = list(leftovers(process, folder, self.database))
        ended = process.ended
        evidence.require(ended == "done", f"{self.verb}, run without a kill, ended so: {ended}")
        after = judge()
        evidence.require(after == done, f"{self.verb} is done, and what is there is {after}")

        if not left:
            raise Inconclusive(f"{self.verb} has no step at which it could be cut off")
        found = {each: self._look(each, judge) for each in left}
        lay_out(before, folder)
        middle = left[len(left) // 2]
        self._kill(evidence, middle.steps[-1], judge, found[middle])
        self._judge(evidence, found, allowed)

    def _look(self, left: Leftover, judge: Judge) -> str:
        lay_out(left.contents, self.database.parent)
        return judge()

    def _kill(self, evidence: Evidence, step: Step, judge: Judge, expected: str) -> None:
        with stepwise(self.database, self.verb, self.argument) as process:
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
        evidence.measure("steps", steps, "steps")
        evidence.limit("lost_steps", sum(len(left.steps) for left in bad), 0, "steps")
        first = next((f"at {left}: {word}" for left, word in bad.items()), "")
        evidence.require(
            not bad,
            f"killed at {len(bad)} of {len(found)} different moments, {self.verb} leaves neither "
            f"{' nor '.join(allowed)}; {first}",
        )
        seen = Counter(found.values())
        if set(seen) != set(allowed):
            raise Inconclusive(f"not all of {', '.join(allowed)} was seen: {dict(seen)}")


def _killed_at(process: Stepwise, number: int) -> bool:
    for step in process:
        if step.number == number:
            return process.kill()
    return False
