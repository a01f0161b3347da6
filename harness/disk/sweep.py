"""A power cut at every moment of a record: each state that it may leave is laid out and looked at.

States of one digest are looked at once. What is found is judged by what had been said when the cut
came; a failure is made as small as it can be, so that it names the writes that matter.
"""

import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from core.paths import QUARANTINE_FOLDER
from harness.disk.cuts import Budget, Cut, cuts, moments
from harness.disk.left import BACKUPS, DATABASE, Finder, Found
from harness.disk.model import Disk, Loose, State
from harness.disk.record import Entry

Judge = Callable[[Found, Sequence[Entry]], str]
"""Given what is found and the marks until then, returns a sentence of what is wrong, or nothing."""

FAILURES_MOST = 3
_PAIRS_MOST = 24
_TOLD_MOST = 4
_QUEUE, _KEPT, _ASIDE = DATABASE, BACKUPS, QUARANTINE_FOLDER
_NOTE = "-restore.json"


@dataclass(frozen=True)
class Failure:
    """A power cut that leaves what may not be.

    Attributes:
        cut: the smallest that was found.
        wrong: with what it leaves.
        state: that it leaves.
    """

    cut: Cut
    wrong: str
    state: State

    def __str__(self) -> str:
        lost = [each.told for each in self.cut.lost()]
        what = " and ".join(lost[:_TOLD_MOST]) or "nothing"
        more = f" and {len(lost) - _TOLD_MOST} more" if len(lost) > _TOLD_MOST else ""
        return f"a power cut {self.cut.moment} that loses {what}{more}: {self.wrong}"


@dataclass
class Survey:
    """What came of a sweep.

    Attributes:
        moments: at which the power was cut.
        cuts: that were tried.
        states: different ones that they left, each looked at once.
        outcomes: different things that were found: contents of the queue, lists of backups.
        survived: cuts that left what may be.
        failures: of the others the first of each kind, made small.
    """

    moments: int = 0
    cuts: int = 0
    states: int = 0
    outcomes: int = 0
    survived: int = 0
    failures: list[Failure] = field(default_factory=list)


class Sweep:
    """Cuts the power of one record.

    Args:
        record: of an operation, its base first.
        judge: says what is wrong.
        folder: where states are laid out; it is emptied for each.
    """

    def __init__(self, record: Sequence[Entry], judge: Judge, folder: Path) -> None:
        self._record = record
        self._judge = judge
        self._folder = folder
        self._finder = Finder(folder)
        self._found: dict[bytes, Found] = {}
        self._parts: dict[tuple[str, object], Any] = {}

    def run(self, budget: Budget, chance: random.Random, disk: Disk) -> Survey:
        """Return what came of cuts at all moments.

        Args:
            budget: how many at each.
            chance: decides what is drawn; seeded.
            disk: new.
        """
        survey, seen = Survey(), set[str]()
        for moment in moments(self._record, disk):
            survey.moments += 1
            for cut in cuts(moment, budget, chance):
                survey.cuts += 1
                wrong = self.wrong(cut)
                survey.survived += not wrong
                if wrong and _kind(wrong) not in seen and len(seen) < FAILURES_MOST:
                    seen.add(_kind(wrong))
                    survey.failures.append(self.smallest(cut, wrong))
        survey.states = len(self._found)
        survey.outcomes = len({_outcome(found) for found in self._found.values()})
        return survey

    def wrong(self, cut: Cut) -> str:
        """Return what is wrong with what the cut leaves, or nothing."""
        return self._judge(self.found(cut.left()), cut.moment.said)

    def found(self, state: State) -> Found:
        """Return what is found of a state."""
        if state.digest not in self._found:
            whole = any(path.endswith(_NOTE) for path in state.contents)
            self._found[state.digest] = self._look(state) if whole else self._look_by_parts(state)
        return self._found[state.digest]

    def _look(self, state: State) -> Found:
        lay_out(state, self._folder)
        return self._finder.look()

    def _look_by_parts(self, state: State) -> Found:
        """Return what is found, where no restore has to be ended that would join the parts.

        The queue, its backups and what was set aside are each looked at once as they are.
        """
        looks = {
            _QUEUE: self._finder.queue,
            _KEPT: self._finder.kept,
            _ASIDE: self._finder.set_aside,
        }
        keys = {part: (part, _digest_of(state, part)) for part in looks}
        new = [part for part, key in keys.items() if key not in self._parts]
        if new:
            lay_out(state, self._folder)
        for part in new:
            self._parts[keys[part]] = looks[part]()
        queue, kept, aside = (self._parts[key] for key in keys.values())
        return Found(queue=queue, kept=kept, set_aside=aside)

    def smallest(self, cut: Cut, wrong: str) -> Failure:
        """Return a failure of its kind with as few lost changes as were found.

        Args:
            cut: whose lost changes are tried, none, each, each two, and then one less at a time.
            wrong: with what it leaves.
        """
        lost = cut.lost()
        pairs = combinations(lost, 2) if len(lost) <= _PAIRS_MOST else ()
        for few in ((), *((each,) for each in lost), *pairs):
            fewer = _losing(cut, few)
            if _kind(said := self.wrong(fewer)) == _kind(wrong):
                return Failure(fewer, said, fewer.left())
        for each in lost:
            fewer = _losing(cut, [other for other in cut.lost() if other is not each])
            if _kind(said := self.wrong(fewer)) == _kind(wrong):
                cut, wrong = fewer, said
        return Failure(cut, wrong, cut.left())


def _digest_of(state: State, part: str) -> object:
    """Return what tells two states of a part of the folder apart."""
    return tuple(each for each in state.digests.items() if each[0].startswith(part))


def _kind(wrong: str) -> str:
    return wrong.partition(":")[0]


def _outcome(found: Found) -> tuple[str, ...]:
    return (found.queue.content, *sorted(found.kept.listed))


def _losing(cut: Cut, lost: Sequence[Loose]) -> Cut:
    return Cut(cut.moment, cut.loose, [each for each in cut.loose if each not in lost])


def lay_out(state: State, folder: Path) -> None:
    """Have exactly this in the folder, which is emptied before."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    # A folder sorts before what lies in it.
    for path, content in state.contents.items():
        if content is None:
            (folder / path).mkdir()
        elif path in state.second_names:
            (folder / path).hardlink_to(folder / state.second_names[path])
        else:
            (folder / path).write_bytes(content)
