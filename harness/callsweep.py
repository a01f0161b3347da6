"""A verb as users run it, killed from outside on entering its calls to the file system."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.evidence import Evidence
from harness.leftovers import lay_out, read_folder, unsynced
from harness.outcome import Inconclusive
from harness.step import Step
from harness.stepwise import plain_verb
from harness.strikes import Trace, steps_of, traced


@dataclass(frozen=True)
class CallSweep:
    """One verb on one queue, on Python's own SQLite, with strace beside it.

    Attributes:
        database: the queue; all that the verb changes lies in its folder or below, and nobody has
            it open.
        verb: of ``stepwise``.
        argument: its own.
        logs: an existing folder for those of strace, elsewhere.
    """

    database: Path
    verb: str
    argument: object
    logs: Path

    def require_survived(
        self,
        evidence: Evidence,
        judge: Callable[[], str],
        allowed: Sequence[str],
        *,
        most: int,
        chance: random.Random,
    ) -> None:
        """Fail where a kill on entering a call leaves what is not allowed.

        Args:
            evidence: the record of the check.
            judge: says what is there.
            allowed: what it may say, the last of it once the verb has ended.
            most: how many of the calls are struck, one run each.
            chance: draws them.

        Raises:
            Inconclusive: nothing could be struck, or not more than one state was seen.
        """
        __tracebackhide__ = True
        before = read_folder(self.database.parent, self.database)
        ended, untouched = self._run(())
        with unsynced():
            left = judge()
        right = ended == "done" and left == allowed[-1]
        evidence.require(right, f"{self.verb}, not killed, ended so: {ended}; there is {left}")
        steps = steps_of(untouched.calls)
        found = {}
        for step in chance.sample(steps, min(most, len(steps))):
            lay_out(before, self.database.parent)
            _ended, trace = self._run((step,))
            if trace.killed:
                with unsynced():
                    found[step] = judge()
        self._judge(evidence, len(steps), found, allowed)

    def _run(self, steps: Sequence[Step]) -> tuple[str, Trace]:
        log = self.logs / f"{self.verb}{''.join(f'-{step.what}-{step.number}' for step in steps)}"
        with plain_verb(self.database, self.verb, self.argument) as verb:
            with traced(verb.pid, log, steps, follow=False) as trace:
                ended = verb.run()
            return ended, trace

    def _judge(
        self, evidence: Evidence, calls: int, found: dict[Step, str], allowed: Sequence[str]
    ) -> None:
        __tracebackhide__ = True
        bad = {step: word for step, word in found.items() if word not in allowed}
        survived = len(found) - len(bad)
        evidence.fault(
            "killed-at-step",
            f"{self.verb} killed on entering {len(found)} of its {calls} calls",
            bool(found),
            f"strace saw {len(found)} processes die of the signal",
            f"{survived} of {len(found)} survived: {dict(Counter(found.values()))}",
        )
        evidence.measure("points", calls, "points")
        evidence.measure("survived_points", survived, "points")
        evidence.limit("lost_points", len(bad), 0, "points")
        first = next((f"at {step}: {word}" for step, word in bad.items()), "")
        evidence.require(not bad, f"{len(bad)} of {len(found)} kills of {self.verb} lost: {first}")
        evidence.judged(f"{survived} of {len(found)} kills of {self.verb} survived, by strace")
        if len(set(found.values())) < min(2, len(allowed)):
            raise Inconclusive(f"all kills were on one side: {dict(Counter(found.values()))}")
